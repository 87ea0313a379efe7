"""Bones that turn: they end where the joints are, keep their lengths, do not jump."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from anypose.motion import Motion
from anypose.quaternions import to_matrix
from anypose.skeleton import COCO_17, H36M_17
from pose3d.predict.rig import Rig
from pose3d.predict.rotations import rest_directions
from tests.anypose.formats.dancers import dancers, part


def place(motion: Motion) -> np.ndarray:
    """(T, P, J, 3) joints from the hip, the rest pose and the turns."""
    joints = np.zeros(motion.world.shape)
    joints[:, :, 0] = motion.world[:, :, 0]
    for joint, parent in motion.skeleton.bones:
        bone = (motion.rest[:, joint] - motion.rest[:, parent]).astype(np.float64)
        joints[:, :, joint] = (
            joints[:, :, parent] + (to_matrix(motion.rotations[:, :, joint]) @ bone[..., None])[..., 0]
        )
    return joints


def pose(**joints) -> np.ndarray:
    """(17, 3) somebody in the rest pose, 10 cm a bone, with some joints put elsewhere."""
    points = np.zeros((17, 3))
    for joint, parent in H36M_17.bones:
        points[joint] = points[parent] + 0.1 * rest_directions(H36M_17)[joint]
    for joint, where in joints.items():
        points[H36M_17.index(joint)] = where
    return points


def turned(points: np.ndarray, fps: float = 25.0) -> Motion:
    """A motion of one person, its bones turned."""
    world = points[:, None].astype(np.float32)
    return Rig()(Motion("test", np.arange(len(points)) / fps, np.array([1]), world=world, skeleton=H36M_17))


def symmetric(frames: int = 20) -> Motion:
    motion = dancers(frames=frames, people=2, rotations=None, rest=None)
    world = motion.world.copy()
    for joint, parent in H36M_17.bones:  # bones of 10 cm in the directions of the dancers
        bone = motion.world[:, :, joint] - motion.world[:, :, parent]
        world[:, :, joint] = world[:, :, parent] + 0.1 * bone / np.linalg.norm(bone, axis=-1, keepdims=True)
    return replace(motion, world=world)


def test_bones_end_where_the_joints_are() -> None:
    motion = Rig()(symmetric())
    np.testing.assert_allclose(place(motion), motion.world, atol=1e-5)


def test_the_rest_pose_is_no_turn_and_faces_minus_y() -> None:
    motion = turned(pose()[None])
    np.testing.assert_allclose(np.abs(motion.rotations[0, 0, :, 0]), 1, atol=1e-6)
    assert motion.rest[0, H36M_17.index("left_wrist"), 0] > 0.25
    assert motion.rest[0, H36M_17.index("neck"), 1] < 0


def test_chunks_give_what_the_whole_gives() -> None:
    motion = symmetric(40)
    whole, rig = Rig()(motion), Rig()
    parts = [rig(part(motion, slice(i, i + 9))) for i in range(0, 40, 9)]
    got = np.concatenate([chunk.rotations for chunk in parts])
    np.testing.assert_allclose(got, whole.rotations, atol=1e-5)
    np.testing.assert_allclose(parts[-1].rest, whole.rest, atol=1e-6)


def test_a_bent_knee_points_where_it_bends() -> None:
    hip = pose()[H36M_17.index("left_hip")]
    bent = pose(left_knee=hip + np.array([0, -0.1, 0]), left_foot=hip + np.array([0, -0.1, -0.1]))  # sitting, facing -y
    out = pose(
        left_knee=hip + np.array([0, -0.1, 0]), left_foot=hip + np.array([-0.07, -0.1, -0.07])
    )  # and the foot turned inward
    thigh = H36M_17.index("left_knee")
    lateral = to_matrix(turned(bent[None]).rotations[0, 0, thigh])[:, 0]
    np.testing.assert_allclose(lateral, [1, 0, 0], atol=1e-5)
    lateral = to_matrix(turned(out[None]).rotations[0, 0, thigh])[:, 0]
    np.testing.assert_allclose(lateral, [np.sqrt(0.5), 0, -np.sqrt(0.5)], atol=1e-5)


def test_a_straightened_arm_keeps_its_twist_and_never_flips() -> None:
    shoulder = pose()[H36M_17.index("left_shoulder")]
    frames = []
    for bend in np.concatenate(
        [np.linspace(1.5, 0, 25), np.random.default_rng(0).normal(0, 0.03, 50), np.linspace(0, 1.5, 25)]
    ):
        elbow = shoulder + np.array([0, 0, -0.1])
        wrist = elbow + np.array([0.1 * np.sin(bend) * 0.7, -0.1 * np.sin(bend) * 0.7, -0.1 * np.cos(bend)])
        frames.append(pose(left_elbow=elbow, left_wrist=wrist))
    turns = turned(np.array(frames)).rotations[:, 0, H36M_17.index("left_elbow")]
    angles = 2 * np.degrees(np.arccos(np.clip(np.abs((turns[1:] * turns[:-1]).sum(-1)), 0, 1)))
    assert angles.max() < 10


def test_signs_do_not_jump_between_chunks_and_gaps_stay_open() -> None:
    motion = symmetric(40)
    motion.world[10:15, 0] = np.nan
    rig = Rig()
    turns = np.concatenate([rig(part(motion, slice(i, i + 4))).rotations for i in range(0, 40, 4)])
    assert np.isnan(turns[10:15, 0]).all()
    assert np.isfinite(turns[:, 1]).all()
    there = np.delete(turns[:, 0], slice(10, 15), 0)
    assert ((there[1:] * there[:-1]).sum(-1) > 0).all()


def test_a_missing_wrist_goes_on_as_the_forearm_did() -> None:
    points = np.repeat(pose()[None], 3, 0)
    points[1, H36M_17.index("left_wrist")] = np.nan
    motion = turned(points)
    assert np.isfinite(motion.rotations).all()
    np.testing.assert_allclose(place(motion)[1, 0], pose(), atol=1e-6)


def test_left_and_right_are_equally_long() -> None:
    hip = pose()[H36M_17.index("left_hip")]
    rest = turned(pose(left_knee=hip + np.array([0, 0, -0.14]), left_foot=hip + np.array([0, 0, -0.24]))[None]).rest[0]
    for side in ("left", "right"):
        assert rest[H36M_17.index(f"{side}_foot"), 2] == pytest.approx(-0.22, abs=1e-6)


def test_a_skeleton_that_does_not_hang_from_the_hip_is_refused() -> None:
    motion = Motion("m", np.zeros(1), np.array([1]), world=np.zeros((1, 1, 17, 3), np.float32), skeleton=COCO_17)
    with pytest.raises(
        ValueError, match="hangs from the hip, and coco_17 does not: convert the joints first, to h36m_17"
    ):
        Rig()(motion)
    with pytest.raises(ValueError, match="Bones of m turn in the world: its joints must be placed there first"):
        Rig()(replace(motion, world=None))


def test_nobody_is_fine() -> None:
    empty = Motion("m", np.arange(3.0), np.zeros(0, int), world=np.zeros((3, 0, 17, 3), np.float32), skeleton=H36M_17)
    assert Rig()(empty).rotations.shape == (3, 0, 17, 4)
