"""Annotations and detector results in COCO's JSON, checked where they enter."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from anypose.skeleton import Skeleton
from pose2d.images.image import ImageFiles
from pose2d.people import People, clean_boxes, is_person
from pose2d.scores.average_precision import pycocotools_statistics

log = logging.getLogger(__name__)


def read_json(path: Path, setting: str) -> Any:
    """What a JSON file holds; `setting` is how the user named it."""
    if not path.is_file():
        near = sorted(p.name for p in path.parent.glob("*.json")) if path.parent.is_dir() else []
        found = f"It has {', '.join(near)}." if near else f"There is no JSON file in {path.parent}."
        raise FileNotFoundError(f"{setting} needs {path}, which does not exist. {found}")
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is no valid JSON: {error}. Fetch it again.") from error


def read_annotations(
    path: Path, num_keypoints: int, setting: str, category: int = 1, silhouettes: bool = False
) -> dict[str, Any]:
    """A COCO annotation file, reduced to what is needed, each entry checked.

    Args:
        path: the file.
        num_keypoints: K of the dataset's skeleton.
        setting: how the user named the file.
        category: whose annotations to keep; they become category 1.
        silhouettes: keep everyone's segmentation, not only that of crowds and of people without keypoints.

    Returns:
        {"images": [...], "annotations": [...], "categories": [...]}; an annotation without `area` is given its
        box's, one without `num_keypoints` its count.
    """
    content = read_json(path, setting)
    for key in ("images", "annotations"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise ValueError(f"{path} must be COCO annotations with a list '{key}'.")
    if not content["images"]:
        raise ValueError(f"{path} has no images.")
    try:
        names = ("id", "file_name", "height", "width")
        images = [{key: image[key] for key in names} for image in content["images"]]
        known = {image["id"] for image in images}
        annotations = []
        for entry in content["annotations"]:
            if entry.get("category_id", category) != category:
                continue
            kept: dict[str, Any] = {key: entry[key] for key in ("id", "image_id", "bbox")} | {"category_id": 1}
            kept["iscrowd"] = entry.get("iscrowd", 0)
            kept["keypoints"] = entry.get("keypoints", [0] * (3 * num_keypoints))
            labelled = sum(flag > 0 for flag in kept["keypoints"][2::3])
            kept["num_keypoints"] = entry.get("num_keypoints", labelled)
            kept["area"] = entry.get("area", math.prod(entry["bbox"][2:]))
            # Silhouettes are most of the file; of people without keypoints they say where a loss must not look.
            if "segmentation" in entry and (silhouettes or kept["iscrowd"] or kept["num_keypoints"] == 0):
                kept["segmentation"] = entry["segmentation"]
            _check_annotation(kept, num_keypoints, known, path)
            annotations.append(kept)
    except KeyError as error:
        raise ValueError(
            f"{path}: an entry lacks {error}; COCO's form has it in every image and annotation."
        ) from error
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}


def _check_annotation(annotation: dict[str, Any], num_keypoints: int, images: set[int], path: Path) -> None:
    where = f"{path}: annotation {annotation['id']}"
    if len(annotation["keypoints"]) != 3 * num_keypoints:
        raise ValueError(
            f"{where} has {len(annotation['keypoints']) / 3:g} keypoints, the dataset's skeleton has {num_keypoints}."
        )
    if annotation["image_id"] not in images:
        raise ValueError(f"{where} is of image {annotation['image_id']}, which the file does not list.")
    numbers = [*annotation["keypoints"], *annotation["bbox"], annotation["area"]]
    if len(annotation["bbox"]) != 4 or not np.isfinite(np.array(numbers, dtype=np.float64)).all():
        raise ValueError(f"{where} needs a box of four numbers and no NaN, got bbox {annotation['bbox']}.")


def annotated_people(
    truth: dict[str, Any],
    folder: Path,
    skeleton: Skeleton,
    sigmas: Sequence[float],
    upper: tuple[int, ...],
    name: str,
) -> People:
    """The people of `truth` that a network can learn from: no crowds, a labelled keypoint, a box inside the image.

    Args:
        truth: what `read_annotations` returned.
        folder: of the images; those with people in them must be there.
        skeleton, sigmas, upper: see `People`.
        name: where the annotations are from, for messages.
    """
    row_of = {image["id"]: row for row, image in enumerate(truth["images"])}
    sizes = np.array([[image["height"], image["width"]] for image in truth["images"]], dtype=np.int64)
    chosen = [a for a in truth["annotations"] if not a["iscrowd"] and a["num_keypoints"] > 0]
    image = np.array([row_of[a["image_id"]] for a in chosen], dtype=np.int64)
    keypoints = np.array([a["keypoints"] for a in chosen], dtype=np.float64).reshape(-1, skeleton.num_joints, 3)
    boxes = np.array([a["bbox"] for a in chosen], dtype=np.float64).reshape(-1, 4)
    box_xyxy, usable = clean_boxes(boxes, sizes[image])
    usable &= np.array([a["area"] > 0 for a in chosen], dtype=bool)
    visibility = keypoints[:, :, 2].astype(np.int64)
    if not usable.all():
        lost = [chosen[i]["id"] for i in np.flatnonzero(~usable)]
        log.warning(
            "%s: the boxes of %d of %d people have no area inside their image and are left out (annotations %s%s).",
            *(name, len(lost), len(chosen), ", ".join(map(str, lost[:5])), ", ..." if len(lost) > 5 else ""),
        )
    rows = np.flatnonzero(usable & is_person(visibility))
    if len(rows) == 0:
        raise ValueError(
            f"{name} has no person with labelled keypoints ({len(truth['annotations'])} annotations, "
            f"{len(truth['images'])} images). Annotations of a test set?"
        )
    rows = rows[np.argsort(image[rows], kind="stable")]
    images = ImageFiles(folder, [i["file_name"] for i in truth["images"]])
    images.require(image[rows])
    return People(
        images=images,
        image_ids=np.array([i["id"] for i in truth["images"]], dtype=np.int64),
        image_sizes=sizes,
        image=image[rows],
        ids=np.array([a["id"] for a in chosen], dtype=np.int64)[rows],
        box_xyxy=box_xyxy[rows],
        box_scores=np.ones(len(rows)),
        keypoints=keypoints[rows, :, :2],
        visibility=visibility[rows],
        skeleton=skeleton,
        sigmas=np.asarray(sigmas, dtype=np.float64),
        upper=upper,
        box_source="ground truth",
        truth={"coco": truth},
    )


def read_detections(path: Path, people: People, min_score: float, setting: str) -> People:
    """The boxes a person detector found in the images of `people`, instead of the annotated ones.

    The file is COCO's result format: a list of {image_id, category_id, bbox, score}. Boxes are not clipped.

    Raises:
        ValueError: where boxes belong to images that the annotations lack; scoring them would give AP -1 or
            false alarms.
    """
    found = read_json(path, setting)
    if not isinstance(found, list) or not all(
        isinstance(f, dict) and {"image_id", "bbox", "score"} <= f.keys() for f in found
    ):
        raise ValueError(f"{path} must be a list of {{image_id, category_id, bbox, score}}, COCO's result format.")
    kept = [f for f in found if f.get("category_id", 1) == 1 and f["score"] > min_score]
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
    return People(
        images=people.images,
        image_ids=people.image_ids,
        image_sizes=people.image_sizes,
        image=image[order],
        ids=np.full(len(kept), -1, dtype=np.int64),
        box_xyxy=np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1),
        box_scores=np.array([f["score"] for f in kept], dtype=np.float64),
        keypoints=np.zeros((len(kept), K, 2)),
        visibility=np.zeros((len(kept), K), dtype=np.int64),
        skeleton=people.skeleton,
        sigmas=people.sigmas,
        upper=people.upper,
        box_source=f"detections {path.name} (box AP {100 * precision:.1f})",
        truth=people.truth,
    )


def box_precision(truth: dict[str, Any], boxes: list[dict[str, Any]]) -> float:
    """Person AP of detector boxes in 0..1, by pycocotools: a pose AP means little without it."""
    names = ("image_id", "bbox", "score")
    results = [{"category_id": 1, **{key: box[key] for key in names}} for box in boxes]
    return float(pycocotools_statistics(truth, results, "bbox", None)[0])
