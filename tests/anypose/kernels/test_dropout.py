import numpy as np
import pytest
import torch

from anypose.kernels.dropout import keep_mask
from anypose.kernels.swap import swap


def dropping(p):
    """torch's layer, replaced where it can be."""
    layer = torch.nn.Dropout(p)
    swap(layer, {"dropout": "packed"})
    return layer


@pytest.mark.parametrize("p", [0.5, 0.25, 0.75, 0.1875, 253 / 256, 1 / 256])
def test_the_mask_drops_its_share_and_neighbours_are_independent(p):
    torch.manual_seed(0)
    kept = keep_mask(torch.Size((400, 1001)), p).numpy().astype(float)
    assert set(np.unique(kept)) == {0.0, 1.0}
    spread = np.sqrt(p * (1 - p) / kept.size)
    assert abs(kept.mean() - (1 - p)) < 5 * spread
    for axis in (0, 1):
        pairs = np.take(kept, range(399), axis) * np.take(kept, range(1, 400), axis)
        assert abs(pairs.mean() - (1 - p) ** 2) < 0.01
    assert np.abs(kept.mean(0) - (1 - p)).max() < 6 * np.sqrt(p * (1 - p) / 400)


def test_what_is_kept_is_scaled_and_gradients_follow_the_same_mask():
    torch.manual_seed(1)
    layer = dropping(0.25)
    inputs = torch.randn(64, 100, requires_grad=True)
    outputs = layer(inputs)
    outputs.sum().backward()
    dropped = outputs == 0
    torch.testing.assert_close(outputs[~dropped], inputs[~dropped] / 0.75)
    torch.testing.assert_close(inputs.grad, torch.where(dropped, 0.0, 1 / 0.75))
    assert 0.2 < dropped.float().mean() < 0.3


def test_a_mask_lies_in_memory_as_the_values_do():
    values = torch.randn(6, 5, 4).transpose(1, 2).requires_grad_()
    outputs = dropping(0.5)(values)
    assert outputs.stride() == values.stride()
    outputs.sum().backward()
    torch.testing.assert_close(outputs.detach(), values.detach() * values.grad)
    sliced = torch.randn(6, 9)[:, ::2]
    assert (dropping(0.5)(sliced) == 0).float().mean() > 0.1


def test_torchs_generator_alone_decides():
    layer, inputs = dropping(0.5), torch.ones(33, 7)
    torch.manual_seed(5)
    first, second = layer(inputs), layer(inputs)
    np.random.seed(123)  # noqa: NPY002
    torch.manual_seed(5)
    torch.testing.assert_close(layer(inputs), first, rtol=0, atol=0)
    state = torch.get_rng_state()
    torch.testing.assert_close(layer(inputs), second, rtol=0, atol=0)
    assert not torch.equal(first, second)
    torch.set_rng_state(state)
    torch.testing.assert_close(layer(inputs), second, rtol=0, atol=0)


def test_in_evaluation_nothing_is_dropped():
    inputs = torch.randn(4, 5)
    assert dropping(0.5).eval()(inputs) is inputs


@pytest.mark.parametrize("p", [0.0, 0.1, 1.0])
def test_other_probabilities_are_pytorchs(p):
    inputs = torch.ones(300, 50)
    torch.manual_seed(0)
    ours = dropping(p)(inputs)
    torch.manual_seed(0)
    torch.testing.assert_close(ours, torch.nn.Dropout(p)(inputs), rtol=0, atol=0)


def test_half_precision_stays_half():
    assert dropping(0.5)(torch.ones(8, 8, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_under_compilation_it_is_pytorchs(monkeypatch):
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    inputs = torch.ones(30, 50)
    torch.manual_seed(0)
    ours = dropping(0.5)(inputs)
    torch.manual_seed(0)
    torch.testing.assert_close(ours, torch.nn.Dropout(0.5)(inputs), rtol=0, atol=0)
