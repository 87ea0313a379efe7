"""Several formats at once."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from anypose.formats.bvh import read_bvh
from anypose.formats.motion_npz import read_motion_npz
from anypose.formats.trc import read_trc
from anypose.skeleton import COCO_17, H36M_17
from pose3d.predict.sinks import SINKS, open_sinks, save
from tests.anypose.formats.dancers import dancers, part


def test_every_format_gets_every_frame(tmp_path) -> None:
    motion = dancers(frames=20, rotations=None, rest=None)
    with open_sinks(tmp_path / "out", list(SINKS), "dance") as sinks:
        assert not (tmp_path / "out").exists()
        for start in range(0, 20, 6):
            sinks.write(part(motion, slice(start, start + 6)))
    summary = sinks.summary()
    assert {row["format"] for row in summary} == set(SINKS)
    assert all(row["frames"] == 20 and row["bytes"] > 0 for row in summary)
    assert {str(file) for file in sinks.files} == {str(file) for file in (tmp_path / "out").iterdir()}
    assert len(read_bvh(tmp_path / "out" / "dance.bvh")) == 20


def test_of_all_formats_those_are_left_out_that_cannot_hold_it_and_say_why(tmp_path) -> None:
    motion = dancers(keypoint_skeleton=H36M_17, skeleton=COCO_17, rotations=None, rest=None, size=None)
    with open_sinks(tmp_path, None, "dance") as sinks:
        sinks.write(part(motion, slice(0, 6)))
        sinks.write(part(motion, slice(6, 12)))
    assert set(sinks.left_out) == {"bvh", "glb", "coco"}
    assert "holds rotations, rest" in sinks.left_out["bvh"]
    assert "h36m_17 cannot be converted to coco_17" in sinks.left_out["coco"]
    assert {row["format"] for row in sinks.summary()} == set(SINKS) - {"bvh", "glb", "coco"}
    with (
        pytest.raises(ValueError, match="h36m_17 cannot be converted to coco_17"),
        open_sinks(tmp_path, ["coco"], "dance") as sinks,
    ):
        sinks.write(motion)


def test_somebody_who_is_not_there_yet_is_written_once_they_are(tmp_path) -> None:
    motion = dancers(frames=12, people=2, rotations=None, rest=None)
    for array in (motion.world, motion.joints, motion.keypoints):
        array[:6, 1] = np.nan
    with open_sinks(tmp_path, None, "dance") as sinks:
        sinks.write(part(motion, slice(0, 6)))
        sinks.write(part(motion, slice(6, 12)))
    assert not sinks.left_out
    assert len(sinks.sinks["bvh"].files) == 2
    np.testing.assert_array_equal(read_motion_npz(tmp_path / "dance.npz").world, motion.world)


def test_an_error_while_writing_leaves_whole_files(tmp_path) -> None:
    motion = dancers(frames=20)

    def fail_in_the_middle() -> None:
        with open_sinks(tmp_path, ["npz", "bvh"], "dance") as sinks:
            sinks.write(part(motion, slice(0, 10)))
            raise RuntimeError("the camera fell down")

    with pytest.raises(RuntimeError, match="the camera fell down"):
        fail_in_the_middle()
    assert len(read_motion_npz(tmp_path / "dance.npz")) == len(read_bvh(tmp_path / "dance.bvh")) == 10


@pytest.mark.parametrize("name", list(SINKS))
def test_a_disk_that_is_full_from_the_start_leaves_nothing(tmp_path, name) -> None:
    resource = pytest.importorskip("resource", reason="files are limited on Unix alone")
    motion, limits = dancers(frames=300, rotations=None, rest=None), resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill() -> None:
        with open_sinks(tmp_path, [name], "dance") as sinks:
            resource.setrlimit(resource.RLIMIT_FSIZE, (600, limits[1]))
            sinks.write(motion)

    try:
        with pytest.raises(OSError, match="large"):
            fill()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert all(file.stat().st_size <= 600 for file in tmp_path.iterdir())


KILLED = """
import os, sys
from pose3d.predict.sinks import open_sinks
from tests.anypose.formats.dancers import dancers, part
motion = dancers(frames=120, rotations=None, rest=None)
with open_sinks(sys.argv[1], ["npz", "csv", "json", "bvh", "trc", "c3d"], "dance") as sinks:
    for start in range(0, 120, 20):
        if start == 80:
            os.kill(os.getpid(), 9)
        sinks.write(part(motion, slice(start, start + 20)))
"""


@pytest.mark.slow
def test_a_process_that_is_killed_leaves_what_it_wrote(tmp_path, repository) -> None:
    ezc3d = pytest.importorskip("ezc3d", reason="NO EZC3D: pip install ezc3d to read C3D")
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=repository, timeout=120)
    assert done.returncode == -9
    assert len(read_bvh(tmp_path / "dance.bvh")) == 80
    assert len(read_trc(tmp_path / "dance.trc").times) == 80
    assert len(json.loads((tmp_path / "dance.json").read_text(encoding="utf-8"))["frames"]) == 80
    assert len((tmp_path / "dance.csv").read_text(encoding="utf-8").splitlines()) == 81
    assert ezc3d.c3d(str(tmp_path / "dance.c3d"))["data"]["points"].shape[2] == 80
    assert len(read_motion_npz(tmp_path / "dance.npz")) >= 20  # written anew every second or later


def test_one_motion_goes_to_the_format_of_its_suffix(tmp_path) -> None:
    motion = dancers()
    assert save(motion, tmp_path / "walk.npz") == [tmp_path / "walk.npz"]
    np.testing.assert_array_equal(read_motion_npz(tmp_path / "walk.npz").world, motion.world)
    with pytest.raises(FileExistsError, match=r"walk\.npz exists and is not overwritten"):
        save(motion, tmp_path / "walk.npz")
    save(motion, tmp_path / "walk.npz", overwrite=True)


@pytest.mark.parametrize(
    ("names", "found"), [(["npz", "fbx"], "found fbx"), (["npz", "npz"], "each once; found npz, npz")]
)
def test_formats_that_are_none_are_refused(tmp_path, names, found) -> None:
    with pytest.raises(ValueError, match=f"formats must be some of npz, csv, json, bvh.*{found}"):
        open_sinks(tmp_path, names, "walk")


def test_frames_without_anybody_are_frames_too(tmp_path) -> None:
    motion = dancers(frames=12, rotations=None, rest=None)
    with open_sinks(tmp_path, list(SINKS), "walk") as sinks:
        sinks.write(motion.only())
        sinks.write(replace(motion, times=motion.times + motion.times[-1] + 1))
    assert all(sink.frames == 2 * len(motion) for sink in sinks.sinks.values())
