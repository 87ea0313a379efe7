"""Smoothing over time, on keypoints and on joints: constants in seconds, arms smoothed less than legs.

Whatever the frame rate, a `period` of 0.2 s keeps what moves slower than five times a second. Frames need not be evenly
spaced: the filters that want it get an even grid in between. Gaps (NaN) stay gaps, and each side of one is smoothed
alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from anypose.motion import Motion
from anypose.settings import Misuse
from anypose.skeleton import Skeleton

METHODS = ("butterworth", "savitzky_golay", "one_euro", "off")
ARMS = ("shoulder", "elbow", "wrist", "hand", "pinky", "index", "thumb")
UNEVEN = 0.02  # of the frame's duration: above it frames go over an even grid
SHORTEST = 4  # frames of a run that can be smoothed at all
RESPONSE = 0.15  # of the one-euro filter, in cycles of speed: faster movement is followed sooner


@dataclass(frozen=True)
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

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise Misuse(f"smooth must be one of {', '.join(METHODS)}, got {self.method!r}.")
        for name in ("legs", "arms"):
            if not 0 < getattr(self, name) < 10:
                raise Misuse(f"smooth_{name}={getattr(self, name)} must be seconds between 0 and 10.")

    def __call__(self, points: np.ndarray, times: np.ndarray, skeleton: Skeleton) -> np.ndarray:
        """(T, P, J, D) smoothed along T; what is NaN stays so.

        Args:
            points: (T, P, J, D) keypoints or joints, in any unit.
            times: (T,) [s].
            skeleton: what the J points are; their names say which are arms.
        """
        if self.method == "off" or len(times) < SHORTEST:
            return points
        smoothed = points.copy()
        arms = np.array([joint.split("_")[-1] in ARMS for joint in skeleton.joints])
        for period, chosen in ((self.legs, ~arms), (self.arms, arms)):
            if chosen.any():
                smoothed[:, :, chosen] = self.series(points[:, :, chosen], times, period)
        return smoothed

    def keypoints(self, motion: Motion) -> Motion:
        """The motion with its keypoints' places smoothed; scores stay."""
        assert motion.keypoints is not None
        assert motion.keypoint_skeleton is not None
        points = motion.keypoints.copy()
        points[..., :2] = self(points[..., :2], motion.times, motion.keypoint_skeleton)
        return replace(motion, keypoints=points)

    def joints(self, motion: Motion) -> Motion:
        """The motion with its joints smoothed."""
        assert motion.joints is not None
        assert motion.skeleton is not None
        return replace(motion, joints=self(motion.joints, motion.times, motion.skeleton))

    def series(self, points: np.ndarray, times: np.ndarray, period: float) -> np.ndarray:
        """(T, ...) smoothed along T with one period [s]."""
        flat = points.reshape(len(points), -1).astype(np.float64)
        there = np.isfinite(flat)
        smoothed = flat.copy()
        alike: dict[bytes, list[int]] = {}  # series with the same gaps go through the filter together
        for column, pattern in enumerate(np.ascontiguousarray(there.T)):
            alike.setdefault(pattern.tobytes(), []).append(column)
        for columns in alike.values():
            for start, end in runs(there[:, columns[0]]):
                if end - start >= SHORTEST:
                    piece = flat[start:end][:, columns]
                    smoothed[start:end, columns] = _run(FILTERS[self.method], piece, times[start:end], period)
        return smoothed.reshape(points.shape).astype(points.dtype)


def runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """[start, end) of each run of true values in (T,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _run(method: Callable[..., np.ndarray], points: np.ndarray, times: np.ndarray, period: float) -> np.ndarray:
    """A filter over one run without gaps, through an even grid where the frames are uneven."""
    steps = np.diff(times)
    step = float(np.median(steps))
    if method is _one_euro or np.abs(steps - step).max() <= UNEVEN * step:
        return method(points, steps if method is _one_euro else step, period)
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
    if cutoff >= 0.99:
        return points  # frames come too seldom for so short a period
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


def _one_euro(points: np.ndarray, steps: np.ndarray, period: float) -> np.ndarray:
    """Exponential smoothing whose cut-off rises with the speed, so that what is at rest does not tremble.

    Speeds are in the spread of all points together, so that the same response fits pixels and metres.
    """
    scale = max(float(np.nanstd(points)), 1e-9)
    smoothed, speed = points.copy(), np.zeros(points.shape[1])
    for t, step in enumerate(steps, start=1):
        slow = _share(step, 1.0)
        speed = speed + slow * ((points[t] - smoothed[t - 1]) / step / scale - speed)
        share = _share(step, 0.5 / period + RESPONSE * np.abs(speed) / period)
        smoothed[t] = smoothed[t - 1] + share * (points[t] - smoothed[t - 1])
    return smoothed


def _share(step: float, cutoff: np.ndarray | float) -> np.ndarray | float:
    """How much of a new value an exponential filter with this cut-off [Hz] takes after `step` seconds."""
    return 1 / (1 + 1 / (2 * np.pi * cutoff * step))


FILTERS = {"butterworth": _butterworth, "savitzky_golay": _savitzky_golay, "one_euro": _one_euro}
