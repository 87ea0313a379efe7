"""Where people are: the root in metres from reprojection, and their size."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from anypose.motion import Motion
from anypose.skeleton import Skeleton, convert, is_convertible
from pose3d.lifting.arrays import ASSUMED_FOCAL
from pose3d.predict.smoothing import Smoothing, spread

CROWN = 0.25  # thorax to crown, of the height that thorax, legs and trunk add up to: with it a body measures 1
ANKLE = 0.08  # height of the ankle above the floor [m]
SETTLED = 3.0  # seconds of a person after which their size is settled
SLOWER = 3.0  # the root's depth is noisier than what is across: smoothed with so many times the period
NEAREST, FARTHEST = 0.3, 200.0  # [m]


def assumed_intrinsics(size: tuple[int, int], focal: float | None) -> np.ndarray:
    """(3,) focal length and principal point [px] of a picture: the given focal length or an assumed one, its middle."""
    width, height = size
    return np.array([focal or ASSUMED_FOCAL * max(width, height), width / 2, height / 2])


@dataclass
class Place:
    """The stage that puts people into the room, and gives them their size.

    Attributes:
        height: of the person [m], None for the lifter's own scale.
        smoothing: of the root's path.
    """

    height: float | None
    smoothing: Smoothing
    _lengths: dict[int, list[float]] = field(default_factory=dict)
    _factors: dict[int, float] = field(default_factory=dict)

    def __call__(self, motion: Motion, intrinsics: np.ndarray, keep: slice = slice(None)) -> Motion:
        """The motion with its joints (T, P, J, 3) where they are seen, in camera axes [m].

        Args:
            motion: with keypoints [px], and joints relative to the hips [m].
            intrinsics: (3,) focal length and principal point [px].
            keep: the frames that are new.
        """
        assert motion.joints is not None
        assert motion.keypoints is not None
        assert motion.skeleton is not None
        assert motion.keypoint_skeleton is not None
        factors = np.array([self.factor(motion, person, keep) for person in range(len(motion.ids))], np.float32)
        joints = motion.joints * factors[:, None, None]
        shared = [joint for joint in motion.skeleton.joints if is_convertible(motion.keypoint_skeleton, points(joint))]
        target = points(*shared)
        pixels = convert(motion.keypoints.astype(np.float64), motion.keypoint_skeleton, target)
        rows = [motion.skeleton.index(joint) for joint in shared]
        root = solve_root(joints[..., rows, :], pixels, intrinsics)
        root = self.steady(root, replace(motion, joints=joints), keep)
        others = motion.hypotheses
        if others is not None:
            others = (others * factors[:, None, None, None] + root[:, :, None, None]).astype(np.float32)
        return replace(motion, joints=(joints + root[:, :, None]).astype(np.float32), hypotheses=others)

    def factor(self, motion: Motion, person: int, keep: slice) -> float:
        """What the lifter's metres of a person are multiplied by; settled once they have been seen for long enough."""
        if self.height is None:
            return 1.0
        assert motion.joints is not None
        assert motion.skeleton is not None
        name = int(motion.ids[person])
        lengths = self._lengths.setdefault(name, [])
        step = float(np.median(np.diff(motion.times))) if len(motion) > 1 else 1.0
        if name not in self._factors or len(lengths) * step < SETTLED:
            rows = keep if lengths else slice(None)  # somebody new is known by all frames at hand
            statures = stature(motion.joints[rows, person], motion.skeleton)
            lengths.extend(statures[np.isfinite(statures)].tolist())
            if lengths:
                self._factors[name] = self.height / float(np.median(lengths))
        return self._factors.get(name, 1.0)

    def steady(self, root: np.ndarray, motion: Motion, keep: slice) -> np.ndarray:
        """The root's path (T, P, 3), its depth smoothed more than what is across; across follows the line of sight."""
        assert motion.joints is not None
        depth = root[..., 2:]
        path = np.concatenate([root[..., :2] / depth, np.log(depth)], -1)[..., None]
        periods = self.smoothing.legs * np.array([1, 1, SLOWER])
        path = self.smoothing("root", path, motion, periods, spread(motion.joints) / depth[..., 0], keep)[..., 0]
        depth = np.exp(path[..., 2:])
        return np.concatenate([path[..., :2] * depth, depth], -1)


def solve_root(joints: np.ndarray, pixels: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """(T, P, 3) where the root must be for the joints to be seen at the pixels, by weighted least squares.

    (f (X + x) - (u - c) (Z + z)) = 0 is linear in the root (x, y, z); each equation is divided by the depth of a first
    solution, so that the error is one of pixels.

    Args:
        joints: (T, P, N, 3) relative to the root [m].
        pixels: (T, P, N, 3) x, y [px] and score.
        intrinsics: (3,) focal length and principal point [px].
    """
    slopes = (pixels[..., :2] - intrinsics[1:]) / intrinsics[0]
    weights = np.clip(np.nan_to_num(pixels[..., 2]), 0.01, 1)
    good = np.isfinite(slopes).all(-1) & np.isfinite(joints).all(-1)
    weights = np.where(good, weights, 0)
    slopes, known = np.nan_to_num(slopes), np.nan_to_num(joints.astype(np.float64))
    root = np.full((*joints.shape[:2], 3), np.nan)
    enough = good.sum(-1) >= 4
    if not enough.any():
        return root
    slopes, known, weights = slopes[enough], known[enough], weights[enough]
    scale = weights
    solution = np.zeros((len(slopes), 3))
    for _ in range(3):
        # Each point gives two rows, (1, 0, -slope x) and (0, 1, -slope y); these are their products, summed.
        value = slopes * known[..., 2:] - known[..., :2]
        square = (scale**2)[..., None]
        left = np.zeros((len(slopes), 3, 3))
        left[:, 0, 0] = left[:, 1, 1] = square.sum((1, 2))
        left[:, 2, :2] = left[:, :2, 2] = -(square * slopes).sum(1)
        left[:, 2, 2] = (square * slopes**2).sum((1, 2))
        right = np.column_stack([(square * value).sum(1), -(square * slopes * value).sum((1, 2))])
        solution = np.linalg.solve(left + 1e-12 * np.eye(3), right[..., None])[..., 0]
        solution[:, 2] = solution[:, 2].clip(NEAREST, FARTHEST)
        scale = weights / (known[..., 2] + solution[:, 2:]).clip(NEAREST)
    root[enough] = solution
    return root


def stature(joints: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """(T,) how tall a person stands, from the lengths of legs, trunk and head (T, J, 3) [m]."""

    def length(a: str, b: str) -> np.ndarray:
        return np.linalg.norm(joints[..., skeleton.index(a), :] - joints[..., skeleton.index(b), :], axis=-1)

    sides = [
        length(f"{side}_hip", f"{side}_knee") + length(f"{side}_knee", f"{side}_foot") for side in ("left", "right")
    ]
    trunk = (
        length("hip", "spine") + length("spine", "thorax") if "spine" in skeleton.joints else length("hip", "thorax")
    )
    return (np.mean(sides, axis=0) + trunk + ANKLE) * (1 + CROWN)


def points(*joints: str) -> Skeleton:
    """A skeleton of joints alone, without bones."""
    return Skeleton("points", joints, (-1,) * len(joints), (), ())
