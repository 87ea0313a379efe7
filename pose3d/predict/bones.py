"""People's bones held to one length while they are seen (`pose3d.lifting.bone_lengths`)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from anypose.motion import Motion
from pose3d.lifting.bone_lengths import (
    FEWEST,
    LENGTHS,
    LIMBS,
    carried,
    has_limbs,
    held,
    lines_of_sight,
    mean_of,
    measured,
    proportioned,
)

SETTLED = 3.0  # seconds of a person after which their lengths are settled


@dataclass
class Bones:
    """The stage that moves joints to where bones have one length.

    Attributes:
        on: false leaves joints as they are.
    """

    on: bool
    _known: dict[int, np.ndarray] = field(default_factory=dict)

    def __call__(self, motion: Motion, intrinsics: np.ndarray, keep: slice) -> Motion:
        """The motion with its joints (T, P, J, 3) moved, in camera axes [m].

        Args:
            motion: with keypoints [px], and joints where they are seen.
            intrinsics: (3,) focal length and principal point [px].
            keep: the frames that are new; the others were learnt from before, or will be.
        """
        assert motion.joints is not None
        assert motion.skeleton is not None
        assert motion.keypoints is not None
        assert motion.keypoint_skeleton is not None
        if not self.on or not has_limbs(motion.skeleton):
            return motion
        limbs = motion.joints[..., [motion.skeleton.index(joint) for joint in LIMBS], :].astype(np.float64)
        there = np.asarray(np.isfinite(limbs).all(-1).sum(-1) >= FEWEST)
        lengths = self.lengths(motion, limbs, there, keep)
        slopes = (motion.keypoints[..., :2] - intrinsics[1:]) / intrinsics[0]
        rays, seen = lines_of_sight(slopes, motion.keypoint_skeleton)
        moved = limbs.copy()
        moved[there] = held(limbs[there], rays[there], seen[there], lengths[np.nonzero(there)[1]])
        return replace(motion, joints=carried(motion.joints, moved, motion.skeleton).astype(np.float32))

    def lengths(self, motion: Motion, limbs: np.ndarray, there: np.ndarray, keep: slice) -> np.ndarray:
        """(P, 8) what each person measures [m]; settled once they have been seen for long enough."""
        assert motion.keypoint_skeleton is not None
        step = float(np.median(np.diff(motion.times))) if len(motion) > 1 else 0.0
        result = np.ones((len(motion.ids), len(LENGTHS)))
        for person, name in enumerate(motion.ids.tolist()):
            known = self._known.setdefault(name, np.zeros((0, len(LENGTHS))))
            rows = keep if len(known) else slice(None)  # somebody new is known by all frames at hand
            if len(known) * step < SETTLED:
                known = self._known[name] = np.concatenate([known, measured(limbs[rows, person][there[rows, person]])])
            if len(known):
                result[person] = proportioned(mean_of(known), motion.keypoint_skeleton)
        return result
