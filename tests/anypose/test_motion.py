"""The record of a motion: shapes that must agree, times that must increase."""

from __future__ import annotations

import numpy as np
import pytest

from anypose.motion import Motion, stretches
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


def test_a_motion_is_cut_by_frames_and_by_people() -> None:
    joints = np.arange(3 * 2 * 51, dtype=np.float32).reshape(3, 2, 17, 3)
    rest = np.arange(102, dtype=np.float32).reshape(2, 17, 3)
    times = np.array([0.0, 0.04, 0.1])
    motion = Motion("walk", times, np.array([1, 7]), **arrays() | {"joints": joints, "rest": rest})
    part = motion[1:].only(7)
    assert (len(part), part.times.tolist(), part.ids.tolist()) == (2, [0.04, 0.1], [7])
    np.testing.assert_array_equal(part.joints, joints[1:, 1:])
    np.testing.assert_array_equal(part.rest, rest[1:])
    assert motion.only(7, 1).ids.tolist() == [7, 1]
    assert (len(motion[5:]), len(motion.only().ids)) == (0, 0)
    with pytest.raises(TypeError, match=r"walk is cut by a slice of its 3 frames, as \[30:90\]; got 1"):
        _ = motion[1]
    with pytest.raises(ValueError, match=r"walk has the people 1, 7, not 2"):
        motion.only(2)


def test_stretches_of_good_frames() -> None:
    assert stretches(np.array([1, 1, 0, 1], bool)) == [(0, 2), (3, 4)]
    assert stretches(np.array([0, 1, 0], bool)) == [(1, 2)]
    assert stretches(np.zeros(0, bool)) == stretches(np.zeros(3, bool)) == []
