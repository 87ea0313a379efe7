"""A file has its name only when it is whole, whatever happens while it is written."""

import json
import os
import signal

import numpy as np
import pytest

from anypose.engine.results import write_predictions
from anypose.engine.run import write_json
from anypose.whole import copy_whole, drafts, write_text, write_whole


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


def killed(work) -> None:
    """Do it in a process that kills itself in the middle."""
    child = os.fork()
    if not child:
        work()
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@pytest.mark.skipif(not hasattr(os, "fork"), reason="NO FORK: what is left behind is told by locks of POSIX")
def test_what_a_killed_process_left_goes_with_the_next_that_writes_there(tmp_path):
    def in_a_file():
        write_whole(tmp_path / "a", lambda file: (file.write(b"half"), os.kill(os.getpid(), signal.SIGKILL)))

    def in_a_folder():
        with drafts(tmp_path) as folder:
            (folder / "half").write_text("half", encoding="utf-8")
            os.kill(os.getpid(), signal.SIGKILL)

    killed(in_a_file)
    killed(in_a_folder)
    left = [path.name for path in tmp_path.iterdir()]
    assert sorted(name[:3] for name in left) == [".a.", ".ex"]
    write_text(tmp_path / "b", "another file")
    assert len(list(tmp_path.iterdir())) == 3
    write_text(tmp_path / "a", "whole")
    with drafts(tmp_path) as folder, drafts(tmp_path) as other:  # what is held stays
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["a", "b", folder.name, other.name])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
