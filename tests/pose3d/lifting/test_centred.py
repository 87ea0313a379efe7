from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from anypose.camera import Camera, project, to_rays, world_to_camera
from anypose.skeleton import H36M_16, get_skeleton
from pose3d.lifting.centred import CentredInput, look_along

COMMON = get_skeleton("common_16")


def person(skeleton=H36M_16, seed=0):
    return np.random.default_rng(seed).normal(0, 0.4, (skeleton.num_joints, 3))


def seen_by(joints, angles, place=(0.0, 0.0, 5.0), focal=1000.0):
    """Rays of a camera in the origin that is turned by `angles` [degrees], by the project's own projection."""
    rotation = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    lens = {
        "focal": np.full(2, focal),
        "centre": np.array([520.0, 480]),
        "radial": np.zeros(3),
        "tangential": np.zeros(2),
    }
    camera = Camera(name="a", rotation=rotation, position=np.zeros(3), **lens, width=1000, height=1000)
    rays = to_rays(project(world_to_camera(joints + place, camera), camera), camera)
    return torch.from_numpy(rays[None, None]).float(), rotation


def test_turning_the_camera_to_another_side_changes_nothing_but_the_turn():
    centred = CentredInput(H36M_16, scores=False, keep_hip=False)
    joints = person()
    straight, _ = seen_by(joints, (0, 0, 0))
    aside, rotation = seen_by(joints, (12, -17, 0))
    one, other = centred(straight), centred(aside)
    # The smallest turn leaves a roll about the axis; with it taken out both see the same.
    roll = (other[2][0] @ torch.from_numpy(rotation).float() @ one[2][0].T).numpy()
    np.testing.assert_allclose(roll[2], [0, 0, 1], atol=1e-3)
    np.testing.assert_allclose(other[0][0, 0].numpy(), one[0][0, 0].numpy() @ roll[:2, :2].T, atol=2e-3)
    torch.testing.assert_close(one[1], other[1], atol=1e-3, rtol=0)


@pytest.mark.parametrize("slope", [(0.0, 0.0), (0.4, -0.2), (-1.5, 0.7)])
def test_the_turn_brings_the_ray_onto_the_axis_by_the_smallest_angle(slope):
    turn = look_along(torch.tensor([[*slope, 1.0]]))[0].numpy()
    ray = np.array([*slope, 1.0]) / np.linalg.norm([*slope, 1.0])
    np.testing.assert_allclose(turn @ ray, [0, 0, 1], atol=1e-6)
    angle = np.linalg.norm(Rotation.from_matrix(turn).as_rotvec())
    assert angle == pytest.approx(np.arccos(ray[2]), abs=1e-3)


def test_distance_scales_the_size_alone_where_perspective_is_weak():
    centred = CentredInput(H36M_16, scores=False, keep_hip=False)
    near, _ = seen_by(person(), (0, 0, 0), (0, 0, 100.0))
    far, _ = seen_by(person(), (0, 0, 0), (0, 0, 200.0))
    one, other = centred(near), centred(far)
    torch.testing.assert_close(one[0], other[0], atol=0.02, rtol=0)
    assert (one[1] - other[1]).item() == pytest.approx(np.log(2) / 0.5, abs=0.02)


def test_the_hip_is_left_out_and_the_middle_of_the_hips_is_the_origin():
    centred = CentredInput(H36M_16, scores=False, keep_hip=False)
    joints = person()
    joints[[H36M_16.index("left_hip"), H36M_16.index("right_hip")]] = [[0.1, 0, 0], [-0.1, 0, 0]]
    features, _, _ = centred(seen_by(joints, (5, 5, 0), (0, 0, 3.0))[0])
    assert features.shape == (1, 1, 15, 2)
    hips = features[0, 0, [H36M_16.index("left_hip") - 1, H36M_16.index("right_hip") - 1]]
    torch.testing.assert_close(hips.mean(0), torch.zeros(2), atol=1e-3, rtol=0)


def test_what_has_no_score_is_not_read_and_does_not_move_the_rest():
    centred = CentredInput(COMMON, scores=True, keep_hip=True)
    keypoints = torch.rand(2, 3, 16, 3) + 0.1
    keypoints[:, 1, 4, 2] = 0
    wild = keypoints.clone()
    wild[:, 1, 4, :2] = 1e3
    for one, other in zip(centred(keypoints), centred(wild), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
        assert one.isfinite().all()
    assert (centred(keypoints)[0][:, 1, 4] == 0).all()


def test_people_without_hips_or_without_anything_are_finite():
    centred = CentredInput(COMMON, scores=True, keep_hip=True)
    keypoints = torch.rand(1, 3, 16, 3) + 0.1
    keypoints[..., [COMMON.index("left_hip"), COMMON.index("right_hip")], 2] = 0
    features, _, turn = centred(keypoints)
    seen = features[0, ..., :2][features[0, ..., 2] > 0]
    assert seen.mean(0).abs().max() < 0.2  # in the middle all the same
    assert torch.linalg.det(turn[0]).item() == pytest.approx(1)
    assert all(value.isfinite().all() for value in centred(torch.zeros(1, 3, 16, 3)))
