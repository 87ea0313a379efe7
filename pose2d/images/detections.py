"""The boxes a person detector found, in COCO's result form, checked where they enter."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pose2d.images.coco_files import Reading
from pose2d.images.image_files import ImageFiles
from pose2d.images.json_files import fields, numbers, read_json, whole
from pose2d.people import People, Split
from pose2d.scores.average_precision import pycocotools_statistics


def with_boxes(people: People, split: Split, file: Path, boxes: str, min_score: float, reading: Reading) -> People:
    """The people with the boxes that `dataset.boxes` names: annotated ones, or in validation a detector's file."""
    if split == "train" or boxes == "ground_truth":
        return people
    return read_detections(file, people, min_score, f"dataset.boxes={boxes}", reading.max_megabytes)


def read_detections(path: Path, people: People, min_score: float, setting: str, max_megabytes: float) -> People:
    """The boxes a person detector found in the images of `people`, instead of the annotated ones.

    The file is COCO's result format: a list of {image_id, category_id, bbox, score}. Boxes are not clipped.

    Raises:
        ValueError: where boxes belong to images that the annotations lack; scoring them would give AP -1 or
            false alarms.
    """
    kept = _kept(read_json(path, setting, max_megabytes), path, min_score)
    row_of = {image_id: row for row, image_id in enumerate(people.image_ids.tolist())}
    strange = {f["image_id"] for f in kept} - row_of.keys()
    if strange:
        raise ValueError(
            f"{path} has boxes in {len(strange)} images that the annotations lack, e.g. image {min(strange)}. "
            "Boxes of another split than the annotations? (Scored as they are, COCO's AP would be -1 or far too low.)"
        )
    boxes = np.array([f["bbox"] for f in kept], dtype=np.float64).reshape(-1, 4)
    extent = (boxes[:, 2:] > 0).any(axis=1) & (boxes[:, 2:] >= 0).all(axis=1)
    if not len(kept) or not extent.all():
        flat = f"{(~extent).sum()} of {len(kept)} boxes without extent" if len(kept) else "no box of a person"
        raise ValueError(f"{path} has {flat} above dataset.min_box_score={min_score}.")
    image = np.array([row_of[f["image_id"]] for f in kept], dtype=np.int64)
    order = np.argsort(image, kind="stable")
    boxes, kept = boxes[order], [kept[i] for i in order]
    if isinstance(people.images, ImageFiles):
        people.images.require(image)
    precision = box_precision(people.truth["coco"], kept)
    K = people.skeleton.num_joints
    return replace(
        people,
        image=image[order],
        ids=np.full(len(kept), -1, dtype=np.int64),
        box_xyxy=np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1),
        box_scores=np.array([f["score"] for f in kept], dtype=np.float64),
        keypoints=np.zeros((len(kept), K, 2)),
        visibility=np.zeros((len(kept), K), dtype=np.int64),
        box_source=f"detections {path.name} (box AP {100 * precision:.1f})",
    )


def _kept(found: Any, path: Path, min_score: float) -> list[dict[str, Any]]:
    """The entries of people who score more, their numbers checked."""
    if not isinstance(found, list) or not all(
        isinstance(f, dict) and {"image_id", "bbox", "score"} <= f.keys() for f in found
    ):
        raise ValueError(f"{path} must be a list of {{image_id, category_id, bbox, score}}, COCO's result format.")
    kept = []
    for number, entry in enumerate(found):
        if entry.get("category_id", 1) == 1:
            where = f"{path}: entry {number}"
            score = float(numbers(entry["score"], 1, f"{where}: score")[0])
            box = numbers(entry["bbox"], 4, f"{where}: bbox").tolist()
            image = whole(fields(entry, ["image_id"], where)["image_id"], f"{where}: image_id")
            if score > min_score:
                kept.append({"image_id": image, "bbox": box, "score": score})
    return kept


def box_precision(truth: dict[str, Any], boxes: list[dict[str, Any]]) -> float:
    """Person AP of detector boxes in 0..1, by pycocotools: a pose AP means little without it."""
    names = ("image_id", "bbox", "score")
    results = [{"category_id": 1, **{key: box[key] for key in names}} for box in boxes]
    return float(pycocotools_statistics(truth, results, "bbox", None)[0])
