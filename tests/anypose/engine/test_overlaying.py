"""The saved configuration with the command line on top."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from anypose.engine.overlaying import complete, overlay, used_as_released
from anypose.engine.stored import own_section

SAVED = {
    "seed": 5,
    "parity": None,
    "device": {"_target_": "old"},
    "precision": {"level": "o2"},
    "model": {"width": 64},
    "dataset": {"root": "trained/on"},
    "task": {"flip_test": False, "parity": "${parity}"},
    "trainer": {"batch_size": 16},
}
GROUPS = {"device", "precision", "model", "dataset", "task", "trainer", "recipe", "experiment"}
COMPOSED = {
    "seed": 0,
    "parity": "seed",
    "run": "here",
    "device": {"_target_": "new"},
    "precision": {"level": "fp32"},
    "model": {"width": 1024},
    "dataset": {"root": "elsewhere", "frames": 7},
    "task": {"flip_test": True, "parity": "${parity}", "stride": 2},
    "trainer": {"batch_size": 999},
}


def overlaid(*overrides: str) -> dict:
    config = overlay(SAVED, OmegaConf.create(COMPOSED), list(overrides), GROUPS, "x.pt")
    return OmegaConf.to_container(config, resolve=True)  # pyright: ignore[reportReturnType]


def test_without_overrides_only_device_and_precision_are_the_commands_own():
    expected = SAVED | {"device": {"_target_": "new"}, "precision": {"level": "fp32"}}
    assert overlaid("model=m") == expected | {"task": {"flip_test": False, "parity": None}}


def test_a_key_overrides_the_saved_value_and_reaches_interpolations():
    config = overlaid("parity=seed", "task.flip_test=true", "run=here")
    assert config["task"] == {"flip_test": True, "parity": "seed"}
    assert config["dataset"] == {"root": "trained/on"}
    assert config["seed"] == 5


def test_a_dataset_replaces_the_section_and_a_protocol_replaces_dataset_and_task():
    assert overlaid("dataset=cmu")["dataset"] == COMPOSED["dataset"]
    assert overlaid("dataset=cmu")["task"]["flip_test"] is False
    config = overlaid("experiment=e")
    assert config["dataset"] == COMPOSED["dataset"]
    assert config["task"] == {"flip_test": True, "parity": "seed", "stride": 2}
    assert config["model"] == {"width": 64}


def test_a_key_the_saved_configuration_lacks_is_named():
    with pytest.raises(ValueError, match=r"task.stride is not part of .* in x.pt, whose task has flip_test, parity\."):
        overlaid("task.stride=2")


def test_settings_that_came_after_a_checkpoint_are_those_of_its_choices_files(tmp_path, monkeypatch, caplog):
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "t.yaml").write_text(
        "defaults: [_self_]\n_target_: a.T\nold: 1\nnew: {deep: 2}\nlinked: ${parity}\n", encoding="utf-8"
    )
    monkeypatch.setattr("anypose.engine.stored.CONF", tmp_path)
    caplog.set_level("INFO")

    def completed(choices, **task):
        config = OmegaConf.create({"parity": "seed", "model": {"_target_": "a.M"}, "task": task})
        complete(config, choices, Path("x.pt"))
        return OmegaConf.to_container(config.task, resolve=True)

    expected = {"_target_": "a.T", "old": 7, "new": {"deep": 2}, "linked": "seed"}
    assert completed({"task": "t", "model": "m"}, _target_="a.T", old=7) == expected
    assert "x.pt is older than task.new: taking {'deep': 2}." in caplog.text
    caplog.clear()
    assert completed({"task": "t"}, _target_="a.Other", old=7) == {"_target_": "a.Other", "old": 7}
    assert completed({"model": "m"}, _target_="a.T") == {"_target_": "a.T"}
    inner = {"_target_": "a.Other", "inside": {"_target_": "a.T", "old": 7}, "plain": {"old": 7}}
    assert completed({"task@task.inside": "u", "task@task.plain": "t"}, **inner) == inner
    assert caplog.text == ""
    assert completed({"task@task.inside": "t"}, **inner)["inside"] == expected
    assert "x.pt is older than task.inside.new" in caplog.text
    caplog.clear()
    assert caplog.text == ""


def test_a_checkpoint_does_not_say_where_files_are_written_or_how_large_they_may_be(caplog):
    caplog.set_level("INFO")
    task = {"_target_": "a.T", "results": "somewhere/victim/.profile", "cache": None}
    limits = {"max_megapixels": 1e9, "max_megabytes": 5}
    dataset = {"cache": "/etc", "recorded": {"cache": "/etc", "root": "r"}, **limits, "flat": limits}
    saved: Any = SAVED | {"task": task, "dataset": dataset}
    choices = {"task": "topdown2d", "dataset": "cmu"}
    config = overlay(saved, OmegaConf.create(COMPOSED), [], GROUPS, "x.pt", choices)
    assert config.task == {"_target_": "a.T", "results": None, "cache": None}
    recorded, own = {"cache": None, "root": "r"}, {"max_megapixels": 120, "max_megabytes": 5}
    assert config.dataset == {"cache": "~/.cache/anypose", "recorded": recorded, **own, "flat": own}
    assert "task.results=somewhere/victim/.profile of x.pt is not taken over: None." in caplog.text
    assert "dataset.recorded.cache=/etc of x.pt is not taken over: None." in caplog.text
    inside = choices | {"dataset@dataset.recorded": "cmu"}  # a dataset in it has a file of this project's own, too
    again = overlay(saved, OmegaConf.create(COMPOSED), [], GROUPS, "x.pt", inside)
    assert again.dataset.recorded.cache == "~/.cache/anypose"
    composed = OmegaConf.create(COMPOSED | {"task": {"results": "mine.json"}})
    assert overlay(saved, composed, ["task.results=mine.json"], GROUPS, "x.pt", choices).task.results == "mine.json"


def test_a_smoke_test_changes_what_it_names_and_nothing_else():
    smoke = own_section("debug", "smoke")["trainer"]
    composed = OmegaConf.create(COMPOSED | {"kernels": "plain", "trainer": {"batch_size": 999, **smoke}})
    config = overlay(SAVED, composed, ["debug=smoke"], GROUPS | {"debug"}, "x.pt")
    assert config.trainer == {"batch_size": 16, **smoke}
    assert config.kernels == "plain"
    assert "debug" not in config


def test_released_weights_say_how_they_are_used_and_nothing_else(caplog):
    own = {"seed": 3, "task": {"flip_test": False, "bones": False, "stride": 1}}
    stored = {"seed": 0, "task": {"flip_test": True, "bones": True, "stride": 7, "_target_": "os.unlink"}}
    with caplog.at_level("INFO"):
        used = used_as_released(own, stored, Path("some.safetensors"))
    assert used == {"seed": 3, "task": {"flip_test": True, "bones": True, "stride": 1}}
    assert "some.safetensors is used with task.flip_test=true task.bones=true, unless other is said." in caplog.text
    assert own["task"]["flip_test"] is False
    mixture = {"task": {"loss": "x"}}  # a task that knows no such use; a file from before it, and one with odd values
    assert used_as_released(mixture, stored, Path("x")) == mixture
    assert used_as_released(own, {}, Path("x")) == own
    assert used_as_released(own, {"task": {"flip_test": "${oc.env:HOME}"}}, Path("x")) == own
