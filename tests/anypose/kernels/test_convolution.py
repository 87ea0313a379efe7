"""Convolutions against torch's own."""

import copy

import pytest
import torch
from torch import nn

from anypose.kernels.convolution import Convolution, Pointwise, Upsampling, forked


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("bias", [True, False])
def test_rows_as_images_give_the_same_convolution_and_gradients(one_thread, bias, monkeypatch):
    torch.manual_seed(0)
    layer = Pointwise(24, 40, bias)
    plain = nn.Conv2d(24, 40, 1, bias=bias)
    plain.load_state_dict(layer.state_dict())
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
    layer = Pointwise(24, 40, False)
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


# ours, torch's, and an input: few pixels beside channels, but for the large ones
IN_BF16 = {
    "1x1": (Pointwise(24, 40, False), nn.Conv2d(24, 40, 1, bias=False), (3, 24, 8, 6)),
    "1x1, narrow": (Pointwise(8, 40, False), nn.Conv2d(8, 40, 1, bias=False), (8, 8, 8, 6)),
    "1x1, stride 2": (Pointwise(24, 40, False, stride=2), nn.Conv2d(24, 40, 1, 2, bias=False), (3, 24, 7, 6)),
    "3x3": (Convolution(40, 48), nn.Conv2d(40, 48, 3, padding=1, bias=False), (3, 40, 5, 6)),
    "3x3, stride 2": (Convolution(40, 48, 2), nn.Conv2d(40, 48, 3, 2, padding=1, bias=False), (3, 40, 7, 6)),
    "3x3, stride 2, large": (Convolution(40, 8, 2), nn.Conv2d(40, 8, 3, 2, padding=1, bias=False), (13, 40, 61, 64)),
    "transposed": (Upsampling(56, 24), nn.ConvTranspose2d(56, 24, 4, 2, 1, bias=False), (3, 56, 5, 6)),
    "transposed, large": (Upsampling(56, 24), nn.ConvTranspose2d(56, 24, 4, 2, 1, bias=False), (12, 56, 32, 30)),
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
def test_in_bf16_products_are_as_near_to_the_exact_result_as_torchs_convolution_is(what, monkeypatch):
    torch.manual_seed(0)
    ours, plain, shape = IN_BF16[what]
    plain.load_state_dict(ours.state_dict())
    x = torch.randn(shape).bfloat16().float().to(memory_format=torch.channels_last)
    ours = copy.deepcopy(ours).to(memory_format=torch.channels_last)
    theirs = _run(plain, x, lowered=True)
    exact = _run(copy.deepcopy(plain).double(), x.double(), lowered=False)
    monkeypatch.setattr(type(plain), "forward", None)  # torch's own layer is not called
    for mine, other, true in zip(_run(ours, x, lowered=True), theirs, exact, strict=True):
        assert (mine.dtype, mine.shape) == (other.dtype, other.shape)
        error, torchs = ((y.double() - true).norm() / true.norm() for y in (mine, other))
        assert error <= 1.1 * torchs
    assert mine.is_contiguous(memory_format=torch.channels_last)  # as the weight: autograd keeps it as it is


FORKS = {
    "as it is": None,
    "narrow": Pointwise(24, 8, False),
    "wide, stride 2": Pointwise(24, 96, False, stride=2),
    "with a bias": Pointwise(24, 96, True),
}


def _run_fork(x, first, second, fork, lowered):
    """Both outputs and the gradients of the input and of the weights."""
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=lowered):
        outs = fork(x.bfloat16() if lowered else x, first, second)
    generator = torch.Generator().manual_seed(1)
    loss = sum((out * torch.randn(out.shape, generator=generator).to(out.dtype)).sum() for out in outs)
    weights = [conv.weight for conv in (first, second) if conv is not None]
    return [out.detach() for out in outs] + list(torch.autograd.grad(loss, [x, *weights]))


@pytest.mark.parametrize("kind", FORKS)
def test_a_fork_is_as_near_to_the_exact_result_as_one_after_the_other_is(kind, monkeypatch):
    def apart(x, first, second):
        return first(x), x if second is None else second(x)

    torch.manual_seed(0)
    first, second = Pointwise(24, 40, False), copy.deepcopy(FORKS[kind])
    x = torch.randn(8, 24, 7, 6).bfloat16().float().to(memory_format=torch.channels_last)
    theirs = _run_fork(x, first, second, apart, lowered=True)
    doubles = [copy.deepcopy(conv).double() if conv is not None else None for conv in (first, second)]
    exact = _run_fork(x.double(), *doubles, forked, lowered=False)
    monkeypatch.setattr(Pointwise, "forward", None if kind != "with a bias" else Pointwise.forward)
    ours = _run_fork(x, first, second, forked, lowered=True)
    for mine, other, true in zip(ours, theirs, exact, strict=True):
        assert mine.shape == other.shape
        error, other_error = (float((y.double() - true).norm() / true.norm()) for y in (mine, other))
        assert error <= 1.1 * other_error


@pytest.mark.parametrize("kind", FORKS)
def test_a_frozen_fork_gets_no_gradient(kind):
    first, second = Pointwise(24, 40, False), copy.deepcopy(FORKS[kind])
    x = torch.randn(2, 24, 7, 6).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        first.requires_grad_(False)
        trained = [] if second is None else [second.weight]
        y, z = forked(x.bfloat16(), first, second)
        assert not z.requires_grad or trained
        if trained:
            (y.sum() + z.sum()).backward()
            assert first.weight.grad is None
            assert trained[0].grad is not None
            second.requires_grad_(False)
        y, z = forked(x.requires_grad_().bfloat16(), first, second)
        (y.sum() + z.sum()).backward()
    assert x.grad.shape == x.shape


@pytest.mark.parametrize("what", IN_BF16)
def test_what_is_frozen_gets_no_gradient(what):
    layer, _, shape = IN_BF16[what]
    x = torch.randn(shape).to(memory_format=torch.channels_last)
    layer = copy.deepcopy(layer)
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
    layer, plain, shape = IN_BF16[what]
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
    layer, plain, (_, C, H, W) = IN_BF16["3x3"]
    seen, forward = [], type(plain).forward
    monkeypatch.setattr(type(plain), "forward", lambda self, *x: seen.append(len(x[0])) or forward(self, *x))
    with torch.autocast("cpu", torch.bfloat16):
        layer(torch.randn(16, C, H, W))
        layer(torch.randn(2, C, H, W))
    assert seen == [16]


@pytest.mark.parametrize("what", IN_BF16)
@pytest.mark.parametrize("lowered", [False, True])
def test_a_compiler_gets_one_graph(what, lowered, one_thread):
    layer, _, shape = IN_BF16[what]
    x = torch.randn(shape).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16, enabled=lowered):
        assert torch._dynamo.explain(layer)(x).graph_break_count == 0
