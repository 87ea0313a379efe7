"""Convolutions against torch's own."""

import copy

import pytest
import torch
from torch import nn

from anypose.kernels.swap import swap


def swapped(layer):
    """A copy that computes by products."""
    layer = copy.deepcopy(layer)
    swap(layer, {"image": "products"})
    assert "ByProducts" in type(layer).__name__
    return layer


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("bias", [True, False])
def test_rows_as_images_give_the_same_convolution_and_gradients(one_thread, bias, monkeypatch):
    torch.manual_seed(0)
    plain = nn.Conv2d(24, 40, 1, bias=bias)
    layer = swapped(plain)
    seen = []
    convolve = nn.Conv2d.forward
    monkeypatch.setattr(nn.Conv2d, "forward", lambda self, x: seen.append(len(x)) or convolve(self, x))
    x = torch.randn(3, 24, 8, 6).to(memory_format=torch.channels_last)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    out, expected = layer(ours), plain(theirs)
    assert seen == [24, 3]
    assert out.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(out, expected)
    weight = torch.randn_like(expected)
    (out * weight).sum().backward()
    (expected * weight).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)
    for name, parameter in layer.named_parameters():
        torch.testing.assert_close(parameter.grad, dict(plain.named_parameters())[name].grad, rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore")  # of tracing, which the export still uses
def test_rows_stay_together_where_torch_is_fast_or_traces(one_thread, monkeypatch):
    layer = swapped(nn.Conv2d(24, 40, 1, bias=False))
    seen = []
    convolve = nn.Conv2d.forward
    monkeypatch.setattr(nn.Conv2d, "forward", lambda self, x: seen.append(len(x)) or convolve(self, x))
    x = torch.randn(3, 24, 8, 6).to(memory_format=torch.channels_last)
    torch.jit.trace(layer, x, check_trace=False)
    layer(x.contiguous())
    layer(x.repeat(6, 1, 1, 1).to(memory_format=torch.channels_last))
    torch.set_num_threads(2)
    layer(x)
    assert seen == [3, 3, 18, 3]


# torch's layer and an input: few pixels beside channels, but for the large ones
IN_BF16 = {
    "1x1": (nn.Conv2d(24, 40, 1, bias=False), (3, 24, 8, 6)),
    "1x1, narrow": (nn.Conv2d(8, 40, 1, bias=False), (8, 8, 8, 6)),
    "1x1, stride 2": (nn.Conv2d(24, 40, 1, 2, bias=False), (3, 24, 7, 6)),
    "3x3": (nn.Conv2d(40, 48, 3, padding=1, bias=False), (3, 40, 5, 6)),
    "3x3, stride 2": (nn.Conv2d(40, 48, 3, 2, padding=1, bias=False), (3, 40, 7, 6)),
    "3x3, stride 2, large": (nn.Conv2d(40, 8, 3, 2, padding=1, bias=False), (13, 40, 61, 64)),
    "transposed": (nn.ConvTranspose2d(56, 24, 4, 2, 1, bias=False), (3, 56, 5, 6)),
    "transposed, large": (nn.ConvTranspose2d(56, 24, 4, 2, 1, bias=False), (12, 56, 32, 30)),
}


def _run(layer, x, lowered):
    """The output of a layer and the gradients of its input and its weight."""
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=lowered):
        out = layer(x)
    factors = torch.randn(out.shape, generator=torch.Generator().manual_seed(1)).to(out.dtype)
    gradients = torch.autograd.grad((out * factors).sum(), [x, layer.weight])
    return out.detach(), *gradients


@pytest.mark.parametrize("what", IN_BF16)
@pytest.mark.slow
def test_in_bf16_products_are_as_near_to_the_exact_result_as_torchs_convolution_is(what, monkeypatch):
    torch.manual_seed(0)
    plain, shape = IN_BF16[what]
    x = torch.randn(shape).bfloat16().float().to(memory_format=torch.channels_last)
    ours = swapped(plain).to(memory_format=torch.channels_last)
    theirs = _run(plain, x, lowered=True)
    exact = _run(copy.deepcopy(plain).double(), x.double(), lowered=False)
    monkeypatch.setattr(type(plain), "forward", None)  # torch's own layer is not called
    for mine, other, true in zip(_run(ours, x, lowered=True), theirs, exact, strict=True):
        assert (mine.dtype, mine.shape) == (other.dtype, other.shape)
        error, torchs = ((y.double() - true).norm() / true.norm() for y in (mine, other))
        assert error <= 1.1 * torchs
    assert mine.is_contiguous(memory_format=torch.channels_last)  # as the weight: autograd keeps it as it is


@pytest.mark.parametrize("what", IN_BF16)
def test_what_is_frozen_gets_no_gradient(what):
    plain, shape = IN_BF16[what]
    x = torch.randn(shape).to(memory_format=torch.channels_last)
    layer = swapped(plain)
    with torch.autocast("cpu", torch.bfloat16):
        layer(x).sum().backward()
        assert layer.weight.grad is not None
        layer.requires_grad_(False)
        assert not layer(x).requires_grad
        layer(x.requires_grad_()).sum().backward()
    assert x.grad.shape == x.shape


@pytest.mark.filterwarnings("ignore")  # of tracing, which the export still uses
@pytest.mark.parametrize("what", ["1x1", "3x3", "transposed"])
def test_torchs_own_code_runs_in_fp32_and_in_tracing(what, monkeypatch):
    plain, shape = IN_BF16[what]
    layer = swapped(plain)
    seen, forward = [], type(plain).forward
    monkeypatch.setattr(type(plain), "forward", lambda self, *x: seen.append(len(seen)) or forward(self, *x))
    x = torch.randn(shape).to(memory_format=torch.channels_last)
    layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        layer(x)
        assert len(seen) == 1
        torch.jit.trace(layer, x, check_trace=False)
        assert len(seen) == 2


def test_torchs_own_code_runs_where_there_are_many_pixels(monkeypatch):
    plain, (_, C, H, W) = IN_BF16["3x3"]
    layer = swapped(plain)
    seen, forward = [], type(plain).forward
    monkeypatch.setattr(type(plain), "forward", lambda self, *x: seen.append(len(x[0])) or forward(self, *x))
    with torch.autocast("cpu", torch.bfloat16):
        layer(torch.randn(16, C, H, W))
        layer(torch.randn(2, C, H, W))
    assert seen == [16]


@pytest.mark.slow
@pytest.mark.parametrize("what", IN_BF16)
@pytest.mark.parametrize("lowered", [False, True])
def test_a_compiler_gets_one_graph(what, lowered, one_thread):
    plain, shape = IN_BF16[what]
    layer = swapped(plain)
    x = torch.randn(shape).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16, enabled=lowered):
        assert torch._dynamo.explain(layer)(x).graph_break_count == 0
