"""A camera that is rolled, turned level before people are lifted.

Lifters know people who stand upright in the picture, and one who seems to lean is lifted worse. Which way is up follows
from the lifted people themselves (`pose3d.predict.ground`); the first chunk is lifted twice for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from anypose.motion import Motion
from pose3d.predict.ground import mean_direction, standing_directions
from pose3d.predict.lifting import Lift
from pose3d.predict.windows import lasts

SETTLED = 3.0  # seconds of people after which the roll is settled
SLIGHT = math.radians(1.5)  # of roll that is not worth lifting again
LARGEST = math.radians(40)  # who seems to lean more than this is lying or falling; the camera is not that rolled


@dataclass
class Levelled:
    """The lifting stage, with a camera that is not rolled.

    Attributes:
        lift: the stage itself.
        on: false leaves the camera as it is.
        roll: of the camera, as far as it is known [rad].
    """

    lift: Lift
    on: bool
    roll: float = 0.0
    _ups: list[np.ndarray] = field(default_factory=list)
    _seconds: float = 0.0

    def __call__(self, motion: Motion, intrinsics: np.ndarray, keep: slice) -> Motion:
        """As `Lift`, joints in the axes of the camera as it is.

        Args:
            motion: with keypoints [px].
            intrinsics: (3,) focal length and principal point [px].
            keep: the frames that are new; the others were learnt from before, or will be.
        """
        lifted = self.turned(motion, intrinsics)
        if not self.on or self._seconds >= SETTLED:
            return lifted
        before = self.roll
        self.look(lifted, keep)
        return self.turned(motion, intrinsics) if abs(self.roll - before) > SLIGHT else lifted

    def look(self, lifted: Motion, keep: slice) -> None:
        """Learn from lifted people which way is up."""
        assert lifted.joints is not None
        assert lifted.skeleton is not None
        self._ups.extend(standing_directions(lifted.joints[keep], lifted.skeleton))
        x, y, _ = mean_direction(np.array(self._ups))
        roll = math.atan2(x, -y)
        self.roll = roll if abs(roll) <= LARGEST else 0.0
        self._seconds += lasts(lifted.times, keep)

    def turned(self, motion: Motion, intrinsics: np.ndarray) -> Motion:
        """Lifted as a camera sees it that is turned back by the roll about its line of sight."""
        if self.roll == 0:
            return self.lift(motion, intrinsics)
        assert motion.keypoints is not None
        sin, cos = math.sin(self.roll), math.cos(self.roll)
        turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        keypoints = motion.keypoints.copy()
        keypoints[..., :2] = (keypoints[..., :2] - intrinsics[1:]) @ turn[:2, :2] + intrinsics[1:]
        lifted = self.lift(replace(motion, keypoints=keypoints), intrinsics)
        parts = {name: getattr(lifted, name) for name in ("joints", "hypotheses")}
        back = {name: None if part is None else (part @ turn.T).astype(np.float32) for name, part in parts.items()}
        return replace(lifted, keypoints=motion.keypoints, **back)
