"""Forward kinematics of the trunk and two-bone limbs, against scipy, geometry and the mirror."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from anypose.skeleton import H36M_17, mirror
from pose3d.synthesis.body import draw_body
from pose3d.synthesis.kinematics import Controls, pose_body, rotation, shoulder_direction, two_bone

BODY = draw_body(np.random.default_rng(5), 0.05)


def draw_controls(rng: np.random.Generator, frames: int) -> Controls:
    return Controls(
        pelvis=rng.normal(size=(frames, 3)) * 0.2 + [0, 0, 0.9],
        orientation=rng.normal(size=(frames, 3)) * [0.4, 0.2, 2],
        lumbar=rng.normal(size=(frames, 3)) * 0.2,
        thoracic=rng.normal(size=(frames, 3)) * 0.2,
        neck=rng.normal(size=(frames, 3)) * 0.3,
        feet=rng.normal(size=(frames, 2, 3)) * [0.5, 0.5, 0.3] + [0, 0, 0.2],
        knees=rng.normal(size=(frames, 2)) * 0.5,
        hands=rng.uniform(-1, 1, (frames, 2, 3)),
        elbows=rng.normal(size=(frames, 2)) * 0.6,
    )


def limb(rng: np.random.Generator, frames: int) -> dict[str, np.ndarray]:
    turned = Rotation.random(frames, rng=rng)
    return {
        "rest": turned.apply([0.0, 0.0, -1.0]),
        "pole": turned.apply([1.0, 0.0, 0.0]),
        "swivel": rng.uniform(-3, 3, frames),
    }


def test_rotations_are_twist_then_side_then_flexion():
    angles = np.random.default_rng(0).uniform(-3, 3, (20, 3))
    expected = Rotation.from_euler("ZXY", angles[:, [2, 1, 0]]).as_matrix()
    np.testing.assert_allclose(rotation(angles), expected, atol=1e-12)


def test_positive_angles_bend_forward_to_the_right_and_twist_to_the_left():
    up, forward = np.array([0.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0])
    flexion, side, twist = rotation(0.5 * np.eye(3))
    assert (flexion @ up)[0] > 0.4
    assert (side @ up)[1] < -0.4
    assert (twist @ forward)[1] > 0.4


def test_a_limb_keeps_its_bones_and_points_at_its_target():
    rng = np.random.default_rng(1)
    target = rng.normal(size=(500, 3)) * 0.4
    middle, end = two_bone(target, **limb(rng, 500), upper=0.4, lower=0.3, flexion=2.6)
    np.testing.assert_allclose(np.linalg.norm(middle, axis=1), 0.4, rtol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(end - middle, axis=1), 0.3, rtol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(np.cross(end, target), axis=1), 0, atol=1e-9)
    assert ((end * target).sum(1) > 0).all()
    within = np.abs(np.linalg.norm(target, axis=1) - 0.5) < 0.1
    assert within.any()
    np.testing.assert_allclose(end[within], target[within], atol=1e-9)


def test_a_limb_never_bends_further_than_its_range_however_near_the_target():
    rng = np.random.default_rng(2)
    middle, end = two_bone(rng.normal(size=(500, 3)) * 0.05, **limb(rng, 500), upper=0.4, lower=0.3, flexion=2.6)
    cos = (middle * (end - middle)).sum(1) / (0.4 * 0.3)
    assert np.arccos(np.clip(cos, -1, 1)).max() < 2.6


def test_the_middle_of_a_limb_turns_about_its_line_with_the_swivel():
    rest, pole, target = np.array([[0, 0, -1.0]]), np.array([[1.0, 0, 0]]), np.array([[0, 0, -0.5]])
    for swivel in (0.0, 0.7, -1.9):
        middle, _ = two_bone(target, rest, pole, np.array([swivel]), 0.3, 0.3, 2.6)
        expected = Rotation.from_rotvec([0, 0, -swivel]).apply([1.0, 0, 0])
        np.testing.assert_allclose(middle[0, :2] / np.linalg.norm(middle[0, :2]), expected[:2], atol=1e-6)


def test_every_bone_has_the_length_the_body_says_in_every_frame():
    joints = pose_body(draw_controls(np.random.default_rng(4), 200), BODY)
    lengths = {
        "hip": BODY.hip,
        "knee": BODY.thigh,
        "foot": BODY.shank,
        "spine": np.linalg.norm(BODY.spine),
        "thorax": np.linalg.norm(BODY.thorax),
        "neck": np.linalg.norm(BODY.neck),
        "head": np.linalg.norm(BODY.head),
        "shoulder": BODY.shoulder,
        "elbow": BODY.upper_arm,
        "wrist": BODY.forearm,
    }
    for child, parent in H36M_17.bones:
        length = np.linalg.norm(joints[:, child] - joints[:, parent], axis=1)
        np.testing.assert_allclose(length, lengths[H36M_17.joints[child].rpartition("_")[2]], rtol=1e-9)


def test_mirrored_controls_give_the_mirror_image():
    controls = draw_controls(np.random.default_rng(6), 50)
    side = np.array([1.0, -1.0, 1.0])
    mirrored = Controls(
        pelvis=controls.pelvis * side,
        orientation=controls.orientation * [1, -1, -1],
        lumbar=controls.lumbar * [1, -1, -1],
        thoracic=controls.thoracic * [1, -1, -1],
        neck=controls.neck * [1, -1, -1],
        feet=controls.feet[:, ::-1] * side,
        knees=controls.knees[:, ::-1],
        hands=controls.hands[:, ::-1],
        elbows=controls.elbows[:, ::-1],
    )
    swapped = pose_body(controls, BODY)[..., [1, 0, 2]]  # `mirror` negates the first axis
    np.testing.assert_allclose(pose_body(mirrored, BODY)[..., [1, 0, 2]], mirror(swapped, H36M_17), atol=1e-9)


def test_hands_stay_over_the_floor():
    controls = draw_controls(np.random.default_rng(8), 300)
    controls = replace(controls, pelvis=controls.pelvis * [1, 1, 0] + [0, 0, 0.3])
    hands = [H36M_17.index("right_wrist"), H36M_17.index("left_wrist")]
    shoulders = [H36M_17.index("right_shoulder"), H36M_17.index("left_shoulder")]
    free, held = pose_body(controls, BODY), pose_body(controls, BODY, floor=0.1)
    upright = free[:, shoulders, 2].min(1) > 0.2
    assert (free[upright][:, hands, 2] < 0.1).any()
    assert held[upright][:, hands, 2].min() > 0.1
    high = free[:, hands, 2].min(1) > 0.2
    np.testing.assert_allclose(held[high], free[high], atol=0.02)


def test_turning_and_moving_the_whole_person_turns_and_moves_the_joints():
    controls = draw_controls(np.random.default_rng(7), 30)
    turn, shift = Rotation.from_euler("z", 1.1), np.array([2.0, 3.0, 0.0])
    moved = replace(
        controls,
        pelvis=turn.apply(controls.pelvis) + shift,
        orientation=controls.orientation + np.array([0, 0, 1.1]),
        feet=turn.apply(controls.feet.reshape(-1, 3)).reshape(-1, 2, 3) + shift,
    )
    expected = turn.apply(pose_body(controls, BODY).reshape(-1, 3)).reshape(-1, 17, 3) + shift
    np.testing.assert_allclose(pose_body(moved, BODY), expected, atol=1e-9)


def test_shoulders_rise_with_the_arm_and_by_no_more_than_thirty_degrees():
    hands = np.stack([np.zeros(50), np.full(50, 0.3), np.linspace(-1, 1, 50)], 1)
    direction = shoulder_direction(hands, BODY)
    np.testing.assert_allclose(np.linalg.norm(direction, axis=1), 1, rtol=1e-12)
    elevation = np.degrees(np.arcsin(direction[:, 2]))
    assert (np.diff(elevation) >= -1e-9).all()
    assert np.ptp(elevation) == pytest.approx(30, abs=0.1)
