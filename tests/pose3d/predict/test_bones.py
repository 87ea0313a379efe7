"""The stage that holds bones to one length, on walkers that were lifted badly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

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
    before = {name: lengths.copy() for name, lengths in stage._known.items()}
    stage(replace(motion, joints=motion.joints * 1.5), INTRINSICS, WHOLE)
    for name in (3, 7):
        np.testing.assert_array_equal(stage._known[name], before[name])


def test_a_joint_that_is_not_there_does_not_let_the_others_jump():
    motion, _ = two_walkers()
    whole = Bones(True)(motion, INTRINSICS, WHOLE).joints
    joints = motion.joints.copy()
    wrist = H36M_17.index("left_wrist")
    joints[::2, 0, wrist] = np.nan
    moved = Bones(True)(replace(motion, joints=joints), INTRINSICS, WHOLE).joints
    assert np.isnan(moved[::2, 0, wrist]).all()
    others = [joint for joint in range(17) if joint != wrist]
    assert np.isfinite(moved[:, :, others]).all()
    assert np.linalg.norm(moved - whole, axis=-1)[:, :, others].mean() < 0.01
    assert np.linalg.norm(moved - motion.joints, axis=-1)[::2, 0, others].mean() > 0.01  # and they are held, too


def test_who_is_seen_from_the_hips_up_is_held_as_far_as_they_go():
    motion, _ = two_walkers()
    joints = motion.joints.copy()
    legs = [H36M_17.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("knee", "foot")]
    joints[:, :, legs] = np.nan
    moved = Bones(True)(replace(motion, joints=joints), INTRINSICS, WHOLE).joints
    assert np.isnan(moved[:, :, legs]).all()
    arms = [H36M_17.index(f"left_{joint}") for joint in ("elbow", "wrist")]
    spread = [np.linalg.norm(np.diff(part[:, :, arms], axis=2), axis=-1).std(0).mean() for part in (joints, moved)]
    assert spread[1] < 0.5 * spread[0]


def test_a_skeleton_without_the_twelve_joints_is_left_as_it_is():
    motion, _ = two_walkers(5)
    head = Skeleton("heads", ("hip", "head"), (-1, 0), (), ())
    motion = replace(motion, joints=motion.joints[:, :, [0, 10]], skeleton=head)
    assert Bones(True)(motion, INTRINSICS, WHOLE) is motion
