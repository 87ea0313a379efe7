"""What a reader of a number must know of the takes it was measured on: those lost on the way, and rates that differ."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from pose3d.motion.sequence import PoseSequence

log = logging.getLogger(__name__)

_PART = " part "


def part_name(take: str, number: int, count: int) -> str:
    """What piece `number` (from 1) of `count` of a take is called; a whole take keeps its name."""
    return take if count == 1 else f"{take}{_PART}{number}"


def remarks(sequences: Sequence[PoseSequence], takes: Sequence[str], why: str) -> tuple[str, ...]:
    """Notes, which also go to the log.

    Args:
        sequences: what is left; pieces of a take are called as `part_name` says.
        takes: what was asked for.
        why: a take may be gone, as in "cut away whole: ...".

    Raises:
        ValueError: nothing is left.
    """
    left = {sequence.take.partition(_PART)[0] for sequence in sequences}
    lost = [take for take in takes if take not in left]
    if not sequences:
        raise ValueError(f"Nothing is left of {', '.join(takes[:8])}{', ...' if len(takes) > 8 else ''}: {why}.")
    notes = [f"without {', '.join(lost)}, {why}"] if lost else []
    by_rate: dict[float, set[str]] = {}
    for sequence in sequences:
        by_rate.setdefault(round(sequence.fps, 2), set()).add(sequence.take)
    if len(by_rate) > 1:
        rates = [f"{len(takes)} at {rate:g}" for rate, takes in sorted(by_rate.items())]
        notes.append(f"takes of different rates beside each other [frames/s]: {', '.join(rates)}")
    for note in notes:
        log.warning("%s.", note[:1].upper() + note[1:])
    return tuple(notes)
