"""Commands end to end, and the nearest names for what was misspelt."""

from __future__ import annotations

import csv
import json
import logging
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import InstantiationException

from anypose.engine.command import explanation, suggestions
from anypose.engine.limits import check_counts
from anypose.engine.sentences import in_order

SMALL = (
    "device=cpu", "dataset=synthetic", "dataset.train_subjects=1", "dataset.validation_subjects=1",
    "dataset.frames=400", "dataset.frame_step=5", "dataset.actions=[Walking,Sitting]", "model.linear_size=32",
    "trainer.batch_size=64", "debug=smoke",
)  # fmt: skip


@pytest.fixture
def run(repository, tmp_path, monkeypatch, capsys) -> Iterator[Callable[..., str]]:
    """Runs a script as if typed in an empty folder, inside this process; returns what it printed."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level

    def as_typed(script: str, *arguments: str, fails: bool = False) -> str:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [script, *arguments])
        monkeypatch.setattr(sys, "orig_argv", ["python", script, *arguments])
        if fails:
            with pytest.raises(SystemExit) as stop:
                runpy.run_path(str(repository / script), run_name="__main__")
            assert stop.value.code in (1, 2)
        else:
            runpy.run_path(str(repository / script), run_name="__main__")
        return "".join(capsys.readouterr())

    yield as_typed
    root.handlers, root.level = handlers, level
    GlobalHydra.instance().clear()


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("model=basline3d", "model=basline3d does not exist. Did you mean model=baseline3d?"),
        ("trainer.epohcs=3", "trainer.epohcs does not exist. Did you mean trainer.epochs?"),
        ("epochs=3", "epochs does not exist. Did you mean trainer.epochs?"),
        ("trianer.log_every=3", "trianer.log_every does not exist. Did you mean trainer.log_every?"),
        ("precison=o2", "precison does not exist. Did you mean precision?"),
        ("zzz=3", "zzz does not exist. Nothing is named like it."),
        ("task.flip_tset=true", "task.flip_tset does not exist. Did you mean task.flip_test?"),
    ],
)
def test_the_nearest_names_are_suggested(override, line):
    found = suggestions("train", ["seed=1,2", "device=cpu", override])
    assert len(found) == 1
    assert found[0].startswith(line.removesuffix("?"))


def test_correct_overrides_get_no_suggestion():
    assert suggestions("train", ["model=baseline3d", "trainer.epochs=3", "+extra=1", "experiment=null"]) == []


def test_a_typo_stops_with_the_nearest_name_alone(run, tmp_path):
    output = run("train.py", "trainer.epohcs=3", fails=True)
    assert output.strip() == "trainer.epohcs does not exist. Did you mean trainer.epochs?"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["dataset=cmu", "dataset.root=nowhere"], "dataset.root=nowhere does not exist. It must be a folder with CMU"),
        (["dataset.frames=400", "trainer.epochs=0"], "trainer.epochs must be a whole number of at least 1, got 0."),
    ],
)
def test_bad_input_is_answered_with_a_sentence_and_no_traceback(run, overrides, sentence):
    output = run("train.py", "device=cpu", *overrides, fails=True)
    assert sentence in output
    assert sentence in output.splitlines()[-1], "the sentence is one line, and the last"
    assert "Error executing job" not in output
    assert "Traceback" not in output
    assert "Error in call to target" not in output


def test_misuse_is_told_in_its_sentence_alone_before_any_work(run, tmp_path):
    (tmp_path / "file").write_text("x", encoding="utf-8")
    said = run("evaluate.py", "checkpoint=released", "output=file/x", fails=True)
    assert said.splitlines()[-1] == "output=file/x cannot be written: file is a file, and must be a folder."
    said = run("train.py", "hydra.run.dir=file/x", fails=True)
    assert "file/x: Not a directory. Runs are written there; hydra.run.dir=FOLDER" in said


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("seed=${nothing}", "seed: Interpolation key 'nothing' not found.\n"),
        ("--config-name=foo", "Cannot find primary config 'foo'. Check that it's in your config search path.\n"),
        (
            "--multrun",
            "There is no flag --multrun. Did you mean --multirun? A setting is key=value; `--help` shows what can be "
            "set.\n",
        ),
    ],
)
def test_what_hydra_would_say_in_many_lines_is_told_in_one(run, word, said):
    assert run("train.py", "device=cpu", word, fails=True) == said


def test_flags_may_stand_between_settings():
    assert in_order(["a=1", "-m", "b=2", "--cfg", "job"]) == ["-m", "--cfg", "job", "a=1", "b=2"]


@pytest.mark.slow
def test_a_traceback_is_there_when_asked_for(run, monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(InstantiationException, match=r"dataset.root=nowhere does not exist"):
        run("train.py", "device=cpu", "dataset=cmu", "dataset.root=nowhere")
    assert os.environ["HYDRA_FULL_ERROR"] == "1"


def test_what_nobody_foresaw_keeps_its_traceback():
    def fail(call) -> Exception:
        try:
            call()
        except Exception as error:
            return error
        raise AssertionError("it did not fail")

    assert explanation(fail(lambda: {}["x"]), []) is None  # a KeyError is a bug wherever it comes from
    assert explanation(fail(lambda: json.loads("{")), []) is None  # a ValueError from inside a library
    assert explanation(fail(lambda: torch.ones(2) @ torch.ones(3)), []) is None  # from C: the last frame is ours
    assert "trainer.epochs must be a whole number" in (explanation(fail(lambda: check_counts(epochs=0)), []) or "")


@pytest.mark.slow
def test_a_sweep_trains_each_job_as_if_alone_and_ends_in_a_table(run, tmp_path):
    """Jobs of one process leave nothing to each other, deterministic mode included."""
    run("train.py", "seed=1", *SMALL, "hydra.run.dir=alone")
    output = run(
        "train.py", "-m", "seed=0,1", *SMALL, "precision=fp32", "hydra.sweep.dir=sweep"
    )  # fmt: skip
    alone = (tmp_path / "alone" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    second = (tmp_path / "sweep" / "1" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert [drop_speed(line) for line in second] == [drop_speed(line) for line in alone]
    assert f"written to {Path('sweep/sweep.csv')}" in output
    jobs = [line for line in output.splitlines() if line.startswith("[job") and "seed=" in line]
    assert [line[: len("[job 0] seed=0")] for line in jobs] == ["[job 0] seed=0", "[job 1] seed=1"]
    assert "#1 : " not in output  # Hydra's, of all but the first
    with (tmp_path / "sweep" / "sweep.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["jobs"] for row in rows] == ["2"]
    scores = [
        json.loads((tmp_path / "sweep" / job / "summary.json").read_text(encoding="utf-8"))["mpjpe_mm"] for job in "01"
    ]
    assert float(rows[0]["mpjpe_mm mean"]) == pytest.approx(sum(scores) / 2)
    for job in "01":  # each log holds its own lines only
        assert (tmp_path / "sweep" / job / "log.txt").read_text(encoding="utf-8").count("epoch ") == 1


def drop_speed(line: str) -> dict:
    return {key: value for key, value in json.loads(line).items() if key != "samples_per_s"}


@pytest.mark.slow
def test_training_resuming_and_evaluating_find_each_other(run, tmp_path):
    run("train.py", *SMALL)
    (folder,) = (tmp_path / "runs" / "baseline3d").iterdir()
    assert {"best.pt", "last.pt", "config.yaml", "metrics.jsonl"} <= {path.name for path in folder.iterdir()}
    output = run("train.py", *SMALL, "trainer.max_steps=6", "resume=auto")
    assert "Going on from" in output
    assert [path.name for path in (tmp_path / "runs" / "baseline3d").iterdir()] == [folder.name]
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["step"] for line in lines] == [2, 4, 4, 6, 6]

    output = run("evaluate.py", "device=cpu", "predictions=p.npz")
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert results["config"]["dataset"]["frames"] == 400, "the dataset is the run's own"
    last = json.loads(lines[-1])["mpjpe_mm"]
    assert results["scores"]["mpjpe_mm"] == pytest.approx(last, rel=1e-6)
    assert f"{last:.2f}" in output
    assert f"weights: {Path('runs/baseline3d') / folder.name / 'last.pt'}, after epoch" in output
    assert (tmp_path / "p.npz").is_file()

    relative = f"runs/baseline3d/{folder.name}"
    output = run(
        "evaluate.py", f"run={relative}", "device=cpu", "task.flip_test=true", "parity=seed",
        "output=elsewhere",
    )  # fmt: skip
    results = json.loads((tmp_path / "elsewhere" / "results.json").read_text(encoding="utf-8"))
    assert (results["config"]["task"]["flip_test"], results["config"]["task"]["parity"]) == (True, "seed")
    assert f"run={relative}" in results["environment"]["command"]
    assert "model=" not in results["environment"]["command"]


def test_evaluating_what_was_never_trained_names_the_command(run, tmp_path):
    output = run("evaluate.py", "device=cpu", fails=True)
    assert "No trained baseline3d found: looked for runs" in output
    assert "`python train.py model=baseline3d`" in output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("launcher", "processes"),
    [
        (("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"), 1),
        (("hydra/launcher=submitit_local", "hydra.launcher.tasks_per_node=2", "hydra.launcher.timeout_min=5"), 2),
    ],
    ids=["joblib", "submitit"],
)
def test_sweeps_run_through_launchers(repository, tmp_path, launcher, processes):
    """submitit's two tasks share the gradients of one run."""
    done = subprocess.run(
        [sys.executable, str(repository / "train.py"), "-m", "seed=0,1", *SMALL, "hydra.sweep.dir=sweep", *launcher],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"written to {Path('sweep/sweep.csv')}" in done.stdout
    for job in "01":
        environment = json.loads((tmp_path / "sweep" / job / "environment.json").read_text(encoding="utf-8"))
        assert environment["processes"] == processes


@pytest.mark.slow
def test_slurm_gets_an_array_of_jobs_whose_tasks_share_a_run(repository, tmp_path):
    """`sbatch` here keeps what it is given and refuses it."""
    scripts = {"sbatch": 'for last; do :; done; cp "$last" kept.sh; echo no queue today >&2; exit 1', "srun": "exit 0"}
    for name, body in scripts.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    slurm = ("hydra/launcher=slurm", "hydra.launcher.partition=gpu", "hydra.launcher.tasks_per_node=4")
    done = subprocess.run(
        [sys.executable, str(repository / "train.py"), "-m", "seed=0,1", *SMALL, "hydra.sweep.dir=sweep", *slurm],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(repository), "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "no queue today" in done.stderr
    script = (tmp_path / "kept.sh").read_text(encoding="utf-8")
    asked = dict(re.findall(r"^#SBATCH --([\w-]+)=(\S+)$", script, re.MULTILINE))
    assert asked["array"].startswith("0-1")
    assert (asked["nodes"], asked["ntasks-per-node"], asked["partition"]) == ("1", "4", "gpu")
    assert "srun " in script
