"""Chunks of people over time, each with the frames before and after it that smoothing and lifting want to see."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from anypose.drawing.pictures import KeptPictures
from pose3d.predict.people import Found

LONGEST = 2400  # frames that a second or three may have: broken time stamps must not fill the memory


@dataclass(frozen=True, eq=False)
class Seen:
    """One frame after tracking.

    Attributes:
        time: its time stamp [s].
        people: by their ids.
        picture: as JPEG, where one is kept.
        arrived: when it was read [s of time.perf_counter].
    """

    time: float
    people: dict[int, Found]
    picture: bytes | None = None
    arrived: float = 0.0


@dataclass(frozen=True, eq=False)
class Window:
    """Frames in a row.

    Attributes:
        seen: the frames, context included.
        keep: which of them are new; the others were or will be in another window.
        last: nothing comes after.
    """

    seen: Sequence[Seen]
    keep: slice
    last: bool

    def pictures(self) -> KeptPictures | None:
        """Those of the new frames, None where not every frame has one."""
        kept = [frame.picture for frame in self.seen[self.keep] if frame.picture is not None]
        return KeptPictures(kept) if kept and len(kept) == len(self.seen[self.keep]) else None


def windows(
    seen: Iterable[Seen], chunk: int, context: float, future: int, settle: float = 0.0, past: int = 0
) -> Generator[Window, None, None]:
    """Cut a stream into windows that overlap.

    Args:
        seen: every frame in turn.
        chunk: new frames in each window.
        context: seconds of frames on either side; 0 after it where nothing may wait.
        future: at least so many frames after it.
        settle: seconds of new frames that the first window has, whatever `chunk` is; 0 for a first one like the others.
        past: at least so many frames before it, once there are so many.
    """
    held: list[Seen] = []
    start, end = 0, 1 if settle else chunk  # of what is new in `held`
    waits = future > 0
    frames, failure = iter(seen), None
    while True:
        try:
            frame = next(frames, None)
        except (KeyboardInterrupt, Exception) as error:
            failure, frame = error, None  # what was seen before it is not lost
        if frame is None:
            break
        held.append(frame)
        if len(held) == end < LONGEST and frame.time - held[0].time < settle:
            end += 1
        if len(held) < end + future + waits:
            continue
        if waits and frame.time - held[end - 1].time < context and len(held) < end + LONGEST:
            continue
        yield Window(held[:], slice(start, end), False)
        # What the next window needs to look back on.
        first = next(i for i in range(end + 1) if i == end or held[i].time > held[end - 1].time - max(context, 1e-9))
        first = max(min(first, end - past), end - LONGEST, 0)
        held, start, settle = held[first:], end - first, 0.0
        end = start + chunk
    if len(held) > start:
        yield Window(held, slice(start, len(held)), True)
    if failure is not None:
        raise failure


def lasts(times: np.ndarray, keep: slice) -> float:
    """How long the new frames `keep` of (T,) times last, from the frame before them on [s]."""
    start, stop, _ = keep.indices(len(times))
    if start:
        return float(times[stop - 1] - times[start - 1])
    return float(times[stop - 1] - times[0] + (np.median(np.diff(times)) if len(times) > 1 else 0.0))
