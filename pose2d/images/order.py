"""Which person comes when: batches of rows, shuffled and shared between processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch.utils.data import Sampler

from anypose.batching import batch_stretches, samples_each
from anypose.settings import Misuse
from pose2d.people import People


class Order(Sampler[tuple[int, np.ndarray]]):
    """Which rows make which batch, a function of (seed, epoch) alone; set `epoch` and `start` before iterating."""

    def __init__(self, people: People, training: bool, loading: Any, shuffle: str) -> None:
        self.people = people
        self.training = training
        self.loading = loading
        self.shuffle = shuffle
        self.epoch, self.start = 0, 0
        if shuffle not in ("person", "image"):
            raise Misuse(f"task.shuffle must be person or image, got {shuffle}.")
        if training and len(self) == 0:
            raise Misuse(
                f"There are {len(people)} people to train on, fewer than a batch of trainer.batch_size="
                f"{loading.batch_size} on {loading.world_size} process(es). Lower trainer.batch_size."
            )

    def __len__(self) -> int:
        if self.training:
            return len(self._stretches())
        return -(-len(self._share()) // self.loading.batch_size)

    def _stretches(self) -> list[slice]:
        """The training batches of this process, as stretches of its rows."""
        loading = self.loading
        each = samples_each(len(self.people), loading.world_size, loading.drop_last)
        return batch_stretches(each, loading.batch_size, loading.drop_last)

    def _share(self) -> np.ndarray:
        """The rows this process evaluates: a stretch, so that images are decoded once."""
        return np.array_split(np.arange(len(self.people)), self.loading.world_size)[self.loading.rank]

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        loading = self.loading
        if self.training:
            rows = self._shuffled()
            # Every process must take every step: the last batch is filled up from the first.
            rows = np.concatenate([rows, rows[: -len(rows) % loading.world_size]])
            rows = rows[loading.rank :: loading.world_size]
            batches = (rows[stretch] for stretch in self._stretches())
        else:
            share, step = self._share(), loading.batch_size
            batches = (share[i * step : (i + 1) * step] for i in range(len(self)))
        for number, batch in enumerate(batches):
            if number >= self.start:
                yield self.epoch, batch

    def _shuffled(self) -> np.ndarray:
        rng = np.random.default_rng((self.loading.seed, self.epoch))
        if self.shuffle == "person":
            return rng.permutation(len(self.people))
        rank = rng.permutation(len(self.people.images))
        return np.argsort(rank[self.people.image], kind="stable")
