import dataclasses

import cv2
import numpy as np
import pytest

from pose3d.capture.region_masks import RegionMasks, silhouette
from tests.pose3d.capture.capture_scene import two_people

HEIGHT, WIDTH = 60, 80
TRIANGLE = [10.0, 10.0, 40.0, 10.0, 10.0, 40.0]
IDENTITY = np.array([[1.0, 0, 0], [0, 1, 0]])


def annotated(*entries: dict):
    people = two_people()
    whole = [{"id": n, "image_id": 7, "iscrowd": 0, "num_keypoints": 17, **entry} for n, entry in enumerate(entries)]
    truth = {"images": people.truth["coco"]["images"], "annotations": whole}
    return dataclasses.replace(people, truth={"coco": truth})


def unlabelled(**changes) -> dict:
    return {"num_keypoints": 0, "bbox": [10, 20, 30, 20], **changes}


def mask(kind: str, *entries: dict, matrix: np.ndarray = IDENTITY, stride: int = 1) -> np.ndarray:
    made = RegionMasks(annotated(*entries), kind, (HEIGHT, WIDTH), stride)(np.array([0]), matrix[None])
    return made["mask"].numpy()[0, 0]


def test_people_without_keypoints_are_left_out_and_nothing_else():
    found = mask("miss", unlabelled(), {"bbox": [50, 5, 10, 10]})
    expected = np.ones((HEIGHT, WIDTH))
    expected[20:40, 10:40] = 0
    np.testing.assert_array_equal(found, expected)


def test_an_outline_is_followed_where_there_is_one():
    found = mask("miss", unlabelled(segmentation=[TRIANGLE]))
    drawn = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.fillPoly(drawn, [np.array(TRIANGLE).reshape(-1, 2).astype(np.int32)], 1)
    assert np.mean(found != 1 - drawn) < 0.015  # rasterisers differ along the outline
    assert found[15, 15] == 0
    assert found[35, 35] == 1


def test_crowds_are_left_out_by_their_run_lengths():
    crowd = np.zeros((HEIGHT, WIDTH), np.uint8)
    crowd[:, 10:20] = 1
    counts = [10 * HEIGHT, 10 * HEIGHT, 60 * HEIGHT]
    found = mask("miss", unlabelled(iscrowd=1, segmentation={"size": [HEIGHT, WIDTH], "counts": counts}))
    np.testing.assert_array_equal(found, 1 - crowd)


def test_all_keeps_the_silhouettes_of_people_alone():
    found = mask("all", {"bbox": [10, 10, 30, 30], "segmentation": [TRIANGLE]})
    assert found[15, 15] == 1
    assert found[35, 35] == 0
    assert found[50, 70] == 0


def test_all_without_outlines_is_refused_with_the_setting_that_helps():
    with pytest.raises(ValueError, match=r"annotation 0 has no 'segmentation'.*task\.mask=miss"):
        mask("all", {"bbox": [10, 10, 30, 30]})


def test_none_trusts_everything():
    assert (mask("none", unlabelled()) == 1).all()


def test_a_mask_follows_its_crop_cell_by_cell():
    """A mirrored crop of twice the size: cell (i, j) of stride 4 shows the image pixel that its corner pixel shows."""
    matrix = np.array([[-0.5, 0, 70.0], [0, 0.5, 3.0]])
    found = mask("miss", unlabelled(), matrix=matrix, stride=4)
    whole = mask("miss", unlabelled())
    assert found.shape == (HEIGHT // 4, WIDTH // 4)
    for i, j in ((2, 3), (8, 9), (10, 17), (14, 2), (12, 15)):
        x, y = matrix @ [4 * j, 4 * i, 1]
        assert found[i, j] == whole[int(y), int(x)]


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match=r"task\.mask must be none, miss or all, got some"):
        RegionMasks(two_people(), "some", (8, 8), 8)


def test_the_box_stands_in_for_a_missing_outline():
    covered = silhouette({"bbox": [10.4, 20.6, 5, 5]}, HEIGHT, WIDTH)
    assert covered.sum() == 6 * 6
    assert covered[20, 10] == 1
