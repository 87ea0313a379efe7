"""From the keypoints of a chunk to its joints in the world: repair, lift, place, ground."""

from __future__ import annotations

from typing import Any

import numpy as np

from anypose.motion import Motion
from pose3d.predict.agreement import agree
from pose3d.predict.bones import Bones
from pose3d.predict.ground import Ground
from pose3d.predict.levelling import Levelled
from pose3d.predict.lifting import Lift
from pose3d.predict.placing import Place
from pose3d.predict.recording import MainPeople
from pose3d.predict.repair import drop_unsure, fill_gaps, undo_swaps
from pose3d.predict.smoothing import Smoothing


class Reconstruction:
    """Every stage between keypoints and joints, in their order; keeps what one chunk tells of the next.

    Args:
        settings: those of conf/predict.yaml.
        lift: the lifter.
        smooth: filters of keypoints and joints.
        ground: the floor, which the summary asks for afterwards.
    """

    def __init__(self, settings: Any, lift: Lift, smooth: Smoothing, ground: Ground) -> None:
        self.settings, self.smooth, self.ground = settings, smooth, ground
        self.main = MainPeople(settings.people)
        self.lift = Levelled(lift, settings.level)
        self.place = Place(settings.height, smooth)
        self.bones = Bones(settings.bones)

    def __call__(self, motion: Motion, intrinsics: np.ndarray, keep: slice) -> Motion:
        """The motion with its joints, in the camera's axes and in the world's.

        Args:
            motion: with keypoints.
            intrinsics: (3,) focal length and principal point [px].
            keep: the frames that will come out; the others are there to be looked at.
        """
        settings = self.settings
        motion = drop_unsure(self.main(motion), settings.keypoints.min_score)
        motion = undo_swaps(motion) if settings.swaps else motion
        motion = self.smooth.keypoints(fill_gaps(motion, settings.gaps), keep)
        motion = agree(self.lift(motion, intrinsics, keep), intrinsics, settings.landmarks)
        motion = self.bones(self.place(motion, intrinsics, keep), intrinsics, keep)
        return self.ground(self.smooth.joints(motion, keep), intrinsics, keep)
