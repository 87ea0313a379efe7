import json
from types import SimpleNamespace

import pytest

from benchmarks import report
from benchmarks.harness import Row, Settings, Spread


def settings(precision: str = "fp32") -> Settings:
    return Settings(SimpleNamespace(type="cpu"), precision, threads=1, cpu_time=True, quick=False, peers=None)


def row(ratio: float, name: str = "step") -> Row:
    ours = Spread(0.01, 0.009, 0.012)
    peer = Spread(0.01 * ratio, 0.0, 1.0)
    return Row(name, "eager", ours, peer, Spread(ratio, ratio - 1, ratio + 1), 0.005, 1e-7, 9, 2)


@pytest.fixture
def thresholds(tmp_path, monkeypatch):
    path = tmp_path / "thresholds.json"
    monkeypatch.setattr(report, "THRESHOLDS", path)
    monkeypatch.setattr(report, "instructions", lambda: "AVX2")
    return path


def test_a_line_has_everything_a_reader_needs_to_judge():
    text = report.line(row(3.0))
    for part in (
        "step",
        "10.0 ms [9.00 ms, 12.0 ms]",
        "30.0 ms eager",
        "3.00 [2.00, 4.00] x",
        "5.00 ms",
        "50%",
        "1.0e-07",
        "9 (2 disturbed)",
    ):
        assert part in text


def test_a_ceiling_has_no_peer():
    text = report.line(Row("copy: 44 GB/s", "", Spread(0.0000012, 0.000001, 0.000002)))
    assert text.split("  ")[0] == "copy: 44 GB/s"
    assert text.endswith("1.20 us [1.00 us, 2.00 us]")


def test_thresholds_are_four_fifths_of_what_was_measured_and_others_are_kept(thresholds):
    thresholds.write_text('{"AVX2": {"old": 2.0}, "AVX512": {"older": 3.0}}', encoding="utf-8")
    report.update_thresholds({"mlp": [row(3.0), Row("no peer", "", Spread(1, 1, 1))]}, settings())
    ours = {"mlp: step, fp32, against eager": 2.4, "old": 2.0}
    assert json.loads(thresholds.read_text(encoding="utf-8")) == {"AVX2": ours, "AVX512": {"older": 3.0}}


def test_a_ratio_below_its_threshold_fails_with_both_numbers(thresholds):
    report.update_thresholds({"mlp": [row(3.0)]}, settings())
    assert report.failures({"mlp": [row(2.41)]}, settings()) == []
    assert report.failures({"mlp": [row(2.39)]}, settings()) == [
        "mlp: step, fp32, against eager: 2.39 times the peer, the threshold is 2.40."
    ]


def test_a_ratio_without_a_threshold_fails_too(thresholds):
    (message,) = report.failures({"mlp": [row(3.0)]}, settings("bf16"))
    assert (
        message == "mlp: step, bf16, against eager: no threshold with AVX2; set one with --cpu-time --set-thresholds."
    )


def test_a_threshold_of_other_instructions_says_nothing(thresholds, monkeypatch):
    report.update_thresholds({"mlp": [row(3.0)]}, settings())
    monkeypatch.setattr(report, "instructions", lambda: "AVX512")
    assert "no threshold with AVX512" in report.failures({"mlp": [row(9.0)]}, settings())[0]


def test_json_says_how_it_was_measured(tmp_path):
    report.write_json(tmp_path / "rows.json", {"mlp": [row(3.0)]}, settings())
    written = json.loads((tmp_path / "rows.json").read_text(encoding="utf-8"))
    assert written["protocol"]["clock"] == "processor time"
    assert written["protocol"]["peers"] == "bundled references"
    assert written["rows"]["mlp"][0]["ratio"] == {"median": 3.0, "low": 2.0, "high": 4.0}


def test_shipped_thresholds_are_ratios_of_measured_choices():
    from benchmarks.measuring import choices

    shipped = report.read_thresholds()
    assert shipped
    assert set(shipped) <= {"AVX2", "AVX512"}
    assert {name.split(":")[0] for thresholds in shipped.values() for name in thresholds} <= set(choices())
    assert all(ratio > 0 for thresholds in shipped.values() for ratio in thresholds.values())


def test_the_title_and_the_file_name_the_processor_and_what_steers_its_libraries(monkeypatch, tmp_path):
    monkeypatch.setattr(report, "processor", lambda: "Some CPU")
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    assert "Some CPU (" in report.title(settings())
    assert "OPENBLAS_CORETYPE=Haswell" in report.title(settings())
    report.write_json(tmp_path / "x.json", {}, settings())
    protocol = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))["protocol"]
    assert protocol["processor"].startswith("Some CPU (")
    assert protocol["steering"]["OPENBLAS_CORETYPE"] == "Haswell"
