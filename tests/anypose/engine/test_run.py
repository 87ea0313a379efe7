"""Run folders: what lies in them, and how the latest one is found."""

from __future__ import annotations

import json
import logging
import os
import re
from pathlib import Path

import pytest

from anypose.engine import finding
from anypose.engine.checkpoint import save
from anypose.engine.finding import find_checkpoint, latest
from anypose.engine.resuming import find_resume, run_folder
from anypose.engine.run import Run, commit

STATE = {"model": {}, "config": {}}


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def make_run(folder: str, model: str, age: int, *files: str) -> Path:
    path = Path(folder)
    path.mkdir(parents=True)
    (path / "environment.json").write_text(json.dumps({"choices": {"model": model}}), encoding="utf-8")
    for name in files:
        save(path / name, STATE)
        os.utime(path / name, (1e9 - age, 1e9 - age))
    return path


def test_the_latest_run_is_the_one_written_last_sweeps_included():
    make_run("runs/a/2026-01-01", "a", 30, "last.pt")
    make_run("runs/a/2026-01-02", "a", 20, "last.pt")
    make_run("runs/a/2026-01-03", "a", 0)
    make_run("runs/b/2026-01-04", "b", 0, "last.pt")
    assert latest("a") == Path("runs/a/2026-01-02")
    make_run("runs/sweep/2026-01-05/0", "a", 10, "last.pt")
    make_run("runs/sweep/2026-01-05/1", "b", 5, "last.pt")
    assert latest("a") == Path("runs/sweep/2026-01-05/0")
    assert latest("c") is None


def test_the_best_checkpoint_is_taken_where_there_is_one():
    make_run("runs/a/1", "a", 0, "last.pt")
    assert find_checkpoint("a") == Path("runs/a/1/last.pt")
    save(Path("runs/a/1/best.pt"), STATE)
    assert find_checkpoint("a") == Path("runs/a/1/last.pt")
    assert find_checkpoint("b", run="runs/a/1") == Path("runs/a/1/last.pt")
    assert find_checkpoint("a", parity="seed") == Path("runs/a/1/best.pt")
    assert find_checkpoint("b", file="runs/a/1/last.pt") == Path("runs/a/1/last.pt")


def test_nothing_found_names_what_was_looked_for_and_the_command_that_makes_one(tmp_path):
    expected = (
        f"No trained videopose3d found: looked for runs/videopose3d/*/last.pt in {tmp_path}. "
        "Train one with `python train.py model=videopose3d`, or choose with run=FOLDER or checkpoint=FILE."
    )
    with pytest.raises(FileNotFoundError, match=re.escape(expected)):
        find_checkpoint("videopose3d")
    with pytest.raises(FileNotFoundError, match=r"checkpoint=x.pt does not exist. `python train.py model=a` makes one"):
        find_checkpoint("a", file="x.pt")
    make_run("runs/a/1", "a", 0)
    expected = "run=runs/a/1 holds neither best.pt nor last.pt, found environment.json. `python train.py model=a`"
    with pytest.raises(FileNotFoundError, match=re.escape(expected)):
        find_checkpoint("a", run="runs/a/1")
    with pytest.raises(FileNotFoundError, match=r"run=runs/x is no folder. `python train.py model=a` makes one"):
        find_checkpoint("a", run="runs/x")


def test_released_weights_are_found_in_the_packages_and_their_products_go_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(finding, "PACKAGE", tmp_path / "package")
    with pytest.raises(FileNotFoundError, match=r"there are no released weights of a, only of nothing\."):
        find_checkpoint("a", file="released")
    folder = tmp_path / "package" / "released"
    folder.mkdir(parents=True)
    for name in ("a", "b"):
        (folder / f"{name}.safetensors").touch()
    assert find_checkpoint("a", file="released") == folder / "a.safetensors"
    assert find_checkpoint("a", file="b") == folder / "b.safetensors"
    with pytest.raises(FileNotFoundError, match=r"no released weights of c, only of a, b\. `python train\.py model=c`"):
        find_checkpoint("c", file="released")
    assert finding.products_folder(folder / "a.safetensors", "a") == Path("runs/a/released")
    assert finding.products_folder(folder / "b.safetensors", "a") == Path("runs/a/b")
    assert finding.products_folder(Path("runs/a/1/last.pt"), "a") == Path("runs/a/1")


def test_a_run_begins_in_a_folder_of_its_own():
    assert run_folder("a", "noon", None) == "runs/a/noon"
    Path("runs/a/noon").mkdir(parents=True)
    assert run_folder("a", "noon", None) == "runs/a/noon-2"


def test_a_resumed_run_stays_in_its_folder():
    make_run("runs/a/1", "a", 10, "last.pt", "best.pt")
    for resume, file in (("auto", "last.pt"), ("runs/a/1", "last.pt"), ("runs/a/1/best.pt", "best.pt")):
        assert run_folder("a", "noon", resume) == "runs/a/1"
        assert find_resume(resume, "a") == Path("runs/a/1") / file
    assert run_folder("b", "noon", "auto") == "runs/b/noon"
    assert find_resume("auto", "b") is None
    expected = "resume=runs/a/2: there is no checkpoint runs/a/2. resume=auto takes the latest run."
    with pytest.raises(FileNotFoundError, match=re.escape(expected)):
        find_resume("runs/a/2", "a")


def test_a_run_holds_its_config_environment_log_and_metrics():
    folder = Path("runs/a/1")
    with Run(folder, {"seed": 3, "parity": "${seed}"}, {"model": "a"}, ["seed=3"], writes=True) as run:
        logging.getLogger("anything").warning("hello")
        run.record({"split": "train", "step": 1, "loss": 0.5})
        run.save({"model": {}}, best=False)
        run.finish({"error_mm": 2.0})
    logging.getLogger("anything").warning("afterwards")
    assert (folder / "config.yaml").read_text(encoding="utf-8") == "seed: 3\nparity: ${seed}\n"
    environment = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
    assert environment["choices"] == {"model": "a"}
    assert environment["overrides"] == ["seed=3"]
    assert {"command", "commit", "python", "torch", "processes"} <= environment.keys()
    assert re.search(r"^\d{4}-\d\d-\d\d .* hello\n$", (folder / "log.txt").read_text(encoding="utf-8"))
    assert json.loads((folder / "metrics.jsonl").read_text(encoding="utf-8")) == {
        "split": "train",
        "step": 1,
        "loss": 0.5,
    }
    assert sorted(path.name for path in folder.glob("*.pt")) == ["last.pt"]
    assert json.loads((folder / "summary.json").read_text(encoding="utf-8")) == {"error_mm": 2.0}


def test_only_rank_0_writes():
    with Run(Path("runs/a/1"), {}, {"model": "a"}, [], writes=False) as run:
        run.record({"step": 1})
        run.save({"model": {}}, best=True)
        run.finish({})
        run.go_on(Path("runs/a/0"), 0, None)
        run.open_board()
    assert not Path("runs").exists()


def test_the_commit_says_when_the_tree_differs():
    assert re.fullmatch(r"[0-9a-f]{10}\+?|unknown", commit())


def test_tensorboard_that_is_not_installed_names_the_extra(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with Run(Path("runs/a/1"), {}, {}, [], writes=True) as run, pytest.raises(ImportError, match=r"anypose\[log\]"):
        run.open_board()
