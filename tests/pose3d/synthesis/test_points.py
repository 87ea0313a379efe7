"""Points of detectors on a stick figure: lengths between them, their mirror image, who knows which."""

from __future__ import annotations

import pytest
import torch

from anypose.skeleton import BLAZEPOSE_33, COMMON_16, H36M_17, mirror
from pose3d.synthesis.bones import bones_of, joints_of
from pose3d.synthesis.points import Points
from pose3d.synthesis.proportions import Proportions
from tests.pose3d.synthesis.test_redrawn import generator, motion

__all__ = ["motion"]


def test_blazepose_hips_are_19_cm_apart_where_those_of_human36m_are_26(motion):
    bones = Proportions(1.0, 0.0, 0.0, 0.0)(bones_of(motion), generator())
    points, known = Points(["blazepose"], 0.0)(joints_of(bones), BLAZEPOSE_LIMBS, generator())
    apart = (points[..., 0, :] - points[..., 1, :]).norm(dim=-1)
    torch.testing.assert_close(apart, torch.full_like(apart, 0.19), atol=2e-3, rtol=0)
    assert known.all()


def test_on_rendered_bodies_blazepose_marks_hips_further_inwards_and_ahead(motion):
    points, _ = Points(["blazepose_rendered"], 0.0)(motion, BLAZEPOSE_LIMBS, generator())
    left, right = (motion[..., H36M_17.index(f"{side}_hip"), :] for side in ("left", "right"))
    apart = (points[..., 0, :] - points[..., 1, :]).norm(dim=-1)
    torch.testing.assert_close(apart, (left - right).norm(dim=-1) - 0.082)
    ahead = (points[..., :2, :].mean(-2) - (left + right) / 2).norm(dim=-1)
    torch.testing.assert_close(ahead, torch.full_like(ahead, 0.041))


class _Limbs:
    name = "limbs"
    joints = ("left_hip", "right_hip", "left_ear", "right_ear")
    num_joints = 4


BLAZEPOSE_LIMBS = _Limbs()


def test_points_of_the_mirrored_person_are_the_mirrored_points(motion):
    points, _ = Points(["coco"], 0.0)(motion, COMMON_16, generator())
    mirrored, _ = Points(["coco"], 0.0)(mirror(motion, H36M_17), COMMON_16, generator())
    torch.testing.assert_close(mirrored, mirror(points, COMMON_16), atol=1e-5, rtol=0)


def test_ears_lie_left_and_right_of_the_head_and_mpii_knows_none(motion):
    points, known = Points(["coco", "mpii"], 1.0)(motion.repeat(20, 1, 1, 1), COMMON_16, generator())
    left, right = (COMMON_16.index(f"{side}_ear") for side in ("left", "right"))
    across = (points[..., left, :] - points[..., right, :]).norm(dim=-1)
    assert across.mean() == pytest.approx(0.15, abs=0.01)
    assert known[:, left].float().mean() == pytest.approx(0.5, abs=0.15)
    assert known[:, COMMON_16.index("left_knee")].all()


def test_points_that_no_table_has_are_named():
    with pytest.raises(ValueError, match=r"no point for left_eye_inner.*, left_mouth, .* of blazepose_33; they have"):
        Points(["h36m"], 0.0)(torch.zeros(1, 1, 17, 3), BLAZEPOSE_33, generator())
    with pytest.raises(ValueError, match=r"dataset.points=\['kinect'\] must be one or more of h36m, coco"):
        Points(["kinect"], 0.0)
