import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from pose3d.lifting.residual_mlp import BatchNorm, ClippedLinear, ResidualMLP, Standardise, bake_weights


def trunk(**options):
    defaults = {
        "linear_size": 24,
        "num_blocks": 2,
        "dropout": 0.0,
        "batch_norm": True,
        "batch_norm_eps": 1e-3,
        "residual": True,
        "max_weight_norm": 1.0,
    }
    return ResidualMLP(6, **{**defaults, **options})


def test_standardise_is_numpys_population_standard_score_and_undo_its_inverse():
    samples = torch.randn(500, 3, 2) * 40 + 500
    layer = Standardise(3, 2)
    layer.fit(samples)
    expected = (samples.numpy() - samples.numpy().mean(0)) / samples.numpy().std(0)
    np.testing.assert_allclose(layer(samples), expected, atol=1e-4)
    torch.testing.assert_close(layer.undo(layer(samples)), samples, rtol=0, atol=1e-3)
    assert {"mean", "std"} == set(layer.state_dict())


def test_a_coordinate_that_never_changes_is_only_centred():
    samples = torch.randn(50, 2)
    samples[:, 1] = 7.0
    layer = Standardise(2)
    layer.fit(samples)
    assert layer.std[1] == 1
    assert (layer(samples)[:, 1] == 0).all()


def test_half_precision_inputs_are_standardised_in_float32():
    layer = Standardise(1)
    layer.mean.fill_(600.0)
    assert layer(torch.tensor([[600.5]], dtype=torch.float16)).item() == 0.5
    assert layer.undo(torch.tensor([[0.25]], dtype=torch.float16)).dtype == torch.float32


@pytest.mark.parametrize(("size", "norm"), [(0.4, 0.4), (1.0, 1.0), (30.0, 1.0)])
def test_the_clip_is_on_the_whole_matrix_and_only_above_the_limit(size, norm):
    layer = ClippedLinear(8, 5, 1.0)
    with torch.no_grad():
        layer.weight.mul_(size / layer.weight.norm())
        layer.bias.zero_()
    effective = layer(torch.eye(8)).T
    assert math.isclose(effective.norm().item(), norm, rel_tol=1e-5)
    torch.testing.assert_close(effective / effective.norm(), layer.weight / layer.weight.norm())


def test_the_bias_is_not_clipped_and_the_stored_matrix_not_projected():
    layer = ClippedLinear(8, 5, 1.0)
    before = layer.weight.clone()
    with torch.no_grad():
        layer.bias.fill_(9.0)
    torch.testing.assert_close(layer(torch.zeros(1, 8)), torch.full((1, 5), 9.0))
    torch.testing.assert_close(layer.weight.data, before, rtol=0, atol=0)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("size", [0.5, 20.0])
def test_gradients_run_through_the_norm_as_in_the_written_out_graph(size, training):
    torch.manual_seed(0)
    layer = ClippedLinear(7, 5, 1.0).train(training)
    with torch.no_grad():
        layer.weight.mul_(size / layer.weight.norm())
    inputs = torch.randn(4, 7, requires_grad=True)
    weigh = torch.randn(4, 5)
    (layer(inputs) * weigh).sum().backward()
    ours = [inputs.grad.clone(), layer.weight.grad.clone(), layer.bias.grad.clone()]

    weight = layer.weight.detach().double().requires_grad_()
    bias = layer.bias.detach().double().requires_grad_()
    again = inputs.detach().double().requires_grad_()
    clipped = weight / torch.maximum(weight.square().sum().sqrt(), torch.ones((), dtype=torch.float64))
    ((again @ clipped.T + bias) * weigh.double()).sum().backward()
    for mine, theirs in zip(ours, (again.grad, weight.grad, bias.grad), strict=True):
        torch.testing.assert_close(mine.double(), theirs, rtol=1e-5, atol=1e-6)
    if size > 1:  # the norm cannot change, so no gradient points along the matrix
        assert abs((layer.weight.grad * layer.weight).sum().item()) < 1e-4


