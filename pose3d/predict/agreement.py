"""Two guesses of one pose: the lifter's, and that of a 2D network that also guesses depth.

A lifter sees how points move and nothing else, BlazePose sees the picture, one frame of it: their errors have little in
common. On the two clips of a real person that docs/predict.md scores, their mean is nearer to the truth than both, and
nearer still where each has more of a say in the joints that it knows better.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from anypose.motion import Motion
from anypose.settings import Misuse
from anypose.skeleton import convert_known
from pose3d.predict.lifting import look_at

# BlazePose's share in the mean: three quarters of the one that is nearest to the joints of rendered people, give or
# take 0.03: `python -m benchmarks.agreement`, 479 views of 160 bodies. With all of it MPJPE is 0.3 mm lower there and
# P-MPJPE 0.5 mm higher. It sees which foot is in front; where a wrist is the lifter knows better. Of other joints it is
# a half.
SHARES = {"knee": 0.21, "foot": 0.47, "shoulder": 0.36, "elbow": 0.25, "wrist": 0.14}


def agree(motion: Motion, intrinsics: np.ndarray, share: float) -> Motion:
    """The motion with its `joints` moved towards what the 2D network says they are.

    Args:
        motion: with joints relative to the hips [m], camera axes, and the network's `landmarks` or None.
        intrinsics: (3,) focal length and principal point [px].
        share: of the landmarks in the result: 0.5 is `SHARES`, 0 and 1 are the lifter and the network alone, and what
            lies between moves all of them.

    Raises:
        ValueError: for a share that is none.
    """
    if not 0 <= share <= 1:
        raise Misuse(f"landmarks={share} must lie in [0, 1].")
    if motion.landmarks is None or share == 0:
        return motion
    assert motion.keypoints is not None
    assert motion.keypoint_skeleton is not None
    assert motion.joints is not None
    assert motion.skeleton is not None
    hips = [motion.keypoint_skeleton.index(hip) for hip in ("left_hip", "right_hip")]
    slopes = (motion.keypoints[..., hips, :2].astype(np.float64).mean(-2) - intrinsics[1:]) / intrinsics[0]
    own, _ = convert_known(motion.landmarks @ look_at(slopes), motion.keypoint_skeleton, motion.skeleton)
    root = motion.skeleton.root
    own = own - own[..., [root], :] if root is not None else own
    apart = without_gaps(own - motion.joints, motion.times)
    measured = np.array([SHARES.get(joint.rpartition("_")[2], 0.5) for joint in motion.skeleton.joints])[:, None]
    shares = share * measured / (share * measured + (1 - share) * (1 - measured))
    moved = motion.joints + shares * np.nan_to_num(apart)  # what the network never saw stays the lifter's
    return replace(motion, joints=moved.astype(np.float32))


def without_gaps(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(T, P, J, 3) with NaN filled in over time: frames whose keypoints were filled in must not jump back and forth."""
    filled = values.copy()
    for person in range(values.shape[1]):
        series = filled[:, person].reshape(len(times), -1)
        known = np.isfinite(series)
        for column in np.flatnonzero(known.any(0) & ~known.all(0)):
            here = known[:, column]
            series[~here, column] = np.interp(times[~here], times[here], series[here, column])
        filled[:, person] = series.reshape(values.shape[0], *values.shape[2:])
    return filled
