"""People in images for tests of the capture network: plain grey images, keypoints where they are told to be."""

from __future__ import annotations

from typing import Any

import numpy as np

from anypose.skeleton import get_skeleton
from pose2d.people import COCO_SIGMAS, COCO_UPPER, People


class GreyImages:
    """Implements `pose2d.people.Images`."""

    def __init__(self, count: int, height: int, width: int) -> None:
        self.count, self.height, self.width = count, height, width

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        return f"grey image {index}"

    def read(self, index: int, reduce: int = 1) -> np.ndarray:
        return np.full((self.height // reduce, self.width // reduce, 3), 100 + index, np.uint8)


def make_people(image: list[int], keypoints: np.ndarray, visibility: np.ndarray, height: int, width: int) -> People:
    """People with these (P, 17, 2) keypoints in images numbered 7, 8, ...; boxes are around their keypoints."""
    count = max(image) + 1
    low, high = keypoints.min(axis=1), keypoints.max(axis=1)
    annotations: list[dict[str, Any]] = [
        {
            "id": 100 + row, "image_id": 7 + image[row], "category_id": 1, "iscrowd": 0,
            "num_keypoints": int((visibility[row] > 0).sum()), "area": float((high[row] - low[row]).prod()),
            "keypoints": np.column_stack([keypoints[row], visibility[row]]).ravel().tolist(),
            "bbox": [*low[row].tolist(), *(high[row] - low[row]).tolist()],
        }
        for row in range(len(image))
    ]  # fmt: skip
    listed = [{"id": 7 + row, "height": height, "width": width} for row in range(count)]
    return People(
        images=GreyImages(count, height, width),
        image_ids=np.arange(7, 7 + count),
        image_sizes=np.tile([height, width], (count, 1)),
        image=np.array(image),
        ids=np.arange(100, 100 + len(image)),
        box_xyxy=np.concatenate([low, high], axis=1),
        box_scores=np.ones(len(image)),
        keypoints=keypoints,
        visibility=visibility,
        skeleton=get_skeleton("coco_17"),
        sigmas=np.array(COCO_SIGMAS),
        upper=COCO_UPPER,
        box_source="ground truth",
        truth={"coco": {"images": listed, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}},
    )


def two_people() -> People:
    """Two people in one image of 60 x 80."""
    keypoints = np.random.default_rng(0).uniform(5, 55, (2, 17, 2))
    return make_people([0, 0], keypoints, np.full((2, 17), 2), 60, 80)
