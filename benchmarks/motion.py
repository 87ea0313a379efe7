"""Motion without meaning, of the right shapes: speed does not depend on what is in it."""

from __future__ import annotations

import numpy as np

from anypose.camera import Camera, project
from anypose.skeleton import H36M_17
from pose3d.motion.missing_joints import NONE
from pose3d.motion.sequence import PoseSequence, Split

WIDTH = 1000


class RandomMotion:
    """A dataset of smooth random motion; as many sequences and frames as asked for, of uneven length.

    Args:
        sequences: how many.
        frames: of a sequence, on average.
        seed: of everything.
    """

    name = "random motion"
    keypoint_source = "exact projection"
    actions = ("Walking",)
    notes = ()
    missing_joints = NONE

    def __init__(self, sequences: int, frames: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        lengths = rng.integers(frames // 2, frames + frames // 2, sequences)
        self._sequences = [self._draw(rng, number, int(length)) for number, length in enumerate(lengths)]

    def sequences(self, split: Split) -> list[PoseSequence]:
        """The same for every split."""
        return self._sequences

    @staticmethod
    def _draw(rng: np.random.Generator, number: int, frames: int) -> PoseSequence:
        camera = Camera(
            name="front",
            rotation=np.eye(3),
            position=np.zeros(3),
            focal=np.full(2, 1.15 * WIDTH),
            centre=np.full(2, WIDTH / 2),
            radial=np.array([-0.2, 0.25, 0.0]),
            tangential=np.array([-1e-3, 1e-3]),
            width=WIDTH,
            height=WIDTH,
        )
        steps = rng.normal(scale=0.01, size=(frames, H36M_17.num_joints, 3))
        joints = rng.normal(scale=0.3, size=(H36M_17.num_joints, 3)) + steps.cumsum(0).clip(-0.5, 0.5) + (0, 0, 5)
        return PoseSequence(
            subject="S1",
            action="Walking",
            take=f"Walking {number}",
            camera=camera,
            keypoints=project(joints, camera).astype(np.float32),
            keypoint_skeleton=H36M_17,
            joints=joints.astype(np.float32),
            skeleton=H36M_17,
            fps=50.0,
        )
