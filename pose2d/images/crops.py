"""Batches of person crops: workers decode JPEG and hand over uint8, the rest happens batched on the device.

One warp does it all: size, rotation, shift and mirroring are one matrix per person, so every pixel is interpolated
once. On an accelerator workers hand over the unwarped window of each image and `pose2d.images.affine.warp` resamples
the whole batch; on the CPU, where that is no faster than OpenCV's own loop, the workers warp as well.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from anypose.settings import Misuse, check_range
from pose2d.images.affine import (
    Windows,
    compose,
    crop_matrices,
    fit_aspect,
    invert,
    needed_window,
    transform,
    warp,
    warp_one,
)
from pose2d.images.augment import Augmentation, uniforms
from pose2d.images.image import Normalization
from pose2d.images.order import Order
from pose2d.people import People

log = logging.getLogger(__name__)
Raw = dict[str, Any]


class Patches(Protocol):
    """Pieces of images kept ready, a row a person (`pose2d.images.crop_cache`).

    Attributes:
        to_patch: (P, 2, 3) from image to patch pixels.
    """

    to_patch: np.ndarray

    def patch(self, row: int) -> np.ndarray:
        """(S, S, 3) uint8 RGB."""
        ...


class Extra(Protocol):
    """What else the workers make for a batch, given its rows and the (B, 2, 3) matrices from crop to image pixels."""

    def __call__(self, rows: np.ndarray, to_image: np.ndarray) -> dict[str, Tensor]: ...


MOST_SIDE = 4096  # of a crop [px]
MOST_PADDING = 100


@dataclass(frozen=True)
class CropRules:
    """How a person becomes a crop.

    Attributes:
        size: (H, W) of the crop [px].
        padding: the box grows by this factor after its aspect has been fitted.
        aligned: UDP's convention, see `pose2d.images.affine.crop_matrices`.
        reduced_decode: decode a JPEG at 1/2, 1/4 or 1/8 where a crop would shrink it by as much: quicker, and free
            of the aliasing that bilinear shrinking brings; not what the original networks were trained on.
        unreadable: what an image that cannot be decoded does: "stop", or "blank", which goes on with a black crop
            without labels, says so once for every image and counts them.
    """

    size: tuple[int, int]
    padding: float
    aligned: bool
    reduced_decode: bool
    unreadable: str

    def __post_init__(self) -> None:
        if self.unreadable not in ("stop", "blank"):
            raise Misuse(f"task.unreadable must be stop or blank, got {self.unreadable}.")
        check_range("task", 0, MOST_PADDING, without_low=True, padding=self.padding)

    def boxes(self, box_xyxy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(P, 2) centres and (P, 2) sizes of the image parts that boxes stand for [px]."""
        height, width = self.size
        low, high = box_xyxy[:, :2], box_xyxy[:, 2:]
        return (low + high) / 2, fit_aspect(high - low, width / height, self.padding)


