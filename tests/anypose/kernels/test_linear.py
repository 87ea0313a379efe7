import pytest
import torch

import anypose.kernels.linear
from anypose.kernels.linear import clipped_linear, linear, onednn_is_right, plain_linear

needs_onednn = pytest.mark.skipif(
    not onednn_is_right(torch.float32), reason="NO ONEDNN: this CPU or this torch lacks it, the plain form runs"
)


def tensors(size=20.0, rows=9, columns=33, out=17):
    torch.manual_seed(0)
    weight = torch.randn(out, columns)
    weight *= size / weight.norm()
    return torch.randn(rows, columns), weight, torch.randn(out), torch.randn(rows, out)


def run(function, size, max_norm, inputs_need_gradients=True, **shape):
    """Output and gradients of `function`, the gradients through a scalar that weighs every output."""
    inputs, weight, bias, weigh = tensors(size, **shape)
    for tensor in (weight, bias):
        tensor.requires_grad_()
    inputs.requires_grad_(inputs_need_gradients)
    outputs = function(inputs, weight, bias, max_norm)
    (outputs * weigh).sum().backward()
    return outputs.detach(), inputs.grad, weight.grad, bias.grad


@needs_onednn
@pytest.mark.parametrize("rows", [1, 9, 64])
@pytest.mark.parametrize(("size", "max_norm"), [(20.0, 1.0), (0.5, 1.0), (3.0, 1.7), (2.0, None)])
def test_onednn_gives_the_plain_forms_output_and_gradients(monkeypatch, size, max_norm, rows):
    calls = []
    product = anypose.kernels.linear._product
    monkeypatch.setattr(anypose.kernels.linear, "_product", lambda *args: calls.append(1) or product(*args))
    ours = run(clipped_linear, size, max_norm, rows=rows)
    assert len(calls) == 3
    for mine, plain in zip(ours, run(plain_linear, size, max_norm, rows=rows), strict=True):
        torch.testing.assert_close(mine, plain, rtol=1e-4, atol=1e-5)


@needs_onednn
def test_the_first_layer_does_without_the_gradient_of_its_inputs(monkeypatch):
    calls = []
    product = anypose.kernels.linear._product
    monkeypatch.setattr(anypose.kernels.linear, "_product", lambda *args: calls.append(1) or product(*args))
    ours = run(clipped_linear, 20.0, 1.0, inputs_need_gradients=False)
    assert len(calls) == 2
    assert ours[1] is None
    torch.testing.assert_close(ours[2], run(plain_linear, 20.0, 1.0)[2], rtol=1e-4, atol=1e-5)


@needs_onednn
def test_under_autocast_it_multiplies_in_bfloat16_and_keeps_gradients_in_float32():
    if not onednn_is_right(torch.bfloat16):
        pytest.skip("NO BF16 in this CPU's oneDNN")
    exact = run(plain_linear, 20.0, 1.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = run(clipped_linear, 20.0, 1.0)
    assert ours[0].dtype == torch.bfloat16
    assert all(gradient.dtype == torch.float32 for gradient in ours[1:])
    for mine, reference in zip(ours, exact, strict=True):
        difference = (mine.float() - reference).norm() / reference.norm()
        assert difference < 0.01


def test_a_gradient_penalty_that_needs_second_derivatives_is_refused_not_wrong():
    inputs, weight, bias, _ = tensors()
    if not onednn_is_right(torch.float32):
        pytest.skip("NO ONEDNN: the plain form has second derivatives")
    weight.requires_grad_()
    squared = clipped_linear(inputs, weight, bias, 1.0).square().sum()
    (gradient,) = torch.autograd.grad(squared, weight, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


@pytest.mark.parametrize(
    "reason", ["another device", "another type", "compilation", "tracing", "no such operator", "a wrong operator"]
)
def test_where_onednn_cannot_or_must_not_run_the_plain_form_does(monkeypatch, reason):
    inputs, weight, bias, _ = tensors()
    if reason == "another device":
        inputs, weight, bias = inputs.to("meta"), weight.to("meta"), bias.to("meta")
    elif reason == "another type":
        inputs, weight, bias = inputs.double(), weight.double(), bias.double()
    elif reason == "compilation":
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    elif reason == "tracing":
        monkeypatch.setattr(torch.jit, "is_tracing", lambda: True)
    else:
        onednn_is_right.cache_clear()

        def operator(*arguments):
            if reason == "a wrong operator":
                return torch.ones(5, 3)
            raise AttributeError("_OpNamespace 'mkldnn' has no attribute '_linear_pointwise'")

        monkeypatch.setattr(anypose.kernels.linear, "_product", operator)
    monkeypatch.setattr(anypose.kernels.linear._Linear, "apply", None)
    outputs = clipped_linear(inputs, weight, bias, 1.0)
    onednn_is_right.cache_clear()
    if reason != "another device":
        torch.testing.assert_close(outputs, inputs @ (weight / weight.norm()).T + bias)


def test_an_empty_batch_gives_an_empty_output():
    _, weight, bias, _ = tensors()
    assert clipped_linear(torch.zeros(0, 33), weight, bias, 1.0).shape == (0, 17)


@pytest.mark.parametrize(("channels", "outputs"), [(5, 33), (33, 5)])
@pytest.mark.parametrize("bias", [False, True])
def test_a_product_of_any_number_of_dimensions_with_and_without_bias(channels, outputs, bias):
    torch.manual_seed(0)
    leaves = [torch.randn(2, 7, channels), torch.randn(outputs, channels), torch.randn(outputs) if bias else None]
    results = []
    for function in (linear, torch.nn.functional.linear):
        mine = [leaf if leaf is None else leaf.clone().requires_grad_() for leaf in leaves]
        found = function(*mine)
        found.square().sum().backward()
        results.append([found, *(leaf.grad for leaf in mine if leaf is not None)])
    for ours, plain in zip(*results, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-5, atol=1e-4)
