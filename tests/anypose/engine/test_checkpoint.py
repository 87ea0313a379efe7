"""Checkpoints survive kills and full disks, unpickle nothing, and say which keys differ."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
import time
from collections import OrderedDict

import pytest
import torch
from torch import nn

from anypose import whole
from anypose.engine import checkpoint
from anypose.engine.checkpoint import load, load_weights, save, to_cpu

STATE = {"model": {"weight": torch.arange(4.0)}, "config": {"seed": 0}, "step": 3, "rng": [{"cpu": torch.zeros(2)}]}


def test_what_is_saved_is_loaded(tmp_path):
    save(tmp_path / "last.pt", STATE)
    state = load(tmp_path / "last.pt")
    assert torch.equal(state["model"]["weight"], STATE["model"]["weight"])
    assert (state["step"], state["config"]) == (3, {"seed": 0})
    assert [file.name for file in tmp_path.iterdir()] == ["last.pt"]


def test_a_checkpoint_holds_cpu_tensors_in_plain_containers():
    parameter = nn.Parameter(torch.ones(2, 3).t())
    state = to_cpu({"model": OrderedDict(weight=parameter), "betas": (0.9, 0.999), "name": "x"})
    assert type(state["model"]) is dict
    assert type(state["model"]["weight"]) is torch.Tensor
    assert state["model"]["weight"].is_contiguous()
    assert state["model"]["weight"].data_ptr() != parameter.data_ptr()
    assert state["betas"] == [0.9, 0.999]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("PytorchStreamWriter failed")])
def test_a_full_disk_leaves_the_checkpoint_before(tmp_path, monkeypatch, error):
    path = tmp_path / "last.pt"
    save(path, STATE)

    def fill_up(_state, file):
        file.write(b"half of it")
        raise error

    monkeypatch.setattr(torch, "save", fill_up)
    with pytest.raises(OSError, match=rf"{re.escape(str(path))} \(.*(No space left|Writer failed).*still holds"):
        save(path, STATE | {"step": 4})
    assert load(path)["step"] == 3
    assert [file.name for file in tmp_path.iterdir()] == ["last.pt"]


def test_a_full_disk_at_the_first_checkpoint_says_there_is_none(tmp_path, monkeypatch):
    def fill_up(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fill_up)
    with pytest.raises(OSError, match=r"No space left on device.*\); there is no earlier one"):
        save(tmp_path / "last.pt", STATE)
    assert not list(tmp_path.iterdir())


WRITER = """
import sys, torch
from pathlib import Path
from anypose.engine.checkpoint import save
path = Path(sys.argv[1])
for step in range(1000000):
    save(path, {"model": {"weight": torch.full((200_000,), float(step))}, "config": {}, "step": step})
    print(step, flush=True)
