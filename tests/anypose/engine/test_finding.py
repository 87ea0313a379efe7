"""Which run is meant: the latest, a whole one, the one that goes on, and what may change in it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch

from anypose.engine.finding import find_checkpoint, latest
from anypose.engine.resuming import check_change, find_resume, run_folder
from anypose.engine.run import Run


def started(folder: str, config: dict, model: str = "a", **choices: str) -> Path:
    with Run(Path(folder), config, {"model": model, **choices}, [], True) as run:
        run.save({"model": {"w": torch.zeros(1)}}, best=False)
    return Path(folder)


def test_resume_auto_takes_the_latest_run_of_this_configuration(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    caplog.set_level("INFO")
    config = {"seed": 0, "trainer": {"epochs": 3, "batch_size": 8}, "model": {"width": 4}, "resume": None}
    zero = started("runs/sweep/now/0", config)
    one = started("runs/sweep/now/1", config | {"seed": 1})
    assert find_resume("auto", "a", config, {}) == zero / "last.pt"
    assert find_resume("auto", "a", config | {"seed": 1, "resume": "auto"}, {}) == one / "last.pt"
    assert find_resume("auto", "a", config | {"seed": 2}, {}) is None
    assert f"resume=auto passes by {zero}: it differs in seed." in caplog.text
    assert run_folder("a", "noon", "auto", config | {"seed": 2}, {}) == "runs/a/noon"
    more = config | {"trainer": {"epochs": 9, "batch_size": 8}}
    assert find_resume("auto", "a", more, {}) == zero / "last.pt"
    assert find_resume("auto", "a", config | {"trainer": {"epochs": 3, "batch_size": 4}}, {}) is None
    assert find_resume("auto", "a", config, {"debug": "smoke"}) is None
    listed = started("runs/a/1", config | {"actions": ["Walking"]})  # as a word becomes once it is judged
    assert find_resume("auto", "a", config | {"actions": "Walking"}, {}) == listed / "last.pt"
    assert find_resume("auto", "a", config | {"actions": "Sitting"}, {}) == zero / "last.pt"
    shutil.rmtree(listed)
    (zero / "config.yaml").write_text("{", encoding="utf-8")
    assert find_resume("auto", "a", config, {}) is None


def test_a_clock_that_goes_back_does_not_change_which_run_is_the_latest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, second = started("runs/a/2030", {}), started("runs/a/2020", {})
    os.utime(second / "last.pt", (0, 0))
    assert latest("a") == second
    started("runs/a/2030", {})  # it goes on
    assert latest("a") == first


def test_a_whole_run_is_preferred_to_a_smoke_run_and_what_is_taken_is_said(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    caplog.set_level("INFO")
    smoke = started("runs/a/1", {}, debug="smoke")
    assert find_checkpoint("a") == smoke / "last.pt"
    assert f"model=a takes {smoke} (a run with debug=smoke; there is no other of 1)" in caplog.text
    whole = started("runs/a/2", {})
    started("runs/a/3", {}, debug="smoke")
    assert find_checkpoint("a") == whole / "last.pt"
    assert f"model=a takes {whole} (the latest of 3)" in caplog.text


def test_what_changed_is_listed_and_what_cannot_change_is_refused_before_anything_is_written(tmp_path, caplog):
    caplog.set_level("INFO")
    config = {"seed": 0, "model": {"width": 4}, "optimizer": {"lr": 0.1}, "trainer": {"epochs": 3}}
    folder = started(str(tmp_path / "a"), config)
    changed = config | {"optimizer": {"lr": 0.01}, "new": 3}
    assert check_change(folder / "last.pt", changed) == ["resume: optimizer.lr was 0.1 and is 0.01 from here on."]
    with Run(folder, changed, {}, [], True, folder / "last.pt"):
        pass
    assert "optimizer.lr was 0.1 and is 0.01" in (folder / "log.txt").read_text(encoding="utf-8")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    changed = Run(folder, config | {"seed": 1, "model": {"width": 8}}, {}, [], True, folder / "last.pt")
    with pytest.raises(ValueError, match=r"other settings: seed 0 -> 1; model.width 4 -> 8\. .*init="), changed:
        pass
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
