"""What a trained model was trained on is found, so that it can be said."""

from __future__ import annotations

import json
from types import SimpleNamespace

from omegaconf import OmegaConf

from anypose.engine import checkpoint
from anypose.engine.restore import choose_model, restore
from tests.composing import composed


def test_a_run_or_checkpoint_chooses_its_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # runs of whoever tests are beside the point
    (tmp_path / "environment.json").write_text(json.dumps({"choices": {"model": "videopose3d"}}), encoding="utf-8")
    assert choose_model([f"run={tmp_path}"]) == ["model=videopose3d"]
    assert choose_model([f"checkpoint={tmp_path}/best.pt"]) == ["model=videopose3d"]
    assert choose_model([f"run={tmp_path}", "model=baseline3d"]) == []
    assert choose_model(["run=nowhere"]) == choose_model([]) == []


def test_what_a_run_was_trained_on_is_composed_again_so_that_its_keys_can_be_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    choices = {"model": "videopose3d", "dataset": "cmu", "task": "lifting3d", "debug": "smoke"}
    assert choose_model([]) == []
    run = tmp_path / "runs" / "videopose3d" / "1"
    run.mkdir(parents=True)
    (run / "environment.json").write_text(json.dumps({"choices": choices}), encoding="utf-8")
    checkpoint.save(run / "last.pt", {"model": {}, "config": {}, "choices": choices})
    trained = ["dataset=cmu", "task=lifting3d"]
    assert choose_model([f"run={run}"]) == ["model=videopose3d", *trained]
    assert choose_model([f"checkpoint={run}/last.pt", "dataset.root=x"]) == ["model=videopose3d", *trained]
    assert choose_model(["model=videopose3d", "dataset=aist"]) == ["task=lifting3d"]
    assert choose_model(["model=videopose3d", "experiment=x"]) == []
    assert choose_model(["model=gmh_mdn"]) == choose_model(["checkpoint=released"]) == []
    alone = tmp_path / "a b=c.pt"  # without the files beside it
    alone.write_bytes((run / "last.pt").read_bytes())
    assert choose_model([f"checkpoint='{alone}'"]) == ["model=videopose3d", *trained]


def test_a_run_is_scored_on_its_dataset_also_where_that_has_gained_a_key(tmp_path, monkeypatch, caplog):
    choices = {"model": "baseline3d", "dataset": "cmu", "task": "lifting3d"}
    words = [f"{group}={choice}" for group, choice in choices.items()]
    config = OmegaConf.to_container(composed("train", *words, "dataset.root=mine"), resolve=True)
    assert config["dataset"].pop("up", "") is None
    checkpoint.save(tmp_path / "last.pt", {"model": {}, "config": config, "choices": choices})
    chosen = SimpleNamespace(runtime=SimpleNamespace(choices=choices), overrides=SimpleNamespace(task=[]))
    monkeypatch.setattr("anypose.engine.restore.HydraConfig", SimpleNamespace(get=lambda: chosen))
    caplog.set_level("INFO")
    restored, _, _ = restore(composed("evaluate", *words, f"checkpoint={tmp_path}/last.pt"))
    assert (restored.dataset.root, restored.dataset.up) == (["mine"], None)
    assert "last.pt is older than dataset.up: taking None." in caplog.text
