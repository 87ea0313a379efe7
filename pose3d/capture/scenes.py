"""Batches for networks that see everyone in a crop: pixels of `pose2d.images.crops`, annotations of all around.

The crop of one person usually shows others. Workers hand over pixels, masks and who is there; keypoints are looked up
on the device, and targets are drawn where they are used.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from pose2d.images.crops import Crops
from pose2d.people import People
from pose3d.capture.layout import BODY
from pose3d.capture.people import Targets
from pose3d.capture.region_masks import RegionMasks

Batch = dict[str, Tensor]
ASSUMED_FOCAL = 1.2  # of the longer side of an image whose camera is unknown: a field of view of 45 degrees


class Company:
    """Implements `pose2d.images.crops.Extra`: "mask" (B, 1, h, w), "members" (B, P) rows of everyone in each image.

    The crop's own person comes first; -1 stands for nobody. P is what the batch needs, so no device has to be asked.

    Args:
        masks: makes the masks.
        image: (N,) row of the image that each row of the crops is of.
        own: (N,) row of the person that it shows; -1 where it shows a whole image.
        people: everyone.
    """

    def __init__(self, masks: RegionMasks, image: np.ndarray, own: np.ndarray, people: People) -> None:
        self.masks, self.image, self.own = masks, image, own
        self.table = _members(people.image, len(people.image_ids))

    def __call__(self, rows: np.ndarray, to_image: np.ndarray) -> dict[str, Tensor]:
        own = self.own[rows, None]
        others = self.table[self.image[rows]]
        others = np.where(others == own, -1, others)
        most = 1 + int(np.flatnonzero((others >= 0).any(axis=0)).max(initial=-1))
        members = np.concatenate([own, others[:, :most]], axis=1)
        return {**self.masks(rows, to_image), "members": torch.from_numpy(members)}


class Scenes:
    """Implements `anypose.engine.task.Batches`.

    A batch is that of `crops` ("image", "to_image", "index", "mask", "members"), and of its members: "keypoints"
    (B, P, J, 2) [crop px]; "labelled" (B, P, J) bool; "directions" (B, P, L, 3) unit vectors in the crop's axes;
    "spatial" (B, P) bool, whether their z is known; "boxes" (B, P, 4) left, top, right, bottom [image px], of no extent
    for nobody. "lens" (B, 3) is the focal length and the centre of the image [image px], "source" (B,) the number of
    the dataset it is from, where several are mixed.

    Args:
        crops: makes the pixels; its `extra` is a `Company` of `people`.
        people: everyone annotated, in the same images.
        targets: what `people` teach.
        device: where the batches are.
    """

    def __init__(self, crops: Crops, people: People, targets: Targets, device: torch.device) -> None:
        self.crops = crops

        def table(array: np.ndarray) -> Tensor:
            return torch.from_numpy(array.astype(np.float32) if array.dtype.kind == "f" else array).to(device)

        first, second = zip(*BODY.limbs, strict=True)
        offsets = targets.joints[:, second] - targets.joints[:, first]
        lengths = np.linalg.norm(offsets, axis=-1, keepdims=True)
        self.directions = table(np.nan_to_num(offsets / np.maximum(lengths, 1e-9)))
        self.keypoints, self.labelled = table(targets.keypoints), table(targets.labelled)
        self.spatial, self.boxes = table(targets.spatial), table(people.box_xyxy)
        self.sources = table(sources_of(people))
        self.lenses, self.image_of_row = table(lenses_of(people)), table(np.asarray(crops.people.image))
        self.first, self.second = table(np.array(first)), table(np.array(second))
        self.flip_joints, self.flip_limbs = table(np.array(BODY.flip_joints)), table(np.array(BODY.flip_limbs))

    def __len__(self) -> int:
        return len(self.crops)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        for batch in self.crops.epoch(number, start):
            images = self.image_of_row[batch["index"]]
            known = {"lens": self.lenses[images], "source": self.sources[images]}
            yield batch | self.annotations(batch["members"], batch["to_image"]) | known

    def annotations(self, members: Tensor, to_image: Tensor) -> Batch:
        """What is known of (B, P) members of crops cut out by (B, 2, 3) matrices from crop to image pixels."""
        there, picked = members >= 0, members.clamp_min(0)
        inverse, turn, mirrored = _inverse(to_image[:, :, :2])
        # No matrix products: on some devices those round their factors to ten bits.
        away = self.keypoints[picked] - to_image[:, None, None, :, 2]
        keypoints = (away[..., None, :] * inverse[:, None, None]).sum(-1)
        directions = self.directions[picked]
        planar = (directions[..., None, :2] * turn[:, None, None]).sum(-1)
        directions = torch.cat([planar, directions[..., 2:]], dim=-1)
        labelled = self.labelled[picked] & there[..., None]
        mirrored = mirrored[:, None, None]
        keypoints = torch.where(mirrored[..., None], keypoints[:, :, self.flip_joints], keypoints)
        labelled = torch.where(mirrored, labelled[:, :, self.flip_joints], labelled)
        directions = torch.where(mirrored[..., None], directions[:, :, self.flip_limbs], directions)
        along = keypoints[:, :, self.second] - keypoints[:, :, self.first]
        along = along / along.norm(dim=-1, keepdim=True).clamp_min(1e-6)
        flat = torch.cat([along, torch.zeros_like(along[..., :1])], dim=-1)
        spatial = self.spatial[picked] & there
        return {
            "keypoints": keypoints,
            "labelled": labelled,
            "directions": torch.where(spatial[..., None, None], directions, flat),
            "spatial": spatial,
            "boxes": self.boxes[picked] * there[..., None],
        }


def _inverse(linear: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of (B, 2, 2) maps: the inverses, these without their scale, and (B,) whether they mirror."""
    a, b, c, d = (linear[:, i, j] for i in range(2) for j in range(2))
    determinant = a * d - b * c
    inverse = torch.stack([d, -b, -c, a], dim=1).view(-1, 2, 2) / determinant[:, None, None]
    return inverse, inverse * determinant.abs().sqrt()[:, None, None], determinant < 0


def lenses_of(people: People) -> np.ndarray:
    """(I, 3) focal length and centre of every image [px]; where nobody knows, `ASSUMED_FOCAL` and the middle."""
    height, width = people.image_sizes.T.astype(np.float64)
    assumed = np.stack([ASSUMED_FOCAL * np.maximum(height, width), (width - 1) / 2, (height - 1) / 2], axis=1)
    known = people.truth.get("lenses")
    return assumed if known is None else np.where(np.isnan(known), assumed, known)


def sources_of(people: People) -> np.ndarray:
    """(I,) number of the dataset that each image is from; 0 where all are from one."""
    return np.asarray(people.truth.get("sources", np.zeros(len(people.image_ids), np.int64)))


def _members(image: np.ndarray, images: int) -> np.ndarray:
    """(I, most people in an image) rows of each image's people, -1 beyond the last."""
    counts = np.bincount(image, minlength=images)
    table = np.full((images, max(1, int(counts.max(initial=0)))), -1)
    order = np.argsort(image, kind="stable")
    place = np.arange(len(image)) - np.repeat(np.cumsum(counts) - counts, counts)
    table[image[order], place] = order
    return table
