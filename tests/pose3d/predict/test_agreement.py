"""The mean of the lifter's joints and of a 2D network's own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from anypose.motion import Motion
from anypose.skeleton import BLAZEPOSE_33, H36M_17
from pose3d.predict.agreement import agree
from pose3d.predict.placing import assumed_intrinsics
from pose3d.predict.repair import undo_swaps

INTRINSICS = assumed_intrinsics((1000, 1000), 1000.0)
SHARED = [joint for joint in H36M_17.joints if joint in BLAZEPOSE_33.joints]
OURS, THEIRS = ([skeleton.index(joint) for joint in SHARED] for skeleton in (H36M_17, BLAZEPOSE_33))


def motion(hips: tuple[float, float] = (500, 500), frames: int = 6) -> Motion:
    """One person whose lifted joints are random, whose landmarks are others, and whose hips are seen at `hips`."""
    rng = np.random.default_rng(0)
    joints = rng.normal(size=(1, 1, 17, 3)).repeat(frames, 0).astype(np.float32)
    joints -= joints[..., :1, :]
    landmarks = rng.normal(size=(1, 1, 33, 3)).repeat(frames, 0).astype(np.float32)
    middle = landmarks[..., [23, 24], :].mean(-2, keepdims=True)
    keypoints = np.ones((frames, 1, 33, 3), np.float32)
    keypoints[..., :2] = hips
    return Motion(
        "two", np.arange(frames) / 30, np.array([1]), keypoints=keypoints, keypoint_skeleton=BLAZEPOSE_33,
        landmarks=landmarks - middle, joints=joints, skeleton=H36M_17,
    )  # fmt: skip


@pytest.mark.parametrize(("share", "foot", "hip"), [(0.5, 0.47, 0.5), (0.33, 0.304, 0.33), (1.0, 1.0, 1.0)])
def test_straight_ahead_it_is_the_mean_of_both_with_what_each_knows_better(share, foot, hip):
    given = motion()
    mean = agree(given, INTRINSICS, share).joints
    parts = {"foot": foot, "hip": hip}
    for ours, theirs in zip(OURS, THEIRS, strict=True):
        if (part := parts.get(H36M_17.joints[ours].rpartition("_")[2])) is not None:
            expected = (1 - part) * given.joints[..., ours, :] + part * given.landmarks[..., theirs, :]
            assert mean[..., ours, :] == pytest.approx(expected, abs=0.01)
    assert np.abs(mean[..., 0, :]).max() < 1e-6


def test_where_one_of_both_is_not_there_it_is_the_other():
    given = motion()
    assert agree(given, INTRINSICS, 0.0) is given
    assert agree(replace(given, landmarks=None), INTRINSICS, 0.5).joints is given.joints


def test_landmarks_are_in_the_axes_of_a_camera_that_looks_at_the_person():
    given = motion(hips=(1500, 500))  # 45 degrees to the right
    all_theirs = agree(given, INTRINSICS, 1.0).joints[0, 0]
    x, y, z = given.landmarks[0, 0, THEIRS].T
    turned = np.stack([(x + z) / 2**0.5, y, (z - x) / 2**0.5], -1)
    assert all_theirs[OURS] == pytest.approx(turned, abs=1e-5)


def test_what_one_of_both_does_not_know_is_left_or_filled_over_time():
    given = motion()
    landmarks, joints = given.landmarks.copy(), given.joints.copy()
    landmarks[2:4] = np.nan  # not seen for two frames: the same move goes on
    joints[:, :, 3] = np.nan
    mean = agree(replace(given, landmarks=landmarks, joints=joints), INTRINSICS, 0.5).joints
    assert np.isnan(mean[:, :, 3]).all()
    known = np.delete(mean, 3, axis=2)
    assert known == pytest.approx(known[:1].repeat(len(known), 0), abs=1e-5)


def test_exchanged_sides_are_turned_back_in_3d_too():
    T = 20
    given = motion(frames=T)
    keypoints = given.keypoints.copy()
    keypoints[..., :2] += np.arange(33)[:, None] * [3, 7]
    landmarks = given.landmarks.copy()
    knees = [BLAZEPOSE_33.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("knee", "foot")]
    for array in (keypoints, landmarks):
        legs = [i for i, joint in enumerate(BLAZEPOSE_33.joints) if joint[-4:] in ("knee", "foot", "heel", "_toe")]
        flipped = [BLAZEPOSE_33.flip_index[i] for i in legs]
        array[8:11, :, legs] = array[8:11][:, :, flipped]
    back = undo_swaps(replace(given, keypoints=keypoints, landmarks=landmarks))
    assert (back.landmarks[:, :, knees] == given.landmarks[:, :, knees]).all()


def test_a_share_is_one():
    with pytest.raises(ValueError, match=r"landmarks=1.5 must lie in \[0, 1\]"):
        agree(motion(), INTRINSICS, 1.5)
