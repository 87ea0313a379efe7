"""A file has its name only when it is whole, whatever happens while it is written."""

import json
import os

import numpy as np
import pytest

from anypose.engine.results import write_predictions
from anypose.engine.run import write_json
from anypose.whole import copy_whole, write_text, write_whole


def test_what_a_full_disk_stops_is_not_half_written(tmp_path, monkeypatch):
    write_json(tmp_path / "summary.json", {"a": 1.0, "b": [float("nan")]})
    assert json.loads((tmp_path / "summary.json").read_text(encoding="utf-8")) == {"a": 1.0, "b": [None]}

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        OSError, match=r"summary.json \(.*No space left on device.*\); .*summary.json still holds what was"
    ):
        write_text(tmp_path / "summary.json", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]
    assert json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))["a"] == 1.0


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit, ZeroDivisionError])
def test_whatever_ends_it_leaves_nothing_but_what_was_there(tmp_path, end):
    write_text(tmp_path / "a", "before")

    def half(file):
        file.write(b"half")
        raise end

    for name in ("a", "b"):
        with pytest.raises(end):
            write_whole(tmp_path / name, half)
    assert [(path.name, path.read_text(encoding="utf-8")) for path in tmp_path.iterdir()] == [("a", "before")]


@pytest.mark.parametrize("name", ["n" * 255, "数" * 85])
def test_names_may_be_as_long_as_names_can_be(tmp_path, name):
    write_text(tmp_path / name, "x")
    copy_whole(tmp_path / name, tmp_path / "copy")
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == {name: "x", "copy": "x"}


def test_predictions_are_whole_or_not_there(tmp_path):
    class Held:
        def arrays(self):
            return {"joints": np.zeros((2, 3)), "broken": [np.zeros(2), object()] if self.broken else np.ones(1)}

    held = Held()
    held.broken = False
    write_predictions(tmp_path / "new" / "predictions.bin", held)
    with np.load(tmp_path / "new" / "predictions.bin") as arrays:
        assert sorted(arrays) == ["broken", "joints"]
    held.broken = True
    with pytest.raises(ValueError, match="inhomogeneous"):
        write_predictions(tmp_path / "new" / "predictions.bin", held)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["predictions.bin"]
    with np.load(tmp_path / "new" / "predictions.bin") as arrays:
        assert arrays["broken"].sum() == 1
