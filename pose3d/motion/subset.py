"""A share of every sequence: training with few labels."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from pose3d.motion.sequence import PoseSequence


def subset(sequences: Sequence[PoseSequence], share: float) -> list[PoseSequence]:
    """One stretch of round(share * T) frames of every sequence; what is left with none is left out.

    The stretch is where VideoPose3D's `--subset` takes it: its place follows from the number of frames alone, so the
    views of a take stay together.

    Args:
        sequences: whole.
        share: of the frames, above 0 and at most 1.
    """
    if not 0 < share <= 1:
        raise ValueError(f"The share of labelled frames must be above 0 and at most 1, got {share}.")
    if share == 1:
        return list(sequences)
    counts = [round(len(sequence) * share) for sequence in sequences]
    kept = [_stretch(sequence, frames) for sequence, frames in zip(sequences, counts, strict=True) if frames]
    if sequences and not kept:
        longest = max(map(len, sequences))
        raise ValueError(f"A share of {share} is less than one frame of every sequence; the longest has {longest}.")
    return kept


def _stretch(sequence: PoseSequence, frames: int) -> PoseSequence:
    digest = hashlib.sha256(str(len(sequence)).encode()).digest()
    place = int.from_bytes(digest[:4], "little") / (2**32 - 1)
    start = int(place * (len(sequence) - frames + 1))
    rows = slice(start, start + frames)
    return replace(
        sequence,
        keypoints=sequence.keypoints[rows],
        joints=sequence.joints[rows],
        scores=None if sequence.scores is None else sequence.scores[rows],
        first_frame=sequence.first_frame + start * sequence.frame_stride,
    )
