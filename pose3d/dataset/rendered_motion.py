"""dataset=rendered_motion: recorded motion, Human3.6M's say, as pictures: dressed figures where its cameras saw people.

Joints, cameras and lenses are the recording's own, lens distortion left out; only the pixels are made up. That is what
can be had of Human3.6M's 3D without its videos.
"""

from __future__ import annotations

import numpy as np

from anypose.camera import world_to_camera
from anypose.settings import Misuse, judged
from anypose.skeleton import H36M_17, convert, get_skeleton
from pose2d.people import People, Split
from pose2d.synthesis.figure import draw_look
from pose2d.synthesis.render import Lens
from pose3d.motion.sequence import MotionDataset, PoseSequence, require_motion
from pose3d.synthesis.rendered_people import Person, annotated_scenes, check_rendered


class Recordings:
    """Implements `pose3d.synthesis.rendered_people.Stage`: frames of sequences, one person each, with air around.

    Args:
        key: seeds of clothes, light and framing.
        sequences: whose frames there are to choose from.
        count: images, spread evenly over all frames.
        height, width: of an image [px].
    """

    def __init__(self, key: tuple[int, ...], sequences: list[PoseSequence], count: int, height: int, width: int):
        self.key, self.sequences, self.height, self.width = key, sequences, height, width
        ends = np.cumsum([len(sequence) for sequence in sequences])
        frames = np.unique(np.linspace(0, ends[-1] - 1, count).round().astype(int))
        self.sequence = np.searchsorted(ends, frames, side="right")
        self.frame = frames - np.concatenate([[0], ends])[self.sequence]

    def __len__(self) -> int:
        return len(self.frame)

    def name(self, index: int) -> str:
        return f"{self.sequences[self.sequence[index]].name}, frame {self.frame[index]}"

    def scene(self, index: int) -> tuple[Lens, list[Person]]:
        """The recording's person before a window of its camera's picture, which keeps the camera's perspective."""
        rng = np.random.default_rng((*self.key, 0, index))
        sequence = self.sequences[self.sequence[index]]
        camera, frame = sequence.camera, self.frame[index]
        world = convert(sequence.joints[frame].astype(np.float64), sequence.skeleton, H36M_17)
        joints = world_to_camera(world, camera)
        focal = float(np.mean(camera.focal))  # figures have one focal length; Human3.6M's two differ by 0.1 %
        seen = joints[:, :2] / np.maximum(joints[:, 2:], 1e-3) * focal
        low, high = seen.min(axis=0), seen.max(axis=0)
        window = float((high - low).max()) * rng.uniform(1.2, 2.4)  # of the picture, scaled to the image's shorter side
        zoom = min(self.height, self.width) / window
        middle = (low + high) / 2 + rng.uniform(-0.25, 0.25, 2) * (window - (high - low))
        centre = np.array([self.width - 1, self.height - 1]) / 2 - zoom * middle
        lens = Lens(focal * zoom, (float(centre[0]), float(centre[1])), self.height, self.width)
        return lens, [Person(joints, draw_look(rng), bool(rng.random() < 0.3))]


@judged("dataset")
class RenderedMotion:
    """A PeopleDataset of any motion dataset.

    Args:
        motion: where the motion comes from; its skeleton must have a nose or eyes, which tell where a head looks.
        seed: of clothes, light and framing.
        train_images, validation_images: at most; never more than there are frames.
        height, width: of an image [px], multiples of 8.
    """

    def __init__(
        self, motion: MotionDataset, seed: int, train_images: int, validation_images: int, height: int, width: int
    ) -> None:
        require_motion(motion, "dataset.motion")
        self.counts = {"train": train_images, "validation": validation_images}
        for split, count in self.counts.items():
            if count < 1:
                raise Misuse(f"dataset.{split}_images={count} must be at least 1.")
        check_rendered(max(train_images, validation_images), height, width)
        self.motion, self.seed, self.height, self.width = motion, seed, height, width
        self.name = f"rendered {motion.name}"
        self.skeleton = get_skeleton("coco_17")
        self.notes = ("rendered people, no photographs", *motion.notes)

    def people(self, split: Split) -> People:
        """One person an image; those who do not face a lens, or are out of the picture, are left out."""
        key = (self.seed, int(split == "validation"))
        stage = Recordings(key, self.motion.sequences(split), self.counts[split], self.height, self.width)
        return annotated_scenes(stage)
