"""anypose/formats/person_files.py, sink.py: files that grow, and the first one that moves aside."""

from __future__ import annotations

import os
from pathlib import Path

from anypose.formats.sink import GrowingFile


def test_a_file_that_moves_is_held_by_nobody_meanwhile_and_goes_on_growing(tmp_path, monkeypatch):
    """Windows moves no file that is open."""
    done, close, replace = [], os.close, Path.replace
    file = GrowingFile(tmp_path / "walk.csv", b"head 0\n", tail=b"tail")
    file.append(b"one\n")
    monkeypatch.setattr(os, "close", lambda number: (done.append("closed"), close(number))[1])
    monkeypatch.setattr(Path, "replace", lambda path, to: (done.append("moved"), replace(path, to))[1])
    file.move(tmp_path / "walk_person1.csv")
    assert done == ["closed", "moved"]
    file.append(b"two\n")
    file.patch(5, b"2")
    file.close()
    assert [path.name for path in tmp_path.iterdir()] == ["walk_person1.csv"]
    assert (tmp_path / "walk_person1.csv").read_bytes() == b"head 2\none\ntwo\ntail"
