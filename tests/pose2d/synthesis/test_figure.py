"""Figures: keypoints where they belong, sides told apart, clothes within their colours."""

import numpy as np
import pytest

from anypose.skeleton import H36M_17
from pose2d.synthesis.figure import MATERIALS, Head, coco_keypoints, draw_look, dress


def standing(depth: float = 4.0, away: bool = False) -> np.ndarray:
    """(17, 3) someone upright with arms hanging, in the camera frame (x right, y down), facing the camera."""
    front = {
        "hip": (0, 0, 0),
        "right_hip": (-0.12, 0, 0), "right_knee": (-0.12, 0.43, -0.02), "right_foot": (-0.12, 0.86, 0),
        "left_hip": (0.12, 0, 0), "left_knee": (0.12, 0.43, -0.02), "left_foot": (0.12, 0.86, 0),
        "spine": (0, -0.25, 0), "thorax": (0, -0.5, 0), "neck": (0, -0.6, -0.09), "head": (0, -0.7, 0),
        "left_shoulder": (0.17, -0.48, 0), "left_elbow": (0.2, -0.2, 0), "left_wrist": (0.2, 0.05, 0),
        "right_shoulder": (-0.17, -0.48, 0), "right_elbow": (-0.2, -0.2, 0), "right_wrist": (-0.2, 0.05, 0),
    }  # fmt: skip
    joints = np.array([front[name] for name in H36M_17.joints], dtype=np.float64)
    if away:
        joints = joints * [-1, 1, -1]
    return joints + np.array([0, 0, depth])


@pytest.mark.parametrize("away", [False, True])
def test_a_face_looks_where_the_body_looks_with_left_on_the_left(away):
    nose, left_eye, right_eye, left_ear, right_ear = coco_keypoints(standing(away=away))[:5]
    ahead, left = (1, -1) if away else (-1, 1)  # in z and x of the camera
    head = standing(away=away)[H36M_17.index("head")]
    assert (nose[2] - head[2]) * ahead > 0.08
    assert (left_eye[0] - right_eye[0]) * left > 0.03
    assert (left_ear[0] - right_ear[0]) * left > 0.12
    assert max(left_eye[1], right_eye[1]) < nose[1]
    assert abs(left_ear[2] - head[2]) < 0.03


def test_body_keypoints_are_the_joints_in_cocos_order():
    joints = standing()
    points = coco_keypoints(joints)
    names = ("shoulder", "elbow", "wrist", "hip", "knee", "foot")
    expected = [joints[H36M_17.index(f"{side}_{name}")] for name in names for side in ("left", "right")]
    np.testing.assert_array_equal(points[5:], expected)


def test_a_head_is_a_right_handed_frame_and_turns_with_the_person():
    rng = np.random.default_rng(0)
    for _ in range(20):
        turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        turn *= np.linalg.det(turn)
        joints = standing() + rng.normal(size=(17, 3)) * 0.03
        plain, turned = Head.of(joints), Head.of(joints @ turn.T)
        axes = np.stack([plain.forward, plain.left, plain.up])
        np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-9)
        assert np.linalg.det(axes) == pytest.approx(1)
        np.testing.assert_allclose(coco_keypoints(joints @ turn.T), coco_keypoints(joints) @ turn.T, atol=1e-9)
        np.testing.assert_allclose(turned.up, plain.up @ turn.T, atol=1e-9)


def test_a_body_encloses_its_joints_and_wears_what_its_look_says():
    rng = np.random.default_rng(1)
    for _ in range(30):
        look = draw_look(rng)
        joints = standing()
        parts, _ = dress(joints, look)
        worn = {MATERIALS[i] for i in parts.material}
        assert {"skin", "top", "bottom", "shoes", "head"} <= worn
        assert ("hair" in worn) == look.long_hair
        assert ("extra" in worn) == (look.hat or look.bag)
        for joint in joints:
            along = parts.end - parts.start
            t = np.clip(((joint - parts.start) * along).sum(1) / (along**2).sum(1), 0, 1)[:, None]
            distance = np.linalg.norm(joint - parts.start - t * along, axis=1)
            assert (distance - parts.radius.max(axis=1)).min() < 0.02
        assert 0 <= look.colours.min() <= look.colours.max() <= 255
