"""Silhouettes in COCO's segmentation forms: polygons, run lengths as numbers, run lengths as text."""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import Any

import numpy as np

from pose2d.images.json_files import numbers, shown

_BEYOND = 4  # so many times the image's side a polygon may reach; pycocotools takes memory for all of it


def check_silhouette(segmentation: Any, height: int, width: int, where: str) -> None:
    """Refuse what is no segmentation of an image of that size, before pycocotools takes memory for it.

    Args:
        segmentation: [[x, y, x, y, ...], ...] or {"size": [height, width], "counts": [...] or text}.
        height, width: of the image [px].
        where: whose it is, for messages.
    """
    if isinstance(segmentation, dict):
        size = numbers(segmentation.get("size"), 2, f"{where}: size of the segmentation")
        counts = segmentation.get("counts")
        if size.tolist() != [height, width]:
            raise ValueError(
                f"{where}: the segmentation is for {size[1]:g}x{size[0]:g} px, its image has {width}x{height}."
            )
        if isinstance(counts, list):
            runs = numbers(counts, len(counts), f"{where}: counts of the segmentation")
        elif isinstance(counts, str):
            runs = np.array(run_lengths(counts, where))
        else:
            raise ValueError(f"{where}: counts of the segmentation must be numbers or text, got {shown(counts)}.")
        if (runs < 0).any() or runs.sum() != height * width:
            raise ValueError(
                f"{where}: the segmentation's runs must fill the image's {height * width} pixels, they are "
                f"{runs.sum():g} with a least of {runs.min(initial=0):g}."
            )
        return
    if not isinstance(segmentation, list):
        raise ValueError(f"{where}: segmentation must be polygons or runs, got {shown(segmentation)}.")
    for polygon in segmentation:
        if not isinstance(polygon, list) or len(polygon) % 2:
            raise ValueError(f"{where}: a polygon must be x, y, x, y, ..., got {shown(polygon)}.")
        points = numbers(polygon, len(polygon), f"{where}: a polygon") if polygon else np.zeros(0)
        if np.abs(points).max(initial=0) > _BEYOND * max(height, width):
            raise ValueError(
                f"{where}: a polygon reaches to {np.abs(points).max():g}, far outside {width}x{height} px."
            )


def run_lengths(text: str, where: str) -> list[int]:
    """The numbers in COCO's text of run lengths: five bits a letter, from the third on as differences to two before."""
    runs: list[int] = []
    place = 0
    while place < len(text):
        number, shift, more = 0, 0, True
        while more:
            letter = ord(text[place]) - 48 if place < len(text) else -1
            if not 0 <= letter < 64 or shift > 60:
                raise ValueError(f"{where}: the segmentation's text is damaged at letter {place}.")
            number |= (letter & 31) << shift
            more, shift, place = bool(letter & 32), shift + 5, place + 1
            if not more and letter & 16:
                number |= -1 << shift
        runs.append(number + runs[-2] if len(runs) > 2 else number)
    return runs


def silhouette(annotation: dict[str, Any], height: int, width: int) -> np.ndarray:
    """(height, width) float32, 1 on the annotated person; on the box where there is no segmentation."""
    segmentation = annotation.get("segmentation")
    if isinstance(segmentation, list):  # two points are no area, and pycocotools takes four numbers for a box
        segmentation = [polygon for polygon in segmentation if len(polygon) >= 6]
    if not segmentation:
        covered = np.zeros((height, width), np.float32)
        x, y, w, h = annotation["bbox"]
        covered[max(0, int(y)) : max(0, int(np.ceil(y + h))), max(0, int(x)) : max(0, int(np.ceil(x + w)))] = 1
        return covered
    mask = _coco_mask()
    if isinstance(segmentation, list):
        encoded = mask.merge(mask.frPyObjects(segmentation, height, width))
    elif isinstance(segmentation["counts"], list):
        encoded = mask.frPyObjects(segmentation, height, width)
    else:
        encoded = segmentation
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of how pycocotools 2.0 makes numpy arrays
        return mask.decode(encoded).astype(np.float32)


@lru_cache
def _coco_mask() -> Any:
    try:
        from pycocotools import mask
    except ImportError as error:
        raise ImportError("COCO's silhouettes need pycocotools: pip install 'anypose[image]'.") from error
    return mask
