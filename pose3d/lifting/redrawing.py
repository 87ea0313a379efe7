"""Batches of redrawn people: motion, and for every sample a body, a camera and a detector of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from anypose.batching import batch_stretches, samples_each
from anypose.settings import Misuse
from anypose.skeleton import H36M_17, convert
from pose3d.lifter import Lifter
from pose3d.motion.sequence import PoseSequence
from pose3d.motion.windows import frames_before
from pose3d.synthesis.redrawn import Redraw

Batch = dict[str, Tensor]

SLOWEST = 25.0  # frames a second: faster motion is also seen at whole parts of its rate, down to this
RATE = 50.0  # frames a second that detectors' errors are given for
STATISTICS = 8192  # samples that joints are standardised by ...
STATISTICS_FRAMES = 10 * STATISTICS  # ... fewer where windows are long, or they would fill the memory


@runtime_checkable
class Redrawn(Protocol):
    """A dataset whose training split is redrawn: its own cameras and keypoints are not used."""

    redraw: Redraw


def check_plain(name: str, settings: Mapping[str, tuple[Any, Any]]) -> None:
    """Refuse settings of a task that do nothing with redrawn people.

    Args:
        name: the dataset's.
        settings: by their keys, as they are and as they must be.
    """
    for key, (found, plain) in settings.items():
        if found != plain:
            raise Misuse(
                f"task.{key}={found} does nothing with dataset={name}: its samples are windows around single frames, "
                f"in camera axes, half of them mirrored. Set task.{key}={_typed(plain)}."
            )


def _typed(value: Any) -> str:
    """As it is typed on the command line."""
    return "null" if value is None else str(value).lower()


class RedrawnBatches:
    """Batches for a lifter, made anew in every epoch: each frame of the motion once, as what is predicted.

    What a batch is follows from (seed, epoch, its number, rank). Each holds "keypoints" (B, R, K, C), rays, and
    "joints" (B, 1, J, 3) in camera axes, relative to the hip [m]; (B, R, J, 3) for a network of whole windows.

    Args:
        sequences: motion; of the views of one take the first is taken.
        redraw: what is drawn.
        model: the lifter, one that reads rays.
        loading: `anypose.engine.task.Loading`.
        device: where the batches go. They are made on the host: the same samples on every device.
    """

    def __init__(
        self, sequences: Sequence[PoseSequence], redraw: Redraw, model: Lifter, loading: Any, device: torch.device
    ) -> None:
        if model.keypoint_frame != "ray" or model.output_skeleton != H36M_17:
            raise Misuse(
                f"Redrawn people are seen as rays and have Human3.6M's 17 joints; {type(model).__name__} reads "
                f"keypoints in the frame '{model.keypoint_frame}' and gives {model.output_skeleton.name}. Set "
                "model.input=centred, or choose another dataset."
            )
        self.redraw, self.model, self.loading, self.device = redraw, model, loading, device
        takes = list({(s.subject, s.take): s for s in reversed(sequences)}.values())[::-1]
        lengths = torch.tensor([len(take) for take in takes])
        self.joints = torch.from_numpy(np.concatenate([convert(take.joints, take.skeleton, H36M_17) for take in takes]))
        self.end = lengths.cumsum(0).repeat_interleave(lengths)
        self.start = (lengths.cumsum(0) - lengths).repeat_interleave(lengths)
        self.fps = torch.tensor([take.fps for take in takes]).repeat_interleave(lengths)
        self.read = model.frames_read or tuple(range(model.receptive_field))
        self.past = frames_before(model.receptive_field, model.causal)
        available = len(self.joints)
        each = samples_each(available, loading.world_size, loading.drop_last)
        self.stretches = batch_stretches(each, loading.batch_size, loading.drop_last)
        if not self.stretches:
            raise Misuse(
                f"A batch needs {loading.batch_size * loading.world_size} samples (trainer.batch_size="
                f"{loading.batch_size} on {loading.world_size} processes), and the training split has {available} "
                "frames. Lower trainer.batch_size."
            )

    def __len__(self) -> int:
        return len(self.stretches)

    def statistics(self) -> tuple[Tensor, Tensor]:
        """(N, K, C) keypoints and (N, J, 3) joints of some thousand samples, to standardise by."""
        generator = self._generator(-1, 0)
        count = min(STATISTICS, STATISTICS_FRAMES // len(self.read) + 1)
        picks = torch.randint(len(self.joints), (count,), generator=generator)
        batch = self._draw(picks, generator)
        middle = self.past if self.model.whole_window else 0
        return batch["keypoints"][:, self.past].to(self.device), batch["joints"][:, middle].to(self.device)

    def epoch(self, number: int = 0, start: int = 0) -> Iterator[Batch]:
        """The batches of epoch `number` from batch `start` on."""
        seed = int(np.random.SeedSequence((self.loading.seed, number)).generate_state(1, np.uint64)[0])
        order = torch.randperm(len(self.joints), generator=torch.Generator().manual_seed(seed))
        order = torch.cat([order, order[: -len(order) % self.loading.world_size]])  # every rank takes every step
        order = order[self.loading.rank :: self.loading.world_size]
        for batch in range(start, len(self)):
            drawn = self._draw(order[self.stretches[batch]], self._generator(number, batch))
            yield {name: tensor.to(self.device, non_blocking=True) for name, tensor in drawn.items()}

    def _generator(self, epoch: int, batch: int) -> torch.Generator:
        key = self.loading.seed, epoch + 1, batch, self.loading.rank
        seed = int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0]) >> 1
        return torch.Generator().manual_seed(seed)

    @torch.no_grad()
    def _draw(self, picks: Tensor, generator: torch.Generator) -> Batch:
        """Windows around the frames `picks`; time runs at the motion's rate or a whole part of it."""
        count = len(picks)
        fps = self.fps[picks]
        draw = torch.rand(count, generator=generator)
        step = 1 + (draw * (fps / SLOWEST).floor().clamp(min=1)).long()
        steps = (torch.tensor(self.read) - self.past) * step[:, None]
        rows = picks[:, None] + steps
        rows = torch.minimum(torch.maximum(rows, self.start[picks][:, None]), self.end[picks][:, None] - 1)
        frames = steps * (RATE / fps)[:, None]
        drawn, joints = self.redraw(self.joints[rows], frames, self.model.input_skeleton, generator)
        keypoints = drawn.new_zeros(count, self.model.receptive_field, *drawn.shape[2:])
        keypoints[:, self.read] = drawn
        if not self.model.whole_window:
            joints = joints[:, self.read.index(self.past), None]
        return {"keypoints": keypoints[..., : self.model.keypoint_channels], "joints": joints}
