"""The table at the end of a multirun."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import RunMode
from omegaconf import OmegaConf

from anypose.engine.sweep import SweepTable, table


def job(folder: Path, number: int, overrides: list[str], score: float) -> None:
    (folder / str(number)).mkdir(parents=True)
    (folder / str(number) / "environment.json").write_text(json.dumps({"overrides": overrides}), encoding="utf-8")
    (folder / str(number) / "summary.json").write_text(json.dumps({"mpjpe_mm": score}), encoding="utf-8")


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
    with (tmp_path / "sweep.csv").open(encoding="utf-8") as file:
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


def test_a_job_that_failed_is_marked_and_the_table_comes_all_the_same(tmp_path, capsys):
    hydra = {"mode": "MULTIRUN", "job": {"num": 1}, "sweep": {"dir": str(tmp_path)}}
    hydra |= {"overrides": {"task": ["model.width=64", "seed=1"]}, "runtime": {"output_dir": str(tmp_path / "1")}}
    config = OmegaConf.create({"hydra": hydra})
    config.hydra.mode = RunMode.MULTIRUN
    job(tmp_path, 0, ["model.width=32", "seed=0"], 40.0)
    failed = JobReturn(status=JobStatus.FAILED)
    failed.return_value = ValueError("no data")
    SweepTable().on_job_end(config, failed)
    assert failed.status == JobStatus.COMPLETED  # or Hydra would end the sweep without its table
    assert "job 1 (model.width=64 seed=1) failed:" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        SweepTable().on_multirun_end(config)
    assert stop.value.code == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[2:4]] == [
        ["model.width=32", "1", "0", "40.00"],
        ["model.width=64", "0", "1", "failed"],
    ]


def test_a_score_that_is_no_number_has_no_mean(tmp_path):
    job(tmp_path, 0, ["seed=0"], 40.0)
    job(tmp_path, 1, ["seed=1"], None)  # pyright: ignore[reportArgumentType]
    (row,) = table(tmp_path)
    assert row == {"overrides": "all", "jobs": 2, "mpjpe_mm mean": None, "mpjpe_mm spread": None}
