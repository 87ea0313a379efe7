"""The project's own weights: small, described, and as good as their card says."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
MODELS = {"released_video": "window_tcn", "baseline3d_pixels": "baseline3d"}  # where a file is not called by it
FILES = sorted(ROOT.glob("*/released/*.safetensors"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_file_is_small_and_its_description_and_card_belong_to_it(file):
    assert file.stat().st_size < 10 << 20
    about = json.loads(file.with_name(f"{file.name}.json").read_text(encoding="utf-8"))
    assert about["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert about["choices"]["model"] == MODELS.get(file.stem, file.stem)
    assert "/tmp" not in json.dumps(about)
    card = file.with_suffix(".md").read_text(encoding="utf-8")
    for heading in ("## Data", "## Figures", "## Limits", "## Licence"):
        assert heading in card


def evaluated(folder: Path, *overrides: str) -> dict[str, Any]:
    command = [sys.executable, str(ROOT / "evaluate.py"), "checkpoint=released", f"output={folder}", *overrides]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_they_are_evaluated_on_the_embedded_dataset_as_a_clone_has_it(tmp_path):
    results = evaluated(tmp_path, "dataset.validation_subjects=1", "dataset.frame_step=40")
    assert results["scores"]["p_mpjpe_mm"] < 37.5  # 38.5 as one look at bones of any length
    assert results["protocol"]["flip_test"] is True
    assert results["protocol"]["bones"].startswith("of one length")
    assert [path.name for path in (ROOT / "pose3d" / "released").glob("results*")] == []


@pytest.mark.slow
@pytest.mark.data
def test_they_know_a_real_person_they_were_not_trained_on(real_data, tmp_path):
    overrides = ["dataset=cmu", f"dataset.root={real_data('cmu')}", "dataset.cache=null", "dataset.frame_step=10"]
    people = ("dataset.train_subjects=['07']", "dataset.validation_subjects=['08']")
    assert evaluated(tmp_path, *overrides, *people)["scores"]["p_mpjpe_mm"] < 25  # walks
