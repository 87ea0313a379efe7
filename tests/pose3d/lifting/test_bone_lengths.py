"""Bones of one length: against a general optimiser, on people whose truth is known."""

import numpy as np
import pytest
from scipy.optimize import least_squares

from anypose.skeleton import H36M_17, get_skeleton
from pose3d.lifting import bone_lengths
from pose3d.lifting.bone_lengths import (
    APART,
    DEPTH,
    KIND,
    LIMBS,
    SIGHT,
    STIFF,
    carried,
    held,
    lines_of_sight,
    measured,
    placed,
    proportioned,
)

STANDING = np.array(
    [[0.1, 0, 3], [0.11, 0.42, 3.02], [0.1, 0.85, 3.05], [0.17, -0.5, 3], [0.3, -0.25, 2.95], [0.33, -0.02, 2.8],
     [-0.1, 0, 3], [-0.11, 0.42, 3.0], [-0.1, 0.85, 3.02], [-0.17, -0.5, 3], [-0.35, -0.35, 3.1], [-0.5, -0.5, 3.2]]
)  # fmt: skip


def people(count: int, seed: int = 0) -> np.ndarray:
    """(count, 12, 3) somebody of constant lengths who turns about, and stands at other places."""
    rng = np.random.default_rng(seed)
    turns = np.linalg.qr(rng.normal(size=(count, 3, 3)))[0]
    turns *= np.sign(np.linalg.det(turns))[:, None, None]
    symmetric = STANDING.copy()
    symmetric[6:] = symmetric[:6] * [-1, 1, 1]
    return (symmetric - [0, 0, 3]) @ turns + [0, 0, 4] + rng.normal(size=(count, 1, 3)) * 0.3


def rays_of(joints: np.ndarray) -> np.ndarray:
    return joints / np.linalg.norm(joints, axis=-1, keepdims=True)


