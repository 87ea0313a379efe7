"""A checkpoint whose configuration asks for more than its tensors are is refused before anything is allocated."""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from anypose.engine import checkpoint
from anypose.engine.fitting import built_to_fit
from anypose.engine.loading import find, load_network, load_task
from anypose.engine.place import CONF

resource = pytest.importorskip("resource", reason="Windows says nothing of how much memory a process has had")
KILOBYTE = 1024 if sys.platform == "darwin" else 1  # in what getrusage counts


@pytest.fixture(scope="module")
def released() -> dict:
    state = checkpoint.load(find("baseline3d"))
    return {key: state[key] for key in ("model", "config", "choices")}


@pytest.fixture
def asking(released, tmp_path):
    """The released checkpoint, asking for another network."""

    def change(**settings) -> Path:
        state = copy.deepcopy(released)
        state["config"]["model"] |= settings
        checkpoint.save(tmp_path / "asking.pt", state)
        return tmp_path / "asking.pt"

    return change


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"linear_size": 10**7}, r"55 of another shape \(trunk\.stem\.linear\.weight: model \(10000000, 31\)"),
        ({"linear_size": 10**12}, "network of its configuration's sizes cannot be built"),
        ({"linear_size": 10**20}, r"asking\.pt: model\.linear_size must be .* more than 64 bits hold"),
        ({"linear_size": "wide"}, r"asking\.pt: model\.linear_size must be a whole number, got 'wide'"),
        ({"num_blocks": 10**9}, r"asks for more than \d+ (tensors|modules)\. The file has 67 tensors"),
    ],
)
def test_sizes_are_those_of_the_tensors_before_anything_is_built(asking, settings, message):
    path, before = asking(**settings), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=message):
        load_network(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000 * KILOBYTE


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (lambda: torch.zeros(1).expand(10**6, 10**6), r"its tensors would need \d{13,}"),
        (
            lambda: torch.sparse_coo_tensor(size=(10**6, 10**6), check_invariants=True),
            "a tensor of layout torch.sparse_coo",
        ),
        (lambda: torch.zeros(3, device="meta"), "a tensor of no numbers of its own"),
    ],
)
def test_every_number_of_a_tensor_stands_in_the_file(released, tmp_path, tensor, message):
    weights = dict.fromkeys(released["model"], tensor())
    torch.save({"format": 1} | released | {"model": weights}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match=message):
        checkpoint.load(tmp_path / "a.pt")


@pytest.mark.parametrize("section", [None, "abc", [], {}])
def test_a_checkpoint_without_a_model_to_build_is_named(released, tmp_path, section):
    for part, load in (("model", load_network), ("task", load_task)):
        state = copy.deepcopy(released)
        state["config"][part] = section
        checkpoint.save(tmp_path / "a.pt", state)
        with pytest.raises(ValueError, match=rf"a\.pt: its configuration has no {part} to build"):
            load(tmp_path / "a.pt")


@pytest.mark.parametrize("part", ["model", "trained"])
@pytest.mark.parametrize("weights", [{1: torch.zeros(3)}, {"a": 1.0}, [torch.zeros(3)], "abc"])
def test_weights_are_tensors_by_name(released, tmp_path, part, weights):
    torch.save({"format": 1} | released | {part: weights}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match=rf"a\.pt: its '{part}' must be named tensors"):
        checkpoint.load(tmp_path / "a.pt")


def test_a_window_or_a_picture_beyond_all_measure_is_refused_though_no_tensor_shows_it():
    for name, large in (
        ("videopose3d", {"kernel_sizes": [1001] * 3, "channels": 1}),
        ("simplebaseline", {"height": 32 * 10**5}),
    ):
        config = OmegaConf.merge(OmegaConf.load(CONF / "model" / f"{name}.yaml"), large)
        with torch.device("meta"):
            weights = build(config).state_dict()
        with pytest.raises(ValueError, match=r"its network reads \d+ numbers of one sample"):
            built_to_fit(lambda config=config: build(config), lambda model: model, weights, "a.pt")


def build(config) -> nn.Module:
    from hydra.utils import instantiate

    return instantiate(config)


def test_what_fits_is_built_with_the_weights_of_the_file(released):
    network = load_network("baseline3d")
    weights = network.state_dict()
    assert weights.keys() == released["model"].keys()
    assert all(torch.equal(weights[name], tensor) for name, tensor in released["model"].items())
    assert {parameter.device.type for parameter in network.parameters()} == {"cpu"}
