import copy

import pytest
import torch
from torch import nn

import anypose.kernels.linear
from anypose.kernels.linear import onednn_is_right
from anypose.kernels.swap import possible, swap
from pose3d.lifting.residual_mlp import ClippedLinear

WAYS = ["by_hand", "onednn", "onednn_rows"]


def skip_without_onednn(dtype=torch.float32):
    if not onednn_is_right(dtype):
        pytest.skip(f"NO ONEDNN: this CPU or this torch lacks it for {dtype}, the plain form runs")


def pair(way, size=20.0, max_norm=1.0, columns=33, out=17):
    """A plain layer with a matrix of that norm, and the same replaced."""
    if way.startswith("onednn"):
        skip_without_onednn()
    torch.manual_seed(0)
    plain = ClippedLinear(columns, out, max_norm)
    plain.weight.data *= size / plain.weight.norm()
    layer = copy.deepcopy(plain)
    swap(layer, {"linear": way})
    return plain, layer


def run(layer, rows=9, gradient_of_inputs=True):
    """Output and gradients, those through a scalar that weighs every output."""
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(rows, layer.in_features, generator=generator).requires_grad_(gradient_of_inputs)
    outputs = layer(inputs)
    (outputs * torch.randn(outputs.shape, generator=generator)).sum().backward()
    return outputs.detach(), inputs.grad, layer.weight.grad, layer.bias.grad


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("rows", [1, 9, 64])
@pytest.mark.parametrize(("size", "max_norm"), [(20.0, 1.0), (0.5, 1.0), (3.0, 1.7)])
def test_the_way_back_by_hand_gives_the_plain_output_and_gradients(way, size, max_norm, rows):
    plain, layer = pair(way, size, max_norm)
    assert type(layer) is not type(plain)
    for mine, theirs in zip(run(layer, rows), run(plain, rows), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


def test_a_layer_without_a_clip_has_nothing_to_gain_but_another_library():
    plain, layer = pair("by_hand", max_norm=None)
    assert type(layer) is type(plain)
    skip_without_onednn()
    assert "onednn" in possible(nn.Sequential(nn.Linear(3, 4)))["linear"]


@pytest.mark.parametrize("way", WAYS)
def test_the_first_layer_does_without_the_gradient_of_its_inputs(way):
    plain, layer = pair(way)
    ours = run(layer, gradient_of_inputs=False)
    assert ours[1] is None
    torch.testing.assert_close(ours[2], run(plain)[2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("way", WAYS)
def test_under_autocast_it_multiplies_in_bfloat16_and_keeps_gradients_in_float32(way):
    plain, layer = pair(way)
    if way.startswith("onednn"):
        skip_without_onednn(torch.bfloat16)
    exact = run(plain)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = run(layer)
    assert ours[0].dtype == torch.bfloat16
    assert all(gradient.dtype == torch.float32 for gradient in ours[1:])
    for mine, reference in zip(ours, exact, strict=True):
        difference = (mine.float() - reference).norm() / reference.norm()
        assert difference < 0.01


def test_a_gradient_penalty_that_needs_second_derivatives_is_refused_not_wrong():
    _, layer = pair("by_hand")
    squared = layer(torch.randn(4, 33)).square().sum()
    (gradient,) = torch.autograd.grad(squared, layer.weight, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


@pytest.mark.parametrize("reason", ["another device", "another type", "compilation", "tracing", "an empty batch"])
def test_where_it_cannot_or_must_not_run_the_plain_form_does(monkeypatch, reason):
    plain, layer = pair("by_hand")
    inputs = torch.randn(9, 33)
    if reason == "another device":
        inputs, layer, plain = inputs.to("meta"), layer.to("meta"), plain.to("meta")
    elif reason == "another type":
        inputs, layer, plain = inputs.double(), layer.double(), plain.double()
    elif reason == "compilation":
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    elif reason == "tracing":
        monkeypatch.setattr(torch.jit, "is_tracing", lambda: True)
    else:
        inputs = inputs[:0]
    monkeypatch.setattr(anypose.kernels.linear._Linear, "apply", None)
    outputs, expected = layer(inputs), plain(inputs)
    assert outputs.shape == (len(inputs), 17)
    if reason != "another device":
        torch.testing.assert_close(outputs, expected, rtol=0, atol=0)


@pytest.mark.parametrize("operator", ["missing", "wrong"])
def test_a_private_operator_that_is_missing_or_wrong_is_not_used(monkeypatch, operator):
    def product(*arguments):
        if operator == "wrong":
            return torch.ones(5, 3)
        raise AttributeError("_OpNamespace 'mkldnn' has no attribute '_linear_pointwise'")

    onednn_is_right.cache_clear()
    monkeypatch.setattr(anypose.kernels.linear, "onednn_product", product)
    try:
        assert not onednn_is_right(torch.float32)
        assert "onednn" not in possible(nn.Sequential(ClippedLinear(3, 4, 1.0)))["linear"]
    finally:
        onednn_is_right.cache_clear()


@pytest.mark.parametrize(("channels", "outputs"), [(5, 33), (33, 5)])
@pytest.mark.parametrize("bias", [False, True])
def test_a_product_of_any_number_of_dimensions_with_and_without_bias(channels, outputs, bias):
    skip_without_onednn()
    torch.manual_seed(0)
    plain = nn.Linear(channels, outputs, bias=bias)
    layer = copy.deepcopy(plain)
    swap(layer, {"linear": "onednn"})
    inputs = torch.randn(2, 7, channels)
    results = []
    for each in (layer, plain):
        leaf = inputs.clone().requires_grad_()
        found = each(leaf)
        found.square().sum().backward()
        results.append([found, leaf.grad, *(parameter.grad for parameter in each.parameters())])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-4)