"""


@pytest.mark.slow
def test_kill_9_at_any_moment_leaves_a_whole_checkpoint(tmp_path, repository):
    path = tmp_path / "last.pt"
    for delay in (0.0, 0.004, 0.009):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], cwd=repository, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout
        for _ in range(3):
            step = int(process.stdout.readline())
        time.sleep(delay)
        process.kill()
        rest = process.stdout.read().split()
        process.wait()
        process.stdout.close()
        state = load(path)
        assert state["step"] >= int(rest[-1] if rest else step)
        assert (state["model"]["weight"] == state["step"]).all()
    whole.remove_leftovers(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["last.pt"]


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=re.escape(f"No checkpoint at {tmp_path / 'last.pt'}.")):
        load(tmp_path / "last.pt")


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_a_truncated_checkpoint_is_damaged(tmp_path, keep):
    path = tmp_path / "last.pt"
    save(path, STATE)
    data = path.read_bytes()
    size = int(keep * len(data)) if isinstance(keep, float) else keep
    path.write_bytes(data[:size])
    with pytest.raises(ValueError, match=rf"last\.pt \({size} bytes\) is damaged or is no checkpoint"):
        load(path)


def test_nothing_in_a_checkpoint_is_executed(tmp_path):
    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    torch.save({"model": {}, "config": {}, "x": Payload()}, tmp_path / "evil.pt")
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(Payload()))
    for name in ("evil.pt", "evil.pkl"):
        with pytest.raises(ValueError, match=f"{name} .* is damaged or is no checkpoint"):
            load(tmp_path / name)
    assert not (tmp_path / "executed").exists()


def test_weights_of_another_project_are_recognised(tmp_path):
    torch.save({"model_pos": {}, "epoch": 80}, tmp_path / "other.bin")
    with pytest.raises(ValueError, match=r"found model_pos, epoch\. Weights of other projects go through"):
        load(tmp_path / "other.bin")


def test_another_format_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "FORMAT", 7)
    save(tmp_path / "last.pt", STATE)
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"last.pt has checkpoint format 7, this code reads 1\."):
        load(tmp_path / "last.pt")


def test_weights_that_do_not_fit_are_named_key_by_key():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    weights = {"0.weight": torch.zeros(3, 4), "0.bias": torch.zeros(3), "head.weight": torch.zeros(1)}
    expected = (
        "runs/x/last.pt does not fit Sequential: 2 missing (1.weight, 1.bias); 1 unexpected (head.weight); "
        "1 of another shape (0.weight: model (3, 2), checkpoint (3, 4)). It was saved by another model."
    )
    with pytest.raises(ValueError, match=re.escape(expected)):
        load_weights(model, weights, "runs/x/last.pt")


def test_an_exported_weights_file_is_a_checkpoint_of_its_own(tmp_path):
    from safetensors.torch import save_file

    weights = {"weight": torch.full((2, 3), 0.5, dtype=torch.float16), "bias": torch.zeros(2)}
    about = {"config": {"model": {"width": 2}}, "choices": {"model": "toy"}, "bytes": 1}
    save_file(weights, tmp_path / "toy.safetensors", metadata={checkpoint.HEADER: json.dumps(about)})
    state = checkpoint.load(tmp_path / "toy.safetensors")
    assert (state["config"], state["choices"]) == (about["config"], about["choices"])
    model = nn.Linear(3, 2)
    checkpoint.load_weights(model, state["model"], "toy")
    assert model.weight.dtype == torch.float32
    assert (model.weight == 0.5).all()


def test_weights_without_a_configuration_and_damaged_weights_are_refused(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "toy.safetensors"
    for metadata in (None, {checkpoint.HEADER: "{}"}, {checkpoint.HEADER: "[1]"}):
        save_file({"weight": torch.zeros(2)}, path, metadata=metadata)
        with pytest.raises(ValueError, match=r"toy\.safetensors holds weights without the configuration"):
            checkpoint.load(path)
    sound = path.read_bytes()
    save_file({"weight": torch.zeros(2)}, path, metadata={checkpoint.HEADER: "no JSON"})
    for content in (sound[:20], b"", b"\xff" * 100, path.read_bytes()):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"toy\.safetensors \({len(content)} bytes\) is damaged or no"):
            checkpoint.load(path)


@pytest.mark.parametrize("kind", [torch.int8, torch.complex64])
def test_numbers_of_another_kind_are_not_cut_to_fit(kind):
    model = nn.Linear(2, 3)
    weights = {name: value.detach().to(kind) for name, value in model.state_dict().items()}
    with pytest.raises(
        ValueError, match=rf"a\.pt does not fit Linear: 2 of another kind of numbers \(weight: .*{kind}"
    ):
        load_weights(model, weights, "a.pt")
    load_weights(model, {name: value.half() for name, value in model.state_dict().items()}, "a.pt")


def test_containers_in_containers_without_end_are_refused(tmp_path):
    again, itself = [0], []
    itself.append(itself)
    for _ in range(30):
        again = [again, again]
    for value in (again, itself):
        torch.save({"format": 1, "model": {}, "config": {}, "x": value}, tmp_path / "a.pt")
        with pytest.raises(ValueError, match=r"a\.pt holds more than 200000 values, or is more than 50 levels deep"):
            load(tmp_path / "a.pt")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_no_numbers_are_named(value):
    model, before = nn.Linear(3, 2), nn.Linear(3, 2).state_dict()
    model.load_state_dict(before)
    broken = {name: tensor.clone() for name, tensor in before.items()}
    broken["weight"][1, :2] = value
    with pytest.raises(
        ValueError, match=r"^a\.pt: 2 of the 6 numbers of weight are NaN or infinite\. Its training went"
    ):
        load_weights(model, broken, "a.pt")
    broken["bias"][0] = value
    with pytest.raises(ValueError, match=r"infinite, and so in 1 more tensors\."):
        load_weights(model, broken, "a.pt")
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
