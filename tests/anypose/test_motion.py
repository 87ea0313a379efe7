"""The record of a motion: shapes that must agree, times that must increase."""

from __future__ import annotations

import numpy as np
import pytest

from anypose.motion import Motion
from anypose.skeleton import COCO_17, H36M_17


def arrays(T=3, P=2):
    return {
        "keypoints": np.zeros((T, P, 17, 3), np.float32),
        "keypoint_skeleton": COCO_17,
        "joints": np.zeros((T, P, 17, 3), np.float32),
        "skeleton": H36M_17,
    }


def test_people_over_uneven_times() -> None:
    motion = Motion("walk", np.array([0.0, 0.04, 0.1]), np.array([1, 7]), **arrays())
    assert len(motion) == 3


@pytest.mark.parametrize(
    ("times", "ids", "message"),
    [
        ([0.0, 0.1, 0.1], [1, 2], r"times of walk must be finite and increase, got \[0.0, 0.1, 0.1\]"),
        ([0.0, 0.1, np.nan], [1, 2], "times of walk must be finite"),
        ([0.0, 0.1, 0.2], [2, 2], r"ids of walk must differ, got \[2, 2\]"),
        ([0.0, 0.1], [1, 2], r"keypoints of walk must have shape \(T, P, 17, 3\) with T=2"),
    ],
)
def test_what_does_not_agree_is_refused(times, ids, message) -> None:
    with pytest.raises(ValueError, match=message):
        Motion("walk", np.array(times), np.array(ids), **arrays())
