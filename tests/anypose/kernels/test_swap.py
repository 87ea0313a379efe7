"""Replacing layers of a built network, and deciding on it."""

import copy
import logging

import pytest
import torch
from torch import nn

from anypose.kernels import measurement
from anypose.kernels.swap import KINDS, Kernels, possible, swap
from pose3d.lifting.residual_mlp import ClippedLinear, bake_weights


def make():
    torch.manual_seed(0)
    return nn.Sequential(ClippedLinear(8, 16, 1.0), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 4))


def decided_by(monkeypatch, share):
    """Ways take these shares of the plain time, all others twice of it."""
    monkeypatch.setattr(
        "anypose.kernels.swap.ratios", lambda modules, calls, ways: {name: share.get(name, 2.0) for name in ways}
    )


def test_a_replaced_layer_keeps_parameters_names_hooks_and_what_it_is():
    network = make()
    parameters, names = list(network.parameters()), list(network.state_dict())
    calls = []
    network[0].register_forward_hook(lambda *_: calls.append(1))
    swap(network, {"linear": "by_hand", "dropout": "packed"})
    assert [type(module).__name__ for module in network] == [
        "LinearByHandOfClippedLinear", "ReLU", "PackedDropoutOfDropout", "Linear",
    ]  # fmt: skip
    assert all(one is other for one, other in zip(network.parameters(), parameters, strict=True))
    assert list(network.state_dict()) == names
    network(torch.randn(3, 8))
    assert calls == [1]
    baked = bake_weights(network)
    assert (network[0].max_weight_norm is None, baked[0].max_weight_norm) == (False, None)
    assert baked(torch.randn(3, 8)).shape == (3, 4)


def test_auto_looks_at_the_first_call_and_replaces_after_it(monkeypatch, caplog):
    decided_by(monkeypatch, {"packed": 0.5, "by_hand": 0.8, "onednn": 0.9})
    network = make()
    kernels = Kernels("auto", network)
    assert kernels.choice is None
    assert type(network[2]) is nn.Dropout
    with caplog.at_level(logging.INFO):
        network(torch.randn(3, 8))
    assert kernels.choice == {"dropout": "packed", "linear": "by_hand"}
    assert type(network[2]).__name__ == "PackedDropoutOfDropout"
    (record,) = caplog.records
    assert "kernels: dropout packed, linear by_hand (measured: dropout 2.0 times as quick" in record.message
    network(torch.randn(3, 8))
    assert len(caplog.records) == 1
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in network.modules())


def test_what_gains_little_is_left_alone(monkeypatch):
    decided_by(monkeypatch, {"packed": 0.92, "by_hand": 1.0})
    network = make()
    kernels = Kernels("auto", network)
    network(torch.randn(3, 8))
    assert kernels.choice == {}
    assert type(network[0]) is ClippedLinear


def test_the_first_call_draws_and_learns_as_it_would_without_being_looked_at():
    results = []
    for mode in ("plain", "auto"):
        network = nn.Sequential(nn.Linear(8, 300), nn.BatchNorm1d(300), nn.Dropout(0.5))
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.fill_(0.5)
        Kernels(mode, network)
        torch.manual_seed(3)
        outputs = network(torch.linspace(-1, 1, 64).view(8, 8))
        outputs.sum().backward()
        results.append([outputs, network[0].weight.grad, network[1].running_var, torch.rand(3)])
    for auto, plain in zip(*results, strict=True):
        torch.testing.assert_close(auto, plain, rtol=0, atol=0)


def test_plain_replaces_nothing_and_fast_all_that_can_be_at_once():
    network = make()
    assert Kernels("plain", network).choice == {}
    assert type(network[2]) is nn.Dropout
    choice = Kernels("fast", network).choice
    assert choice is not None
    assert set(choice) == {"dropout", "linear"}
    assert type(network[2]) is not nn.Dropout
    with pytest.raises(ValueError, match="kernels must be auto, plain, fast, got 'quick'"):
        Kernels("quick", network)


