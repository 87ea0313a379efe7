"""What torch's optimisers remember, put back where weights lie otherwise."""

import copy
import logging

import pytest
import torch
from torch import nn

from anypose.engine import checkpoint, optimizer
from tests.anypose.engine.toy import make_trainer

SETTINGS = {"lr": 1e-2, "betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0.1, "amsgrad": False, "fused": True}


def _network():
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, 8, 3, bias=False), nn.Conv2d(8, 4, 1)
    return nn.Sequential(first, nn.BatchNorm2d(8), second, nn.Flatten(), nn.Linear(64, 5)).double()


def _train(network, steps, make, state=None):
    """(weights, the optimiser's state) after some steps; with `state` they go on."""
    adam = make(network.parameters())
    if state is not None:
        optimizer.load_state(adam, state)
    generator = torch.Generator().manual_seed(1 + (state is not None))
    for _ in range(steps):
        adam.zero_grad()
        network(torch.randn(6, 3, 6, 6, generator=generator).double()).square().mean().backward()
        adam.step()
    return copy.deepcopy(network.state_dict()), adam.state_dict()["state"]


def _last(network):
    return network.to(memory_format=torch.channels_last)


@pytest.mark.parametrize("make", [torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD])
@pytest.mark.parametrize("then", ["contiguous to channels_last", "channels_last to contiguous"])
def test_a_checkpoint_goes_on_where_weights_lie_otherwise(make, then):
    """torch's fused step mixes up the channels of a state that does not lie as its weights do."""

    def build(parameters):
        options = {"lr": 1e-2, "momentum": 0.9, "fused": True} if make is torch.optim.SGD else SETTINGS
        return make(parameters, **options)

    weights, state = _train(_network(), 2, build)
    expected, _ = _train(_network_with(weights), 2, build, copy.deepcopy(state))
    if then.startswith("channels_last"):
        weights, state = _train(_last(_network()), 2, build)
        network = _network_with(weights)
    else:
        network = _last(_network_with(weights))
    found, kept = _train(network, 2, build, state)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)
    assert kept[0]["step" if make is not torch.optim.SGD else "momentum_buffer"] is not None


def _network_with(weights):
    network = _network()
    network.load_state_dict(weights)
    return network


def test_parameters_whose_moments_a_checkpoint_lacks_are_said_to_begin_anew(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    make_trainer(tmp_path, epochs=1).fit()
    state = checkpoint.load(tmp_path / "last.pt")
    make_trainer(tmp_path / "whole", epochs=2).resume(tmp_path / "last.pt")
    assert not caplog.messages
    del state["optimizer"][1]
    checkpoint.save(tmp_path / "last.pt", state)
    trainer = make_trainer(tmp_path / "part", epochs=2)
    trainer.resume(tmp_path / "last.pt")
    names = [name for name, _ in trainer.model.named_parameters()]
    (said,) = caplog.messages
    assert f"last.pt holds no state of its optimizer for 1 of {len(names)} parameters ({names[1]}, ...)" in said