def along(vectors: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """The part of (..., 3) that points along unit vectors."""
    return (vectors * rays).sum(-1, keepdims=True) * rays


@pytest.mark.parametrize("beside", [np.inf, 0.04])
def test_what_is_found_is_the_least_of_the_cost_that_a_general_optimiser_finds(monkeypatch, beside):
    monkeypatch.setattr(bone_lengths, "ROUNDS", 4000)
    rng = np.random.default_rng(1)
    truth = people(1)
    lifted = truth + rng.normal(size=truth.shape) * 0.05
    rays, seen = rays_of(truth + rng.normal(size=truth.shape) * 0.01), np.ones((1, 12), bool)
    seen[0, 5] = False
    lengths = measured(truth)
    found = held(lifted, rays, seen, lengths, beside)
    past = lifted - along(lifted, rays)  # how far rays pass joints as lifted, all joints' mean left out
    past = np.linalg.norm(past - past[seen].mean(0), axis=-1, keepdims=True)
    heard = seen[..., None] * SIGHT / (1 + (past / beside) ** 2)
    doubted = seen[..., None] * SIGHT - heard

    def residuals(flat: np.ndarray) -> np.ndarray:
        joints = flat.reshape(1, 12, 3)
        moved = joints - lifted
        deep = np.where(seen[..., None], along(moved, rays), 0)
        off = np.where(seen[..., None], joints - along(joints, rays), 0)
        apart = np.linalg.norm(APART @ joints, axis=-1) - lengths[:, KIND]
        parts = moved - deep, DEPTH**0.5 * deep, heard**0.5 * off, doubted**0.5 * moved, STIFF**0.5 * apart
        return np.concatenate([part.ravel() for part in parts])

    least = least_squares(residuals, lifted.ravel(), xtol=1e-12, ftol=1e-12, gtol=1e-12)
    assert (residuals(found.ravel()) ** 2).sum() == pytest.approx(2 * least.cost, rel=1e-6)
    np.testing.assert_allclose(found.ravel(), least.x, atol=1e-4)


def test_limbs_that_were_lifted_too_short_get_their_length_back():
    """Depths shrunk to a half, as the mean of what could be is: sight and lengths tell how deep the limbs point."""
    truth = people(200)
    rays, seen = rays_of(truth), np.ones((200, 12), bool)
    middle = truth.mean(1, keepdims=True)
    flat = rays * (middle[..., 2:] + 0.5 * (truth - middle)[..., 2:]) / rays[..., 2:]
    found = held(flat, rays, seen, measured(truth))
    before, after = (np.linalg.norm(joints - truth, axis=-1).mean() for joints in (flat, found))
    assert after < 0.5 * before
    assert np.linalg.norm(found - along(found, rays), axis=-1).mean() < 0.015  # still where the keypoints are
    assert np.abs(measured(found) - measured(truth)).mean() < 0.01


def test_who_has_the_lengths_already_stays_where_they_are():
    truth = people(20)
    np.testing.assert_allclose(held(truth, rays_of(truth), np.ones((20, 12), bool), measured(truth)), truth, atol=1e-9)


def test_lengths_are_means_of_both_sides():
    lengths = dict(zip(bone_lengths.LENGTHS, measured(STANDING), strict=True))
    assert lengths["hips"] == pytest.approx(0.2)
    right, left = (np.linalg.norm(STANDING[a] - STANDING[a + 1]) for a in (10, 4))
    assert lengths["forearm"] == pytest.approx((right + left) / 2)


def test_proportions_of_a_network_keep_the_size_of_the_person():
    own = measured(people(1)[0])
    assert proportioned(own, get_skeleton("coco_17")) is own
    mixed = proportioned(own, get_skeleton("blazepose_33"))
    np.testing.assert_allclose(proportioned(2 * own, get_skeleton("blazepose_33")), 2 * mixed)
    usual = np.array(bone_lengths.MEASURED["blazepose_33"])
    usual *= np.linalg.norm(own) / np.linalg.norm(usual)
    assert ((mixed >= np.minimum(own, usual)) & (mixed <= np.maximum(own, usual))).all()


def test_people_are_placed_where_their_keypoints_are():
    truth = people(30)
    rays, seen = rays_of(truth), np.ones((30, 12), bool)
    seen[:, 3] = False
    shifted = truth - [0.3, -0.2, 2.0]
    np.testing.assert_allclose(placed(shifted, rays, seen), np.broadcast_to([0.3, -0.2, 2.0], (30, 3)), atol=1e-6)


def test_lines_of_sight_go_by_name_and_know_what_is_missing():
    coco = get_skeleton("coco_17")
    slopes = np.random.default_rng(0).normal(size=(4, 17, 2))
    slopes[1, coco.index("left_knee")] = np.nan
    rays, seen = lines_of_sight(slopes, coco)
    knee, foot = LIMBS.index("left_knee"), LIMBS.index("left_foot")
    assert seen.sum() == 4 * 12 - 1
    assert not seen[1, knee]
    np.testing.assert_allclose(rays[..., :2] / rays[..., 2:], np.where(seen[..., None], _slopes(slopes, coco), 0))
    assert seen[:, foot].all()  # COCO calls it the ankle


def _slopes(slopes: np.ndarray, skeleton) -> np.ndarray:
    names = [name if name in skeleton.joints else name.replace("foot", "ankle") for name in LIMBS]
    return np.nan_to_num(slopes[:, [skeleton.index(name) for name in names]])


def test_the_middle_line_and_what_hangs_from_limbs_goes_along():
    rows = [H36M_17.index(joint) for joint in LIMBS]
    joints = np.random.default_rng(0).normal(size=(5, 17, 3))
    limbs = joints[:, rows].copy()
    hips = [LIMBS.index(f"{side}_hip") for side in ("left", "right")]
    limbs[:, hips] += [0.0, 0.0, 0.2]
    moved = carried(joints, limbs, H36M_17)
    np.testing.assert_allclose(moved[:, rows], limbs)
    for joint, shift in (("hip", 0.2), ("spine", 0.1), ("thorax", 0.0), ("head", 0.0)):
        row = H36M_17.index(joint)
        np.testing.assert_allclose(moved[:, row] - joints[:, row], np.broadcast_to([0, 0, shift], (5, 3)), atol=1e-12)


def test_what_was_never_seen_is_unknown_or_as_a_network_has_it():
    limbs = people(1)[0]
    limbs[[LIMBS.index("left_foot"), LIMBS.index("right_foot")]] = np.nan
    own = measured(limbs)
    assert np.flatnonzero(np.isnan(own)).tolist() == [1]  # the shins
    assert np.isnan(proportioned(own, get_skeleton("coco_17"))[1])
    known = proportioned(own, get_skeleton("blazepose_33"))
    assert np.isfinite(known).all()
    assert 0.8 < known[1] / known[0] < 1.2
    one_sided = people(1)[0]
    one_sided[LIMBS.index("left_foot")] = np.nan
    assert measured(one_sided)[1] == pytest.approx(measured(people(1)[0])[1])


def test_one_hip_speaks_for_both_where_the_other_is_not_there():
    joints = np.random.default_rng(0).normal(size=(4, 17, 3))
    limbs = joints[:, [H36M_17.index(joint) for joint in LIMBS]] + [0.0, 0.0, 0.2]
    limbs[:, LIMBS.index("left_hip")] = np.nan
    moved = carried(joints, limbs, H36M_17)
    hip, left = H36M_17.index("hip"), H36M_17.index("left_hip")
    np.testing.assert_allclose(moved[:, hip] - joints[:, hip], np.broadcast_to([0, 0, 0.2], (4, 3)), atol=1e-12)
    np.testing.assert_array_equal(moved[:, left], joints[:, left])


def test_a_wild_keypoint_does_not_take_along_a_joint_that_was_lifted_where_it_is():
    truth = people(40)
    slopes = truth[..., :2] / truth[..., 2:]
    slopes[7, 5] += [0.1, -0.08]  # a wrist, by half a metre
    limbs = bone_lengths.LIMB_POINTS
    moved = bone_lengths.of_one_length(truth - truth[:, :1], slopes, limbs, limbs)
    away = np.linalg.norm((moved - moved[:, :1]) - (truth - truth[:, :1]), axis=-1)
    assert away[7, 5] < 0.03
    assert np.delete(away, 7, axis=0).max() < 0.002