def test_a_matrix_of_zeros_has_finite_gradients():
    layer = ClippedLinear(4, 3, 1.0)
    nn.init.zeros_(layer.weight)
    layer(torch.ones(2, 4)).sum().backward()
    assert torch.isfinite(layer.weight.grad).all()


def test_weights_and_biases_start_from_a_normal_cut_at_two_sigmas():
    torch.manual_seed(0)
    layer = ClippedLinear(512, 1024, 1.0)
    for parameter, count in ((layer.weight, 512), (layer.bias, 1024)):
        sigma = math.sqrt(2 / count)
        values = parameter.detach().flatten().numpy() / sigma
        assert np.abs(values).max() <= 2
        assert stats.kstest(values[:100_000], stats.truncnorm(-2, 2).cdf).pvalue > 1e-3
    assert math.isclose(layer.weight.std().item(), 0.8796 * math.sqrt(2 / 512), rel_tol=0.01)


def test_batch_norm_keeps_the_biased_variance_and_normalises_as_pytorch_does():
    torch.manual_seed(0)
    ours, theirs = BatchNorm(6, eps=1e-3, momentum=0.01), nn.BatchNorm1d(6, eps=1e-3, momentum=0.01)
    mean, variance = np.zeros(6), np.ones(6)
    for _ in range(20):
        inputs = torch.randn(9, 6) * 3 + 1
        first, second = inputs.clone().requires_grad_(), inputs.clone().requires_grad_()
        torch.testing.assert_close(ours(first), theirs(second), rtol=0, atol=0)
        mean = 0.99 * mean + 0.01 * inputs.numpy().mean(0)
        variance = 0.99 * variance + 0.01 * inputs.numpy().var(0)
        ours(first).square().sum().backward()
        theirs(second).square().sum().backward()
        torch.testing.assert_close(first.grad, second.grad, rtol=0, atol=0)
        mean = 0.99 * mean + 0.01 * inputs.numpy().mean(0)
        variance = 0.99 * variance + 0.01 * inputs.numpy().var(0)
    np.testing.assert_allclose(ours.running_mean, mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(ours.running_var, variance, rtol=1e-4)
    assert not np.allclose(theirs.running_var, variance, rtol=1e-3)
    ours.eval()
    expected = (inputs.numpy() - mean) / np.sqrt(variance + 1e-3)
    np.testing.assert_allclose(ours(inputs).detach(), expected, rtol=1e-3, atol=1e-4)


def test_batch_norm_refuses_a_batch_of_one_as_pytorch_does():
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        BatchNorm(6)(torch.zeros(1, 6))


def test_the_shortcut_is_added_last_and_nothing_follows_it():
    network = trunk().eval()
    inputs = torch.randn(5, 6)
    stem = network.stem(inputs)
    expected = stem
    for block in network.blocks:
        hidden = expected
        for layer in block:
            hidden = torch.relu(layer.norm(layer.linear(hidden)))
        expected = expected + hidden
    torch.testing.assert_close(network(inputs), expected)
    assert (network(inputs) > stem.max()).any()
    assert network(inputs).min() >= 0  # sums of ReLUs


def test_without_shortcut_a_block_is_its_layers():
    network = trunk(residual=False).eval()
    inputs = torch.randn(5, 6)
    torch.testing.assert_close(network(inputs), network.blocks[1](network.blocks[0](network.stem(inputs))))


def test_without_batch_norm_there_is_none():
    assert not any(isinstance(m, nn.BatchNorm1d) for m in trunk(batch_norm=False).modules())


def test_baked_weights_give_the_same_outputs_without_a_clip():
    network = trunk().eval()
    inputs = torch.randn(5, 6)
    before = network(inputs)
    network = bake_weights(network)
    torch.testing.assert_close(network(inputs), before)
    layers = [m for m in network.modules() if isinstance(m, ClippedLinear)]
    assert len(layers) == 5
    assert all(m.max_weight_norm is None and m.weight.norm() <= 1 + 1e-5 for m in layers)
