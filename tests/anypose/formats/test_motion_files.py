"""CSV, JSON and npz: what they hold, and that they are whole at any moment."""

from __future__ import annotations

import csv
import json
import os

import numpy as np
import pytest

from anypose.formats import sink as sink_module
from anypose.formats.motion_csv import CsvSink
from anypose.formats.motion_json import JsonSink
from anypose.formats.motion_npz import NpzSink, read_motion_npz
from tests.anypose.formats.dancers import dancers, part

SINKS = [CsvSink, JsonSink, NpzSink]


def frames_of(path) -> int:
    if path.suffix == ".csv":
        return len({row["time_s"] for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines())})
    if path.suffix == ".json":
        return len(json.loads(path.read_text(encoding="utf-8"))["frames"])
    return len(read_motion_npz(path))


def test_a_table_says_of_each_column_what_it_is(tmp_path) -> None:
    motion = dancers(people=2)
    motion.world[3, 1], motion.joints[3, 1], motion.keypoints[3, 1] = np.nan, np.nan, np.nan
    motion.world[5, 0, 4] = np.nan
    with CsvSink(tmp_path / "dance.csv") as sink:
        sink.write(part(motion, slice(0, 5)))
        sink.write(part(motion, slice(5, 12)))
    rows = list(csv.DictReader(sink.path.read_text(encoding="utf-8").splitlines()))
    assert [(row["time_s"], row["id"]) for row in rows].count(("0.120000", "2")) == 0
    assert len(rows) == 2 * 12 - 1
    row = rows[2]
    assert (row["time_s"], row["id"]) == ("0.040000", "1")
    assert float(row["left_knee_world_z_m"]) == pytest.approx(motion.world[1, 0, 5, 2], abs=1e-4)
    assert float(row["left_knee_camera_y_m"]) == pytest.approx(motion.joints[1, 0, 5, 1], abs=1e-4)
    assert float(row["nose_x_px"]) == pytest.approx(motion.keypoints[1, 0, 0, 0], abs=1e-2)
    assert float(row["nose_score"]) == pytest.approx(motion.keypoints[1, 0, 0, 2], abs=1e-3)
    assert [row["left_hip_world_x_m"] == "" for row in rows].index(True) == 9


def test_json_describes_itself(tmp_path) -> None:
    motion = dancers(people=2, filled=np.zeros((12, 2, 17), bool), contacts=np.ones((12, 2, 2), bool))
    motion.filled[0, 0, 3] = True
    motion.world[3, 1], motion.joints[3, 1], motion.keypoints[3, 1] = np.nan, np.nan, np.nan
    motion.world[0, 0, 2] = np.nan
    with JsonSink(tmp_path / "dance.json") as sink:
        sink.write(motion)
    data = json.loads(sink.path.read_text(encoding="utf-8"))
    assert (data["format"], data["version"], data["units"]["joints"], data["size"]) == (
        "anypose motion",
        1,
        "m",
        [640, 480],
    )
    assert data["skeleton"]["joints"] == list(motion.skeleton.joints)
    assert data["facts"] == {"lifter": "none"}
    first = data["frames"][0]["people"][0]
    assert first["id"] == 1
    assert first["filled"] == [0, 0, 0, 1] + 13 * [0]
    assert first["contacts"] == [1, 1]
    assert first["world"][2] is None
    np.testing.assert_allclose(first["joints"], motion.joints[0, 0], atol=1e-4)
    assert [person["id"] for person in data["frames"][3]["people"]] == [1]


def test_an_archive_gives_back_every_array(tmp_path) -> None:
    motion = dancers(people=3, hypotheses=np.random.default_rng(0).normal(size=(12, 3, 2, 17, 3)).astype(np.float32))
    with NpzSink(tmp_path / "dance.npz") as sink:
        sink.write(part(motion, slice(0, 4), [0]))
        sink.write(part(motion, slice(4, 8), [2, 1]))
        sink.write(part(motion, slice(8, 12), [0, 1, 2]))
    with np.load(sink.path) as data:
        assert data["ids"].tolist() == [1, 3, 2]
        assert data["joint_names"][1] == "right_hip"
        np.testing.assert_array_equal(data["times"], motion.times)
        assert np.isnan(data["joints"][:4, 1:]).all()
        for field in ("joints", "world", "keypoints", "rotations", "hypotheses"):
            whole = getattr(motion, field)
            np.testing.assert_array_equal(data[field][4:8, [1, 2]], whole[4:8, [2, 1]])
            np.testing.assert_array_equal(data[field][8:], whole[8:][:, [0, 2, 1]])
    again = read_motion_npz(sink.path)
    assert (again.skeleton, again.size, again.facts) == (motion.skeleton, (640, 480), {"lifter": "none"})
    np.testing.assert_array_equal(again.rest, motion.rest[[0, 2, 1]])


