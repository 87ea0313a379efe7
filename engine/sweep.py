"""The table at the end of a multirun: one row per configuration, mean and spread over its seeds."""

from __future__ import annotations

import json
import logging
import statistics
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from engine.results import format_table, write_csv

log = logging.getLogger(__name__)


class SweepTable(Callback):
    """Reads what each job left in its folder, so it works with every launcher."""

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        folder = Path(config.hydra.sweep.dir)
        rows = table(folder)
        if rows:
            write_csv(folder / "sweep.csv", rows)
            print(format_table(rows), f"written to {folder / 'sweep.csv'}", sep="\n")


def table(folder: Path) -> list[dict[str, Any]]:
    """One row per configuration: its overrides without the seed, the number of jobs, mean and spread of each score.

    The spread is the sample standard deviation; a single job has none.
    """
    groups: dict[str, list[dict[str, float]]] = {}
    for job in sorted(path.parent for path in folder.glob("*/summary.json")):
        overrides = json.loads((job / "environment.json").read_text())["overrides"]
        name = " ".join(override for override in overrides if not override.startswith("seed=")) or "(defaults)"
        groups.setdefault(name, []).append(json.loads((job / "summary.json").read_text()))
    rows = []
    for name, jobs in groups.items():
        row: dict[str, Any] = {"overrides": name, "jobs": len(jobs)}
        for score in jobs[0]:
            values = [job[score] for job in jobs]
            row[f"{score} mean"] = statistics.fmean(values)
            row[f"{score} spread"] = statistics.stdev(values) if len(values) > 1 else None
        rows.append(row)
    return rows
