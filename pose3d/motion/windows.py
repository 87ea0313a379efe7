"""Batches of windows out of packed sequences: a training batch is one index gather.

No workers and no Python per sample: every window starts at a known row of the edge-padded frames, so a batch of
windows is a batch of slices, taken on the device that computes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from anypose.batching import batch_stretches, samples_each
from anypose.settings import Misuse
from pose3d.motion.packed import Packed as Packed
from pose3d.motion.packed import mirror_keypoints as mirror_keypoints
from pose3d.motion.packed import pack as pack
from pose3d.motion.packed import pad, with_mirror_image

Batch = dict[str, Tensor]

EVALUATION_FRAMES = 8192  # in one evaluation batch: any device is busy with so many, and they are small
OVERLAPPING_VIEWS = ("cpu",)  # where index_select reads overlapping rows in place; others might copy them all first


class WindowBatches:
    """Shuffled batches of windows: in an epoch all ranks together see each sample once.

    A sample is a chunk of `stride` consecutive output frames with the input frames they depend on; chunks tile a
    sequence symmetrically and what lies outside repeats the edge frame, as VideoPose3D's generator does; with a `step`
    they begin so many frames apart, and overlap. With
    `flip` every sample comes a second time, mirrored. The order follows from (seed, epoch) alone. Where the last
    batch is kept (`drop_last=False`) up to `world_size - 1` samples come twice to keep the ranks in step, and a single
    sample left over joins the batch before it (`anypose.batching`).

    Each batch holds "keypoints" (B, R + stride - 1, K, C), "joints" (B, stride, J, 3), "index" (B,), the row in
    `packed` of the chunk's first frame, and with `trajectory` "root" (B, stride, 3) and "intrinsics" (B, 9).
    """

    def __init__(
        self,
        packed: Packed,
        *,
        receptive_field: int,
        causal: bool = False,
        batch_size: int,
        seed: int,
        device: torch.device,
        stride: int = 1,
        step: int | None = None,
        flip: bool = False,
        drop_last: bool = True,
        rank: int = 0,
        world_size: int = 1,
        trajectory: bool = False,
    ) -> None:
        self.batch_size, self.seed, self.device = batch_size, seed, device
        self.rank, self.world_size, self.trajectory = rank, world_size, trajectory
        self.stride, self.width = stride, receptive_field + stride - 1
        self.past = frames_before(receptive_field, causal)
        before, after = self.past + stride - 1, self.width - 1 - self.past
        start, sequence = _chunks(packed, stride, stride if step is None else step)
        self.frames, _ = pad(packed, before, after)
        self.first = start + before + sequence * (before + after)  # row of the chunk among the padded frames
        self.index = torch.maximum(start, packed.start[sequence])
        self.sequence = sequence
        if flip:
            self.first = torch.cat([self.first, self.first + len(self.frames)])
            self.sequence = torch.cat([sequence, sequence + len(packed.names)])
            self.index = self.index.repeat(2)
            self.frames = with_mirror_image(self.frames)
        available = len(self.first)
        self.stretches = batch_stretches(samples_each(available, world_size, drop_last), batch_size, drop_last)
        self.num_samples = self.stretches[-1].stop if self.stretches else 0
        if self.num_samples == 0:
            raise Misuse(
                f"A batch needs {batch_size * world_size} samples (trainer.batch_size={batch_size} on {world_size} "
                f"processes), and the training split has {available}. Lower trainer.batch_size."
            )

    def __len__(self) -> int:
        return len(self.stretches)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        order = self.order(number).to(self.frames.device)
        batches = (self.batch(order[stretch]) for stretch in self.stretches[start:])
        return batches if self.frames.device.type == self.device.type else _one_ahead(batches)

    def order(self, number: int) -> Tensor:
        """(num_samples,) the samples of epoch `number` for this rank."""
        seed = int(np.random.SeedSequence((self.seed, number)).generate_state(1, np.uint64)[0])
        order = torch.randperm(len(self.first), generator=torch.Generator().manual_seed(seed))
        order = torch.cat([order, order[: -len(order) % self.world_size]])  # every rank takes every step
        return order[self.rank :: self.world_size][: self.num_samples]

    def batch(self, picks: Tensor) -> Batch:
        """The samples `picks` (B,), on the compute device."""
        first = self.first[picks]
        batch = {
            "keypoints": _slices(self.frames.keypoints, first - self.past, self.width),
            "joints": _slices(self.frames.joints, first, self.stride),
            "index": self.index[picks],
        }
        if self.trajectory:
            batch["root"] = _slices(self.frames.root, first, self.stride)
            batch["intrinsics"] = self.frames.intrinsics[self.sequence[picks]]
        return _move(batch, self.device)


class SequenceBatches:
    """Every frame once and in order, for evaluation; ranks take turns and nothing is dropped.

    A model with a receptive field gets long stretches of edge-padded sequences, one behind the other, so that one
    dilated pass serves thousands of frames; an output whose centre is padding has index -1.

    Each batch holds "keypoints" (1, T + R - 1, K, C), or (T, 1, K, C) for R = 1; "mirror" (see `Packed`) with the
    same first two dimensions; "index" (1, T) or (T, 1), the row in `packed` of each output frame.
    """

    def __init__(
        self,
        packed: Packed,
        *,
        receptive_field: int,
        causal: bool = False,
        device: torch.device,
        rank: int = 0,
        world_size: int = 1,
        frames_per_batch: int = EVALUATION_FRAMES,
    ) -> None:
        self.device, self.receptive_field, self.frames_per_batch = device, receptive_field, frames_per_batch
        self.past = frames_before(receptive_field, causal)
        future = receptive_field - 1 - self.past
        self.frames, rows = pad(packed, self.past, future)
        self.index = rows[self.past : len(rows) - future]
        self.starts = range(0, len(self.index), frames_per_batch)[rank::world_size]

    def __len__(self) -> int:
        return len(self.starts)

    def epoch(self, number: int = 0, start: int = 0) -> Iterator[Batch]:
        return (self.batch(first) for first in self.starts[start:])

    def batch(self, first: int) -> Batch:
        """The output frames from `first` on."""
        index = self.index[first : first + self.frames_per_batch]
        inputs = slice(first, first + len(index) + self.receptive_field - 1)
        batch = {
            "keypoints": self.frames.keypoints[inputs],
            "mirror": self.frames.mirror[self.frames.sequence[inputs]],
            "index": index,
        }
        dimension = 1 if self.receptive_field == 1 else 0
        return _move({name: tensor.unsqueeze(dimension) for name, tensor in batch.items()}, self.device)


def frames_before(receptive_field: int, causal: bool) -> int:
    """How many earlier frames an output frame depends on."""
    return receptive_field - 1 if causal else (receptive_field - 1) // 2


def _chunks(packed: Packed, stride: int, step: int) -> tuple[Tensor, Tensor]:
    """First row of each chunk, which may lie before its sequence's start, and the sequence."""
    lengths = packed.end - packed.start
    counts = ((lengths - stride + step - 1) // step).clamp(min=0) + 1
    sequence = torch.repeat_interleave(counts)
    number = torch.arange(len(sequence), device=packed.device) - (counts.cumsum(0) - counts)[sequence]
    overhang = ((counts - 1) * step + stride - lengths) // 2
    return (packed.start - overhang)[sequence] + number * step, sequence


def _slices(frames: Tensor, first: Tensor, width: int) -> Tensor:
    """(B, width, ...) the `width` rows of `frames` from each of `first` (B,) on."""
    if width == 1:
        return frames.index_select(0, first).unsqueeze(1)
    if frames.device.type in OVERLAPPING_VIEWS:  # one copy per window
        size = frames[0].numel()
        windows = frames.as_strided((len(frames) - width + 1, width * size), (size, 1))
        return windows.index_select(0, first).view(len(first), width, *frames.shape[1:])
    rows = first[:, None] + torch.arange(width, device=frames.device)
    return frames.index_select(0, rows.flatten()).view(len(first), width, *frames.shape[1:])


def _move(batch: Batch, device: torch.device) -> Batch:
    """To the device, if not there; from pinned memory, so that the copy overlaps with what the device is doing."""
    if all(tensor.device.type == device.type for tensor in batch.values()):
        return batch
    return {name: tensor.pin_memory().to(device, non_blocking=True) for name, tensor in batch.items()}


def _one_ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Start the copy of the next batch to the device before the current one is used."""
    ahead = next(batches, None)
    while ahead is not None:
        current, ahead = ahead, next(batches, None)
        yield current
