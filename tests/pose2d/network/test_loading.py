"""pose2d/network/loading.py: a picture and boxes in, keypoints out, or a sentence."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from pose2d.network.loading import KeypointNetwork

IMAGE = np.zeros((60, 80, 3), np.uint8)


class Middle:
    """A task that finds every keypoint in the middle of its box."""

    num_keypoints = 17
    model = torch.nn.Identity()

    def find(self, image, box_xyxy, skeleton):
        middle = torch.tensor((box_xyxy[:, None, :2] + box_xyxy[:, None, 2:]) / 2)
        return {"keypoints": middle.expand(-1, 17, -1), "scores": torch.ones(len(box_xyxy), 17)}


def test_every_box_gets_its_keypoints_and_no_box_is_the_whole_picture():
    find = KeypointNetwork(Middle(), "x")
    keypoints, scores = find(IMAGE, np.array([[0, 0, 20, 40], [10, 10, 30, 30]]))
    assert (keypoints.shape, scores.shape, keypoints.dtype) == ((2, 17, 2), (2, 17), np.float32)
    assert keypoints[:, 0].tolist() == [[10, 20], [20, 20]]
    assert find(IMAGE)[0][0, 0].tolist() == [40, 30]
    assert isinstance(find(torch.tensor(IMAGE))[0], torch.Tensor)
    assert find(IMAGE, np.zeros((0, 4)))[0].shape == (0, 17, 2)
    box = torch.tensor([[0.0, 0, 20, 40]], requires_grad=True)
    assert find(torch.tensor(IMAGE), box)[0][0, 0].tolist() == [10, 20]


@pytest.mark.parametrize(
    ("image", "boxes", "skeleton", "sentence"),
    [
        (IMAGE / 255, None, "coco_17", "image must be (H, W, 3) uint8 RGB, got (60, 80, 3) float64"),
        (IMAGE[..., 0], None, "coco_17", "got (60, 80) uint8"),
        (IMAGE, np.zeros(4), "coco_17", "boxes must have shape (P, 4): left, top, right, bottom, got (4,)"),
        (IMAGE, np.array([[90, 0, 99, 9]]), "coco_17", "a part of the 80x60 picture, got [90.0, 0.0, 99.0, 9.0]"),
        (IMAGE, np.array([[5, 5, 5, 9]]), "coco_17", "got [5.0, 5.0, 5.0, 9.0]"),
        (IMAGE, np.array([[0, 0, np.nan, 9]]), "coco_17", "got [0.0, 0.0, nan, 9.0]"),
        (IMAGE, None, "mpii_16", "x gives 17 keypoints, and mpii_16 has 16"),
    ],
)
def test_what_does_not_fit_is_named(image, boxes, skeleton, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        KeypointNetwork(Middle(), "x")(image, boxes, skeleton=skeleton)


def test_a_task_without_keypoints_is_refused_by_name():
    class Other:
        model = torch.nn.Identity()

    with pytest.raises(ValueError, match="x holds a Identity, which finds no keypoints in boxes"):
        KeypointNetwork(Other(), "x")
