"""Print rows, keep them as JSON, and hold their ratios against thresholds."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from anypose.engine.run import processor
from benchmarks.harness import Row, Settings, Spread

THRESHOLDS = Path(__file__).with_name("thresholds.json")
MARGIN = 0.8  # a threshold is this share of the ratio measured

STEERING = re.compile(r"OPENBLAS_|MKL_|ONEDNN_|DNNL_|ATEN_|OMP_|KMP_")

COLUMNS = ("ours", "peer", "ratio", "floor", "of floor", "difference", "rounds")
WIDTHS = (38, 32, 26, 24, 9, 8, 10, 6)


def title(settings: Settings) -> str:
    """What was measured on, and how."""
    clock = "processor time" if settings.cpu_time else "wall time"
    return (
        f"{settings.device}, {settings.precision}, {settings.threads} CPU thread(s), {clock}, "
        f"torch {torch.__version__}; times are a median [lowest, highest]\n"
        f"{machine()}; {', '.join(f'{name}={value}' for name, value in steering().items()) or 'no library is steered'}"
    )


def machine() -> str:
    """The CPU, and which of its instructions torch uses: ratios hold for these alone."""
    return f"{processor()} ({instructions()})"


def steering() -> dict[str, str]:
    """The variables of this process that steer libraries of products and threads; none is changed here."""
    return {name: value for name, value in sorted(os.environ.items()) if STEERING.match(name)}


def header(what: str) -> str:
    """The heads of the columns."""
    return "\n" + _join((what, *COLUMNS))


def line(row: Row) -> str:
    """One row of the table: medians, with [lowest, highest]."""
    cells = [row.name, _times(row.ours), "", "", "", "", "", ""]
    if row.peer and row.ratio:
        cells[2] = f"{_time(row.peer.median)} {row.peer_name}"
        cells[3] = f"{row.ratio.median:.2f} [{row.ratio.low:.2f}, {row.ratio.high:.2f}] x"
    if row.floor is not None:
        cells[4], cells[5] = _time(row.floor), f"{row.floor / row.ours.median:.0%}"
    if row.difference is not None:
        cells[6] = f"{row.difference:.1e}"
    if row.rounds:
        cells[7] = f"{row.rounds}" + (f" ({row.disturbed} disturbed)" if row.disturbed else "")
    return _join(cells)


def _join(cells: Sequence[str]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=True)).rstrip()


def _times(spread: Spread) -> str:
    return f"{_time(spread.median)} [{_time(spread.low)}, {_time(spread.high)}]"


def _time(seconds: float) -> str:
    unit, scale = ("s", 1.0) if seconds >= 1 else ("ms", 1e3) if seconds >= 1e-3 else ("us", 1e6)
    value = seconds * scale
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} {unit}"


def write_json(path: Path, results: dict[str, list[Row]], settings: Settings) -> None:
    """All rows, by what was measured, with how it was measured."""
    protocol = {
        "device": str(settings.device),
        "processor": machine(),
        "steering": steering(),
        "precision": settings.precision,
        "threads": settings.threads,
        "clock": "processor time" if settings.cpu_time else "wall",
        "quick": settings.quick,
        "peers": "checkouts" if settings.peers else "bundled references",
    }
    rows = {what: [asdict(row) for row in rows] for what, rows in results.items()}
    path.write_text(json.dumps({"protocol": protocol, "rows": rows}, indent=1) + "\n", encoding="utf-8")


def key(what: str, row: Row, settings: Settings) -> str:
    """What a threshold is filed under."""
    return f"{what}: {row.name}, {settings.precision}, against {row.peer_name}"


def instructions() -> str:
    """Which of the CPU's instructions torch uses, e.g. "AVX2": a way that gains with these may not with others."""
    return torch.backends.cpu.get_cpu_capability()


def read_thresholds() -> dict[str, dict[str, float]]:
    """{instructions: {key: smallest ratio allowed}}, for one thread and processor time."""
    return json.loads(THRESHOLDS.read_text(encoding="utf-8")) if THRESHOLDS.exists() else {}


def update_thresholds(results: dict[str, list[Row]], settings: Settings) -> None:
    """Set the thresholds of what was measured to `MARGIN` of its ratios; keep the others, and those of other CPUs."""
    measured = {
        key(what, row, settings): round(row.ratio.median * MARGIN, 2)
        for what, rows in results.items()
        for row in rows
        if row.ratio
    }
    known = read_thresholds()
    known[instructions()] = dict(sorted((known.get(instructions(), {}) | measured).items()))
    THRESHOLDS.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n", encoding="utf-8")


def failures(results: dict[str, list[Row]], settings: Settings) -> list[str]:
    """A sentence for each ratio below its threshold, and for each without one on CPUs of these instructions."""
    thresholds = read_thresholds().get(instructions(), {})
    found = []
    for what, rows in results.items():
        for row in rows:
            if row.ratio is None:
                continue
            name = key(what, row, settings)
            if name not in thresholds:
                found.append(f"{name}: no threshold with {instructions()}; set one with --cpu-time --set-thresholds.")
            elif row.ratio.median < thresholds[name]:
                found.append(f"{name}: {row.ratio.median:.2f} times the peer, the threshold is {thresholds[name]:.2f}.")
    return found
