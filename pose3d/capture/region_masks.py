"""Where an image's annotation cannot be trusted: people without keypoints, crowds. Made by the workers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from anypose.settings import Misuse
from pose2d.images.decoding import cv2
from pose2d.images.silhouettes import silhouette
from pose2d.people import Images, People


class RegionMasks:
    """Implements `pose2d.images.crops.Extra`: "mask" (B, 1, h, w) float32 in crop coordinates, 1 where the loss counts.

    Args:
        people: the rows that crops are made of; `people.truth["coco"]` holds the annotations, without it every mask is
            1; `people.truth["masks"]` holds finished masks, which are then taken instead; `["silhouettes"]` reads the
            silhouettes that "all" needs, which annotations do not hold.
        kind: "miss" leaves out people without keypoints, crowds and what is not in the image; "all" keeps only the
            silhouettes of people (what the Ascend port of the original seems to read); "none" trusts everything.
        size: (H, W) of the crops [px].
        stride: crop pixels a cell of the mask.
    """

    def __init__(self, people: People, kind: str, size: tuple[int, int], stride: int) -> None:
        if kind not in ("none", "miss", "all"):
            raise Misuse(f"task.mask must be none, miss or all, got {kind}.")
        self.kind, self.stride = kind, stride
        self.image, self.image_sizes = people.image, people.image_sizes
        self.cells = (size[0] // stride, size[1] // stride)
        row_of = {image_id: row for row, image_id in enumerate(people.image_ids.tolist())}
        self.files: Images | None = people.truth.get("masks")
        self.regions: dict[int, list[dict[str, Any]]] = {}
        if self.files is not None:
            return
        outlines = people.truth.get("silhouettes", dict)() if kind == "all" else {}
        for annotation in people.truth.get("coco", {"annotations": []})["annotations"] if kind != "none" else []:
            unlabelled = annotation["iscrowd"] or annotation["num_keypoints"] == 0
            if kind == "all" and "segmentation" not in annotation:
                if annotation["id"] not in outlines:
                    raise Misuse(
                        f"task.mask=all needs the silhouette of every person; annotation {annotation['id']} has no "
                        "'segmentation'. Take task.mask=miss."
                    )
                annotation = annotation | {"segmentation": outlines[annotation["id"]]}
            if kind == "all" or unlabelled:
                self.regions.setdefault(row_of[annotation["image_id"]], []).append(annotation)

    def __call__(self, rows: np.ndarray, to_image: np.ndarray) -> dict[str, Tensor]:
        """The masks of a batch, given the (B, 2, 3) matrices from crop to image pixels."""
        height, width = self.cells
        masks = np.ones((len(rows), 1, height, width), np.float32)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        for row, image in enumerate(self.image[rows].tolist()) if self.kind != "none" else ():
            matrix = to_image[row] * [self.stride, self.stride, 1]
            masks[row, 0] = cv2.warpAffine(self._trusted(image), matrix, (width, height), flags=flags)
        return {"mask": torch.from_numpy(masks)}

    def _trusted(self, image: int) -> np.ndarray:
        """(H, W) float32 in image coordinates."""
        height, width = self.image_sizes[image].tolist()
        if self.files is not None:
            return finished_mask(self.files, image, height, width)
        covered = np.zeros((height, width), np.float32)
        for annotation in self.regions.get(image, ()):
            np.maximum(covered, silhouette(annotation, height, width), out=covered)
        return covered if self.kind == "all" else 1 - covered


def finished_mask(files: Images, image: int, height: int, width: int) -> np.ndarray:
    """(height, width) float32, 1 where the mask image is not black, as the original reads it."""
    pixels = files.read(image)
    if pixels.shape[:2] != (height, width):
        raise ValueError(f"{files.name(image)} has {pixels.shape[0]}x{pixels.shape[1]} px, its image {height}x{width}.")
    return np.asarray(pixels.max(axis=2) > 0, dtype=np.float32)


def outside_boxes(boxes: Tensor, to_image: Tensor, size: int, stride: int) -> Tensor:
    """(B, 1, size, size) 1 where a cell lies in none of the (B, P, 4) boxes [image px]."""
    cell = torch.arange(size, device=boxes.device) * float(stride)
    m = to_image[:, :, :, None, None]
    x = m[:, 0, 0] * cell + m[:, 0, 1] * cell[:, None] + m[:, 0, 2]
    y = m[:, 1, 0] * cell + m[:, 1, 1] * cell[:, None] + m[:, 1, 2]
    outside = torch.ones_like(x)
    for box in boxes.unbind(1):
        left, top, right, bottom = box[:, :, None, None].unbind(1)
        outside *= ~((x > left) & (x < right) & (y > top) & (y < bottom))
    return outside[:, None]
