"""The one-euro filter (Casiez et al., CHI 2012), chunk after chunk: it sees no later frame.

Exponential smoothing whose cut-off rises with the speed, so that what is at rest does not tremble and what moves does
not lag. Speeds are in sizes of the person, so that one response fits pixels, metres, far and near.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

RESPONSE = 0.15  # in cycles of a speed of one size a second: faster movement is followed sooner


@dataclass(eq=False)
class OneEuro:
    """Goes on in each chunk where it was at the end of the one before, so where chunks end does not show.

    What it gave of a frame it gives again where the frame comes back as context.
    """

    _times: np.ndarray = field(default_factory=lambda: np.zeros(0))
    _given: dict[int, np.ndarray] = field(default_factory=dict)  # (T, N, D) of each person
    _speeds: dict[int, np.ndarray] = field(default_factory=dict)  # (N, D) after the last of those frames

    def __call__(
        self,
        points: np.ndarray,
        times: np.ndarray,
        ids: np.ndarray,
        periods: np.ndarray,
        sizes: np.ndarray,
        keep: slice,
    ) -> np.ndarray:
        """(T, P, N, D) smoothed along T; what is NaN stays so, and what comes after it starts anew.

        Args:
            points: (T, P, N, D) in any unit.
            times: (T,) [s].
            ids: (P,) of the people.
            periods: (N,) shortest movement that is kept [s].
            sizes: (T, P) of the people, in the unit of `points`.
            keep: the frames that are new.
        """
        names = ids.tolist()
        end = keep.indices(len(times))[1]
        sizes = np.where(sizes > 0, sizes, 1.0)[..., None, None]
        again = int((times <= self._times[-1]).sum()) if len(self._times) else 0
        before = self._times[-1] if len(self._times) and not again else times[0] - 1
        steps = np.diff(times, prepend=before)
        smoothed, speeds = np.empty(points.shape), np.zeros(points.shape[1:])
        known = np.array([name in self._given for name in names], bool)
        for start, columns in ((again, np.flatnonzero(known)), (0, np.flatnonzero(~known))):
            value, speed = np.full((2, len(columns), *points.shape[2:]), np.nan)
            for number, column in enumerate(columns.tolist() if known[columns].any() else ()):
                given = self._given[names[column]]
                smoothed[:start, column] = given[np.searchsorted(self._times, times[:start])]
                value[number], speed[number] = given[-1], self._speeds[names[column]]
            for t in range(start, len(times)):
                value, speed = _step(value, speed, points[t, columns], steps[t], sizes[t, columns], periods[:, None])
                smoothed[t, columns] = value
                if t == end - 1:
                    speeds[columns] = speed
        self._times = times[:end]
        self._given = {name: smoothed[:end, p] for p, name in enumerate(names)}
        self._speeds = {name: speeds[p] for p, name in enumerate(names)}
        return smoothed.astype(points.dtype)


def _step(
    value: np.ndarray, speed: np.ndarray, now: np.ndarray, step: float, size: np.ndarray, period: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Value and speed [sizes/s] one frame on, `step` seconds later."""
    moved = now - value
    speed = speed + _share(step, 1.0) * (moved / (step * size) - speed)
    value = value + _share(step, (0.5 + RESPONSE * np.abs(speed)) / period) * moved
    lost = np.isnan(value)
    return np.where(lost, now, value), np.where(lost, 0.0, speed)


def _share(step: float, cutoff: np.ndarray | float) -> np.ndarray | float:
    """How much of a new value an exponential filter with this cut-off [Hz] takes after `step` seconds."""
    return 1 / (1 + 1 / (2 * np.pi * cutoff * step))
