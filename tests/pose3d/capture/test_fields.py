import math

import numpy as np
import pytest
import torch

from pose3d.capture.fields import (
    FIELD_HALF_WIDTH,
    HEATMAP_SIGMA,
    draw_fields,
    draw_heatmaps,
    enlarge,
    enlarge_portably,
    limb_vectors,
)
from pose3d.capture.layout import BODY
from tests.pose3d.capture.capture_people import limb_offsets, project, random_people


def cubic(t: float, a: float = -0.75) -> float:
    """Keys' cubic convolution kernel, the one TF1 and OpenCV use."""
    t = abs(t)
    if t <= 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else 0.0


def test_enlarging_equals_cubic_convolution_without_half_pixel_offset():
    maps = np.random.default_rng(0).normal(size=(5, 6))
    expected = np.zeros((40, 48))
    for y in range(40):
        for x in range(48):
            top, left = math.floor(y / 8), math.floor(x / 8)
            for j in range(top - 1, top + 3):
                for i in range(left - 1, left + 3):
                    value = maps[min(max(j, 0), 4), min(max(i, 0), 5)]
                    expected[y, x] += value * cubic(y / 8 - j) * cubic(x / 8 - i)
    got = enlarge(torch.from_numpy(maps)[None, None]).numpy()[0, 0]
    # The last cells extrapolate: TF1 replicates the edge one cell sooner than a padded map does.
    assert np.abs(got - expected)[:32, :40].max() < 1e-12


def test_a_peak_stays_on_its_pixel_when_enlarged():
    maps = torch.zeros(1, 1, 46, 46)
    maps[0, 0, 20, 11] = 1.0
    row, column = divmod(int(enlarge(maps).argmax()), 368)
    assert (row, column) == (160, 88)


def test_heatmaps_are_gaussians_at_the_joints_and_the_background_is_the_rest():
    keypoints = torch.tensor([[[[30.5, 12.25]], [[60.0, 40.0]], [[10.0, 10.0]]]])
    valid = torch.tensor([[[True], [True], [False]]])
    maps = draw_heatmaps(keypoints, valid, 64, 96, 1.0)
    y, x = np.mgrid[:64, :96]
    one = np.exp(-((x - 30.5) ** 2 + (y - 12.25) ** 2) / (2 * HEATMAP_SIGMA**2))
    two = np.exp(-((x - 60) ** 2 + (y - 40) ** 2) / (2 * HEATMAP_SIGMA**2))
    np.testing.assert_allclose(maps[0, 0].numpy(), np.maximum(one, two), atol=1e-6)
    np.testing.assert_allclose(maps[0, 1].numpy(), 1 - np.maximum(one, two), atol=1e-6)


def test_heatmaps_at_stride_eight_sample_the_full_ones_every_eight_pixels():
    keypoints = torch.rand(2, 3, 20, 2) * 300
    valid = torch.rand(2, 3, 20) > 0.3
    full = draw_heatmaps(keypoints, valid, 368, 368, 1.0)[:, :-1, ::8, ::8]
    assert torch.allclose(draw_heatmaps(keypoints, valid, 46, 46, 8.0)[:, :-1], full, atol=1e-6)


def test_joints_outside_the_image_leave_no_trace():
    keypoints = torch.tensor([[[[-3.0, 20.0]]], [[[20.0, 64.0]]]])
    assert draw_heatmaps(keypoints, torch.ones(2, 1, 1, dtype=torch.bool), 64, 64, 1.0)[:, 0].max() == 0


def test_fields_equal_a_pixel_by_pixel_drawing():
    joints = random_people(2, seed=3)
    keypoints = project(joints).float()[None]  # two people in one image
    offsets = limb_offsets(joints)
    directions = (offsets / offsets.norm(dim=-1, keepdim=True)).float()[None]
    valid = torch.rand(1, 2, BODY.num_limbs, generator=torch.Generator().manual_seed(1)) > 0.2
    got = draw_fields(BODY, keypoints, directions, valid, 46, 46, 8.0)[0].view(BODY.num_limbs, 3, 46, 46)
    for limb, (a, b) in enumerate(BODY.limbs):
        expected, count = torch.zeros(3, 46, 46), torch.zeros(46, 46)
        for person in range(2):
            if not valid[0, person, limb]:
                continue
            start, end = keypoints[0, person, a].tolist(), keypoints[0, person, b].tolist()
            length = math.dist(start, end)
            unit = [(end[axis] - start[axis]) / length for axis in range(2)]
            low = [min(start[axis], end[axis]) - FIELD_HALF_WIDTH for axis in range(2)]
            high = [max(start[axis], end[axis]) + FIELD_HALF_WIDTH for axis in range(2)]
            for row in range(46):
                for column in range(46):
                    x, y = column * 8.0, row * 8.0
                    across = abs((x - start[0]) * unit[1] - (y - start[1]) * unit[0])
                    if across < FIELD_HALF_WIDTH and low[0] <= x <= high[0] and low[1] <= y <= high[1]:
                        expected[:, row, column] += directions[0, person, limb]
                        count[row, column] += 1
        assert torch.allclose(got[limb], expected / count.clamp_min(1), atol=1e-5), BODY.limbs[limb]


@pytest.mark.slow
def test_reading_along_a_drawn_limb_gives_back_its_direction():
    joints = random_people(6, seed=5)
    keypoints = project(joints).float()
    offsets = limb_offsets(joints)
    directions = (offsets / offsets.norm(dim=-1, keepdim=True)).float()
    valid = torch.ones(6, 1, BODY.num_limbs, dtype=torch.bool)
    fields = draw_fields(BODY, keypoints[:, None], directions[:, None], valid, 368, 368, 1.0)
    read = limb_vectors(BODY, fields, keypoints, 1.0)
    assert torch.allclose(read, directions, atol=1e-5)


@pytest.mark.parametrize("stride", [1.0, 8.0])
def test_a_limb_of_no_length_draws_nothing(stride):
    keypoints = torch.full((1, 1, 20, 2), 24.0)
    directions = torch.ones(1, 1, 23, 3)
    assert (
        draw_fields(BODY, keypoints, directions, torch.ones(1, 1, 23, dtype=torch.bool), 8, 8, stride).abs().max() == 0
    )


@pytest.mark.parametrize("factor", [2, 8])
def test_the_enlargement_for_compilers_is_the_same(factor):
    maps = torch.randn(3, 1, 5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(enlarge_portably(maps, factor), enlarge(maps, factor), rtol=0, atol=1e-6)
