"""The table at the end of a multirun: one row per configuration, mean and spread over its seeds."""

from __future__ import annotations

import json
import logging
import math
import os
import statistics
import sys
import traceback
from pathlib import Path
from typing import Any

from hydra.core.utils import JobStatus
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig

from anypose.engine.finding import read_environment
from anypose.engine.results import format_table, write_csv
from anypose.engine.run import write_json
from anypose.engine.sentences import FAILED, explanation

log = logging.getLogger(__name__)


FAILURE = "failure.json"
SHOWN = 5  # scores on the screen; the CSV has all


class SweepTable(Callback):
    """Reads what each job left in its folder, so it works with every launcher.

    A job that fails is written down and said, and the others go on; the sweep ends in its table all the same, and with
    the code of a failure.
    """

    def on_job_end(self, config: DictConfig, job_return: Any, **_: Any) -> None:
        """In the process of the job: note a failure where the table finds it."""
        error = job_return._return_value
        if config.hydra.mode != RunMode.MULTIRUN or job_return.status != JobStatus.FAILED:
            return
        if int(os.environ.get("RANK", 0)) == 0:
            told = explanation(error, []) or "".join(traceback.format_exception(error))
            overrides = list(config.hydra.overrides.task)
            print(f"job {config.hydra.job.num} ({' '.join(overrides)}) failed:\n{told}", file=sys.stderr)
            folder = Path(config.hydra.runtime.output_dir)
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / FAILURE, {"overrides": overrides, "error": str(error)})
        job_return.return_value, job_return.status = math.nan, JobStatus.COMPLETED  # or Hydra would end the sweep

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """The table, once every job is done."""
        if int(os.environ.get("RANK", 0)):
            return  # only rank 0 writes
        folder = Path(config.hydra.sweep.dir)
        rows = table(folder)
        if rows:
            write_csv(folder / "sweep.csv", rows)
            print(format_table([shown(row) for row in rows]), f"written to {folder / 'sweep.csv'}", sep="\n")
        if failed := sum(row.get("failed", 0) for row in rows):
            print(f"{failed} of the jobs failed; {FAILURE} in their folders says why.", file=sys.stderr)
            raise SystemExit(FAILED)


def table(folder: Path) -> list[dict[str, Any]]:
    """One row per configuration: what sets it apart, the number of jobs, mean and spread of each score over seeds.

    The spread is the sample standard deviation; a single job has none. Jobs that failed are counted ("failed") where
    there are any, and have no part in the mean; a score that is no number makes its mean none, too.
    """
    jobs = []
    files = [*folder.glob("*/summary.json"), *folder.glob(f"*/{FAILURE}")]
    for file in sorted(files, key=lambda file: (len(file.parent.name), file.parent.name)):
        values = json.loads(file.read_text(encoding="utf-8"))
        failed = file.name == FAILURE
        overrides = values["overrides"] if failed else read_environment(file.parent)["overrides"]
        chosen = [override for override in overrides if not override.startswith("seed=")]
        jobs.append((chosen, None if failed else values))
    common = set.intersection(*(set(chosen) for chosen, _ in jobs)) if jobs else set()
    groups: dict[str, list[dict[str, Any] | None]] = {}
    for chosen, scores in jobs:
        name = " ".join(override for override in chosen if override not in common)
        groups.setdefault(name or "all", []).append(scores)
    names = list(dict.fromkeys(name for _, scores in jobs for name in scores or ()))
    any_failed = any(scores is None for _, scores in jobs)
    rows = []
    for name, group in groups.items():
        done = [scores for scores in group if scores is not None]
        row: dict[str, Any] = {"overrides": name, "jobs": len(done)}
        if any_failed:
            row["failed"] = len(group) - len(done)
        for score in names:
            values = [value for scores in done if isinstance(value := scores.get(score), (int, float))]
            whole = bool(values) and len(values) == len(done)
            row[f"{score} mean"] = statistics.fmean(values) if whole else None
            row[f"{score} spread"] = statistics.stdev(values) if whole and len(values) > 1 else None
        rows.append(row)
    return rows


def shown(row: dict[str, Any]) -> dict[str, Any]:
    """The row for the screen: "42.31 ± 0.12" for mean and spread."""
    scores = [name.removesuffix(" mean") for name in row if name.endswith(" mean")][:SHOWN]
    cells: dict[str, Any] = {name: row[name] for name in ("overrides", "jobs", "failed") if name in row}
    for score in scores:
        mean, spread = row[f"{score} mean"], row[f"{score} spread"]
        if mean is None:
            cells[score] = "no number" if row["jobs"] else "failed"
            continue
        cells[score] = f"{mean:.2f}" if spread is None else f"{mean:.2f} ± {spread:.2f}"
    return cells
