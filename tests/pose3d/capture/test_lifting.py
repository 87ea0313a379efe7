import pytest
import torch

from pose3d.capture.fields import draw_fields, limb_vectors
from pose3d.capture.layout import BODY
from pose3d.capture.lifting import lift_perspective
from tests.pose3d.capture.capture_people import CENTRE, FOCAL, limb_offsets, project, random_people


def camera(num: int) -> dict[str, torch.Tensor]:
    return {"focal": torch.full((num, 2), FOCAL), "centre": torch.full((num, 2), CENTRE)}


def test_least_squares_returns_the_exact_joints_and_depth():
    joints = random_people(40, seed=2)
    offsets = limb_offsets(joints)
    lengths = offsets.norm(dim=-1)
    got = lift_perspective(
        BODY, project(joints), offsets, torch.ones(40, 20).bool(), lengths, **camera(40), iterations=8
    )
    assert (got - joints).norm(dim=-1).max() < 1e-4


@pytest.mark.slow
def test_a_round_trip_through_drawn_fields_is_within_one_percent_of_the_bone_length():
    joints = random_people(16, seed=3)
    keypoints = project(joints).float()
    offsets = limb_offsets(joints)
    lengths = offsets.norm(dim=-1)
    directions = (offsets / lengths[..., None]).float()
    fields = draw_fields(
        BODY, keypoints[:, None], directions[:, None], torch.ones(16, 1, BODY.num_limbs).bool(), 368, 368, 1.0
    )
    vectors = limb_vectors(BODY, fields, keypoints, 1.0)
    got = lift_perspective(BODY, keypoints, vectors, torch.ones(16, 20).bool(), lengths, **camera(16), iterations=8)
    relative = limb_offsets(got) - offsets
    assert (relative.norm(dim=-1) / lengths).max() < 0.01


def test_noise_in_the_keypoints_is_held_by_the_limbs():
    joints = random_people(60, seed=4)
    offsets = limb_offsets(joints)
    noise = torch.randn(60, 20, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2
    got = lift_perspective(
        BODY, project(joints) + noise, offsets, torch.ones(60, 20).bool(), offsets.norm(dim=-1), **camera(60),
        pixel_sigma=2.0,
    )  # fmt: skip
    error = (got - got[:, BODY.root, None]) - (joints - joints[:, BODY.root, None])
    assert error.norm(dim=-1).mean() < 0.02


def test_joints_that_nothing_determines_are_nan():
    joints = random_people(2, seed=5)
    offsets = limb_offsets(joints)
    valid = torch.ones(2, 20).bool()
    valid[0, 4] = False  # right wrist
    got = lift_perspective(BODY, project(joints), offsets, valid, offsets.norm(dim=-1), **camera(2))
    assert got[0, 4].isnan().all()
    assert got[0, :4].isfinite().all()
    assert got[1].isfinite().all()


@pytest.mark.parametrize("garbage", [900.0, -4000.0, torch.nan])
def test_where_a_joint_that_was_not_found_seems_to_be_moves_no_other(garbage):
    """Against people from whom the joint is missing in the layout of equations, too: their system without its rows."""
    joints = random_people(6, seed=6)
    offsets = limb_offsets(joints)
    valid = torch.ones(6, 20).bool()
    missing = {0: 4, 1: 10, 2: 0, 3: 19, 4: 2}  # wrist, ankle, nose, chest, shoulder; the last person has all
    for person, joint in missing.items():
        valid[person, joint] = False
    keypoints, vectors = project(joints), offsets.clone()
    for person, joint in missing.items():
        keypoints[person, joint] = garbage
        for limb, ends in enumerate(BODY.limbs):
            if joint in ends:
                vectors[person, limb] = garbage
    got = lift_perspective(BODY, keypoints, vectors, valid, offsets.norm(dim=-1), **camera(6), iterations=8)
    for person in range(6):
        gone = missing.get(person)
        kept = [joint for joint in range(20) if joint != gone and joint not in _orphans(gone)]
        assert (got[person, kept] - joints[person, kept]).norm(dim=-1).max() < 1e-4, (person, gone)
        assert gone is None or got[person, gone].isnan().all()


def _orphans(gone: int | None) -> set[int]:
    """Joints whose every limb leads to the missing one."""
    around = {joint: [ends for ends in BODY.limbs if joint in ends] for joint in range(20)}
    return {joint for joint, limbs in around.items() if all(gone in ends for ends in limbs)}


def test_a_limb_without_a_direction_is_left_out_and_what_hangs_on_it_alone_is_nan():
    joints = random_people(2, seed=8)
    offsets = limb_offsets(joints)
    vectors = offsets.clone()
    vectors[0, BODY.limbs.index((3, 4))] = 0  # right forearm
    got = lift_perspective(BODY, project(joints), vectors, torch.ones(2, 20).bool(), offsets.norm(dim=-1), **camera(2))
    assert got[0, 4].isnan().all()
    assert got[0, :4].isfinite().all()
    assert got[1].isfinite().all()
