"""Rendered people as JPEG files of COCO's size, in COCO's layout: something to decode, with nothing to fetch."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
from hydra.utils import instantiate

from benchmarks.training import compose
from pose2d.dataset.coco import Coco


def write_coco(folder: Path, images: int) -> Coco:
    """Render, write and open so many training images of 640x480."""
    size = {"train_images": images, "validation_images": 1, "height": 480, "width": 640, "bodies": 8}
    people = instantiate(compose(["dataset=synthetic_people"]).dataset, **size).people("train")
    for name in ("annotations", "train2017"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    truth = people.truth["coco"]
    for row, image in enumerate(truth["images"]):
        image["file_name"] = f"{row:06d}.jpg"
        pixels = cv2.cvtColor(people.images.read(row), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(folder / "train2017" / image["file_name"]), pixels, [cv2.IMWRITE_JPEG_QUALITY, 95])
    (folder / "annotations" / "person_keypoints_train2017.json").write_text(json.dumps(truth), encoding="utf-8")
    return instantiate(compose(["dataset=coco"]).dataset, root=str(folder), validation="train2017")
