"""anypose/doctor.py: says what is there, what is not, and the line that changes it."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest
import torch

from anypose import doctor
from anypose.engine.device import Npu


def test_every_device_is_there_or_says_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Npu, "problem", classmethod(lambda cls: "torch_npu cannot be loaded (libhccl.so not found)"))
    rows = dict(doctor.devices())
    assert list(rows) == ["npu", "cuda", "cpu"]
    assert rows["npu"] == "no: torch_npu cannot be loaded (libhccl.so not found)"
    assert rows["cuda"].startswith("yes: " if torch.cuda.is_available() else "no: ")
    assert rows["cpu"].startswith("yes: ")


def test_an_incomplete_extra_names_what_it_lacks_and_the_pip_line() -> None:
    rows = doctor.extras(
        [
            "torch>=2.6",
            "numpy>=1.26; extra == 'good'",
            'absent-package<2; extra == "bad"',
            "numpy; extra == 'bad'",
            "anypose[bad,good]; extra == 'all'",
        ]
    )
    assert rows == [
        ("good", f"numpy {importlib.metadata.version('numpy')}"),
        ("bad", "lacks absent-package: pip install 'anypose[bad]'"),
    ]


def test_datasets_are_looked_for_where_their_configuration_says(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "a.yaml").write_text(f"_target_: x\nroot: {tmp_path}/here   # a folder\n", encoding="utf-8")
    (tmp_path / "b.yaml").write_text("root: data/nowhere\n", encoding="utf-8")
    (tmp_path / "c.yaml").write_text("seed: 1\n", encoding="utf-8")
    (tmp_path / "mixed.yaml").write_text(
        "defaults: [c@invented, a@recorded, {/dataset@flat: b}, _self_]\n", encoding="utf-8"
    )
    (tmp_path / "mine.yaml").write_text("root: null\n", encoding="utf-8")
    assert doctor.datasets(tmp_path) == [
        ("a", f"needs files; dataset.root={tmp_path}/here: found"),
        ("b", "needs files; dataset.root=data/nowhere: not there"),
        ("c", "embedded, nothing to download"),
        ("mine", "needs files; dataset.root=ROOT: not there"),
        (
            "mixed",
            f"needs files; dataset.recorded.root={tmp_path}/here: found, dataset.flat.root=data/nowhere: not there",
        ),
    ]


def test_the_embedded_datasets_are_those_that_need_no_files():
    embedded = {name for name, told in doctor.datasets() if "embedded" in told}
    assert embedded >= {"synthetic", "synthetic_people"}
    assert not embedded & {"mixed_motion", "mixed_people", "rendered_motion", "cmu", "coco", "custom"}


def test_the_report_has_every_section_and_this_torch(capsys: pytest.CaptureFixture[str]) -> None:
    doctor.main([])
    report = capsys.readouterr().out
    for title in ("Versions", "Devices", "Ascend", "Runtimes", "Extras", "Datasets"):
        assert f"\n{title}\n" in f"\n{report}"
    assert torch.__version__ in report


def test_words_that_it_does_not_know_are_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        doctor.main(["device=npu"])
    assert "unrecognized arguments: device=npu" in capsys.readouterr().err
