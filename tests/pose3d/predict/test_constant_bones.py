"""Bones of constant length: what they measure, and that feet stay."""

from __future__ import annotations

import numpy as np

from anypose.skeleton import H36M_17
from pose3d.predict.constant_bones import keep_lengths, reach

RNG = np.random.default_rng(0)
BONES = H36M_17.bones
FEET = [H36M_17.index("left_foot"), H36M_17.index("right_foot")]


def lengths_of(joints):
    lengths = np.zeros(joints.shape[:-1])
    for child, parent in BONES:
        lengths[..., child] = np.linalg.norm(joints[..., child, :] - joints[..., parent, :], axis=-1)
    return lengths


def wobbling(frames=30, people=2):
    """Somebody whose bones grow and shrink by some per cent, knees bent."""
    joints = np.zeros((frames, people, 17, 3))
    for child, parent in BONES:
        way = RNG.normal(size=3) * 0.1 if "foot" not in H36M_17.joints[child] else np.array([0.3, 0.05, -0.3])
        way = np.array([-0.2, 0.1, -0.35]) if "knee" in H36M_17.joints[child] else way
        joints[:, :, child] = joints[:, :, parent] + way * RNG.uniform(0.96, 1.04, (frames, people, 1))
    return joints


def test_every_bone_has_its_length_and_feet_are_where_they_were() -> None:
    joints = wobbling()
    lengths = lengths_of(joints).mean(0)
    placed = keep_lengths(joints, lengths, H36M_17)
    np.testing.assert_allclose(lengths_of(placed), np.broadcast_to(lengths, placed.shape[:-1]), atol=1e-9)
    np.testing.assert_allclose(placed[:, :, FEET], joints[:, :, FEET], atol=1e-9)
    np.testing.assert_allclose(placed[:, :, 0], joints[:, :, 0])


def test_joints_that_fit_already_stay() -> None:
    joints = wobbling(frames=1)
    np.testing.assert_allclose(keep_lengths(joints, lengths_of(joints)[0], H36M_17), joints, atol=1e-9)


def test_a_foot_out_of_reach_is_gone_after_without_a_snap() -> None:
    far = np.linspace(0.5, 1.5, 400)[:, None]
    hip = np.zeros((400, 3))
    one = np.full((400, 1), 0.5)
    knee, foot = reach(hip, far * [0, 0, -1.0], np.tile([0.1, 0, -0.4], (400, 1)), one, one)
    np.testing.assert_allclose(np.linalg.norm(knee, axis=-1), 0.5, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(foot - knee, axis=-1), 0.5, atol=1e-9)
    np.testing.assert_allclose(foot[far[:, 0] < 0.98, 2], -far[far[:, 0] < 0.98, 0], atol=1e-9)
    assert (np.diff(-foot[:, 2]) >= -1e-12).all()
    assert (knee[:, 0] >= 0).all()
    assert np.abs(np.diff(knee[:, 0], 2)).max() < 1e-3


def test_a_leg_without_a_bend_stays_straight_and_a_missing_one_missing() -> None:
    joints = wobbling(frames=2, people=1)
    knee, foot, hip = (H36M_17.index(f"left_{joint}") for joint in ("knee", "foot", "hip"))
    joints[:, :, knee], joints[:, :, foot] = joints[:, :, hip] - [0, 0, 0.4], joints[:, :, hip] - [0, 0, 0.7]
    lengths = np.full((1, 17), 0.35)
    lengths[:, hip] = lengths_of(joints)[0, :, hip]
    joints[1] = joints[0]
    placed = keep_lengths(joints, lengths, H36M_17)
    np.testing.assert_allclose(
        placed[:, :, foot] - placed[:, :, knee], np.broadcast_to([0, 0, -0.35], (2, 1, 3)), atol=1e-9
    )
    joints[1, 0] = np.nan
    placed = keep_lengths(joints, lengths, H36M_17)
    assert np.isnan(placed[1]).all()
    assert np.isfinite(placed[0]).all()
