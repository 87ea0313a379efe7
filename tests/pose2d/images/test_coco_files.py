"""Annotations whose keypoints, boxes and images are not of one place."""

import logging

import pytest

from tests.pose2d.dataset.test_coco import change


def test_keypoints_and_boxes_that_are_not_of_one_image_are_refused_or_said(folder, read_coco, caplog):
    def as_shares(annotations):
        for annotation in annotations:
            annotation["keypoints"] = [v / 100 if i % 3 < 2 else v for i, v in enumerate(annotation["keypoints"])]

    def as_corners(annotations):
        for annotation in annotations:
            x, y, width, height = annotation["bbox"]
            annotation["bbox"] = [x, y, x + width, y + height]
        annotations[0]["keypoints"][:3] = [1e6, 5.0, 2]

    change(folder, "val2017", annotations=as_corners)
    with caplog.at_level(logging.WARNING):
        read_coco(folder).people("validation")
    assert "people reach far beyond their images. A bbox is x, y, width, height, not two corners" in caplog.text
    assert ": 1 labelled keypoints lie farther outside than their image is large" in caplog.text
    change(folder, annotations=as_shares)
    with pytest.raises(ValueError, match=r"keypoints of 100% of the people are not where their boxes are, e\.g\. \["):
        read_coco(folder).people("train")
