"""What an evaluation leaves: a table on the screen, results.json, results.csv, a row for RESULTS.md, predictions."""

from __future__ import annotations

import csv
import io
import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from anypose.engine.finding import BEST
from anypose.engine.run import command, commit, environment, write_json
from anypose.engine.task import Metrics
from anypose.whole import write_text, write_whole


def format_table(rows: list[dict[str, Any]]) -> str:
    """Columns aligned: numbers right with two decimals, words left."""
    header = list(rows[0])
    cells = [[_cell(row.get(name)) for name in header] for row in rows]
    widths = [max(len(line[i]) for line in [header, *cells]) for i in range(len(header))]
    words = [any(isinstance(row.get(name), str) for row in rows) for name in header]

    def line(values: list[str]) -> str:
        pairs = zip(values, widths, words, strict=True)
        return "  ".join(v.ljust(w) if word else v.rjust(w) for v, w, word in pairs).rstrip()

    return "\n".join([line(header), "  ".join("-" * width for width in widths), *map(line, cells)])


def format_protocol(protocol: dict[str, Any]) -> str:
    """What the scores were measured under, one line each."""
    return "\n".join(f"{name}: {_words(value)}" for name, value in protocol.items() if value != "")


def markdown_row(protocol: dict[str, Any], scores: dict[str, float], device: str) -> str:
    """A row for RESULTS.md: what was measured, how, where, by which command and commit."""
    numbers = ", ".join(f"{name} {value:.2f}" for name, value in list(scores.items())[:6])
    how = "; ".join(f"{name}: {_words(value)}" for name, value in protocol.items() if value != "")
    return f"| `{command()}` | {commit()} | {device} | {numbers} | {how} |"


def report(
    metrics: Metrics,
    folder: Path,
    device: str,
    checkpoint: Path,
    weights: str,
    config: dict[str, Any],
    part: int | None = None,
) -> str:
    """Write results.json, results.csv and results.md into `folder`; return what to print.

    Args:
        metrics: what was scored.
        folder: where the files go.
        device, checkpoint: where and from which file the network ran.
        weights: which ones were scored, in words.
        config: the whole one.
        part: batches that were scored where not all were.
    """
    rows, protocol, scores = metrics.rows(), metrics.protocol() | {"weights": weights}, metrics.compute()
    if part is not None:
        protocol["part"] = f"{part} batches at most, trainer.evaluation_batches: to see that it runs, no result"
    folder.mkdir(parents=True, exist_ok=True)
    row = markdown_row(protocol, scores, device)
    write_json(
        folder / "results.json",
        {
            "scores": scores,
            "protocol": protocol,
            "rows": rows,
            "checkpoint": str(checkpoint),
            "device": device,
            "environment": environment(),
            "config": config,
        },
    )
    write_csv(folder / "results.csv", rows)
    write_text(folder / "results.md", row + "\n")
    written = f"written to {folder / 'results.json'}, .csv and .md"
    return "\n".join([format_protocol(protocol), "", format_table(rows), written])


def finite(score: float, name: str, metrics: Metrics) -> float:
    """The score, if it is a number.

    Raises:
        ValueError: with what the protocol says of it.
    """
    if math.isfinite(score):
        return score
    why = metrics.protocol().get("non_finite") or "predictions are not finite"
    raise ValueError(
        f"{name} is {score}, and no score: {why}. results.json says so, too. The weights, or the keypoints that they "
        "were given, are not finite."
    )


def describe_weights(state: dict[str, Any], path: Path) -> str:
    """Where the scored weights come from; a choice made on what is scored is named as one.

    Args:
        state: the checkpoint.
        path: its file.
    """
    if path.name == BEST and "epoch" in state:
        return f"{path}, the best of the run (epoch {state['epoch']}) by this very score, which flatters"
    return f"{path}, after epoch {state['epoch']}, step {state['step']}" if "epoch" in state else str(path)


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    """The rows with their keys as the header."""
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, file.getvalue())


def write_predictions(path: Path, metrics: Metrics) -> None:
    """Every prediction with its truth and its keys, as npz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = metrics.arrays()
    write_whole(path, partial(np.savez_compressed, **arrays))


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return str(value)
