"""BVH as our reader and pybvh see it."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from anypose.formats.bvh import forward_kinematics, read_bvh
from anypose.formats.bvh_writer import BvhSink, euler_zxy
from anypose.skeleton import H36M_17
from tests.anypose.formats.dancers import dancers, part


def upright(points):
    """The world from BVH's axes."""
    return np.stack([points[..., 0], -points[..., 2], points[..., 1]], -1)


def positions(path):
    return upright(forward_kinematics(read_bvh(path), H36M_17.joints)[0])


def test_what_is_read_back_is_where_it_was_to_a_tenth_of_a_millimetre(tmp_path) -> None:
    motion = dancers(frames=40)
    with BvhSink(tmp_path / "dance.bvh") as sink:
        for start in range(0, 40, 16):
            sink.write(part(motion, slice(start, start + 16)))
            read = positions(tmp_path / "dance.bvh")
            assert len(read) == min(start + 16, 40)
            np.testing.assert_allclose(read, motion.world[: len(read), 0], atol=1e-4)
    assert read_bvh(sink.path).fps == pytest.approx(25, abs=1e-6)
    assert sink.files == [tmp_path / "dance.bvh"]
    assert not re.search(r"-0\.0+\s", sink.path.read_text(encoding="utf-8"))


def test_an_independent_reader_sees_the_same(tmp_path) -> None:
    pybvh = pytest.importorskip("pybvh", reason="NO PYBVH: pip install pybvh to compare")
    motion = dancers(frames=10)
    with BvhSink(tmp_path / "dance.bvh") as sink:
        sink.write(motion)
    other = pybvh.read_bvh_file(str(sink.path))
    where = other.joint_positions(centered="world")
    got = upright(np.asarray(where)[:, [other.joint_names.index(name) for name in H36M_17.joints]])
    np.testing.assert_allclose(got, motion.world[:, 0], atol=1e-4)


@pytest.mark.parametrize("middle", [0.3, np.pi / 2, -np.pi / 2, np.pi / 2 - 1e-9])
def test_euler_angles_are_scipys_also_where_two_axes_fall_together(middle) -> None:
    angles = np.array([[0.4, middle, -1.2], [-3.0, middle, 2.5]])
    matrix = Rotation.from_euler("ZXY", angles).as_matrix()
    np.testing.assert_allclose(Rotation.from_euler("ZXY", euler_zxy(matrix)).as_matrix(), matrix, atol=1e-8)


def test_angles_do_not_jump(tmp_path) -> None:
    motion = dancers(frames=300, seed=4)
    with BvhSink(tmp_path / "dance.bvh") as sink:
        for start in range(0, 300, 7):
            sink.write(part(motion, slice(start, start + 7)))
    root = read_bvh(sink.path).values[:, 3:6]
    assert np.abs(np.diff(root[:, [0, 2]], axis=0)).max() < 200  # a flip of Euler's angles may be, a full turn may not


def test_people_have_files_of_their_own_and_the_same_clock(tmp_path) -> None:
    motion = dancers(frames=30, people=2)
    with BvhSink(tmp_path / "dance.bvh") as sink:
        sink.write(part(motion, slice(0, 10), [0]))
        assert sink.files == [tmp_path / "dance.bvh"]
        sink.write(part(motion, slice(10, 30)))
    assert [file.name for file in sink.files] == ["dance_person1.bvh", "dance_person2.bvh"]
    np.testing.assert_allclose(positions(sink.files[0]), motion.world[:, 0], atol=1e-4)
    second = positions(sink.files[1])
    np.testing.assert_allclose(second[10:], motion.world[10:, 1], atol=1e-4)
    np.testing.assert_allclose(second[:10], np.broadcast_to(motion.world[10, 1], (10, 17, 3)), atol=1e-4)


def test_who_was_away_is_carried_over_the_gap_at_constant_length(tmp_path) -> None:
    motion = dancers(frames=30)
    motion.world[10:20], motion.rotations[10:20] = np.nan, np.nan
    with BvhSink(tmp_path / "dance.bvh") as sink:
        for start in range(0, 30, 6):
            sink.write(part(motion, slice(start, start + 6)))
    read = positions(sink.path)
    assert len(read) == 30
    there = np.r_[0:10, 20:30]
    np.testing.assert_allclose(read[there], motion.world[there, 0], atol=1e-4)
    lengths = np.linalg.norm(np.diff(read[:, [0, 1]], axis=1), axis=-1)
    np.testing.assert_allclose(lengths, np.full_like(lengths, lengths[0, 0]), atol=1e-5)


def test_a_file_that_is_there_is_not_overwritten(tmp_path) -> None:
    (tmp_path / "dance_person1.bvh").write_text("mine", encoding="utf-8")
    with pytest.raises(FileExistsError, match=r"dance_person1\.bvh exists and is not overwritten.*overwrite=true"):
        BvhSink(tmp_path / "dance.bvh")
    BvhSink(tmp_path / "dance.bvh", overwrite=True)


def test_motion_without_bones_is_refused(tmp_path) -> None:
    with (
        pytest.raises(ValueError, match=r"dance\.bvh: this format holds rotations, rest, and dance has none"),
        BvhSink(tmp_path / "dance.bvh") as sink,
    ):
        sink.write(dancers(rotations=None, rest=None))
    assert not list(tmp_path.iterdir())
