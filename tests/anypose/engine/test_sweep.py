"""The table at the end of a multirun."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from anypose.engine.sweep import SweepTable, table


def job(folder: Path, number: int, overrides: list[str], score: float) -> None:
    (folder / str(number)).mkdir(parents=True)
    (folder / str(number) / "environment.json").write_text(json.dumps({"overrides": overrides}))
    (folder / str(number) / "summary.json").write_text(json.dumps({"mpjpe_mm": score}))


def test_jobs_that_differ_in_their_seed_share_a_row_with_mean_and_spread(tmp_path):
    for number, (width, seed, score) in enumerate([(64, 0, 40.0), (64, 1, 42.0), (64, 2, 44.0), (128, 0, 39.0)]):
        job(tmp_path, number, ["device=cpu", f"model.width={width}", f"seed={seed}"], score)
    (tmp_path / "4").mkdir()  # a job that failed
    assert table(tmp_path) == [
        {"overrides": "model.width=64", "jobs": 3, "mpjpe_mm mean": 42.0, "mpjpe_mm spread": pytest.approx(2.0)},
        {"overrides": "model.width=128", "jobs": 1, "mpjpe_mm mean": 39.0, "mpjpe_mm spread": None},
    ]


def test_the_table_is_printed_and_written_as_csv(tmp_path, capsys):
    job(tmp_path, 0, ["debug=smoke", "seed=0"], 40.0)
    job(tmp_path, 1, ["debug=smoke", "seed=1"], 41.0)
    SweepTable().on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}}))
    assert capsys.readouterr().out.splitlines()[:3] == [
        "overrides  jobs  mpjpe_mm",
        "---------  ----  ------------",
        "all           2  40.50 ± 0.71",
    ]
    with (tmp_path / "sweep.csv").open() as file:
        assert next(csv.DictReader(file))["mpjpe_mm mean"] == "40.5"


def test_a_sweep_without_a_finished_job_has_no_table(tmp_path, capsys):
    SweepTable().on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}}))
    assert capsys.readouterr().out == ""


def test_only_rank_0_writes_the_table(tmp_path, capsys, monkeypatch):
    job(tmp_path, 0, ["seed=0"], 40.0)
    monkeypatch.setenv("RANK", "1")
    SweepTable().on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}}))
    assert capsys.readouterr().out == ""
    assert not (tmp_path / "sweep.csv").exists()
