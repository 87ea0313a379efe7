"""An image network with its normalisation inside: uint8 pixels in, nothing for its user to get wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch

from anypose.engine.task import Batch, Batches, Loading, Task
from anypose.settings import Misuse
from anypose.shapes import IO, PIXELS
from pose2d.images.image import FromPixels, Normalization


class PixelTask:
    """A task as `anypose.export.write` sees it, around a network that takes (B, H, W, 3) uint8 RGB.

    Args:
        task: a task that reads images; its `normalization` goes into the network.
    """

    def __init__(self, task: Task) -> None:
        normalization = getattr(task, "normalization", None)
        if normalization is None:
            raise Misuse(
                f"pixels=true puts the normalisation of images into the network, and {type(task.model).__name__} "
                "reads none. Leave it false."
            )
        self.task = task
        self.inside: Normalization = normalization
        self.model: Any = FromPixels(task.model, normalization).eval()
        io = cast("IO", task.model.io)
        ((_, (batch, _channels, height, width)),) = io.inputs.items()
        self.model.io = IO({PIXELS: (batch, height, width, 3)}, io.outputs)
        for name in ("export_names", "export_sizes"):
            if hasattr(task.model, name):
                setattr(self.model, name, getattr(task.model, name))

    def batches(self, dataset: Any, training: bool, loading: Loading, device: torch.device) -> Batches:
        return _PixelBatches(self.task.batches(dataset, training, loading, device), self.inside)


class _PixelBatches:
    """The batches of a task with their crops as pixels."""

    def __init__(self, batches: Batches, normalization: Normalization) -> None:
        self.batches, self.normalization = batches, normalization

    def __len__(self) -> int:
        return len(self.batches)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        for batch in self.batches.epoch(number, start):
            yield batch | {PIXELS: self.normalization.undo(batch["image"])}
