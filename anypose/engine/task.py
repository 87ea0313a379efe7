"""The contract between a method and the trainer: all that `engine` knows about a problem."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from anypose.engine.limits import check_batch

Batch = dict[str, Tensor]
Prediction = dict[str, Tensor]
KINDS = {"sequences": "motion (sequences of keypoints with joints)", "people": "pictures with people in them"}


@dataclass(frozen=True)
class Loading:
    """How the trainer wants its batches. A task reads what concerns it.

    `batch_size` is per process. `rank` and `world_size` shard the order: over all ranks an epoch covers every
    sample once. Order and augmentation depend on (seed, epoch, index) only.
    """

    batch_size: int
    seed: int
    rank: int = 0
    world_size: int = 1
    workers: int = 0
    drop_last: bool = True


class Batches(Protocol):
    """One split, ready to be walked; every batch is already on the device."""

    def __len__(self) -> int: ...

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """The batches of epoch `number`, from batch `start` on (a resumed run continues mid-epoch)."""
        ...


class Metrics(Protocol):
    """Collects predictions of one evaluation, then scores them."""

    def update(self, prediction: Prediction, batch: Batch) -> None: ...

    def state(self) -> dict[str, Tensor]:
        """What has been collected: tensors with a common first dimension, so ranks can be concatenated."""
        ...

    def load(self, state: dict[str, Tensor]) -> None:
        """Replace what has been collected (by the concatenation over ranks)."""
        ...

    def compute(self) -> dict[str, float]:
        """The scores, each named with its unit (`mpjpe_mm`)."""
        ...

    def rows(self) -> list[dict[str, Any]]:
        """The table to print: one dict a row with the same keys (`action`, then the scores, `frames`)."""
        ...

    def protocol(self) -> dict[str, Any]:
        """What the scores were measured under: 2D source, subjects, frames, flip test, alignment, ..."""
        ...

    def arrays(self) -> dict[str, np.ndarray]:
        """Every prediction with its truth and its keys, for `predictions=FILE`."""
        ...


class Task(Protocol):
    """A model with its loss, its data and its score. It never sees the loop; the loop never looks inside a batch."""

    model: nn.Module
    monitor: str
    higher_is_better: bool

    def batches(self, dataset: Any, training: bool, loading: Loading, device: torch.device) -> Batches: ...

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The scalar to minimise, and the terms to log, detached and left on the device."""
        ...

    def predict(self, batch: Batch) -> Prediction:
        """What gets scored: flip test and decoding happen here."""
        ...

    def metrics(self) -> Metrics:
        """A fresh accumulator for the evaluation batches made last."""
        ...


def make_batches(task: Task, dataset: Any, training: bool, loading: Loading, device: torch.device) -> Batches:
    """The task's batches of a dataset of the kind that it reads, which a task may say: `reads`, a method's name.

    Raises:
        ValueError: where the dataset is of another kind.
        Misuse: where a batch would be larger than memory should be.
    """
    check_batch(task.model, loading.batch_size, training)
    wanted = getattr(task, "reads", None)
    if wanted is not None and not hasattr(dataset, wanted):
        has = " and ".join(kind for name, kind in KINDS.items() if hasattr(dataset, name)) or "nothing of the kind"
        raise ValueError(
            f"{type(task).__name__} needs a dataset of {KINDS.get(wanted, wanted)}; {type(dataset).__name__} has "
            f"{has}. Choose another with dataset=, or the model that it is for."
        )
    return task.batches(dataset, training, loading, device)
