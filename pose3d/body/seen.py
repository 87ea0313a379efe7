"""What is known of one person over a clip, and what may be wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter1d

from anypose.skeleton import H36M_17, Skeleton, convert_known

FEWEST = 5  # points seen in a frame, below which it says nothing of the pose
SMALLEST, LARGEST = 0.15, 4.0  # somebody's longest side along an axis [m]: a part of a baby, an adult badly lifted
SHORTEST, TALLEST = 0.3, 3.0  # people [m]
BENT, MANY = 0.04, 10  # how far a bent knee lies off the line from hip to ankle [m], and how many must to tell a side


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
    """What is seen, in order, and remarks on it.

    Raises:
        ValueError: where too little is seen for any pose, or what is given does not belong together.
    """
    T = len(seen)
    if seen.joints is None and seen.keypoints is None:
        raise ValueError("A body needs something to be fitted to: joints, keypoints, or both.")
    if seen.joints is None:
        raise ValueError(
            "A body is fitted from joints, which keypoints then correct: lift the keypoints first, with any lifter."
        )
    if seen.keypoints is not None and seen.intrinsics is None:
        raise ValueError("Keypoints are compared with a body through a lens: give intrinsics (focal, centre) [px].")
    _belong_together(seen)
    points = np.isfinite(seen.joints).all(-1).sum(-1)
    usable = points >= FEWEST
    if not usable.any():
        raise ValueError(
            f"No body can be fitted: of {T} frames none has {FEWEST} joints; the best has {int(points.max(initial=0))}."
        )
    joints = np.where(np.isfinite(seen.joints).all(-1, keepdims=True) & usable[:, None, None], seen.joints, np.nan)
    joints, strays = without_strays(joints)
    seen = replace(seen, joints=joints)
    size = float(
        np.median(np.ptp(np.where(np.isnan(joints), mean_of(joints)[:, None], joints)[usable], axis=1).max(-1))
    )
    if not SMALLEST < size < LARGEST:
        raise ValueError(
            f"The joints of this person span {size:.4g} m, and people {SMALLEST} to {LARGEST}: give metres, not "
            "millimetres or pixels."
        )
    remarks = []
    if strays:
        remarks.append(
            f"Joints lie more than {LARGEST:g} m from the person's others, {strays} over all frames: they are left out."
        )
    if seen.keypoints is not None:
        there = np.isfinite(seen.keypoints).all(-1, keepdims=True)
        keypoints = np.where(there, seen.keypoints, [np.nan, np.nan, 0.0])
        seen = replace(seen, keypoints=keypoints)
        if not (keypoints[..., 2] > 0).any():
            seen = replace(seen, keypoints=None)
            remarks.append("No keypoint was seen: the body follows the joints alone.")
    if usable.sum() < T:
        remarks.append(f"In {int(T - usable.sum())} of {T} frames too little was seen; there the body is a guess.")
    never = [name for j, name in enumerate(seen.skeleton.joints) if not np.isfinite(joints[:, j]).any()]  # type: ignore[union-attr]
    if never:
        remarks.append(f"{', '.join(never)} was never seen: these parts of the body are at rest, not measured.")
    sudden = jumps(seen)
    if sudden:
        remarks.append(
            f"The person jumps at {', '.join(f'{seen.times[t]:.2f} s' for t in sudden[:3])}: "
            "two people may be exchanged."
        )
    turns = about_turns(seen)
    if turns:
        remarks.append(
            f"The person faces about within a frame at {', '.join(f'{seen.times[t]:.2f} s' for t in turns[:3])}: left "
            "and right, or two people, may be exchanged."
        )
    if knees_bend_backwards(human(seen)):
        remarks.append("Knees bend backwards: left and right may be exchanged, or the picture is mirrored.")
    turned = upside_down(seen)
    if turned > T / 5:
        remarks.append(
            f"Hips are below the feet in {turned} of {T} frames: lifters know people who stand, the size may be wrong."
        )
    return seen, tuple(remarks)


def without_strays(joints: np.ndarray) -> tuple[np.ndarray, int]:
    """Joints (T, J, 3) without those that are farther from their frame's others than people are large, and how many.

    Where most of a clip's frames have such joints the unit is wrong, and all stay.
    """
    known = np.isfinite(joints).all(-1)
    middle = np.full((len(joints), 1, 3), np.nan)
    middle[known.any(-1)] = np.nanmedian(joints[known.any(-1)], axis=1, keepdims=True)
    far = known & (np.linalg.norm(np.nan_to_num(joints - middle), axis=-1) > LARGEST)
    if far.any(-1).sum() > known.any(-1).sum() / 2:
        return joints, 0
    return np.where(far[..., None], np.nan, joints), int(far.sum())


def _belong_together(seen: Seen) -> None:
    """Raise where arrays have other lengths than the times, or times do not rise."""
    times = np.asarray(seen.times)
    if times.ndim != 1 or not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise ValueError(
            f"Times must be finite and rise [s]; found {np.array2string(times, threshold=8, precision=4)}."
        )
    J = None if seen.skeleton is None else seen.skeleton.num_joints
    K = None if seen.keypoint_skeleton is None else seen.keypoint_skeleton.num_joints
    for name, wanted in (("joints", (J, 3)), ("keypoints", (K, 3))):
        array = getattr(seen, name)
        if array is not None and np.shape(array) != (len(times), *wanted):
            raise ValueError(f"{name} must be ({len(times)}, {wanted[0]}, 3), found {np.shape(array)}.")
    if seen.intrinsics is not None and not (np.isfinite(seen.intrinsics).all() and seen.intrinsics[0] > 0):
        raise ValueError(f"intrinsics must be a focal length above 0 and a finite centre, found {seen.intrinsics}.")
    if seen.stature is not None and not SHORTEST <= seen.stature <= TALLEST:
        raise ValueError(f"The person's height must be {SHORTEST} to {TALLEST} m, found {seen.stature}.")


def knees_bend_backwards(joints: np.ndarray) -> bool:
    """Whether the bent knees of (T, 17, 3) joints mostly lie behind the line from hip to ankle."""
    at = dict(zip(H36M_17.joints, np.moveaxis(joints, 1, 0), strict=True))
    ahead = np.cross(at["left_hip"] - at["right_hip"], at["thorax"] - at["hip"])
    ahead = ahead / np.maximum(np.linalg.norm(ahead, axis=-1, keepdims=True), 1e-9)
    off = np.stack([at[f"{s}_knee"] - (at[f"{s}_hip"] + at[f"{s}_foot"]) / 2 for s in ("left", "right")], axis=1)
    forward = (off * ahead[:, None]).sum(-1)
    bent = forward[np.linalg.norm(off, axis=-1) > BENT]
    bent = bent[np.abs(np.nan_to_num(bent)) > BENT / 2]
    return len(bent) >= MANY and float((bent < 0).mean()) > 0.8


def upside_down(seen: Seen) -> int:
    """In how many frames the hips are below the feet; 0 where nothing says what is up."""
    if seen.up is None and seen.keypoints is None:
        return 0
    up = np.array([0.0, -1.0, 0.0]) if seen.up is None else seen.up
    at = dict(zip(H36M_17.joints, np.moveaxis(human(seen), 1, 0), strict=True))
    legs = at["hip"] - (at["left_foot"] + at["right_foot"]) / 2
    return int((legs @ up < -0.5 * np.linalg.norm(legs, axis=-1)).sum())


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


def about_turns(seen: Seen) -> list[int]:
    """Frames at which the hips suddenly point the other way: nobody turns by 120 degrees in less than 0.1 s."""
    joints = human(seen)
    across = joints[:, H36M_17.index("left_hip")] - joints[:, H36M_17.index("right_hip")]
    across = across / np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-9)
    about = (across[1:] * across[:-1]).sum(-1) < -0.5
    return (1 + np.flatnonzero(about & (np.diff(seen.times) < 0.1))).tolist()


def quickness(times: np.ndarray, points: np.ndarray, span: float) -> np.ndarray:
    """(T, J, C) mean squares of the accelerations of points around each frame, without what their noise alone gives.

    NaN where too little is known.
    Second differences over 0.1 s hold the noise of as many points as those of neighbours, and much more movement.

    Args:
        times: (T,) [s].
        points: (T, J, C) [m], NaN where unknown.
        span: deviation of the frames around one that count for it [s].
    """
    step = float(np.median(np.diff(times)))
    lag = max(2, round(0.1 / step))
    if len(times) < 4 * lag:
        return np.full(points.shape, np.nan)

    def second(lag: int) -> np.ndarray:
        return points[2 * lag :] - 2 * points[lag:-lag] + points[: -2 * lag]

    noise, wide = np.square(second(1)), np.square(second(lag))
    known = np.isfinite(noise)
    still = np.where(known, noise, 0.0).sum(0) / np.maximum(known.sum(0), 1)
    ends = ((lag, lag), (0, 0), (0, 0))
    known = np.pad(np.isfinite(wide), ends)
    seen, count = (
        gaussian_filter1d(values.astype(np.float64), min(span / step, len(times)), axis=0, mode="constant")
        for values in (np.where(known, np.pad(wide, ends), 0.0), known)
    )
    power = np.where(count > 1e-3, seen / np.maximum(count, 1e-3), np.nan)
    return np.maximum(power - still, 0.0) / ((lag**4 - 1) * step**4)


def mean_of(points: np.ndarray) -> np.ndarray:
    """(..., C) middle of the points (..., J, C) that are known; NaN where none is."""
    known = np.isfinite(points).all(-1, keepdims=True)
    count = known.sum(-2)
    total = np.where(known, points, 0.0).sum(-2)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
