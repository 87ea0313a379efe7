"""Smoothing over time, on keypoints and on joints: constants in seconds, arms smoothed less than legs.

Whatever the frame rate, a `period` of 0.2 s keeps what moves slower than five times a second. Frames need not be evenly
spaced: the filters that want it get an even grid in between. Gaps (NaN) stay gaps, and each side of one is smoothed
alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from anypose.motion import Motion, stretches
from anypose.settings import Misuse
from anypose.skeleton import Skeleton
from pose3d.predict.one_euro import OneEuro

METHODS = ("butterworth", "savitzky_golay", "one_euro", "off")
ARMS = ("shoulder", "elbow", "wrist", "hand", "pinky", "index", "thumb")
UNEVEN = 0.02  # of the frame's duration: above it frames go over an even grid
SHORTEST = 4  # frames of a run that can be smoothed at all


@dataclass(eq=False)
class Smoothing:
    """Which filter, and the shortest movement it keeps.

    Attributes:
        method: "butterworth" (second order, forwards and backwards) or "savitzky_golay" (quadratic) where later frames
            are there, "one_euro" (Casiez et al., CHI 2012) where they are not, or "off".
        legs: of legs, trunk and head [s].
        arms: of shoulders, elbows, wrists and hands [s].
    """

    method: str
    legs: float
    arms: float
    _followed: dict[str, OneEuro] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise Misuse(f"smooth must be one of {', '.join(METHODS)}, got {self.method!r}.")
        for name in ("legs", "arms"):
            if not 0 < getattr(self, name) < 10:
                raise Misuse(f"smooth_{name}={getattr(self, name)} must be seconds between 0 and 10.")

    def keypoints(self, motion: Motion, keep: slice = slice(None)) -> Motion:
        """The motion with its keypoints' places smoothed; scores stay.

        One-euro leaves them: it lags, and two filters in a row lag twice as far, which cost 6 and 2 mm of MPJPE on two
        real clips, live.
        """
        if self.method == "one_euro":
            return motion
        assert motion.keypoints is not None
        assert motion.keypoint_skeleton is not None
        points, periods = motion.keypoints.copy(), self.periods(motion.keypoint_skeleton)
        places = points[..., :2]
        points[..., :2] = self("keypoints", places, motion, periods, spread(places), keep)
        return replace(motion, keypoints=points)

    def joints(self, motion: Motion, keep: slice = slice(None)) -> Motion:
        """The motion with its joints smoothed."""
        assert motion.joints is not None
        assert motion.skeleton is not None
        periods, sizes = self.periods(motion.skeleton), spread(motion.joints)
        return replace(motion, joints=self("joints", motion.joints, motion, periods, sizes, keep))

    def periods(self, skeleton: Skeleton) -> np.ndarray:
        """(J,) the shortest movement that is kept of each joint [s]."""
        return np.array([self.arms if joint.split("_")[-1] in ARMS else self.legs for joint in skeleton.joints])

    def __call__(
        self, stage: str, points: np.ndarray, motion: Motion, periods: np.ndarray, sizes: np.ndarray, keep: slice
    ) -> np.ndarray:
        """(T, P, N, D) smoothed along T; what is NaN stays so.

        Args:
            stage: what is smoothed: the one-euro filter goes on where it was at the end of the chunk before.
            points: (T, P, N, D) in any unit.
            motion: whose times and people they are.
            periods: (N,) shortest movement that is kept [s].
            sizes: (T, P) of the people, in the unit of `points`.
            keep: the frames that are new.
        """
        if self.method == "one_euro":
            follow = self._followed.setdefault(stage, OneEuro())
            return follow(points, motion.times, motion.ids, periods, sizes, keep)
        if self.method == "off" or len(motion) < SHORTEST:
            return points
        smoothed = points.copy()
        for period in np.unique(periods):
            smoothed[:, :, periods == period] = self.series(points[:, :, periods == period], motion.times, period)
        return smoothed

    def series(self, points: np.ndarray, times: np.ndarray, period: float) -> np.ndarray:
        """(T, ...) smoothed along T with one period [s], by a filter that sees later frames."""
        flat = points.reshape(len(points), -1).astype(np.float64)
        there = np.isfinite(flat)
        smoothed = flat.copy()
        alike: dict[bytes, list[int]] = {}  # series with the same gaps go through the filter together
        for column, pattern in enumerate(np.ascontiguousarray(there.T)):
            alike.setdefault(pattern.tobytes(), []).append(column)
        for columns in alike.values():
            for start, end in stretches(there[:, columns[0]]):
                if end - start >= SHORTEST:
                    piece = flat[start:end][:, columns]
                    smoothed[start:end, columns] = _run(FILTERS[self.method], piece, times[start:end], period)
        return smoothed.reshape(points.shape).astype(points.dtype)


def spread(points: np.ndarray) -> np.ndarray:
    """(T, P) how large people are: how far points (T, P, N, D) lie from the middle of them, in each coordinate."""
    there = np.isfinite(points).all(-1, keepdims=True)
    count = there.sum(-2, keepdims=True).clip(1)
    known = np.where(there, points, 0).astype(np.float64)
    apart = np.where(there, known - known.sum(-2, keepdims=True) / count, 0)
    return np.sqrt((apart**2).sum((-2, -1)) / (count[..., 0, 0] * points.shape[-1]))


def _run(method: Callable[..., np.ndarray], points: np.ndarray, times: np.ndarray, period: float) -> np.ndarray:
    """A filter over one run without gaps, through an even grid where the frames are uneven."""
    steps = np.diff(times)
    step = float(np.median(steps))
    if np.abs(steps - step).max() <= UNEVEN * step:
        return method(points, step, period)
    step = max(float(steps.min()), step / 4)
    grid = np.linspace(times[0], times[-1], int(np.ceil((times[-1] - times[0]) / step)) + 1)
    even = np.stack([np.interp(grid, times, series) for series in points.T], axis=1)
    smooth = method(even, grid[1] - grid[0], period)
    return np.stack([np.interp(times, grid, series) for series in smooth.T], axis=1)


def _butterworth(points: np.ndarray, step: float, period: float) -> np.ndarray:
    """Second-order low pass at 1 / period, there and back, so nothing is delayed; -3 dB of both passes together.

    What passes of each frequency is multiplied in one go, over (T, C) extended at both ends by its mirror image turned
    about the end: loading and designing SciPy's filter takes longer than all of it.
    """
    cutoff = 2 * step / period / 0.802  # of the Nyquist frequency; two passes of order two lower it by that factor
    if cutoff >= 0.9:
        return points  # frames come too seldom for so short a period: it would ring for long
    pad = min(len(points) - 1, int(np.ceil(2 * period / step)))
    before, after = 2 * points[:1] - points[pad:0:-1], 2 * points[-1:] - points[-2 : -2 - pad : -1]
    wide = np.concatenate([before, points, after])
    line = wide[:1] + np.linspace(0, 1, len(wide))[:, None] * (wide[-1:] - wide[:1])  # or its ends would meet in a jump
    spectrum = np.fft.rfft(wide - line, axis=0)
    frequency = np.fft.rfftfreq(len(wide)).clip(max=0.4999999)
    spectrum /= (1 + (np.tan(np.pi * frequency) / np.tan(np.pi * cutoff / 2)) ** 4)[:, None]
    return (np.fft.irfft(spectrum, len(wide), axis=0) + line)[pad : len(wide) - pad]


def _savitzky_golay(points: np.ndarray, step: float, period: float) -> np.ndarray:
    """A quadratic fitted around each frame, over 1.2 periods: the half-power point is where Butterworth's is."""
    from scipy.signal import savgol_filter

    width = 2 * round(0.6 * period / step) + 1
    if width < 5:
        return points
    if width > len(points):
        width = len(points) - 1 + len(points) % 2
    return np.asarray(savgol_filter(points, width, min(2, width - 1), axis=0, mode="interp"))


FILTERS = {"butterworth": _butterworth, "savitzky_golay": _savitzky_golay}
