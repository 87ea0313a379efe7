"""RESULTS.md out of the kept result files, one short row each.

python -m benchmarks.results                                            write RESULTS.md anew
python -m benchmarks.results keep runs/.../results.json results/2_lifting/mine.json
python -m benchmarks.results keep mlp.json results/4_speed/mlp.json     what `python -m benchmarks mlp --json` wrote

A folder of results/ is a table: `about.md` is its heading and introduction, every JSON a row, in order of names.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from anypose.engine.run import environment

ROOT = Path(__file__).resolve().parents[1]
KEPT, PAGE = ROOT / "results", ROOT / "RESULTS.md"
COLUMNS = ("command", "commit", "device", "number", "protocol", "published by the same protocol")
NEEDED = {"commands", "commit", "device", "protocol"}
UNITS = {"_mm": " mm", "_percent": " %", "_nats": " nats", "_degrees": " degrees"}
SHOWN = 4  # scores of a row; the file has the others


def write_page(folder: Path = KEPT) -> str:
    """The text of RESULTS.md: the introduction, then a table for every folder.

    Raises:
        ValueError: naming the file that is no row, and what it lacks.
    """
    parts = [(folder / "about.md").read_text(encoding="utf-8").strip()]
    for table in sorted(path for path in folder.iterdir() if path.is_dir()):
        parts.append((table / "about.md").read_text(encoding="utf-8").strip())
        rows = [row(file) for file in sorted(table.glob("*.json"))]
        if rows:
            lines = [COLUMNS, ["---"] * len(COLUMNS), *rows]
            parts.append("\n".join(f"| {' | '.join(line)} |".replace("|  |", "| |") for line in lines))
    return "\n\n".join(parts) + "\n"


def row(file: Path) -> list[str]:
    """The cells of one kept file, in the order of `COLUMNS`."""
    kept = json.loads(file.read_text(encoding="utf-8"))
    lacking = sorted(NEEDED - set(kept)) + ([] if {"number", "scores"} & set(kept) else ["number or scores"])
    if lacking:
        raise ValueError(f"{file} is no row of RESULTS.md: it lacks {', '.join(lacking)}; it has {', '.join(kept)}.")
    commands = ", then ".join(f"`{command}`" for command in kept["commands"])
    device = "; ".join(filter(None, (kept["device"], kept.get("time"))))
    number = kept.get("number") or spoken(kept["scores"])
    protocol = kept["protocol"]
    if isinstance(protocol, dict):
        protocol = "; ".join(f"{name}: {value}" for name, value in protocol.items() if value not in ("", None))
    return [commands, kept["commit"], device, number, protocol, kept.get("published", "none")]


def spoken(scores: dict[str, float]) -> str:
    """ "MPJPE 56.72 mm, P-MPJPE 43.34 mm" out of {"mpjpe_mm": 56.72, "p_mpjpe_mm": 43.34}."""
    words = []
    for name, value in list(scores.items())[:SHOWN]:
        unit = next((suffix for suffix in UNITS if name.endswith(suffix)), "")
        spelt = name.removesuffix(unit).replace("_mpjpe", "-mpjpe").replace("mpjpe", "MPJPE").replace("_", " ")
        short = {"p-MPJPE": "P-MPJPE", "n-MPJPE": "N-MPJPE", "mpjve": "MPJVE"}.get(spelt, spelt)
        words.append(f"{short} {value:.2f}{UNITS.get(unit, '')}")
    return ", ".join(words)


def keep(source: Path, target: Path, train: str | None = None, published: str | None = None) -> None:
    """Turn what evaluate.py or the benchmarks wrote into a kept file; nothing of it is typed by hand.

    Args:
        source: results.json of an evaluation, or the file of `python -m benchmarks --json`.
        target: the row to write.
        train: the command that made the weights, where no environment.json beside them says it.
        published: the number published by the same protocol.
    """
    found = json.loads(source.read_text(encoding="utf-8"))
    if "scores" in found:
        kept = of_evaluation(found, source, train)
    elif {"protocol", "rows"} <= set(found):
        kept = of_benchmark(found)
    else:
        raise ValueError(f"{source} is neither of evaluate.py nor of the benchmarks: it has {', '.join(found)}.")
    if published:
        kept["published"] = published
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def of_evaluation(found: dict[str, Any], source: Path, train: str | None) -> dict[str, Any]:
    """A row of an evaluation, with its table per action."""
    told = found["environment"]
    beside = source.parent / "environment.json"
    if train is None and beside.is_file():
        train = json.loads(beside.read_text(encoding="utf-8"))["command"]
    device = f"{told.get('processor', found['device'])}, {told['threads']} thread(s)"
    return {
        "commands": [*([train] if train else []), told["command"]],
        "commit": told["commit"],
        "device": device if found["device"].startswith("cpu") else found["device"],
        "scores": found["scores"],
        "protocol": found["protocol"],
        "rows": found["rows"],
    }


def of_benchmark(found: dict[str, Any]) -> dict[str, Any]:
    """A row of ratios; the commit is this checkout's, so keep it where it was measured."""
    here, protocol = environment(), found["protocol"]
    ratios = [
        f"{line['name']} {line['ratio']['median']:.2f} x [{line['ratio']['low']:.2f}, {line['ratio']['high']:.2f}]"
        for lines in found["rows"].values()
        for line in lines
        if line["ratio"]
    ]
    clock = " --cpu-time" if protocol["clock"] == "processor time" else f" --threads {protocol['threads']}"
    precision = "" if protocol["precision"] == "fp32" else f" --precision {protocol['precision']}"
    return {
        "commands": [f"python -m benchmarks {' '.join(found['rows'])}{clock}{precision}"],
        "commit": here["commit"],
        "device": f"{protocol['processor']}, {protocol['threads']} thread(s)",
        "number": "; ".join(ratios),
        "protocol": f"the peer's time over ours, {protocol['precision']}, {protocol['clock']}, {protocol['peers']}",
        "rows": found["rows"],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.results", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command")
    keeping = commands.add_parser("keep", help="make a row of a result file")
    keeping.add_argument("source", type=Path, help="results.json of evaluate.py, or what the benchmarks' --json wrote")
    keeping.add_argument("target", type=Path, help="results/TABLE/NAME.json")
    keeping.add_argument("--train", help="the command that made the weights, where the run's folder does not say it")
    keeping.add_argument("--published", help="the number published by the same protocol")
    options = parser.parse_args(arguments)
    if options.command == "keep":
        keep(options.source, options.target, options.train, options.published)
    PAGE.write_text(write_page(), encoding="utf-8")
    print(f"written to {os.path.relpath(PAGE)}")


if __name__ == "__main__":
    sys.exit(main())
