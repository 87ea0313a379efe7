"""The one record every 2D dataset gives: people in images, as columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np

from anypose.shapes import check_shape
from anypose.skeleton import Skeleton

Split = Literal["train", "validation"]

# COCO's, from 5,000 images annotated twice; in the order of skeleton coco_17.
_SIGMA_PAIRS = (0.025, 0.035, 0.079, 0.072, 0.062, 0.107, 0.087, 0.089)  # eyes ... ankles
COCO_SIGMAS = (0.026, *(sigma for sigma in _SIGMA_PAIRS for _side in range(2)))
COCO_UPPER = tuple(range(11))


class Images(Protocol):
    """Where the pixels of a dataset come from; workers get a copy of it."""

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """What the image is called in messages."""
        ...

    def read(self, index: int, reduce: int = 1) -> np.ndarray:
        """(ceil(H / reduce), ceil(W / reduce), 3) uint8 RGB; `reduce` is 1, 2, 4 or 8."""
        ...


@dataclass(frozen=True, eq=False)
class People:
    """P people in I images: one split of a dataset. A row is a person (or a detector's box); rows of an image adjoin.

    Attributes:
        images: where the pixels are.
        image_ids: (I,) int64, as the annotation file numbers them.
        image_sizes: (I, 2) int64 height and width [px].
        image: (P,) int64 row of each person's image.
        ids: (P,) int64 annotation number; -1 for a detector's box.
        box_xyxy: (P, 4) float64 left, top, right, bottom [px].
        box_scores: (P,) float64 the detector's score; 1 for a ground-truth box.
        keypoints: (P, K, 2) float64 [px]; anything where `visibility` is 0.
        visibility: (P, K) int64 2 visible, 1 hidden but labelled, 0 not labelled.
        skeleton: what the K keypoints are.
        sigmas: (K,) float64 how far annotators scatter, relative to the person's size (OKS).
        upper: indices of the keypoints of the upper body, for half-body crops; may be empty.
        box_source: whose boxes these are, as printed with every score: "ground truth", "detections x.json (AP 56.4)".
        truth: what a metric needs beyond the columns: {"coco": the annotations as a COCO dictionary} or
            {"head_sizes": (P,) [px]}; "silhouettes", a function that reads {annotation id: segmentation}; "joints"
            (P, 17, 3) h36m_17 in the camera frame [m] and "lenses" (I, 3) focal length and centre [px] where they
            are known.
    """

    images: Images
    image_ids: np.ndarray
    image_sizes: np.ndarray
    image: np.ndarray
    ids: np.ndarray
    box_xyxy: np.ndarray
    box_scores: np.ndarray
    keypoints: np.ndarray
    visibility: np.ndarray
    skeleton: Skeleton
    sigmas: np.ndarray
    upper: tuple[int, ...]
    box_source: str
    truth: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        people, keypoints = len(self.image), self.skeleton.num_joints
        for name, shape in {
            "ids": ("P",),
            "box_xyxy": ("P", 4),
            "box_scores": ("P",),
            "keypoints": ("P", "K", 2),
            "visibility": ("P", "K"),
            "sigmas": ("K",),
        }.items():
            check_shape(getattr(self, name), shape, f"People.{name}", P=people, K=keypoints)
        for name in ("box_xyxy", "keypoints", "box_scores"):
            if not np.isfinite(getattr(self, name)).all():
                row = int(np.argwhere(~np.isfinite(getattr(self, name)))[0][0])
                where = self.images.name(int(self.image[row]))
                raise ValueError(f"{name} of person {self.ids[row]} in {where} hold NaN or infinity.")

    def __len__(self) -> int:
        return len(self.image)


class PeopleDataset(Protocol):
    """What a `dataset=` choice of pose2d builds. Its constructor checks paths; `people` reads.

    Attributes:
        name: e.g. "coco".
        skeleton: what the keypoints are.
        notes: departures a reader of a number must know, may be empty.
    """

    name: str
    skeleton: Skeleton
    notes: tuple[str, ...]

    def people(self, split: Split) -> People: ...


def require_people(dataset: Any, where: str) -> None:
    """Refuse a dataset of motion where people in pictures are needed.

    Args:
        where: who needs them, as the user named it.
    """
    if not hasattr(dataset, "people"):
        raise ValueError(
            f"{where} needs people in pictures, and dataset={getattr(dataset, 'name', type(dataset).__name__)} holds "
            "motion. Pictures are in coco, coco_custom, mpii, synthetic_people; rendered_motion makes some of motion."
        )


def clean_boxes(box_xywh: np.ndarray, image_size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Clip annotated boxes to their images, as microsoft and mks0601 do.

    Args:
        box_xywh: (P, 4) left, top, width, height [px].
        image_size: (P, 2) height and width [px].

    Returns:
        (P, 4) left, top, right, bottom [px], the last pixel inside the image; and (P,) bool, what is left of
        the box has an extent.
    """
    x, y, width, height = box_xywh.T
    left, top = np.maximum(x, 0), np.maximum(y, 0)
    right = np.minimum(image_size[:, 1] - 1, left + np.maximum(0, width - 1))
    bottom = np.minimum(image_size[:, 0] - 1, top + np.maximum(0, height - 1))
    usable = (right >= left) & (bottom >= top) & ((right > left) | (bottom > top))
    return np.stack([left, top, right, bottom], axis=1), usable


def coco_annotation(
    number: int, image_id: int, keypoints: np.ndarray, visibility: np.ndarray, box_xywh: np.ndarray, area: float
) -> dict[str, Any]:
    """One person in COCO's form, of (K, 2) keypoints, (K,) visibility and a (4,) box [px]."""
    return {
        "id": number,
        "image_id": image_id,
        "category_id": 1,
        "iscrowd": 0,
        "num_keypoints": int((visibility > 0).sum()),
        "keypoints": np.column_stack([keypoints, visibility]).round(2).ravel().tolist(),
        "bbox": box_xywh.tolist(),
        "area": area,
    }


def coco_truth(images: list[dict[str, Any]], annotations: list[dict[str, Any]]) -> dict[str, Any]:
    """A COCO dictionary of people."""
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}


def is_person(visibility: np.ndarray) -> np.ndarray:
    """(P,) bool: who has at least one labelled keypoint."""
    return np.asarray((visibility > 0).any(axis=1))
