"""Person crops with targets from JPEG files: an epoch without workers, a core's worth."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from hydra.utils import instantiate
from torch.utils.data import DataLoader

from anypose.engine.task import Loading
from benchmarks.harness import Comparison, Row, Settings, compare
from benchmarks.naive2d import PersonDataset
from benchmarks.photos import write_coco
from benchmarks.training import compose
from pose2d.dataset.coco import Coco
from pose2d.task.topdown2d import TopDown2D

BATCH = 32
# Like for like: microsoft's augmentation and targets, true RGB on both sides.
PROTOCOL = ["experiment=simplebaseline_coco_msra", "task.channels=rgb"]


def run(settings: Settings) -> Iterator[Row]:
    """The same people, decoded every time, then from the cache of crops."""
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        coco = write_coco(Path(folder), 24 if settings.quick else 64)
        yield compare(_epoch("crops of an epoch, decoded", coco, [], settings), settings)
        yield compare(_epoch("crops of an epoch, decoded by image", coco, ["task.shuffle=image"], settings), settings)
        cache = [f"task.cache={folder}/cache", "task.cache_size=384"]
        yield compare(_epoch("crops of an epoch, cached", coco, cache, settings), settings)


def _epoch(name: str, coco: Coco, overrides: list[str], settings: Settings) -> Comparison:
    device = settings.device.torch
    task = _task(overrides)
    batches = task.batches(coco, True, Loading(BATCH, seed=0, drop_last=False), device)
    loader = DataLoader(PersonDataset(coco.people("train"), (256, 192)), BATCH, shuffle=True)
    epochs = iter(range(1, 1 << 30))

    def ours() -> None:
        for batch in batches.epoch(next(epochs)):
            task.coding.encode(batch["keypoints"], batch["visibility"])

    def peer() -> None:
        for batch in loader:
            [tensor.to(device) for tensor in batch]

    list(batches.epoch(0))  # fills a cache
    return Comparison(name, ours, peer, "an item a person", _difference(coco, settings), tolerance=1.01)


def _task(overrides: list[str]) -> TopDown2D:
    cfg = compose([*PROTOCOL, *overrides])
    with torch.device("meta"):  # nothing is computed with it
        model = instantiate(cfg.model)
    return instantiate(cfg.task, model=model)


def _difference(coco: Coco, settings: Settings) -> Callable[[], float]:
    """Largest difference of pixels in grey levels; targets must be equal. Everybody is turned alike on both sides."""

    def measure() -> float:
        worst = 0.0
        for turn in ((1.0, 0.0, False), (1.2, 30.0, True)):
            task: Any = _task([])
            batches = task.batches(coco, True, Loading(8, seed=0), settings.device.torch)
            source = batches.loader.dataset
            source.augmentation = _Fixed(*turn)
            batch = next(batches.epoch(0))
            items = PersonDataset(coco.people("train"), (256, 192), turn)
            theirs = [items[row] for row in batch["index"].tolist()]
            pixels, heatmaps, weights = (torch.stack(column) for column in zip(*theirs, strict=True))
            ours, our_weights = task.coding.encode(batch["keypoints"], batch["visibility"])
            if not torch.equal(our_weights.cpu(), weights[..., 0]):
                return float("inf")
            seen = our_weights.cpu()[..., None, None]
            if (ours.cpu() * seen - heatmaps * seen).abs().max() > 1e-5:
                return float("inf")
            # The peer gives OpenCV three points in float32, we a matrix in float64: now and then a rounding apart.
            difference = ((batch["image"].cpu() - pixels) * 58).abs()
            worst = max(worst, float(torch.quantile(difference.flatten()[::7], 0.999)))
        return worst

    return measure


class _Fixed:
    """In place of an Augmentation: everybody by the same factor and angle."""

    num_draws, colour = 1, 0.0

    def __init__(self, factor: float, degrees: float, mirrored: bool) -> None:
        self.factor, self.degrees, self.mirrored = factor, degrees, mirrored

    def boxes(self, draws: np.ndarray, centre: np.ndarray, size: np.ndarray, *_: object) -> tuple[np.ndarray, ...]:
        count = len(centre)
        rotation = np.full(count, np.radians(self.degrees))
        return centre, size[:, 0] * self.factor, rotation, np.full(count, self.mirrored)
