"""Annotations in COCO's JSON, every field checked where it enters."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from anypose.skeleton import Skeleton
from pose2d.images.decoding import MEGAPIXELS
from pose2d.images.image_files import ImageFiles
from pose2d.images.json_files import MEGABYTES, fields, file_name, numbers, read_json, shown, whole
from pose2d.images.silhouettes import check_silhouette
from pose2d.people import People, clean_boxes, coco_truth, is_person

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reading:
    """How a dataset's files are read.

    Attributes:
        orientation: see `pose2d.images.image_files.ImageFiles`.
        max_megapixels: larger images are not decoded.
        max_megabytes: larger JSON files are not read.
    """

    orientation: str = "stored"
    max_megapixels: float = MEGAPIXELS
    max_megabytes: float = MEGABYTES


def read_annotations(
    path: Path,
    skeleton: Skeleton,
    setting: str,
    reading: Reading,
    category: int = 1,
    silhouettes: bool = False,
) -> dict[str, Any]:
    """A COCO annotation file, reduced to what is needed, each entry checked.

    Args:
        path: the file.
        skeleton: what its K keypoints must be.
        setting: how the user named the file.
        reading: how large files and images may be.
        category: whose annotations to keep; they become category 1.
        silhouettes: keep everyone's segmentation, not only that of crowds and of people without keypoints.

    Returns:
        {"images": [...], "annotations": [...], "categories": [...]}; an annotation without `area` is given its
        box's; `num_keypoints` is counted. Where ids start at 0 all are one higher: for COCO's evaluation 0 is nobody.
    """
    content = read_json(path, setting, reading.max_megabytes)
    for key in ("images", "annotations"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise ValueError(f"{path} must be COCO annotations with a list '{key}'.")
    if not content["images"]:
        raise ValueError(f"{path} has no images.")
    _check_names(content.get("categories"), category, skeleton, path)
    images = [_image(image, f"{path}: image {number}", reading) for number, image in enumerate(content["images"])]
    _unique([image["id"] for image in images], f"{path}: images")
    sizes = {image["id"]: (image["height"], image["width"]) for image in images}
    annotations, miscounted, others = [], 0, Counter[str]()
    for number, entry in enumerate(content["annotations"]):
        needed = fields(entry, ["id", "image_id", "bbox"], f"{path}: annotation number {number}")
        if needed.get("category_id", category) != category:
            others[shown(needed["category_id"])] += 1
            continue
        kept = _annotation(needed, skeleton.num_joints, path)
        size = sizes.get(kept["image_id"])
        if size is None:
            raise ValueError(
                f"{path}: annotation {kept['id']} is of image {kept['image_id']}, which the file does not list."
            )
        miscounted += needed.get("num_keypoints", kept["num_keypoints"]) != kept["num_keypoints"]
        # Silhouettes are most of the file; of people without keypoints they say where a loss must not look.
        if "segmentation" in needed and (silhouettes or kept["iscrowd"] or kept["num_keypoints"] == 0):
            kept["segmentation"] = needed["segmentation"]
            check_silhouette(kept["segmentation"], *size, f"{path}: annotation {kept['id']}")
        annotations.append(kept)
    if others and not annotations:
        found = ", ".join(f"{count} of {number}" for number, count in others.most_common(5))
        raise ValueError(
            f"{path}: no annotation is of category {category}, there are {found}. With dataset=coco_custom "
            "dataset.category= says which are people; with the others people are 1."
        )
    _unique([annotation["id"] for annotation in annotations], f"{path}: annotations")
    if any(annotation["id"] == 0 for annotation in annotations):
        log.warning("%s: ids of annotations start at 0; here each is one higher.", path)
        annotations = [annotation | {"id": annotation["id"] + 1} for annotation in annotations]
    if miscounted:
        log.warning(
            "%s: num_keypoints of %d annotations is not how many are labelled; they were counted anew.",
            path,
            miscounted,
        )
    return coco_truth(images, annotations)


def _image(image: Any, where: str, reading: Reading) -> dict[str, Any]:
    given = fields(image, ["id", "file_name", "height", "width"], where)
    height, width = (whole(given[side], f"{where}: {side}", 1) for side in ("height", "width"))
    if height * width > 1e6 * reading.max_megapixels:
        raise ValueError(
            f"{where} is {width}x{height} px; images of up to dataset.max_megapixels={reading.max_megapixels:g} are "
            "read. Raise that if it is meant to be so large."
        )
    name = file_name(given["file_name"], f"{where}: file_name")
    return {"id": whole(given["id"], f"{where}: id"), "file_name": name, "height": height, "width": width}


def _annotation(entry: dict[str, Any], num_keypoints: int, path: Path) -> dict[str, Any]:
    number = whole(entry["id"], f"{path}: id of an annotation", 0)
    where = f"{path}: annotation {number}"
    given = entry.get("keypoints", [0] * (3 * num_keypoints))
    if isinstance(given, list) and len(given) != 3 * num_keypoints:
        raise ValueError(f"{where} has {len(given) / 3:g} keypoints, the dataset's skeleton has {num_keypoints}.")
    keypoints = numbers(given, 3 * num_keypoints, f"{where}: keypoints")
    flags, crowd = keypoints[2::3], entry.get("iscrowd") or 0
    if (flags * (flags - 1) * (flags - 2)).any():
        strange = next(flag for flag in flags if flag not in (0, 1, 2))
        raise ValueError(
            f"{where}: each keypoint is x, y and 0 (not labelled), 1 (hidden) or 2 (visible); got {strange:g}. "
            "Certainties are no labels: round them by a threshold of your own."
        )
    try:
        box = numbers(entry["bbox"], 4, "bbox").tolist()
    except ValueError as error:
        raise ValueError(f"{where} needs a box of four numbers and no NaN, got bbox {shown(entry['bbox'])}.") from error
    if min(box[2:]) < 0:
        raise ValueError(f"{where} needs a box of x, y, width, height, got bbox {shown(entry['bbox'])}.")
    area = float(numbers(entry.get("area", math.prod(box[2:])), 1, f"{where}: area")[0])
    return {
        "id": number,
        "image_id": whole(entry["image_id"], f"{where}: image_id"),
        "category_id": 1,
        "iscrowd": int(whole(int(crowd) if isinstance(crowd, bool) else crowd, f"{where}: iscrowd") != 0),
        "keypoints": keypoints.tolist(),
        "num_keypoints": int((flags > 0).sum()),
        "bbox": box,
        "area": area,
    }


def _unique(ids: Sequence[int], what: str) -> None:
    often = [(number, count) for number, count in Counter(ids).most_common(3) if count > 1]
    if often:
        told = ", ".join(f"{number} {count} times" for number, count in often)
        raise ValueError(
            f"{what} must have an id of their own each, but there is {told}. (COCO's evaluation would count one of "
            "them only.) Files joined without new numbers?"
        )


def _check_names(categories: Any, category: int, skeleton: Skeleton, path: Path) -> None:
    """Refuse a file that names its keypoints as the skeleton does, in another order."""
    for entry in categories if isinstance(categories, list) else ():
        if isinstance(entry, dict) and entry.get("id") == category and isinstance(entry.get("keypoints"), list):
            given = [str(name).lower().replace(" ", "_").replace("ankle", "foot") for name in entry["keypoints"]]
            if sorted(given) == sorted(skeleton.joints) and given != list(skeleton.joints):
                raise ValueError(
                    f"{path} has the keypoints of {skeleton.name} in another order: {', '.join(given)}. They are read "
                    f"as {', '.join(skeleton.joints)}. Describe yours with dataset=coco_custom."
                )


def annotated_people(
    truth: dict[str, Any],
    folder: Path,
    skeleton: Skeleton,
    sigmas: Sequence[float],
    upper: tuple[int, ...],
    name: str,
    reading: Reading,
) -> People:
    """The people of `truth` that a network can learn from: no crowds, a labelled keypoint, a box inside the image.

    Args:
        truth: what `read_annotations` returned.
        folder: of the images; those with people in them must be there.
        skeleton, sigmas, upper: see `People`.
        name: where the annotations are from, for messages.
        reading: how the images are read.
    """
    row_of = {image["id"]: row for row, image in enumerate(truth["images"])}
    sizes = np.array([[image["height"], image["width"]] for image in truth["images"]], dtype=np.int64)
    chosen = [a for a in truth["annotations"] if not a["iscrowd"] and a["num_keypoints"] > 0]
    image = np.array([row_of[a["image_id"]] for a in chosen], dtype=np.int64)
    keypoints = np.array([a["keypoints"] for a in chosen], dtype=np.float64).reshape(-1, skeleton.num_joints, 3)
    visibility = keypoints[:, :, 2].astype(np.int64)
    box_xyxy, usable = _usable(chosen, keypoints, sizes[image], name)
    rows = np.flatnonzero(usable & is_person(visibility))
    if len(rows) == 0:
        raise ValueError(
            f"{name} has no person with labelled keypoints ({len(truth['annotations'])} annotations, "
            f"{len(truth['images'])} images). Annotations of a test set?"
        )
    rows = rows[np.argsort(image[rows], kind="stable")]
    names = [i["file_name"] for i in truth["images"]]
    images = ImageFiles(folder, names, sizes, reading.orientation, reading.max_megapixels)
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


def _usable(
    chosen: list[dict[str, Any]], keypoints: np.ndarray, sizes: np.ndarray, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """(P, 4) boxes inside the images [px], and (P,) whose has an area there; the others are named in the log."""
    boxes = np.array([a["bbox"] for a in chosen], dtype=np.float64).reshape(-1, 4)
    box_xyxy, usable = clean_boxes(boxes, sizes)
    usable &= np.array([a["area"] > 0 for a in chosen], dtype=bool)
    if not usable.all():
        lost = [chosen[i]["id"] for i in np.flatnonzero(~usable)]
        log.warning(
            "%s: the boxes of %d of %d people have no area inside their image and are left out (annotations %s%s).",
            *(name, len(lost), len(chosen), ", ".join(map(str, lost[:5])), ", ..." if len(lost) > 5 else ""),
        )
    _check_places(keypoints[usable], boxes[usable], sizes[usable], name)
    return box_xyxy, usable


def _check_places(keypoints: np.ndarray, boxes: np.ndarray, sizes: np.ndarray, name: str) -> None:
    """Refuse keypoints that are not where the boxes are, and say where boxes are not where the images are.

    Args:
        keypoints: (P, K, 3) of everyone.
        boxes: (P, 4) x, y, width, height.
        sizes: (P, 2) height and width of their images [px].
        name: where they are from.
    """
    low, extent = boxes[:, None, :2], boxes[:, None, 2:]
    labelled = keypoints[..., 2] > 0
    if not len(boxes):
        return
    near = (np.abs(keypoints[..., :2] - low - extent / 2) <= extent).all(-1) & labelled
    shares = near.sum(1) / np.maximum(labelled.sum(1), 1)
    if np.median(shares) < 0.5:
        worst = int(np.argmin(shares))
        place = keypoints[worst, labelled[worst], :2][0].round(2).tolist()
        raise ValueError(
            f"{name}: the labelled keypoints of {np.mean(shares < 0.5):.0%} of the people are not where their boxes "
            f"are, e.g. {place} with bbox {boxes[worst].tolist()}. Both are in pixels of the image; a bbox is x, y, "
            "width, height."
        )
    middle = sizes[:, None, ::-1] / 2
    away = (np.abs(keypoints[..., :2] - middle) > 3 * middle).any(-1) & labelled
    if away.any():
        log.warning("%s: %d labelled keypoints lie farther outside than their image is large.", name, away.sum())
    beyond = np.asarray((low[:, 0] + extent[:, 0] > 1.1 * sizes[:, ::-1]).any(-1))
    if beyond.mean() > 0.1:
        log.warning(
            "%s: the boxes of %d of %d people reach far beyond their images. A bbox is x, y, width, height, not two "
            "corners.",
            *(name, beyond.sum(), len(beyond)),
        )