@pytest.mark.parametrize("kind", SINKS)
def test_a_crash_leaves_what_was_written(tmp_path, kind) -> None:
    motion = dancers(frames=30)
    path = tmp_path / f"dance{kind.suffix}"

    def write_until_interrupted() -> None:
        with kind(path) as sink:
            for start in range(0, 30, 10):
                if start == 20:
                    raise KeyboardInterrupt
                sink.write(part(motion, slice(start, start + 10)))

    with pytest.raises(KeyboardInterrupt):
        write_until_interrupted()
    assert frames_of(path) == 20
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", [CsvSink, JsonSink])
def test_a_file_is_whole_after_every_chunk(tmp_path, kind) -> None:
    motion = dancers(frames=30)
    path = tmp_path / f"dance{kind.suffix}"
    with kind(path) as sink:
        for start in range(0, 30, 10):
            sink.write(part(motion, slice(start, start + 10)))
            assert frames_of(path) == start + 10


@pytest.mark.parametrize("kind", [CsvSink, JsonSink])
def test_a_full_disk_leaves_what_was_written_and_names_the_file(tmp_path, kind, monkeypatch) -> None:
    motion = dancers(frames=20)
    path = tmp_path / f"dance{kind.suffix}"
    write, room = os.write, [6000]

    def until_full(file, data):
        if len(data) > 1000 and not room[0]:
            raise OSError(28, "No space left on device")
        written = write(file, bytes(data)[: max(room[0], 1000)])
        return written

    with kind(path) as sink:
        sink.write(part(motion, slice(0, 10)))
        room[0] = 0
        monkeypatch.setattr(sink_module.os, "write", until_full)
        with pytest.raises(
            OSError, match=rf"No space left on device; what was written before is whole.*dance{kind.suffix}"
        ):
            sink.write(part(motion, slice(10, 20)))
    assert frames_of(path) == 10


@pytest.mark.parametrize("kind", SINKS)
def test_nothing_comes_of_nothing_and_nothing_is_overwritten(tmp_path, kind) -> None:
    path = tmp_path / f"dance{kind.suffix}"
    with kind(path):
        pass
    assert not path.exists()
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(FileExistsError, match=rf"dance{kind.suffix} exists and is not overwritten"):
        kind(path)
    assert path.read_text(encoding="utf-8") == "mine"


def test_chunks_follow_each_other_and_keep_their_fields(tmp_path) -> None:
    motion = dancers()
    with CsvSink(tmp_path / "dance.csv") as sink:
        sink.write(part(motion, slice(5, 8)))
        with pytest.raises(ValueError, match=r"must follow each other in time, but 0\.28 s comes after 0\.28 s"):
            sink.write(part(motion, slice(7, 9)))
        with pytest.raises(
            ValueError, match="world of dance must be in every chunk or in none, but the first has them"
        ):
            sink.write(part(dancers(world=None), slice(9, 10)))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"ids": np.array([1])}, r"x\.npz has no array 'times', so it is no motion of ours; it has ids"),
        (
            {"times": np.zeros(2), "ids": np.array([1])},
            r"x\.npz is no motion of ours: times of x must be finite and inc",
        ),
        (
            {"times": np.arange(2.0), "ids": np.array([1]), "skeleton": np.array("spider")},
            r"x\.npz, skeleton: 'spider' with these joints is unknown here; there are h36m_32",
        ),
        (
            {"times": np.arange(2.0), "ids": np.array([1]), "camera": np.array("[1]")},
            r"x\.npz is no motion of ours",
        ),
    ],
)
def test_an_archive_that_is_not_ours_is_refused(tmp_path, arrays, message) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        read_motion_npz(tmp_path / "x.npz")
