"""C3D as ezc3d sees it."""

from __future__ import annotations

import numpy as np
import pytest

from anypose.formats.c3d import C3dSink
from anypose.formats.trc import marker_of
from tests.anypose.formats.dancers import dancers, part
from tests.anypose.formats.test_trc import y_up

ezc3d = pytest.importorskip("ezc3d", reason="NO EZC3D: pip install ezc3d to read C3D")


def read(path):
    data = ezc3d.c3d(str(path))
    points = np.moveaxis(data["data"]["points"][:3], -1, 0).transpose(0, 2, 1)
    return data, points


def test_every_chunk_is_there_in_millimetres(tmp_path) -> None:
    motion = dancers(frames=20, times=np.arange(20) * 1001 / 30000)
    motion.world[3, 0, 4] = np.nan
    with C3dSink(tmp_path / "dance.c3d") as sink:
        for start in range(0, 20, 6):
            sink.write(part(motion, slice(start, start + 6)))
            assert len(read(sink.path)[1]) == min(start + 6, 20)
    data, points = read(sink.path)
    np.testing.assert_allclose(points, 1000 * y_up(motion.world[:, 0]), atol=1e-3)
    assert data["parameters"]["POINT"]["LABELS"]["value"] == [marker_of(joint) for joint in motion.skeleton.joints]
    assert data["parameters"]["POINT"]["UNITS"]["value"] == ["mm"]
    assert data["parameters"]["POINT"]["RATE"]["value"][0] == pytest.approx(29.97003, rel=1e-6)
    assert data["header"]["points"]["last_frame"] == 19
    assert data["parameters"]["TRIAL"]["ACTUAL_END_FIELD"]["value"][0] == 20


def test_who_was_away_has_no_points_there(tmp_path) -> None:
    motion = dancers(frames=30, people=2)
    with C3dSink(tmp_path / "dance.c3d") as sink:
        sink.write(part(motion, slice(0, 10)))
        sink.write(part(motion, slice(10, 20), [0]))
        sink.write(part(motion, slice(20, 30), [1, 0]))
    points = read(sink.files[1])[1]
    assert len(points) == 30
    assert np.isnan(points[10:20]).all()
    there = np.r_[0:10, 20:30]
    np.testing.assert_allclose(points[there], 1000 * y_up(motion.world[there, 1]), atol=1e-3)


@pytest.mark.slow
def test_more_frames_than_sixteen_bits_count(tmp_path) -> None:
    motion = dancers(frames=2)
    world = np.repeat(motion.world[:1], 70_000, 0)
    with C3dSink(tmp_path / "long.c3d") as sink:
        sink.write(
            dancers(
                frames=2,
                times=np.arange(70_000) / 60,
                world=world,
                keypoints=None,
                joints=None,
                rotations=None,
                rest=None,
            )
        )
    assert len(read(sink.path)[1]) == 70_000
