"""Segmentations: what is right is drawn as pycocotools does, what is wrong never reaches it."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as coco

from pose2d.images.silhouettes import check_silhouette, run_lengths, silhouette


@pytest.mark.parametrize("seed", range(5))
def test_texts_of_runs_are_read_as_pycocotools_writes_them(seed: int):
    rng = np.random.default_rng(seed)
    picture = np.asfortranarray((rng.random((37, 53)) < rng.uniform(0.01, 0.6)).astype(np.uint8))
    picture[:20, 10:40] = 0
    text = coco.encode(picture)["counts"].decode()
    flat = picture.ravel(order="F")
    edges = np.flatnonzero(np.diff(flat, prepend=0))
    wanted = np.diff([0, *edges, len(flat)])
    assert run_lengths(text, "a") == wanted.tolist()
    check_silhouette({"size": [37, 53], "counts": text}, 37, 53, "a")
    check_silhouette({"size": [37, 53], "counts": wanted.tolist()}, 37, 53, "a")


def test_polygons_of_two_points_are_no_area():
    entry = {"bbox": [0, 0, 9, 9], "segmentation": [[1, 1, 5, 5], [10, 10, 20, 10, 20, 20]]}
    check_silhouette(entry["segmentation"], 30, 40, "a")
    assert silhouette(entry, 30, 40)[:9, :9].sum() == 0
    assert silhouette(entry, 30, 40).sum() > 30


@pytest.mark.parametrize(
    ("segmentation", "words"),
    [
        ("x", "must be polygons or runs, got 'x'"),
        ([1, 2, 3], "a polygon must be x, y, x, y, ..., got 1"),
        ([[1, 2, 3, 4, 5]], "a polygon must be x, y"),
        ([["a"] * 6], "a polygon must be 6 finite numbers"),
        ([[0, 0, 1e9, 0, 1e9, 1e9]], r"a polygon reaches to 1e\+09, far outside 40x30"),
        ({"size": [60, 40], "counts": [1]}, "the segmentation is for 40x60 px, its image has 40x30"),
        ({"counts": [1]}, "size of the segmentation must be 2 finite numbers, got None"),
        ({"size": [30, 40], "counts": [5, 1190]}, "must fill the image's 1200 pixels, they are 1195"),
        ({"size": [30, 40], "counts": [1300, -100]}, "a least of -100"),
        ({"size": [30, 40], "counts": {}}, "counts of the segmentation must be numbers or text"),
        ({"size": [30, 40], "counts": "ooooooooooooooooooooo"}, "text is damaged at letter"),
        ({"size": [30, 40], "counts": "\x01"}, "text is damaged at letter 0"),
        ({"size": [30, 40], "counts": "o"}, "text is damaged at letter 1"),
    ],
)
def test_what_would_make_pycocotools_take_memory_or_crash_is_refused(segmentation, words: str):
    with pytest.raises(ValueError, match=words):
        check_silhouette(segmentation, 30, 40, "annotation 3")
