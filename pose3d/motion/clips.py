"""Sequences cut into windows for networks that give a pose for every frame of a window."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from pose3d.motion.packed import Packed

Batch = dict[str, Tensor]


def cut(length: int, window: int, step: int, causal: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Windows over a sequence, and which frame is taken from which of them.

    Every window is asked for a block of `step` frames: those in its middle, which see as much of the past as of the
    future, or its last ones if causal. At the ends of a sequence a window is moved inwards; one longer than the
    sequence, or a causal one at its start, repeats the edge frame.

    With `step` 1 a frame's pose follows from the frames around it alone, wherever the sequence was cut. With `step` =
    `window` windows do not overlap: the least work, and what is published.

    Args:
        length: T, frames of the sequence.
        window: R, frames of a window.
        step: frames taken from a window, 1 to R.
        causal: no frame after a block is seen, so a frame waits for at most step - 1 others.

    Returns:
        (N, R) frame of the sequence at each place of each window, and (N, R) whether it is taken from there; each frame
        is taken once.
    """
    if not 1 <= step <= window:
        raise ValueError(f"A step over windows must be from 1 to their {window} frames, got {step}.")
    first = np.arange(0, length, step)
    last = np.minimum(first + step, length)
    if causal:
        start = last - window
    else:
        start = first - (window - step) // 2
        start = np.clip(start, 0, max(length - window, 0))
    place = start[:, None] + np.arange(window)
    taken = (place >= first[:, None]) & (place < last[:, None])
    return place.clip(0, length - 1), taken


class ClipBatches:
    """Every frame once, in windows, for evaluation; ranks take turns and nothing is dropped.

    Each batch holds "keypoints" (B, R, K, C), "mirror" (B, R) (see `Packed`), and "index" (B, R), the row in `packed`
    of each frame, -1 where it is taken from another window.
    """

    def __init__(
        self,
        packed: Packed,
        *,
        window: int,
        step: int,
        causal: bool,
        batch_size: int,
        device: torch.device,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.packed, self.device = packed, device
        rows, index = [], []
        for start, end in zip(packed.start.tolist(), packed.end.tolist(), strict=True):
            place, taken = cut(end - start, window, step, causal)
            rows.append(place + start)
            index.append(np.where(taken, place + start, -1))
        self.rows = torch.from_numpy(np.concatenate(rows)).split(batch_size)[rank::world_size]
        self.index = torch.from_numpy(np.concatenate(index)).split(batch_size)[rank::world_size]

    def __len__(self) -> int:
        return len(self.rows)

    def epoch(self, number: int = 0, start: int = 0) -> Iterator[Batch]:
        return (self.batch(i) for i in range(start, len(self)))

    def batch(self, i: int) -> Batch:
        """The `i`-th batch of windows, on the compute device."""
        rows = self.rows[i].to(self.packed.device)
        batch = {
            "keypoints": self.packed.keypoints[rows],
            "mirror": self.packed.mirror[self.packed.sequence[rows]],
            "index": self.index[i],
        }
        return {name: tensor.to(self.device, non_blocking=True) for name, tensor in batch.items()}
