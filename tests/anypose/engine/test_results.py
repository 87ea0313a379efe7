"""What an evaluation prints and writes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import torch

from anypose.engine.results import (
    describe_weights,
    format_protocol,
    format_table,
    markdown_row,
    report,
    write_predictions,
)
from tests.anypose.engine.toy import ToyMetrics

ROWS = [
    {"action": "Walking", "mpjpe_mm": 42.966, "frames": 29264},
    {"action": "All", "mpjpe_mm": 7.0, "frames": 550644},
]


def scored() -> ToyMetrics:
    metrics = ToyMetrics()
    metrics.load({"index": torch.tensor([1, 0]), "error": torch.tensor([0.5, 0.25])})
    return metrics


def test_tables_align_words_left_and_numbers_right():
    assert format_table([*ROWS, {"action": "Posing", "mpjpe_mm": None, "frames": 1}]).splitlines() == [
        "action   mpjpe_mm  frames",
        "-------  --------  ------",
        "Walking     42.97   29264",
        "All          7.00  550644",
        "Posing          -       1",
    ]


def test_a_row_for_the_results_says_command_commit_device_number_and_protocol():
    row = markdown_row({"flip_test": False, "subjects": ["S9", "S11"]}, {"mpjpe_mm": 42.966}, "cpu")
    assert row.startswith("| `python ")
    assert row.endswith(" | cpu | mpjpe_mm 42.97 | flip_test: no; subjects: S9, S11 |")
    assert row.count("|") == 6


def test_results_are_written_for_people_and_programs(tmp_path):
    text = report(scored(), tmp_path / "new", "cpu", Path("runs/a/best.pt"), "best.pt, epoch 3", {"seed": 0})
    assert "dataset: toy" in text
    assert "weights: best.pt, epoch 3" in text
    assert "375.00" in text
    assert text.endswith(f"written to {tmp_path / 'new' / 'results.json'}, .csv and .md")
    results = json.loads((tmp_path / "new" / "results.json").read_text(encoding="utf-8"))
    assert results["scores"] == {"error_mm": 375.0, "frames": 2.0}
    assert results["protocol"]["dataset"] == "toy"
    assert results["checkpoint"] == "runs/a/best.pt"
    assert results["config"] == {"seed": 0}
    assert results["environment"]["commit"]
    with (tmp_path / "new" / "results.csv").open(encoding="utf-8") as file:
        assert list(csv.DictReader(file)) == [{"action": "All", "error_mm": "375.0", "frames": "2.0"}]
    assert "error_mm 375.00" in (tmp_path / "new" / "results.md").read_text(encoding="utf-8")


def test_what_a_protocol_leaves_empty_is_not_printed():
    assert format_protocol({"notes": "", "flip_test": False}) == "flip_test: no"


def test_a_checkpoint_chosen_by_what_is_scored_is_called_that():
    state = {"epoch": 3, "step": 90}
    assert describe_weights(state, Path("a/last.pt")) == f"{Path('a/last.pt')}, after epoch 3, step 90"
    assert describe_weights(state, Path("a/best.pt")).endswith("(epoch 3) by this very score, which flatters")
    assert describe_weights({}, Path("a/converted.pt")) == str(Path("a/converted.pt"))


def test_predictions_go_to_the_file_that_was_named(tmp_path):
    write_predictions(tmp_path / "new" / "predictions.dat", scored())
    with np.load(tmp_path / "new" / "predictions.dat") as arrays:
        assert arrays["error"].tolist() == [0.25, 0.5]
