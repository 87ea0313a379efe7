"""benchmarks/results.py: RESULTS.md is what the kept files say, and nothing in them is typed by hand."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from benchmarks.results import KEPT, PAGE, keep, main, row, spoken, write_page

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(KEPT.rglob("*.json"))
EVALUATION = {
    "scores": {"mpjpe_mm": 39.012, "p_mpjpe_mm": 30.93, "n_mpjpe_mm": 37.7, "pck150_percent": 98.2, "frames": 9.0},
    "protocol": {"dataset": "h36m_17", "flip_test": False, "notes": ""},
    "rows": [{"action": "Walking", "mpjpe_mm": 39.012}],
    "device": "cpu",
    "environment": {
        "command": "python evaluate.py model=a",
        "commit": "abc",
        "processor": "AMD EPYC",
        "threads": 2,
    },
}


def test_the_page_is_written_from_the_kept_files():
    assert write_page() == PAGE.read_text(encoding="utf-8"), "run `python -m benchmarks.results`"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_row_is_short_and_names_an_experiment_that_there_is(file):
    cells = row(file)
    assert sum(map(len, cells)) < 800
    for name in re.findall(r"experiment=(\w+)", cells[0]):
        assert (ROOT / "conf" / "experiment" / f"{name}.yaml").is_file()


SPEED = re.compile(r"frames/s|\d (ms|us|s|min|minutes|x)\b")
TIME = re.compile(r"\b(\d+|one|two|three|four|five|six|seven|eight|nine|ten) (s|min|seconds|minutes)\b")
MAKER = re.compile(r"\b(AMD|Intel|Apple|Ascend|Kunpeng|H200)\b")


def test_a_row_with_a_speed_names_its_processor():
    nameless = []
    for file in FILES:
        kept = json.loads(file.read_text(encoding="utf-8"))
        timed = "speed" in file.parent.name or "time" in kept or SPEED.search(str(kept.get("number", "")))
        if timed and not MAKER.search(kept["device"]):
            nameless.append(f"{file.parent.name}/{file.stem}")
    assert nameless == []


def test_a_protocol_with_a_time_names_its_processor():
    """In the headers of conf/, too."""
    nameless = []
    for file in [*(ROOT / "conf" / "recipe").glob("*.yaml"), *(ROOT / "conf" / "experiment").glob("*.yaml")]:
        header = re.split(r"^[^#]", file.read_text(encoding="utf-8"), maxsplit=1, flags=re.MULTILINE)[0]
        if TIME.search(re.sub(r"\n# *", " ", header)) and not MAKER.search(header):
            nameless.append(file.stem)
    assert nameless == []


def test_a_table_per_action_averages_to_its_row():
    for file in FILES:
        kept = json.loads(file.read_text(encoding="utf-8"))
        actions = [line for line in kept.get("rows", []) if isinstance(line, dict) and "action" in line]
        actions = [line for line in actions if line["action"] not in ("Average", "Frame-wise", "All")]
        if "mpjpe_mm" in kept.get("scores", {}) and actions:
            mean = sum(line["mpjpe_mm"] for line in actions) / len(actions)
            assert mean == pytest.approx(kept["scores"]["mpjpe_mm"], abs=0.01)


def test_an_evaluation_becomes_a_row_with_the_command_of_its_training(tmp_path):
    (tmp_path / "results.json").write_text(json.dumps(EVALUATION), encoding="utf-8")
    (tmp_path / "environment.json").write_text(json.dumps({"command": "python train.py model=a"}), encoding="utf-8")
    keep(tmp_path / "results.json", tmp_path / "table" / "a.json", published="42.97")
    assert row(tmp_path / "table" / "a.json") == [
        "`python train.py model=a`, then `python evaluate.py model=a`",
        "abc",
        "AMD EPYC, 2 thread(s)",
        "MPJPE 39.01 mm, P-MPJPE 30.93 mm, N-MPJPE 37.70 mm, pck150 98.20 %",
        "dataset: h36m_17; flip_test: False",
        "42.97",
    ]


def test_ratios_become_a_row_with_the_processor(tmp_path):
    ratio = {"median": 2.33, "low": 2.16, "high": 2.49}
    protocol = {"device": "cpu", "precision": "bf16", "threads": 1, "clock": "processor time", "peers": "bundled"}
    protocol["processor"] = "AMD EPYC (AVX2)"
    rows = {"mlp": [{"name": "train step", "ratio": ratio}, {"name": "alone", "ratio": None}]}
    (tmp_path / "mlp.json").write_text(json.dumps({"protocol": protocol, "rows": rows}), encoding="utf-8")
    keep(tmp_path / "mlp.json", tmp_path / "row.json")
    command, _, device, number, how, _ = row(tmp_path / "row.json")
    assert command == "`python -m benchmarks mlp --cpu-time --precision bf16`"
    assert device.endswith(", 1 thread(s)")
    assert number == "train step 2.33 x [2.16, 2.49]"
    assert "bf16" in how


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"commit": "a", "device": "b"}', "it lacks commands, protocol, number or scores; it has commit, device"),
        ('{"commands": [], "commit": "a", "device": "b", "protocol": ""}', "it lacks number or scores"),
    ],
)
def test_a_file_that_is_no_row_is_named_with_what_it_lacks(tmp_path, text, sentence):
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(f"a.json is no row of RESULTS.md: {sentence}")):
        row(tmp_path / "a.json")
    (tmp_path / "b.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match=r"b.json is neither of evaluate.py nor of the benchmarks"):
        keep(tmp_path / "b.json", tmp_path / "c.json")


def test_a_misspelt_command_is_refused(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["keeep"])
    assert stop.value.code == 2
    assert "invalid choice: 'keeep'" in capsys.readouterr().err


def test_units_are_spelt_out():
    assert spoken({"AP": 23.756, "nll_nats": -0.45}) == "AP 23.76, nll -0.45 nats"


def test_the_cpu_experiments_are_what_was_measured():
    conf = ROOT / "conf" / "experiment"
    for row_, name in (("1_baseline3d_gt", "baseline3d_h36m_gt_cpu"), ("2_gmh_mdn_sh", "gmh_mdn_h36m_sh_cpu")):
        typed = json.loads((KEPT / "1_human36m" / f"{row_}.json").read_text(encoding="utf-8"))["typed"].split(",")[0]
        config = yaml.safe_load((conf / f"{name}.yaml").read_text(encoding="utf-8"))
        for word in typed.split()[1:]:
            key, value = word.split("=")
            section, _, setting = key.partition(".")
            if setting and key != "dataset.root":
                assert config[section][setting] == yaml.safe_load(
                    value.replace("1e-3", "1.0e-3").replace("2e-3", "2.0e-3")
                )