class CropSource(Dataset[Raw]):
    """What runs in the workers: (epoch, rows) to the uint8 pixels and the geometry of a batch."""

    def __init__(
        self,
        people: People,
        rules: CropRules,
        augmentation: Augmentation | None,
        seed: int,
        warp_here: bool,
        patches: Patches | None = None,
        extra: Extra | None = None,
    ) -> None:
        self.people = replace(people, truth={})  # no worker needs it, and where workers are sent it, it is large
        self.rules = rules
        self.augmentation = augmentation
        self.seed = seed
        self.warp_here = warp_here
        self.patches = patches
        self.extra = extra
        self.flip_index = np.array(people.skeleton.flip_index)

    def __getitem__(self, job: tuple[int, np.ndarray]) -> Raw:
        epoch, rows = job
        people = self.people
        keypoints, visibility = people.keypoints[rows], people.visibility[rows]
        centre, size = self.rules.boxes(people.box_xyxy[rows])
        width, rotation = size[:, 0], np.zeros(len(rows))
        flip, colours = np.zeros(len(rows), bool), np.zeros((len(rows), 0, 3))
        if self.augmentation is not None:
            draws = uniforms(self.seed, epoch, rows, self.augmentation.num_draws)
            centre, width, rotation, flip = self.augmentation.boxes(
                draws, centre, size, keypoints, visibility, people.upper
            )
            if self.augmentation.colour > 0:
                colours = self.augmentation.colours(draws)
        to_crop = crop_matrices(centre, width, rotation, flip, self.rules.size, self.rules.aligned)
        to_image = invert(to_crop)
        keypoints = transform(keypoints, to_crop)
        keypoints = np.where(flip[:, None, None], keypoints[:, self.flip_index], keypoints)
        visibility = np.where(flip[:, None], visibility[:, self.flip_index], visibility)
        pixels, unreadable = self._pixels(rows, to_image)
        lost = np.isin(people.image[rows], list(unreadable))
        return {
            "pixels": pixels,
            "keypoints": torch.from_numpy(keypoints.astype(np.float32)),
            "visibility": torch.from_numpy(np.where(lost[:, None], 0, visibility)),
            "to_image": torch.from_numpy(to_image.astype(np.float32)),
            "colours": torch.from_numpy(colours.astype(np.float32)),
            "index": torch.from_numpy(rows),
            "unreadable": unreadable,
            "extra": self.extra(rows, to_image) if self.extra else {},
        }

    def _pixels(self, rows: np.ndarray, to_image: np.ndarray) -> tuple[Tensor | Windows, dict[int, str]]:
        """The crops (P, H, W, 3) uint8, or the windows they are to be warped from; and what could not be read."""
        pieces: list[tuple[np.ndarray, np.ndarray]] = [(np.zeros((0, 0, 3), np.uint8), to_image[0])] * len(rows)
        unreadable: dict[int, str] = {}
        images = self.people.image[rows]
        if self.patches is None:
            matrices = to_image
            groups = [np.flatnonzero(images == image) for image in np.unique(images)]
        else:
            matrices = compose(self.patches.to_patch[rows], to_image)
            groups = np.arange(len(rows))[:, None]
        for members in groups:
            try:
                for member, piece in zip(members, self._sources(rows[members], matrices[members]), strict=True):
                    pieces[member] = piece
            except (ValueError, OSError) as error:
                if self.rules.unreadable == "stop":
                    raise
                unreadable[int(images[members[0]])] = str(error)
        if self.warp_here:
            crops = np.empty((len(rows), *self.rules.size, 3), np.uint8)
            for (pixels, matrix), crop in zip(pieces, crops, strict=True):
                warp_one(pixels, matrix, self.rules.size, crop)
            return torch.from_numpy(crops), unreadable
        return pack_windows(pieces, self.rules.size), unreadable

    def _sources(self, rows: np.ndarray, matrices: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Pixels for each row, and the matrix from the crop to them: of one patch, or of the people of one image.

        Args:
            matrices: (P, 2, 3) from crop to patch or image pixels.
        """
        if self.patches is not None:
            yield self.patches.patch(int(rows[0])), matrices[0]
            return
        image = int(self.people.image[rows[0]])
        reduce = self._reduction(matrices)
        pixels = self.people.images.read(image, reduce)
        # A pixel of the reduced image is the mean of reduce x reduce pixels, so its centre lies between theirs.
        to_reduced = np.array([[1, 0, (1 - reduce) / 2], [0, 1, (1 - reduce) / 2]]) / reduce
        for matrix in matrices:
            yield pixels, compose(to_reduced, matrix)

    def _reduction(self, to_image: np.ndarray) -> int:
        """The largest of 1, 2, 4, 8 that leaves every crop at least one decoded pixel for each of its own."""
        if not self.rules.reduced_decode:
            return 1
        step = np.sqrt(np.abs(np.linalg.det(to_image[:, :, :2]))).min()
        return max(reduce for reduce in (1, 2, 4, 8) if reduce <= max(step, 1))


def pack_windows(pieces: Sequence[tuple[np.ndarray, np.ndarray]], size: tuple[int, int]) -> Windows:
    """Cut out what each crop samples and lay it end to end.

    Args:
        pieces: for each crop (H, W, 3) uint8 pixels and the (2, 3) matrix from the crop to them.
        size: (H, W) of the crops.
    """
    parts, sizes, matrices = [], [], []
    for pixels, matrix in pieces:
        left, top, right, bottom = needed_window(matrix, size, (pixels.shape[0], pixels.shape[1]))
        parts.append(pixels[top:bottom, left:right].reshape(-1, 3))
        sizes.append((bottom - top, right - left))
        matrices.append(matrix - [[0, 0, left], [0, 0, top]])
    starts = np.cumsum([0, *(len(part) for part in parts[:-1])])
    return Windows(
        torch.from_numpy(np.concatenate(parts)),
        torch.from_numpy(starts),
        torch.tensor(sizes),
        torch.from_numpy(np.stack(matrices).astype(np.float32)),
    )


class Crops:
    """Implements `anypose.engine.task.Batches`.

    A batch: "image" (B, 3, H, W) float32 normalised; "keypoints" (B, K, 2) [crop px]; "visibility" (B, K) 0, 1, 2;
    "to_image" (B, 2, 3) from crop to image pixels; "index" (B,) rows of `people`; and what `extra` makes.

    Attributes:
        unreadable: for each image that could not be decoded so far, why.
    """

    def __init__(
        self,
        people: People,
        rules: CropRules,
        normalization: Normalization,
        augmentation: Augmentation | None,
        training: bool,
        loading: Any,
        device: torch.device,
        shuffle: str,
        patches: Patches | None = None,
        extra: Extra | None = None,
    ) -> None:
        self.people = people
        self.rules = rules
        self.normalization = normalization
        self.device = device
        self.unreadable: dict[str, str] = {}
        self.order = Order(people, training, loading, shuffle)
        warp_here = device.type == "cpu"
        self.source = CropSource(people, rules, augmentation, loading.seed, warp_here, patches, extra)
        self.loader = DataLoader(
            self.source,
            batch_size=None,
            sampler=self.order,
            num_workers=loading.workers,
            collate_fn=_as_is,
            pin_memory=not warp_here,
            persistent_workers=loading.workers > 0,
            prefetch_factor=4 if loading.workers else None,
            worker_init_fn=_be_one_thread,
            generator=torch.Generator(),  # its own, so that starting an epoch draws nothing from the global one
        )

    def __len__(self) -> int:
        return len(self.order)

    def epoch(self, number: int, start: int = 0) -> Iterator[dict[str, Tensor]]:
        self.order.epoch, self.order.start = number, start
        for raw in self.loader:
            yield self._prepare(raw)

    def batch(self, rows: np.ndarray) -> dict[str, Tensor]:
        """The batch of these rows in epoch 0, made here and now."""
        return self._prepare(self.source[0, rows])

    def _prepare(self, raw: Raw) -> dict[str, Tensor]:
        for image, reason in raw["unreadable"].items():
            if self.unreadable.setdefault(self.people.images.name(image), reason) is reason:
                log.warning("Image %d that cannot be read: %s", len(self.unreadable), reason)
        pixels = raw["pixels"]
        if isinstance(pixels, Windows):
            crop = warp(pixels.to(self.device), self.rules.size)
        else:
            crop = pixels.to(self.device, non_blocking=True)
        names = ("keypoints", "visibility", "to_image", "index")
        batch = {name: raw[name].to(self.device, non_blocking=True) for name in names}
        batch |= {name: tensor.to(self.device, non_blocking=True) for name, tensor in raw["extra"].items()}
        colours = raw["colours"].to(self.device, non_blocking=True)
        if colours.shape[1]:
            gain, offset = colours[:, 0, None, None], colours[:, 1, None, None]
            crop = ((crop - 127.5) * gain + (127.5 + offset)).clamp(0, 255)
        return {"image": self.normalization.apply(crop), **batch}


def _as_is(raw: Any) -> Any:
    return raw


def _be_one_thread(_worker: int) -> None:
    """Workers are the parallelism: threads inside them would only fight over the cores.

    What they inherit is never garbage, and collecting it would copy every page of it.
    """
    gc.freeze()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
