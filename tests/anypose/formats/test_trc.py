"""TRC as our reader and trc-data-reader see it."""

from __future__ import annotations

import numpy as np
import pytest

from anypose.formats.marker_names import joint_of, marker_of
from anypose.formats.trc import TrcSink, read_trc
from anypose.skeletons import TREES
from tests.anypose.formats.dancers import dancers, part


def y_up(points):
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], -1)


def test_markers_have_the_names_of_sports2d_and_come_back() -> None:
    names = {"left_foot": "LAnkle", "right_small_toe": "RSmallToe", "hip": "Hip", "right_hip": "RHip", "thorax": "Neck"}
    assert {joint: marker_of(joint) for joint in names} == names
    for tree in TREES.values():
        joints = [word.partition("<")[0] for word in tree.split()]
        assert [joint_of(marker_of(joint)) for joint in joints] == joints


def test_every_chunk_is_there_with_its_own_times(tmp_path) -> None:
    times = np.cumsum(np.random.default_rng(0).uniform(0.02, 0.05, 20))
    motion = dancers(frames=20, times=times)
    motion.world[7] = np.nan
    motion.world[3, 0, 4] = np.nan
    with TrcSink(tmp_path / "dance.trc") as sink:
        for start in range(0, 20, 6):
            sink.write(part(motion, slice(start, start + 6)))
            assert len(read_trc(sink.path).times) == min(start + 6, 20) - (start > 5)
    trc = read_trc(sink.path)
    there = np.delete(np.arange(20), 7)
    assert trc.markers[:4] == ("Hip", "RHip", "RKnee", "RAnkle")
    assert trc.units == "m"
    np.testing.assert_allclose(trc.times, times[there], atol=1e-6)
    np.testing.assert_allclose(trc.points, y_up(motion.world[there, 0]), atol=1e-5)


def test_an_independent_reader_sees_the_same(tmp_path) -> None:
    trc = pytest.importorskip("trc", reason="NO TRC-DATA-READER: pip install trc-data-reader to compare")
    motion = dancers(frames=10)
    with TrcSink(tmp_path / "dance.trc") as sink:
        sink.write(motion)
    data = trc.TRCData()
    data.load(str(sink.path))
    assert (data["NumFrames"], data["NumMarkers"], data["Units"]) == (10, 17, "m")
    assert float(data["DataRate"]) == pytest.approx(25)
    np.testing.assert_allclose(np.array(data["RKnee"], float), y_up(motion.world[:, 0, 2]), atol=1e-5)
    np.testing.assert_allclose(np.array(data["Time"], float), motion.times, atol=1e-6)


HEADER = (
    "PathFileType\t4\t(X/Y/Z)\ta.trc\nDataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\n30\t30\t2\t2\tm\n"
    "Frame#\tTime\tHip\t\t\tLKnee\t\t\n\t\tX1\tY1\tZ1\tX2\tY2\tZ2\n"
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Name,x\n1,2\n", r"a\.trc is not a TRC file: it must start with PathFileType"),
        (HEADER + "\n", r"a\.trc has no frames"),
        (HEADER + "1\t0.0\t1\t2\tx\t4\t5\t6\n", r"a\.trc, line 6: .*'x'"),
        (HEADER + "1\n", r"a\.trc, line 6: 8 cells are expected, found 1"),
        (HEADER + "1\t0.1\t1\t2\t3\t4\t5\t6\n2\t0.1\t1\t2\t3\t4\t5\t6\n", r"times must be finite and increase"),
        (HEADER + "1\t0.0\t1\t2\t1e308\t4\t5\t6\n2\t0.1\n", r"coordinates must be within 1e\+12"),
        (HEADER + "1\t0.0\t1\t2\t1_0\t4\t5\t6\n", r"line 6: a number is wanted, found '1_0'"),
        (HEADER + "1\t0.0\t1\t2\t3\t4\t5\t6\n2\t0.1\t1\t2\n", r"line 7: marker 1 has 2 of its three numbers.*cut"),
        (HEADER + "1\t0.0\t1\t2\t3\t4\t5\t6\n", r"NumFrames says 2, and the file has 1\. It is cut off"),
        (HEADER.replace("LKnee\t\t", "") + "1\t0.0\n2\t0.1\n", r"NumMarkers says 2, and the file has 1"),
        (HEADER.replace("2\t2", "two\t2") + "1\t0.0\n2\t0.1\n", r"line 3, NumFrames: a number is wanted, found 'two'"),
        (HEADER + "1\t0\n2\t33.3\n", r"must be seconds, .*are 33\.3 apart, and DataRate says 30 a second"),
        (HEADER.replace("30\t30", "0\t0") + "1\t0\n2\t33.3\n", r"times must be seconds, .*are 33\.3 apart\. Put"),
        (HEADER.replace("LKnee", "Hip") + "1\t0\n", r"line 4: 1 to 1000 different markers must be named, found 2"),
    ],
)
def test_a_damaged_file_is_named_with_the_place(tmp_path, text, message) -> None:
    (tmp_path / "a.trc").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_trc(tmp_path / "a.trc")


@pytest.mark.parametrize("code", ["utf-16", "utf-8-sig", "latin-1"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_other_programs_ends_and_letters_are_read(tmp_path, code, ends) -> None:
    text = HEADER.replace("a.trc", "fu\xdfball.trc") + "1\t0\t1\t2\t3\t\t\t\n2\t0.04\t\t\t\t4\t5\t6\n"
    (tmp_path / "a.trc").write_bytes(text.replace("\n", ends).encode(code))
    read = read_trc(tmp_path / "a.trc")
    assert (read.markers, read.units, read.times.tolist()) == (("Hip", "LKnee"), "m", [0, 0.04])
    np.testing.assert_array_equal(read.points[0], [[1, 2, 3], [np.nan] * 3])


def test_frames_that_are_not_announced_are_read_and_told(tmp_path, caplog) -> None:
    (tmp_path / "a.trc").write_text(HEADER + "".join(f"{t}\t{t / 30}\n" for t in range(3)), encoding="utf-8")
    assert len(read_trc(tmp_path / "a.trc").times) == 3
    assert "a.trc: NumFrames says 2, and 3 frames follow, which are read." in caplog.text


def test_short_lines_of_many_markers_take_no_more_than_a_file_may(tmp_path) -> None:
    """A hundred kilobytes that would become 270 MB, and those as text."""
    names = "\t\t\t".join(f"m{number}" for number in range(1000))
    head = HEADER.replace("Hip\t\t\tLKnee\t\t", names).replace("2\t2", "12000\t1000")
    (tmp_path / "a.trc").write_text(head + "".join(f"{t}\t{t}\n" for t in range(12_000)), encoding="utf-8")
    with pytest.raises(ValueError, match=r"a\.trc: 12000 frames of 3002 numbers are more than 0\.268 GB"):
        read_trc(tmp_path / "a.trc")
