"""What is known of one person over a clip, and how quickly they move in it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter1d

from anypose.skeleton import H36M_17, Skeleton, convert_known

GAP = 4.0  # frames that are more steps apart than this are not held together


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
        cuts: frames that do not go on from the ones before them, as `checks.check` finds them.
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
    cuts: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.times)


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
    return replace(seen, cuts=(), **parts)


def bridged(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(T, C) with unknown rows put evenly between their neighbours; all unknown they stay so."""
    known = np.isfinite(values).all(-1)
    if known.all() or not known.any():
        return values
    return np.stack([np.interp(times, times[known], column[known]) for column in values.T], axis=-1)


def held(seen: Seen) -> np.ndarray:
    """(T - 1,) whether a frame goes on from the one before it, and no more than a few frames are missing between."""
    steps = np.diff(seen.times)
    on = np.asarray(steps < GAP * np.median(steps))
    on[[cut - 1 for cut in seen.cuts]] = False
    return on


def quickness(times: np.ndarray, points: np.ndarray, span: float, cuts: tuple[int, ...] = ()) -> np.ndarray:
    """(T, J, C) mean squares of the accelerations of points around each frame, without what their noise alone gives.

    NaN where too little is known.
    Second differences over 0.1 s hold the noise of as many points as those of neighbours, and much more movement.

    Args:
        times: (T,) [s].
        points: (T, J, C) [m], NaN where unknown.
        span: deviation of the frames around one that count for it [s].
        cuts: frames that do not go on from the one before.
    """
    step = float(np.median(np.diff(times)))
    lag = max(2, round(0.1 / step))
    if len(times) < 4 * lag:
        return np.full(points.shape, np.nan)

    def second(lag: int) -> np.ndarray:
        values = points[2 * lag :] - 2 * points[lag:-lag] + points[: -2 * lag]
        for cut in cuts:
            values[max(cut - 2 * lag, 0) : cut] = np.nan
        return values

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
