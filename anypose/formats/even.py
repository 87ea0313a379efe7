"""Frames of any times put on an even grid, for formats that know one frame rate."""

from __future__ import annotations

import numpy as np

# What cameras run at [frames/s]; a rate measured from rounded time stamps means one of these.
RATES = np.unique([*range(1, 241), *(rate * 1000 / 1001 for rate in (24, 30, 48, 60, 120, 240))])
ROUNDING = 1.1e-3  # of time stamps in the common containers [s]


def frame_step(times: np.ndarray) -> float:
    """Seconds from frame to frame of (T,) times [s]: the usual distance, 1/30 where there is one frame."""
    if len(times) < 2:
        return 1 / 30
    steps = np.diff(times)
    usual = float(np.median(steps))
    even = np.abs(steps - usual) <= 0.2 * usual + ROUNDING
    rate = 1 / float(steps[even].mean())
    nearest = float(RATES[np.argmin(np.abs(RATES / rate - 1))])
    tolerance = max(1e-5, ROUNDING * rate / max(1, even.sum()))
    return 1 / (nearest if abs(nearest / rate - 1) <= tolerance else rate)


class EvenFrames:
    """Takes frames chunk by chunk and gives those of the grid that are decided by them.

    A frame goes as it is to the slot nearest to its time, so frames that are even already stay what they are. A slot
    that no frame is near lies in a gap and is interpolated; before the first frame it repeats that.
    """

    def __init__(self, start: float, step: float) -> None:
        self.start, self.step = start, step
        self.slots = 0
        self._time, self._row = np.empty(0), np.empty(0)

    def add(self, times: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """(n, C) rows of the next slots, after (T, C) `rows` at (T,) `times` [s], none of them NaN."""
        if not len(times):
            return rows
        if len(self._time):
            times, rows = np.concatenate([self._time, times]), np.concatenate([self._row, rows])
        end = int(np.floor((times[-1] - self.start) / self.step + 0.5)) + 1
        wanted = self.start + self.step * np.arange(self.slots, max(end, self.slots))
        self._time, self._row = times[-1:], rows[-1:]
        self.slots += len(wanted)
        if not len(wanted):
            return rows[:0]
        after = np.clip(np.searchsorted(times, wanted), 1, max(len(times) - 1, 1)).clip(max=len(times) - 1)
        before = np.maximum(after - 1, 0)
        nearest = np.where(wanted - times[before] <= times[after] - wanted, before, after)
        even = rows[nearest]
        far = (np.abs(wanted - times[nearest]) > 0.75 * self.step) & (wanted > times[0]) & (wanted < times[-1])
        if far.any():
            share = ((wanted - times[before]) / np.maximum(times[after] - times[before], 1e-12))[far, None]
            even[far] = (1 - share) * rows[before[far]] + share * rows[after[far]]
        return even
