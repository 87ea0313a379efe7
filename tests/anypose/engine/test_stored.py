"""A stranger's checkpoint runs nothing, looks nothing up, and leaves no folder."""

from __future__ import annotations

import copy
import json
import os
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from anypose.engine import checkpoint
from anypose.engine.finding import read_choices
from anypose.engine.overlaying import overlay
from anypose.engine.restore import choose_model
from anypose.engine.stored import DEEPEST, LARGEST, own_section, plain_choices, plain_config

MODEL = own_section("model", "baseline3d") | {"input_skeleton": "h36m_16", "output_skeleton": "h36m_17"}
GOOD = {
    "seed": 0,
    "parity": None,
    "model": MODEL,
    "task": own_section("task", "lifting3d") | {"parity": None},
    "dataset": own_section("dataset", "synthetic"),
    "device": {"_target_": "another.name.of.Before"},  # never built from a file
    "trainer": {"batch_size": 8},
}


def bad(path: str, value: Any) -> dict[str, Any]:
    config: Any = copy.deepcopy(GOOD)
    *above, last = path.split(".")
    node = config
    for key in above:
        node = node.setdefault(key, {})
    node[last] = value
    return config


WRITE = {"_target_": "pathlib.Path.write_text", "_args_": [{"_target_": "pathlib.Path", "_args_": ["marker"]}, "run"]}
HOSTILE = [
    ("model", WRITE, "model._target_='pathlib.Path.write_text'"),
    ("model._target_", "os.unlink", "model._target_='os.unlink'"),
    ("model._target_", "torch.hub.load", "model._target_"),
    ("model._target_", ["os.system"], "model._target_"),
    ("model._target_", None, "model._target_"),
    ("model._target_", "pose3d.dataset.synthetic.Synthetic", "no file of conf/model/ names"),
    ("model._target_", "pose3d.model.baseline3d.Baseline3D.__init__", "model._target_"),
    ("model._target_", " pose3d.model.baseline3d.Baseline3D", "model._target_"),
    ("model.dropout", WRITE, "model.dropout._target_"),
    ("model.kernel_sizes", [3, [WRITE]], "model.kernel_sizes.1.0._target_"),
    ("model._args_", ["x"], "model._args_"),
    ("model._partial_", True, "model._partial_"),
    ("model._recursive_", False, "model._recursive_"),
    ("model._convert_", "all", "model._convert_"),
    ("task.augment", {"deep": {"deeper": WRITE}}, "task.augment.deep.deeper._target_"),
    ("task._target_", "builtins.exec", "task._target_"),
    ("dataset.recorded", WRITE, "dataset.recorded._target_"),
    ("trainer._target_", "os.abort", "trainer._target_='os.abort' has no place"),
    ("anything", [WRITE], "anything.0._target_"),
    ("seed", "${oc.env:SECRET}", "seed is '${oc.env:SECRET}'"),
    ("dataset.root", "x/${oc.env:SECRET}/y", "dataset.root"),
    ("model.linear_size", "${oc.decode:'1'}", "model.linear_size"),
    ("trainer.list", [{"a": "${hydra:runtime.cwd}"}], "trainer.list.0.a"),
    ("task.parity", "${parity}", "task.parity"),
    ("model.dropout", torch.zeros(1), "model.dropout must be a plain value, found Tensor"),
    ("model", {1.5: 2}, "the keys of a configuration are words, found float"),
]


@pytest.mark.parametrize(("path", "value", "said"), HOSTILE, ids=lambda value: str(value)[:40])
def test_a_checkpoint_that_would_run_or_look_up_something_is_refused_unread(tmp_path, monkeypatch, path, value, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET", "of the victim")
    checkpoint.save(tmp_path / "last.pt", {"model": {}, "config": bad(path, value), "choices": {"model": "baseline3d"}})
    with pytest.raises(ValueError, match=r"last\.pt: ") as caught:
        checkpoint.load(tmp_path / "last.pt")
    assert said in str(caught.value)
    assert "of the victim" not in str(caught.value)
    assert os.listdir(tmp_path) == ["last.pt"]


def test_an_exported_file_is_looked_through_as_well(tmp_path):
    from safetensors.torch import save_file

    about = {"config": bad("model", WRITE), "choices": {"model": "baseline3d"}}
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors", metadata={checkpoint.HEADER: json.dumps(about)})
    with pytest.raises(ValueError, match=r"x.safetensors: model._args_|x.safetensors: model._target_"):
        checkpoint.load(tmp_path / "x.safetensors")
    about = "[" * 100_000
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors", metadata={checkpoint.HEADER: about})
    with pytest.raises(ValueError, match="is damaged or no safetensors file"):
        checkpoint.load(tmp_path / "x.safetensors")


def test_configurations_without_end_are_refused():
    config: dict[str, Any] = {"seed": 0}
    config["again"] = config
    with pytest.raises(ValueError, match=f"more than {DEEPEST} levels deep"):
        plain_config(config, "x.pt")
    many: Any = [0] * 10
    for _ in range(8):
        many = [many] * 10  # ten objects, a hundred million values
    with pytest.raises(ValueError, match=f"more than {LARGEST} values"):
        plain_config({"many": many}, "x.pt")
    with pytest.raises(ValueError, match="must be a mapping, found str"):
        plain_config("model: {_target_: os.abort}", "x.pt")


@pytest.mark.parametrize(
    "option", ["../../x", "/etc/x", "..", "", "a b", "a/b", "a,b", "${oc.env:HOME}", 3, None, ["a"]]
)
def test_an_option_is_a_name_and_no_path(tmp_path, option):
    with pytest.raises(ValueError, match=r"x.pt: choices.model must be the name of an option, found "):
        plain_choices({"model": option}, "x.pt")
    (tmp_path / "environment.json").write_text(json.dumps({"choices": {"model": option}}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"environment.json: choices.model must be"):
        read_choices(tmp_path)
    with pytest.raises(ValueError, match=r"environment.json: choices.model must be"):
        choose_model([f"run={tmp_path}"])


@pytest.mark.parametrize("text", ["{", "[]", '"x"', "[" * 100_000, '{"choices": 3}'])
def test_a_damaged_environment_file_is_named(tmp_path, text):
    (tmp_path / "environment.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"environment.json( is damaged|: its choices must be a mapping)"):
        read_choices(tmp_path)


def test_a_checkpoint_of_this_project_is_read_and_overridden_on_the_command_line(tmp_path):
    checkpoint.save(tmp_path / "last.pt", {"model": {}, "config": GOOD, "choices": {"task": "lifting3d"}})
    state = checkpoint.load(tmp_path / "last.pt")
    assert state["config"] == GOOD
    cfg = OmegaConf.create({"parity": "seed", "device": {}, "precision": {}, "dataset": {"root": "there"}})
    groups = {"model", "task", "dataset"}

    def overlaid(*overrides: str) -> Any:
        config = overlay(state["config"], cfg, list(overrides), groups, "last.pt", state["choices"])
        return OmegaConf.to_container(config, resolve=True)

    assert overlaid()["task"]["parity"] is None
    assert overlaid("parity=seed")["task"]["parity"] == "seed"  # as conf/task/lifting3d.yaml ties them
    state["config"]["task"]["parity"] = "own"
    assert overlaid("parity=seed")["task"]["parity"] == "own"


def test_packed_archives_are_no_checkpoints(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "last.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", bytes(1 << 20))
    with pytest.raises(ValueError, match=r"data.pkl is compressed, which torch's archives never are"):
        checkpoint.load(tmp_path / "last.pt")
