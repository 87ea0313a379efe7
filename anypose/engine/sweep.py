"""The table at the end of a multirun: one row per configuration, mean and spread over its seeds."""

from __future__ import annotations

import json
import logging
import os
import statistics
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from anypose.engine.results import format_table, write_csv

log = logging.getLogger(__name__)


SHOWN = 5  # scores on the screen; the CSV has all


class SweepTable(Callback):
    """Reads what each job left in its folder, so it works with every launcher."""

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        if int(os.environ.get("RANK", 0)):
            return  # only rank 0 writes
        folder = Path(config.hydra.sweep.dir)
        rows = table(folder)
        if rows:
            write_csv(folder / "sweep.csv", rows)
            print(format_table([shown(row) for row in rows]), f"written to {folder / 'sweep.csv'}", sep="\n")


def table(folder: Path) -> list[dict[str, Any]]:
    """One row per configuration: what sets it apart, the number of jobs, mean and spread of each score over seeds.

    The spread is the sample standard deviation; a single job has none.
    """
    jobs = []
    for job in sorted(path.parent for path in folder.glob("*/summary.json")):
        overrides = json.loads((job / "environment.json").read_text())["overrides"]
        chosen = [override for override in overrides if not override.startswith("seed=")]
        jobs.append((chosen, json.loads((job / "summary.json").read_text())))
    common = set.intersection(*(set(chosen) for chosen, _ in jobs)) if jobs else set()
    groups: dict[str, list[dict[str, float]]] = {}
    for chosen, scores in jobs:
        name = " ".join(override for override in chosen if override not in common)
        groups.setdefault(name or "all", []).append(scores)
    rows = []
    for name, group in groups.items():
        row: dict[str, Any] = {"overrides": name, "jobs": len(group)}
        for score in group[0]:
            values = [scores[score] for scores in group]
            row[f"{score} mean"] = statistics.fmean(values)
            row[f"{score} spread"] = statistics.stdev(values) if len(values) > 1 else None
        rows.append(row)
    return rows


def shown(row: dict[str, Any]) -> dict[str, Any]:
    """The row for the screen: "42.31 ± 0.12" for mean and spread."""
    scores = [name.removesuffix(" mean") for name in row if name.endswith(" mean")][:SHOWN]
    cells: dict[str, Any] = {"overrides": row["overrides"], "jobs": row["jobs"]}
    for score in scores:
        mean, spread = row[f"{score} mean"], row[f"{score} spread"]
        cells[score] = f"{mean:.2f}" if spread is None else f"{mean:.2f} ± {spread:.2f}"
    return cells
