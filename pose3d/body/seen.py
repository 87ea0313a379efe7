"""What is known of one person over a clip, and what may be wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from anypose.skeleton import H36M_17, Skeleton, convert_known

FEWEST = 5  # points seen in a frame, below which it says nothing of the pose


@dataclass(frozen=True)
class Noise:
    """Standard deviations of joints [m], of keypoints [px] and of limbs' directions (sine), along one axis."""

    joint: float
    pixel: float
    direction: float = 0.15


@dataclass(frozen=True, eq=False)
class Seen:
    """What is known of one person over T frames, NaN where it is not.

    Attributes:
        times: (T,) [s], even.
        joints: (T, J, 3) in camera axes [m], or anywhere where no keypoint is given; None without a lifter.
        skeleton: what they are.
        keypoints: (T, K, 3) x, y [px] and score, or None.
        keypoint_skeleton: what they are.
        intrinsics: (3,) focal length and principal point [px], needed with keypoints.
        contacts: (T, 2) whether the left and the right foot seem to stand, where the fit begins; it then asks its own
            feet (`pose3d.body.standing`). None begins without.
        up: (3,) unit, what is up in the axes of the joints; None takes it from how the person stands.
        limbs: names of pairs of points (start, end), of `points.PLACES`, whose directions are known.
        directions: (T, L, 3) of these limbs, unit vectors.
        hypotheses: (T, M, J, 3) other joints; the fit takes in each frame those that it agrees with best.
        stature: of the person [m], None to find it.
    """

    times: np.ndarray
    joints: np.ndarray | None = None
    skeleton: Skeleton | None = None
    keypoints: np.ndarray | None = None
    keypoint_skeleton: Skeleton | None = None
    intrinsics: np.ndarray | None = None
    contacts: np.ndarray | None = None
    up: np.ndarray | None = None
    limbs: tuple[tuple[str, str], ...] = ()
    directions: np.ndarray | None = None
    hypotheses: np.ndarray | None = None
    stature: float | None = None

    def __len__(self) -> int:
        return len(self.times)


def check(seen: Seen) -> tuple[Seen, tuple[str, ...]]:
    """What is seen, in order, and remarks on it."""
    T = len(seen)
    if seen.joints is None and seen.keypoints is None:
        raise ValueError("A body needs something to be fitted to: joints, keypoints, or both.")
    if seen.joints is None:
        raise ValueError(
            "A body is fitted from joints, which keypoints then correct: lift the keypoints first, with any lifter."
        )
    if seen.keypoints is not None and seen.intrinsics is None:
        raise ValueError("Keypoints are compared with a body through a lens: give intrinsics (focal, centre) [px].")
    points = np.isfinite(seen.joints).all(-1).sum(-1)
    usable = points >= FEWEST
    if not usable.any():
        raise ValueError(
            f"No body can be fitted: of {T} frames none has {FEWEST} joints; the best has {int(points.max(initial=0))}."
        )
    remarks = []
    if usable.sum() < T:
        remarks.append(f"In {int(T - usable.sum())} of {T} frames too little was seen; there the body is a guess.")
    never = [name for j, name in enumerate(seen.skeleton.joints) if not np.isfinite(seen.joints[:, j]).any()]  # type: ignore[union-attr]
    if never:
        remarks.append(f"{', '.join(never)} was never seen: these parts of the body are at rest, not measured.")
    sudden = jumps(seen)
    if sudden:
        remarks.append(
            f"The person jumps at {', '.join(f'{seen.times[t]:.2f} s' for t in sudden[:3])}: "
            "two people may be exchanged."
        )
    joints = np.where(usable[:, None, None], seen.joints, np.nan)
    return replace(seen, joints=joints), tuple(remarks)


def human(seen: Seen) -> np.ndarray:
    """(T, 17, 3) of the joints, NaN where their layout has no way to one."""
    assert seen.joints is not None
    assert seen.skeleton is not None
    return convert_known(np.asarray(seen.joints, np.float64), seen.skeleton, H36M_17)[0]


def size_in_picture(seen: Seen) -> float:
    """How large the person is in the picture [px]; 1 without one."""
    if seen.keypoints is None:
        return 1.0
    places = seen.keypoints[..., :2]
    known = np.isfinite(places).all(-1).any(-1)
    size = np.nanmax(places[known], axis=1) - np.nanmin(places[known], axis=1)
    return float(np.nanmedian(np.hypot(*size.T))) if known.any() else 1.0


def take(seen: Seen, rows: np.ndarray) -> Seen:
    """Some of the frames."""
    parts = {}
    for name in ("times", "joints", "keypoints", "contacts", "directions", "hypotheses"):
        array = getattr(seen, name)
        parts[name] = None if array is None else array[rows]
    return replace(seen, **parts)


def bridged(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(T, C) with unknown rows put evenly between their neighbours; all unknown they stay so."""
    known = np.isfinite(values).all(-1)
    if known.all() or not known.any():
        return values
    return np.stack([np.interp(times, times[known], column[known]) for column in values.T], axis=-1)


def jumps(seen: Seen) -> list[int]:
    """Frames at which somebody is suddenly elsewhere: 12 m/s is faster than anybody runs."""
    middle = mean_of(np.asarray(seen.joints))
    known = np.flatnonzero(np.isfinite(middle).all(-1))
    if len(known) < 2:
        return []
    speed = np.linalg.norm(np.diff(middle[known], axis=0), axis=-1) / np.diff(seen.times[known])
    return known[1:][(speed > 12) & (np.linalg.norm(np.diff(middle[known], axis=0), axis=-1) > 0.3)].tolist()


def haste(times: np.ndarray, joints: np.ndarray, usual: np.ndarray) -> float:
    """How many times as quickly as `usual` (J,) accelerations [m/s^2] joints (T, J, 3) move; at least 1.

    Second differences over 0.1 s hold the noise of as many points as those of neighbours, and much more movement.
    """
    step = float(np.median(np.diff(times)))
    lag = max(2, round(0.1 / step))
    if len(times) < 4 * lag:
        return 1.0

    def power(lag: int) -> np.ndarray:
        second = joints[2 * lag :] - 2 * joints[lag:-lag] + joints[: -2 * lag]
        known = np.isfinite(second).all(-1)
        count = np.maximum(3 * known.sum(0), 1)
        return np.where(known[..., None], second**2, 0.0).sum((0, 2)) / count

    moved = np.maximum(power(lag) - power(1), 0.0) / ((lag**4 - 1) * step**4)
    return float(np.sqrt(max(np.mean(moved / usual**2), 1.0)))


def mean_of(points: np.ndarray) -> np.ndarray:
    """(..., C) middle of the points (..., J, C) that are known; NaN where none is."""
    known = np.isfinite(points).all(-1, keepdims=True)
    count = known.sum(-2)
    total = np.where(known, points, 0.0).sum(-2)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
