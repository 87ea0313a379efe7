"""Batches that know how far an annealing has come."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from pose3d.motion.windows import WindowBatches

Batch = dict[str, Tensor]


class Annealed:
    """The same batches with "progress" (B,), which rises from 0 to 1 over the first `epochs` epochs and stays there.

    It follows from the batch's number alone, so a resumed run needs no state to go on with it, and it is a tensor on
    the device, so a captured step sees it change.
    """

    def __init__(self, batches: WindowBatches, epochs: float) -> None:
        self.batches, self.epochs = batches, epochs

    def __len__(self) -> int:
        return len(self.batches)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """The batches of epoch `number`, from batch `start` on."""
        for i, batch in enumerate(self.batches.epoch(number, start), start):
            progress = min(1.0, (number + i / len(self)) / self.epochs)
            index = batch["index"]
            yield batch | {"progress": torch.full((len(index),), progress, device=index.device)}