def test_a_choice_made_before_is_taken_without_measuring():
    network = make()
    kernels = Kernels("auto", network)
    kernels.take({"dropout": "packed"}, "as in last.pt")
    assert kernels.choice == {"dropout": "packed"}
    assert type(network[0]) is ClippedLinear
    network(torch.randn(3, 8))
    assert kernels.choice == {"dropout": "packed"}
    plain = Kernels("plain", make())
    plain.take({"dropout": "packed"}, "as in last.pt")
    assert plain.choice == {}


def test_a_choice_that_cannot_be_had_here_is_said_and_made_anew(monkeypatch, caplog):
    decided_by(monkeypatch, {})
    network = make()
    kernels = Kernels("auto", network)
    with caplog.at_level(logging.INFO):
        kernels.take({"temporal": "products"}, "as in last.pt")
    assert "temporal products cannot be had here; decided anew" in caplog.text
    assert kernels.choice is None
    network(torch.randn(3, 8))
    assert kernels.choice == {}


def test_an_unknown_kernel_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=r"no kernel 'bitwise' of kind 'dropout'. There are dropout: packed"):
        swap(make(), {"dropout": "bitwise"})


def test_a_container_is_decided_on_by_its_members(monkeypatch):
    decided_by(monkeypatch, {"packed": 0.5})
    network = nn.ModuleDict({"one": make(), "other": make()})
    kernels = Kernels("auto", network)
    network["one"](torch.randn(3, 8))
    network["other"](torch.randn(3, 8))
    assert kernels.choice == {"dropout": "packed"}


def test_layers_that_were_not_called_and_ways_that_change_nothing_do_not_count():
    network = make()
    calls = {network[2]: measurement.Call.of((torch.randn(4, 16, requires_grad=True),), {})}
    ways = {name: way.quicker for name, way in KINDS["dropout"].items()}
    (ratio,) = measurement.ratios([network[2]], calls, ways).values()
    assert ratio > 0
    assert measurement.ratios([network[0]], calls, ways) == {}
    network[2].eval()
    assert measurement.ratios([network[2]], calls, ways) == {}


def test_a_long_sequence_is_cut_to_an_even_share_of_it():
    conv = nn.Conv1d(4, 4, 3, dilation=9)
    B, C, T = measurement._cut(conv, torch.Size((2, 4, 504)), 0.1)
    assert (B, C) == (1, 4)
    assert (T - 18) % 18 == (504 - 18) % 18
    assert 18 < T < 504
    assert measurement._cut(nn.Linear(4, 4), torch.Size((64, 4)), 0.25) == [16, 4]


def test_every_kind_finds_its_layers_in_the_models():
    from tests.anypose.export.small_tasks import baseline3d, videopose3d

    assert set(possible(videopose3d())) == {"dropout", "temporal"}
    assert {"dropout", "linear"} >= set(possible(baseline3d()))
    assert possible(nn.Sequential(nn.Conv2d(3, 4, 1)))["image"]


def test_a_copy_of_a_network_decides_nothing_for_it(monkeypatch):
    decided_by(monkeypatch, {"packed": 0.5})
    network = make()
    kernels = Kernels("auto", network)
    copy.deepcopy(network)(torch.randn(3, 8))
    assert kernels.choice is None
    network(torch.randn(3, 8))
    assert kernels.choice == {"dropout": "packed"}


def test_two_that_look_at_one_network_replace_it_once(monkeypatch):
    decided_by(monkeypatch, {"packed": 0.5, "onednn_rows": 0.5})
    network = make()
    first, second = Kernels("auto", network), Kernels("auto", network)
    network(torch.randn(3, 8))
    assert (first.choice, second.choice) == ({"dropout": "packed", "linear": "onednn_rows"}, {})
    once = [type(module) for module in network.modules()]
    swap(network, {"dropout": "packed", "linear": "by_hand"})
    assert [type(module) for module in network.modules()][3:] == once[3:]
    assert network(torch.randn(3, 8)).shape == (3, 4)


@pytest.mark.parametrize("training", [True, False])
def test_processes_take_one_choice_in_training_and_each_its_own_in_scoring(monkeypatch, training):
    decided_by(monkeypatch, {"packed": 0.5})
    network = make()
    kernels = Kernels("auto", network, agree=lambda choice: {"linear": "by_hand"})
    with torch.set_grad_enabled(training):
        network(torch.randn(3, 8))
    assert kernels.choice == ({"linear": "by_hand"} if training else {"dropout": "packed"})
