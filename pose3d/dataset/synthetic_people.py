"""dataset=synthetic_people: rendered people in COCO's form, with their exact joints in 3D. Nothing to download.

Poses are those of the motion generator and free ones; figures, light and scenery are drawn for every image. The choice
lives here and not in pose2d because it joins both: `pose2d` draws whatever joints it is given and knows no motion.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pose.skeleton import get_skeleton
from pose2d.figure import Look, coco_keypoints, draw_look, dress
from pose2d.people import COCO_SIGMAS, COCO_UPPER, People, Split
from pose2d.render import Canvas, Lens, Light, silhouette, soften
from pose2d.scenery import draw_background, draw_occluder
from pose3d.actions import ACTIONS
from pose3d.body import draw_body
from pose3d.choreography import Script
from pose3d.free_poses import draw_poses
from pose3d.kinematics import pose_body, rotation
from pose3d.performance import perform

POSES_PER_BODY = 24
SMALLEST = 60  # area of a figure that counts [px^2]


@dataclass(frozen=True, eq=False)
class Person:
    """One figure of one image: (17, 3) joints in the camera frame [m], clothes, and whether something covers it."""

    joints: np.ndarray
    look: Look
    occluded: bool


class RenderedImages:
    """Implements `pose2d.image.Images`: image `index` is a function of (seed, split, index), drawn when it is read."""

    def __init__(self, seed: int, split: Split, count: int, height: int, width: int, poses: np.ndarray) -> None:
        self.key = (seed, int(split == "validation"))
        self.count = count
        self.height, self.width = height, width
        self.poses = poses

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
        size = self.height * np.exp(rng.uniform(np.log(0.4), np.log(1.5)))  # of the first person, standing
        people = []
        for number in range(1 + int(rng.choice(3, p=[0.62, 0.26, 0.12]))):
            joints = self.poses[rng.integers(len(self.poses))].astype(np.float64)
            turned = (joints - joints.mean(axis=0)) @ rotation(np.array([[0.0, 0.0, rng.uniform(-np.pi, np.pi)]]))[0].T
            camera = turned[:, [1, 2, 0]] * [-1.0, -1.0, 1.0]  # left, up, away to right, down, away
            camera = camera @ rotation(np.array([[0.0, tilt, roll]]))[0].T  # about the camera's x and z
            depth = focal * 1.7 / size * (rng.uniform(0.75, 1.6) if number else 1.0)
            low, high = (0.25, 0.75) if number == 0 else (-0.05, 1.05)
            place = rng.uniform(low, high, 2) * [self.width, self.height]
            if number:
                place[1] = self.height * rng.uniform(0.3, 0.7)
            shift = np.append((place - np.array(lens.centre)) / focal, 1.0) * max(depth, 1.4)
            people.append(Person(camera + shift, draw_look(rng), bool(rng.random() < 0.3)))
        people.sort(key=lambda person: -float(person.joints[:, 2].mean()))
        return lens, people

    def read(self, index: int, reduce: int = 1) -> np.ndarray:
        lens, people = self.scene(index)
        rng = np.random.default_rng((*self.key, 1, index))
        lamp = rng.normal([0.0, -1.0, -0.8])  # from above and from behind the camera more often than not
        light = Light(lamp / np.linalg.norm(lamp), rng.uniform(0.35, 0.8), rng.uniform(0.85, 1.1, 3))
        canvas = Canvas(draw_background(rng, self.height, self.width))
        for number, person in enumerate(people):
            parts, head = dress(person.joints, person.look)
            canvas.draw(parts, person.look, head, lens, light, number)
            if person.occluded:
                rows, columns = np.nonzero(silhouette(parts, lens))
                if len(rows):
                    box = np.array([columns.min(), rows.min(), columns.max(), rows.max()])
                    draw_occluder(rng, canvas.colour, canvas.depth, canvas.owner, box)
        image = soften(canvas.finish(), rng)
        if reduce == 1:
            return image
        return np.ascontiguousarray(
            image.reshape(self.height // reduce, reduce, self.width // reduce, reduce, 3)
            .mean(axis=(1, 3))
            .astype(np.uint8)
        )


class SyntheticPeople:
    """A PeopleDataset made up on the spot.

    Args:
        seed: another seed is another world.
        train_images, validation_images: how many.
        height, width: of an image [px], multiples of 8.
        bodies: how many people's proportions and motions poses are taken from, in each split.
        free_poses: share of poses that belong to no action.
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
    ) -> None:
        counts = {"train_images": train_images, "validation_images": validation_images, "bodies": bodies}
        for key, value in counts.items():
            if value < 1:
                raise ValueError(f"dataset.{key}={value} must be at least 1.")
        if min(height, width) < 64 or height % 8 or width % 8:
            raise ValueError(
                f"dataset.height and dataset.width must be multiples of 8 from 64 on, got {height} and {width}."
            )
        if not 0 <= free_poses <= 1:
            raise ValueError(f"dataset.free_poses must be in 0..1, got {free_poses}.")
        self.seed = seed
        self.counts = {"train": train_images, "validation": validation_images}
        self.height, self.width = height, width
        self.bodies = bodies
        self.free_poses = free_poses
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
        images = RenderedImages(self.seed, split, self.counts[split], self.height, self.width, self.poses(split))
        rows: list[tuple] = []
        annotations = []
        lenses = np.zeros((len(images), 3))
        for index in range(len(images)):
            lens, crowd = images.scene(index)
            lenses[index] = lens.focal, *lens.centre
            for person in crowd:
                found = annotate(person, lens)
                if found is None:
                    continue
                keypoints, flags, box, area = found
                rows.append((index, box, keypoints, flags, person.joints))
                annotations.append(
                    {
                        "id": len(rows),
                        "image_id": index + 1,
                        "category_id": 1,
                        "iscrowd": 0,
                        "num_keypoints": int((flags > 0).sum()),
                        "keypoints": np.column_stack([keypoints, flags]).round(2).ravel().tolist(),
                        "bbox": [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()],
                        "area": area,
                    }
                )
        image, boxes, keypoints, visibility, joints = (np.array(column) for column in zip(*rows, strict=True))
        sizes = np.tile([self.height, self.width], (len(images), 1))
        listed = [{"id": i + 1, "height": self.height, "width": self.width} for i in range(len(images))]
        truth = {"images": listed, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
        return People(
            images=images,
            image_ids=np.arange(1, len(images) + 1),
            image_sizes=sizes,
            image=image,
            ids=np.arange(1, len(rows) + 1),
            box_xyxy=boxes.astype(np.float64),
            box_scores=np.ones(len(rows)),
            keypoints=keypoints,
            visibility=visibility,
            skeleton=self.skeleton,
            sigmas=np.array(COCO_SIGMAS),
            upper=COCO_UPPER,
            box_source="ground truth",
            truth={"coco": truth, "joints": joints, "lenses": lenses},
        )


def annotate(person: Person, lens: Lens) -> tuple[np.ndarray, np.ndarray, np.ndarray, float] | None:
    """What an annotator would write down, or None where there is next to nothing of the person in the image.

    Labelled is what lies inside the image and is not on the far side of the head; whatever else covers it.

    Returns:
        (17, 2) keypoints [px], (17,) 2 or 0, (4,) box left, top, right, bottom [px], and the area [px^2].
    """
    points = coco_keypoints(person.joints)
    parts, head = dress(person.joints, person.look)
    keypoints = lens.project(points)
    inside = (keypoints >= 0).all(axis=1) & (keypoints < [lens.width, lens.height]).all(axis=1) & (points[:, 2] > 0.3)
    to_camera = -head.centre / np.linalg.norm(head.centre)
    outward = points[:5] - head.centre
    facing = outward @ to_camera / np.linalg.norm(outward, axis=1)
    inside[:5] &= facing > -0.15
    rows, columns = np.nonzero(silhouette(parts, lens))
    if inside.sum() < 3 or len(rows) < SMALLEST:
        return None
    box = np.array([columns.min(), rows.min(), columns.max(), rows.max()], dtype=np.float64)
    if (box[2:] - box[:2]).min() < 4:
        return None
    return keypoints, np.where(inside, 2, 0), box, float(len(rows))
