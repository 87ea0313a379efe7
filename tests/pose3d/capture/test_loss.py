import math

import numpy as np
import pytest
import torch

from pose3d.capture.fields import draw_heatmaps
from pose3d.capture.layout import BODY
from pose3d.capture.loss import field_error, heatmap_error


def maps(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, generator=generator)


def test_heatmap_error_is_the_original_s_sum_over_mask_mean_over_valid_channels_and_stages():
    predicted, target, mask = maps(3, 2, 5, 6, 7), maps(3, 4, 6, 7), torch.rand(3, 1, 6, 7)
    valid = torch.tensor([[1, 1, 0, 1], [0, 0, 0, 0], [0, 1, 0, 0]]).bool()
    p, g, m = (tensor.double().numpy() for tensor in (predicted, target, mask))
    stages = []
    for stage in range(2):
        samples = []
        for b in range(3):
            errors = [
                (((p[b, stage, c] - g[b, c]) * m[b, 0]) ** 2).sum() / m[b, 0].sum() for c in range(4) if valid[b, c]
            ]
            samples.append(np.mean(errors) if errors else 0.0)
        stages.append(np.mean(samples))
    assert float(heatmap_error(predicted, target, mask, valid)) == pytest.approx(np.mean(stages), rel=1e-5)


def test_the_zero_predictor_pays_the_area_of_a_squared_gaussian():
    """pi 7^2 / 368^2 = 0.00114: what the port's figure has to be compared with."""
    keypoints = torch.full((1, 1, BODY.num_joints, 2), 180.3)
    target = draw_heatmaps(keypoints, torch.ones(1, 1, BODY.num_joints).bool(), 368, 368, 1)[:, : BODY.num_joints]
    everywhere, valid = torch.ones(1, 1, 368, 368), torch.ones(1, BODY.num_joints).bool()
    error = heatmap_error(torch.zeros(1, 1, BODY.num_heatmaps, 368, 368), target, everywhere, valid)
    assert float(error) == pytest.approx(math.pi * 49 / 368**2, rel=1e-3)


def test_what_the_mask_covers_costs_nothing():
    predicted, target, mask = maps(1, 1, 4, 6, 7), maps(1, 4, 6, 7), torch.ones(1, 1, 6, 7)
    mask[..., :3] = 0
    valid = torch.ones(1, 4).bool()
    wild = predicted.clone()
    wild[..., :3] += 100
    assert heatmap_error(wild, target, mask, valid) == heatmap_error(predicted, target, mask, valid)


def arguments(spatial: bool) -> dict:
    target = torch.zeros(1, 6, 4, 5)
    target[:, :3, 1:3, 1:4] = torch.tensor([0.6, -0.8, 0.0])[:, None, None]
    return {
        "target": target,
        "mask": torch.ones(1, 1, 4, 5),
        "valid": torch.ones(1, 2).bool(),
        "spatial": torch.tensor([spatial]),
        "off_limb": False,
        "flat": True,
    }


def test_a_field_known_in_2d_judges_the_direction_in_the_image_and_neither_length_nor_depth():
    settings = arguments(spatial=False)
    predicted = settings["target"][:, None].clone() * 0.3
    predicted[:, :, 2] = 5.0
    assert float(field_error(predicted, **settings)) == pytest.approx(0, abs=1e-9)
    predicted[:, :, :2] *= -1  # the other way round: (2 * 1)^2 in 6 of 20 cells, over x, y, z, over two limbs
    assert float(field_error(predicted, **settings)) == pytest.approx(4 * 6 / 20 / 3 / 2, rel=1e-5)


def test_a_field_known_in_3d_judges_everything_everywhere():
    settings = arguments(spatial=True)
    predicted = maps(1, 1, 6, 4, 5)
    expected = (predicted[:, 0] - settings["target"]).square().mean()
    assert float(field_error(predicted, **settings)) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize(("off_limb", "cost"), [(False, 0.0), (True, 14 / 20 / 2)])
def test_off_the_limbs_a_sample_of_2d_teaches_zero_only_if_told_to(off_limb, cost):
    settings = arguments(spatial=False) | {"off_limb": off_limb}
    predicted = settings["target"][:, None] + (settings["target"][:, None] == 0).all(2, keepdim=True)
    predicted[:, :, 3:] = 0  # the other limb: nothing there, nothing predicted
    predicted[:, :, :3] = settings["target"][:, None, :3]
    predicted[:, :, :3] += (settings["target"][:, None, :3].abs().sum(2, keepdim=True) == 0).float()
    assert float(field_error(predicted, **settings)) == pytest.approx(cost, rel=1e-5)


def test_without_pof2d_samples_of_2d_cost_nothing_yet_reach_every_weight():
    settings = arguments(spatial=False) | {"flat": False}
    predicted = maps(1, 1, 6, 4, 5).requires_grad_()
    error = field_error(predicted, **settings)
    error.backward()
    assert error == 0
    assert predicted.grad is not None
    assert not predicted.grad.any()


def test_the_gradient_is_finite_where_the_prediction_is_zero():
    predicted = torch.zeros(1, 1, 6, 4, 5, requires_grad=True)
    field_error(predicted, **arguments(spatial=False)).backward()
    assert predicted.grad is not None
    assert predicted.grad.isfinite().all()
