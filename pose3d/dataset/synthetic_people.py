"""dataset=synthetic_people: rendered people in COCO's form, with their exact joints in 3D. Nothing to download.

Poses are those of the motion generator and free ones; figures, light and scenery are drawn for every image.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from anypose.bounds import check_made
from anypose.settings import Misuse
from anypose.skeleton import get_skeleton
from pose2d.people import People, Split
from pose2d.synthesis.figure import draw_look
from pose2d.synthesis.render import Lens
from pose3d.synthesis.actions import ACTIONS
from pose3d.synthesis.body import draw_body
from pose3d.synthesis.choreography import Script
from pose3d.synthesis.free_poses import draw_poses
from pose3d.synthesis.kinematics import pose_body, rotation
from pose3d.synthesis.performance import perform
from pose3d.synthesis.rendered_people import Person, annotated_scenes, check_rendered

POSES_PER_BODY = 24
BYTES_PER_POSE = 8 * 17 * 3 * 10  # while poses are made
_H36M = get_skeleton("h36m_17")
_LEFT_HIP, _RIGHT_HIP = _H36M.index("left_hip"), _H36M.index("right_hip")


class Crowds:
    """Implements `pose3d.synthesis.rendered_people.Stage`: one to three people, a function of (seed, split, index)."""

    def __init__(
        self,
        seed: int,
        split: Split,
        count: int,
        height: int,
        width: int,
        poses: np.ndarray,
        turned: float,
        sizes: Sequence[float],
        occluded: float,
    ) -> None:
        self.key = (seed, int(split == "validation"))
        self.count = count
        self.height, self.width = height, width
        self.poses = poses
        self.turned, self.sizes, self.occluded = np.radians(turned), np.log(sizes), occluded

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        return f"synthetic image {index}"

    def scene(self, index: int) -> tuple[Lens, list[Person]]:
        """The camera and the people of an image, the farthest first."""
        rng = np.random.default_rng((*self.key, 0, index))
        focal = self.width * rng.uniform(0.8, 2.5)
        lens = Lens(focal, (self.width / 2 - 0.5, self.height / 2 - 0.5), self.height, self.width)
        tilt = np.radians(np.clip(rng.normal(8, 14), -25, 60))
        roll = np.radians(rng.normal(0, 7))
        people = []
        for number in range(1 + int(rng.choice(3, p=[0.62, 0.26, 0.12]))):
            joints = self.poses[rng.integers(len(self.poses))].astype(np.float64)
            left = joints[_LEFT_HIP] - joints[_RIGHT_HIP]
            towards_camera = np.pi - np.arctan2(-left[0], left[1])  # forward is (y, -x) of left
            turn = towards_camera + rng.normal(scale=self.turned)
            turned = (joints - joints.mean(axis=0)) @ rotation(np.array([[0.0, 0.0, turn]]))[0].T
            camera = turned[:, [1, 2, 0]] * [-1.0, -1.0, 1.0]  # away, left, up to right, down, away
            camera = camera @ rotation(np.array([[0.0, tilt, roll]]))[0].T  # about the camera's x and z
            size = self.height * np.exp(rng.uniform(*self.sizes))
            depth = focal * 1.7 / size  # of someone of 1.7 m who stands
            low, high = (0.25, 0.75) if number == 0 else (-0.05, 1.05)
            place = rng.uniform(low, high, 2) * [self.width, self.height]
            if number:
                place[1] = self.height * rng.uniform(0.3, 0.7)
            shift = np.append((place - np.array(lens.centre)) / focal, 1.0) * max(depth, 1.4)
            people.append(Person(camera + shift, draw_look(rng), bool(rng.random() < self.occluded)))
        people.sort(key=lambda person: -float(person.joints[:, 2].mean()))
        return lens, people


class SyntheticPeople:
    """A PeopleDataset made up on the spot.

    Args:
        seed: another seed is another world.
        train_images, validation_images: how many.
        height, width: of an image [px], multiples of 8.
        bodies: how many people's proportions and motions poses are taken from, in each split.
        free_poses: share of poses that belong to no action.
        turned: standard deviation of how far people turn away from the camera [degrees]; hundreds are any way.
        sizes: least and largest height of people, were they standing, relative to the image's.
        occluded: share of people with something in front of them.
    """

    name = "synthetic_people"

    def __init__(
        self,
        seed: int,
        train_images: int,
        validation_images: int,
        height: int,
        width: int,
        bodies: int,
        free_poses: float,
        turned: float,
        sizes: Sequence[float],
        occluded: float,
    ) -> None:
        counts = {"train_images": train_images, "validation_images": validation_images, "bodies": bodies}
        for key, value in counts.items():
            if value < 1:
                raise Misuse(f"dataset.{key}={value} must be at least 1.")
        check_rendered(max(train_images, validation_images), height, width)
        check_made(bodies * POSES_PER_BODY * BYTES_PER_POSE, f"dataset.bodies={bodies}")
        for key, share in {"free_poses": free_poses, "occluded": occluded}.items():
            if not 0 <= share <= 1:
                raise Misuse(f"dataset.{key} must be in 0..1, got {share}.")
        if turned < 0:
            raise Misuse(f"dataset.turned must be 0 degrees or more, got {turned}.")
        if len(sizes) != 2 or not 0.1 <= sizes[0] <= sizes[1]:
            raise Misuse(f"dataset.sizes must be two rising numbers from 0.1 on, got {list(sizes)}.")
        self.seed = seed
        self.counts = {"train": train_images, "validation": validation_images}
        self.height, self.width = height, width
        self.bodies = bodies
        self.free_poses, self.turned, self.sizes, self.occluded = free_poses, turned, tuple(sizes), occluded
        self.skeleton = get_skeleton("coco_17")
        self.notes = ("rendered people, no photographs",)

    def poses(self, split: Split) -> np.ndarray:
        """(N, 17, 3) float32 joints to choose from, skeleton h36m_17, z up [m]."""
        collected = []
        for number in range(self.bodies):
            rng = np.random.default_rng((self.seed, int(split == "validation"), 2, number))
            body = draw_body(rng, 0.05)
            free = round(self.free_poses * POSES_PER_BODY)
            if free:
                collected.append(draw_poses(rng, body, free))
            for action in rng.choice(list(ACTIONS), 4, replace=False) if free < POSES_PER_BODY else ():
                script = Script(rng, body, 10.0)
                ACTIONS[action](script)
                take = pose_body(perform(script, 10.0, 100), body)
                collected.append(take[rng.choice(100, -(-(POSES_PER_BODY - free) // 4), replace=False)])
        return np.concatenate(collected).astype(np.float32)

    def people(self, split: Split) -> People:
        look = (self.turned, self.sizes, self.occluded)
        return annotated_scenes(
            Crowds(self.seed, split, self.counts[split], self.height, self.width, self.poses(split), *look)
        )
