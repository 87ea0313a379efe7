"""Top-down 2D pose: one person's crop to heatmaps, heatmaps to keypoints, scored as COCO or MPII does."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from anypose.settings import Misuse, check_range
from anypose.skeleton import Skeleton
from pose2d.images.affine import crop_matrices, invert, transform, warp_one
from pose2d.images.augment import Augmentation
from pose2d.images.crop_cache import CropCache
from pose2d.images.crops import MOST_SIDE, CropRules, Crops
from pose2d.images.image import Normalization
from pose2d.images.kept_images import KeptImages, check_kept
from pose2d.network.heatmap import Coding
from pose2d.network.weights import load_weights
from pose2d.people import People, PeopleDataset, require_people
from pose2d.scores.oks import KeypointScores
from pose2d.scores.pckh import HeadScores

log = logging.getLogger(__name__)
Batch = dict[str, Tensor]


class TopDown2D:
    """Train and score a model that gives "heatmaps" (B, K, h, w) for "image" (B, 3, H, W).

    Args:
        model: the network; it says how large its input and heatmaps are.
        metric: "ap" (COCO) or "pckh" (MPII).
        weights: file of another project to start from (`pose2d.network.weights` says which), or None.
        channels, mean, std: see `pose2d.images.image.Normalization`.
        aligned, rounded, sigma, support, peak, outside, decoder: see `pose2d.network.heatmap.Coding`.
        loss_factor: on the mean of squared differences over B, K, h and w.
        l2: TensorFlow's regulariser: half of it times the squared weights of all convolutions is added to the loss.
        flip_test: average the heatmaps with those of the mirrored crop.
        padding, reduced_decode, unreadable: see `pose2d.images.crops.CropRules`.
        keep_images: megabytes of images that stay in memory, in each process that reads them; 0 reads every time.
        shuffle: "person", or "image": people of an image stay together, so that it is decoded once an epoch.
        cache: folder that keeps the training crops ready to warp, or None to decode JPEGs every time.
        cache_size: side of a kept crop [px].
        augment: the settings of `pose2d.images.augment.Augmentation`, or None for none.
        evaluator, nms_threshold, score_threshold, results: see `pose2d.scores.oks.KeypointScores`.
    """

    higher_is_better = True

    reads = "people"

    def __init__(
        self,
        model: Any,  # an nn.Module with `io`
        *,
        metric: str,
        weights: str | None,
        channels: str,
        mean: Sequence[float],
        std: Sequence[float],
        aligned: bool,
        rounded: bool,
        sigma: float,
        support: float,
        peak: float,
        outside: str,
        decoder: str,
        loss_factor: float,
        l2: float,
        flip_test: bool,
        padding: float,
        reduced_decode: bool,
        unreadable: str,
        keep_images: float,
        shuffle: str,
        cache: str | None,
        cache_size: int,
        augment: Mapping[str, Any] | None,
        evaluator: str,
        nms_threshold: float,
        score_threshold: float,
        results: str | None,
    ) -> None:
        if "heatmaps" not in model.io.outputs:
            raise Misuse(
                f"task=topdown2d needs a model with output 'heatmaps'; {type(model).__name__} gives "
                f"'{', '.join(model.io.outputs)}'."
            )
        if metric not in ("ap", "pckh"):
            raise Misuse(f"task.metric must be ap or pckh, got {metric}.")
        check_range("task", 0, math.inf, keep_images=keep_images, l2=l2)
        check_kept(keep_images)
        check_range("task", 0, math.inf, without_low=True, loss_factor=loss_factor)
        check_range("task", 0, 1, nms_threshold=nms_threshold, score_threshold=score_threshold)
        check_range("task", 1, MOST_SIDE, cache_size=cache_size)
        self.model = model
        self.monitor = metric
        self.weights = weights
        self.num_keypoints, *heatmap_size = model.io.outputs["heatmaps"][1:]
        size = tuple(model.io.inputs["image"][2:])
        self.normalization = Normalization(channels, tuple(mean), tuple(std))
        self.coding = Coding(size, tuple(heatmap_size), aligned, rounded, sigma, support, peak, outside, decoder)
        self.rules = CropRules(size, padding, aligned, reduced_decode, unreadable)
        self.augmentation = None if augment is None else Augmentation(**augment)
        self.loss_factor, self.l2, self.flip_test = loss_factor, l2, flip_test
        self.keep_images = keep_images
        self.shuffle, self.cache, self.cache_size = shuffle, cache, cache_size
        self.scoring = {
            "evaluator": evaluator,
            "nms_threshold": nms_threshold,
            "score_threshold": score_threshold,
            "results": results,
        }
        self.evaluated: tuple[PeopleDataset, Crops] | None = None
        self.flip_index: Tensor | None = None

    def batches(self, dataset: PeopleDataset, training: bool, loading: Any, device: torch.device) -> Crops:
        require_people(dataset, "task=topdown2d")
        skeleton = dataset.skeleton
        if skeleton.num_joints != self.num_keypoints:
            raise ValueError(
                f"The model has {self.num_keypoints} keypoints, {dataset.name}'s skeleton {skeleton.name} has "
                f"{skeleton.num_joints}. Set model.num_keypoints={skeleton.num_joints}."
            )
        people = dataset.people("train" if training else "validation")
        if self.keep_images:
            people = replace(people, images=KeptImages(people.images, self.keep_images))
        self.flip_index = torch.tensor(skeleton.flip_index, device=device)
        augmentation = self.augmentation if training else None
        patches = None
        if training:
            self._check_half_bodies(people)
            if self.weights is not None:
                load_weights(self.model, self.weights)
            if self.cache is not None:
                widest = augmentation.widest() if augmentation else 1.0
                patches = CropCache(Path(self.cache), people, self.rules, self.cache_size, widest)
        crops = Crops(
            people, self.rules, self.normalization, augmentation, training, loading, device, self.shuffle, patches
        )
        if not training:
            self.evaluated = dataset, crops
            protocol = {"boxes": people.box_source, "people": len(people)} | self._protocol(dataset)
            told = ", ".join(f"{name} {value}" for name, value in protocol.items() if value != "")
            log.info("%s is measured under: %s.", self.monitor, told)
        return crops

    def _protocol(self, dataset: PeopleDataset) -> dict[str, Any]:
        return {
            "dataset": dataset.name,
            "input": "x".join(map(str, self.rules.size)),
            "flip test": self.flip_test,
            "decoding": self.coding.decoder,
            "notes": "; ".join(dataset.notes),
        }

    def _check_half_bodies(self, people: People) -> None:
        if self.augmentation and self.augmentation.half_body_probability > 0 and not people.upper:
            raise Misuse(
                "task.augment.half_body_probability is above 0, but the dataset does not say which keypoints are the "
                "upper body. Name them in dataset.upper, or set task.augment.half_body_probability=0."
            )

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        heatmaps = self.model(batch["image"]).float()
        target, weight = self.coding.encode(batch["keypoints"], batch["visibility"])
        error = self.loss_factor * (weight[:, :, None, None] * (heatmaps - target).square()).mean()
        loss = error
        if self.l2 > 0:
            convolutions = (m for m in self.model.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d)))
            loss = loss + self.l2 / 2 * sum(module.weight.float().square().sum() for module in convolutions)
        return loss, {"heatmap_error": error.detach()}

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        """{"keypoints": (B, K, 2) [image px], "scores": (B, K), the height of the peaks}."""
        keypoints, scores = self.coding.decode(self.heatmaps(batch["image"]))
        return {"keypoints": transform(keypoints, batch["to_image"]), "scores": scores}

    def find(self, image: np.ndarray, box_xyxy: np.ndarray, skeleton: Skeleton) -> dict[str, Tensor]:
        """The people of one image, outside of any dataset.

        Args:
            image: (H, W, 3) uint8 RGB.
            box_xyxy: (P, 4) left, top, right, bottom of each person [px].
            skeleton: what the K keypoints are.

        Returns:
            {"keypoints": (P, K, 2) [image px], "scores": (P, K)}.
        """
        if skeleton.num_joints != self.num_keypoints:
            raise ValueError(
                f"The network has {self.num_keypoints} keypoints, skeleton {skeleton.name} has {skeleton.num_joints}. "
                "Name the skeleton that it was trained with."
            )
        self.flip_index = torch.tensor(skeleton.flip_index)
        centre, size = self.rules.boxes(box_xyxy)
        upright, as_it_is = np.zeros(len(centre)), np.zeros(len(centre), bool)
        to_crop = crop_matrices(centre, size[:, 0], upright, as_it_is, self.rules.size, self.rules.aligned)
        to_image = invert(to_crop)
        crops = np.stack([warp_one(image, matrix, self.rules.size) for matrix in to_image])
        batch = {
            "image": self.normalization.apply(torch.from_numpy(crops)),
            "to_image": torch.from_numpy(to_image.astype(np.float32)),
        }
        with torch.no_grad():
            return self.predict(batch)

    def heatmaps(self, image: Tensor) -> Tensor:
        """(B, K, h, w) float32 for (B, 3, H, W) input, averaged with those of the mirrored input in a flip test."""
        if not self.flip_test:
            return self.model(image).float()
        assert self.flip_index is not None
        heatmaps, mirrored = self.model(torch.cat([image, image.flip(-1)])).float().chunk(2)
        return (heatmaps + self.coding.flip_back(mirrored, self.flip_index)) / 2

    def look(self, crops: Crops, row: int) -> tuple[np.ndarray, np.ndarray]:
        """A person's crop (H, W, 3) uint8 RGB and their heatmaps (K, h, w), 1 high where the network is certain."""
        image = crops.batch(np.array([row]))["image"]
        with torch.no_grad():
            heatmaps = self.heatmaps(image)[0] / self.coding.peak
        return self.normalization.undo(image)[0].cpu().numpy(), heatmaps.cpu().numpy()

    def metrics(self) -> KeypointScores | HeadScores:
        if self.evaluated is None:
            raise ValueError("metrics() scores the evaluation batches made last, and none were made.")
        dataset, crops = self.evaluated
        protocol = self._protocol(dataset)
        if self.monitor == "pckh":
            scores = HeadScores(crops.people, protocol, crops.unreadable)
            scores.look = partial(self.look, crops)
            return scores
        if "coco" not in crops.people.truth:
            raise Misuse(
                f"task.metric=ap needs COCO annotations; dataset={dataset.name} is scored by task.metric=pckh."
            )
        _, size = self.rules.boxes(crops.people.box_xyxy)
        scores = KeypointScores(
            crops.people, size.prod(axis=1), protocol=protocol, unreadable=crops.unreadable, **self.scoring
        )
        scores.look = partial(self.look, crops)
        return scores
