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
