"""The stage that holds bones to one length, on walkers that were lifted badly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from anypose.motion import Motion
from anypose.skeleton import H36M_17, Skeleton
from pose3d.lifting.bone_lengths import LIMBS, measured
from pose3d.predict.bones import Bones
from pose3d.predict.placing import assumed_intrinsics
from tests.pose3d.predict.walkers import FOCAL, HEIGHT, SIZE, walk

INTRINSICS = assumed_intrinsics(SIZE, FOCAL)
ROWS = [H36M_17.index(joint) for joint in LIMBS]
WHOLE = slice(None)


def two_walkers(frames: int = 60) -> tuple[Motion, np.ndarray]:
    """Two people, their depths trembling and shrunk as lifters' do, and the truth (T, 2, 17, 3) in camera axes [m]."""
    times = np.arange(frames) / 30
    world = np.stack([walk(times, (-1, 4), (0.5, 0)), walk(times, (1, 5), (-0.4, 0.2))], 1)
    truth = np.stack([world[..., 0], HEIGHT - world[..., 2], world[..., 1]], -1)
    pixels = truth[..., :2] / truth[..., 2:] * INTRINSICS[0] + INTRINSICS[1:]
    keypoints = np.concatenate([pixels, np.ones_like(pixels[..., :1])], -1)
    depth = truth[..., 2:]
    middle = depth.mean(-2, keepdims=True)
    wrong = middle + 0.7 * (depth - middle) + np.random.default_rng(0).normal(size=depth.shape) * 0.08
    lifted = truth / depth * wrong
    motion = Motion(
        "walkers", times, np.array([3, 7]), keypoints=keypoints.astype(np.float32), keypoint_skeleton=H36M_17,
        size=SIZE, joints=lifted.astype(np.float32), skeleton=H36M_17,
    )  # fmt: skip
    return motion, truth


def error(joints: np.ndarray, truth: np.ndarray) -> float:
    return float(np.linalg.norm(joints - truth, axis=-1).mean())


def test_lengths_stay_the_same_and_joints_come_nearer():
    motion, truth = two_walkers()
    moved = Bones(True)(motion, INTRINSICS, WHOLE)
    spread = [measured(joints[:, :, ROWS].astype(float)).std(0).mean() for joints in (motion.joints, moved.joints)]
    assert spread[1] < 0.35 * spread[0]
    assert error(moved.joints[:, :, ROWS], truth[:, :, ROWS]) < 0.9 * error(
        motion.joints[:, :, ROWS], truth[:, :, ROWS]
    )
    pixels = moved.joints[..., :2] / moved.joints[..., 2:] * INTRINSICS[0] + INTRINSICS[1:]
    assert np.abs(pixels - motion.keypoints[..., :2])[..., ROWS, :].mean() < 1.5


def test_off_changes_nothing():
    motion, _ = two_walkers(5)
    assert Bones(False)(motion, INTRINSICS, WHOLE) is motion


def test_who_is_not_there_stays_so_and_nobody_else_is_touched_by_it():
    motion, _ = two_walkers()
    joints, keypoints = motion.joints.copy(), motion.keypoints.copy()
    joints[10:20, 1], keypoints[10:20, 1] = np.nan, np.nan
    keypoints[5, 0, H36M_17.index("left_wrist")] = np.nan
    moved = Bones(True)(replace(motion, joints=joints, keypoints=keypoints), INTRINSICS, WHOLE)
    assert np.isnan(moved.joints[10:20, 1]).all()
    moved.joints[10:20, 1] = 0
    assert np.isfinite(moved.joints).all()
    alone = Bones(True)(motion, INTRINSICS, WHOLE)
    same = [t for t in range(60) if t != 5]
    np.testing.assert_array_equal(moved.joints[same, 0], alone.joints[same, 0])


def test_lengths_are_settled_after_three_seconds():
    motion, _ = two_walkers(180)
    stage = Bones(True)
    stage(motion, INTRINSICS, WHOLE)
    larger = replace(motion, joints=motion.joints * 1.5)
    before = {name: total.copy() for name, total in stage._sums.items()}
    stage(larger, INTRINSICS, WHOLE)
    assert all(stage._sums[name] == pytest.approx(before[name]) for name in (3, 7))


def test_a_skeleton_without_the_twelve_joints_is_left_as_it_is():
    motion, _ = two_walkers(5)
    head = Skeleton("heads", ("hip", "head"), (-1, 0), (), ())
    motion = replace(motion, joints=motion.joints[:, :, [0, 10]], skeleton=head)
    assert Bones(True)(motion, INTRINSICS, WHOLE) is motion
