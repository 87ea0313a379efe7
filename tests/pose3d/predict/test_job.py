"""The command: files, what is done already, Ctrl-C, several sources, and one sentence for bad input."""

from __future__ import annotations

import json
import logging
import os
import runpy
import signal
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser

from anypose.formats.glb import bone_mesh
from pose3d.predict import job, pipeline
from pose3d.predict.job import each_source, stems
from tests.pose3d.predict.clips import write_sound


@pytest.fixture
def run(repository, tmp_path, monkeypatch, capsys) -> Iterator[Callable[..., str]]:
    """Runs predict.py as if typed in an empty folder, inside this process; returns what it printed."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    monkeypatch.chdir(tmp_path)

    def as_typed(*arguments: str, fails: bool = False, code: int = 1) -> str:
        monkeypatch.setattr(sys, "argv", ["predict.py", *arguments])
        monkeypatch.setattr(sys, "orig_argv", ["python", "predict.py", *arguments])
        if fails:
            with pytest.raises(SystemExit) as stop:
                runpy.run_path(str(repository / "predict.py"), run_name="__main__")
            assert stop.value.code == code
        else:
            runpy.run_path(str(repository / "predict.py"), run_name="__main__")
        return "".join(capsys.readouterr())

    yield as_typed
    root.handlers, root.level = handlers, level
    GlobalHydra.instance().clear()


def test_the_example_leaves_every_file_and_a_summary(run, tmp_path):
    told = run("formats=[npz,json,bvh]")
    (folder,) = (tmp_path / "runs" / "predict").iterdir()
    names = sorted(file.name for file in folder.iterdir())
    assert names == [
        "example.json",
        "example.npz",
        "example.summary.json",
        "example_person1.bvh",
        "example_person2.bvh",
    ]
    summary = json.loads((folder / "example.summary.json").read_text(encoding="utf-8"))
    assert (summary["frames"], summary["people"]) == (150, 2)
    assert "Assumed: a focal length of 544 px (focal=), people as tall as the lifter makes them (height=).\n" in told
    assert set(summary["seconds_of_stages"]) == {"decode", "3D", "write"}
    assert all(str(folder.relative_to(tmp_path) / name) in told for name in names)
    arrays = np.load(folder / "example.npz")
    assert arrays["joints"].shape == (150, 2, 17, 3)
    assert {f"{side}_foot" for side in ("left", "right")} <= set(arrays["joint_names"].tolist())


@pytest.mark.slow
def test_what_is_done_is_skipped_and_nothing_is_overwritten(run, clip, network, tmp_path):
    source = f"source={clip(60).name}"
    given = (source, "output=out", "formats=[npz]")
    run(*given)
    before = (tmp_path / "out" / "walk.npz").stat().st_mtime_ns
    assert "walk.mp4 is done already: out/walk.summary.json. overwrite=true" in run(
        source, "output=out", "formats=[npz]"
    )
    assert (tmp_path / "out" / "walk.npz").stat().st_mtime_ns == before
    assert "with other settings" in run(*given, "height=2", fails=True)
    (tmp_path / "out" / "walk.summary.json").unlink()
    assert "walk.npz exists and is not overwritten" in run(*given, fails=True)
    run(*given, "overwrite=true")


@pytest.mark.slow
def test_several_sources_end_in_a_table(run, clip, network):
    clip(40, "one.mp4")
    clip(50, "two.mp4")
    told = run("source=[one.mp4,two.mp4]", "formats=[npz]", "output=out")
    assert "source   frames  people" in told
    assert run("source=*.mp4", "formats=[npz]", "output=out").count("is done already") == 2
    assert run("source=[one.mp4,one.mp4]", "formats=[npz]", "output=out").count("is done already") == 1


@pytest.mark.slow
def test_a_multirun_expands_the_pattern_and_ends_in_a_table(run, clip, network, tmp_path):
    clip(40, "one.mp4")
    clip(50, "two.mp4")
    told = run("-m", "source=*.mp4", "formats=[npz]", "output=out")
    assert {"one.npz", "two.npz"} <= {file.name for file in (tmp_path / "out").iterdir()}
    assert "overrides" in told
    assert "sweep.csv" in told


def test_each_source_is_a_job_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.mp4", "a.mp4"):
        (tmp_path / name).touch()
    monkeypatch.setattr(sys, "argv", ["predict.py", "-m", "source=*.mp4,0"])
    assert each_source(["source=*.mp4,0"]) == ["source='a.mp4','b.mp4','0'"]
    monkeypatch.setattr(sys, "argv", ["predict.py", "source=*.mp4"])
    assert each_source(["source=*.mp4"]) == []


def test_two_sources_of_one_name_get_their_folders(tmp_path):
    assert stems(["a/walk.mp4", "b/walk.mp4", "run.mp4"]) == {
        "a/walk.mp4": "a_walk",
        "b/walk.mp4": "b_walk",
        "run.mp4": "run",
    }


def test_as_many_folders_as_tell_sources_apart():
    assert stems(["x/cam/walk.mp4", "y/cam/walk.mp4", "x/cam/run.mp4"]) == {
        "x/cam/walk.mp4": "x_cam_walk",
        "y/cam/walk.mp4": "y_cam_walk",
        "x/cam/run.mp4": "run",
    }
    assert stems(["x/cam/walk.mp4", "x/cam/walk.mp4"]) == {"x/cam/walk.mp4": "walk"}
    assert stems(["x/cam/walk.mp4"], parents=2) == {"x/cam/walk.mp4": "x_cam_walk"}
    assert stems(["rtsp://cam/1", "0", "example"], parents=1) == {"rtsp://cam/1": "1", "0": "0", "example": "example"}
    for twins in (["walk.mp4", "walk.json"], ["walk.mp4", "./walk.mp4"]):
        with pytest.raises(ValueError, match=rf"source={twins[0]} and source={twins[1]} would both be written to walk"):
            stems(twins)


def test_jobs_that_write_into_one_folder_have_names_that_differ(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("x/walk.mp4", "y/walk.mp4", "it's, a walk.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.setattr(sys, "argv", ["predict.py", "-m"])
    assert each_source(["source=*/walk.mp4"]) == ["source='x/walk.mp4','y/walk.mp4'"]
    assert each_source(["source=*/walk.mp4", "output=out"]) == ["source='x/walk.mp4','y/walk.mp4'", "parents=1"]
    assert each_source(["source=*/walk.mp4", "output=out", "parents=3"]) == ["source='x/walk.mp4','y/walk.mp4'"]
    (override,) = each_source(["source=*.mp4", "output=out"])
    assert OverridesParser.create().parse_override(override).value() == "it's, a walk.mp4"
    assert each_source(["source='it\\'s, a walk.mp4'"]) == [override]
    assert each_source(["source=[a.mp4,b.mp4]"]) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["a b=c#d (1).mp4", "12:30.mp4", "走路.mp4", "say 'hi'.mp4", "100%d [1].mp4", "-x.mp4"]
)
def test_any_name_of_a_file_will_do(run, clip, network, tmp_path, name):
    clip(30, name)
    quoted = name.replace("'", "\\'")
    run(f"source='{quoted}'", "output=.", "formats=[npz,bvh,mp4]")
    stem = name.removesuffix(".mp4")
    assert {f"{stem}.npz", f"{stem}.bvh", f"{stem}_3d.mp4"} <= {file.name for file in tmp_path.iterdir()}


@pytest.mark.slow
def test_a_bad_source_among_several_does_not_stop_the_others(run, clip, network, tmp_path):
    clip(40, "one.mp4")
    clip(40, "three.mp4")
    (tmp_path / "two.mp4").write_bytes(b"\1" * 300)
    told = run("source=[one.mp4,two.mp4,three.mp4]", "formats=[npz]", "output=out", fails=True)
    assert "source=two.mp4 (300 bytes) cannot be opened as video" in told
    assert "1 of 3 sources failed, as said above: two.mp4." in told
    assert "source     frames  people" in told
    assert sorted(file.name for file in (tmp_path / "out").glob("*.npz")) == ["one.npz", "three.npz"]
    assert "released weights" in run(
        "source=[one.mp4,three.mp4]", "lifter=gone", "output=new", fails=True
    )  # is of them all
    assert not (tmp_path / "new").exists()


def test_the_skin_in_the_files_is_of_the_bodies_that_were_fitted(run, clip, network, monkeypatch):
    asked = []

    class Bodies:
        def __init__(self, height):
            self.people, self.warnings = 0, []

        def __call__(self, motion, intrinsics):
            self.people = len(motion.ids)
            return motion

        def meshes(self, skeleton, rest):
            asked.append(self.people)
            return bone_mesh(skeleton, rest)

        def report(self):
            return {}

    monkeypatch.setattr(pipeline, "Bodies", Bodies)
    clip(30)
    run("source=walk.mp4", "output=out", "formats=[glb]", "body=true")
    assert asked == [1] * len(asked) != []


@pytest.mark.slow
def test_ctrl_c_in_the_first_chunk_ends_it_there(run, clip, network, tmp_path):
    clip(400)
    find = network.find

    def interrupted(frame):
        if frame.index == 60:
            os.kill(os.getpid(), signal.SIGINT)
        return find(frame)

    network.find = interrupted
    run("source=walk.mp4", "output=out", "formats=[npz]", fails=True, code=130)
    assert 0 < len(np.load(tmp_path / "out" / "walk.npz")["times"]) < 90


@pytest.mark.slow
def test_ctrl_c_finishes_the_frames_that_were_seen(run, clip, network, tmp_path, monkeypatch):
    clip(900)
    original = job.Watched.write

    def write(self, motion, pictures):
        original(self, motion, pictures)
        if motion.times[0] > 3 and not self.caught:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(job.Watched, "write", write)
    told = run("source=walk.mp4", "output=out", "formats=[npz,csv]", fails=True, code=130)
    arrays = np.load(tmp_path / "out" / "walk.npz")
    assert 180 <= len(arrays["times"]) < 900
    assert len((tmp_path / "out" / "walk.csv").read_text(encoding="utf-8").splitlines()) > len(arrays["times"])
    assert not (tmp_path / "out" / "walk.summary.json").exists()
    assert "frames" in told
    assert "summary.json" not in told


@pytest.mark.slow
def test_a_fault_at_the_end_leaves_the_frames_before_it(run, clip, network, tmp_path):
    clip(300)
    find = network.find

    def fail(frame):
        if frame.index == 180:
            raise ValueError("frame 180 is made of cheese")
        return find(frame)

    network.find = fail
    with pytest.raises(ValueError, match="frame 180 is made of cheese"):
        run("source=walk.mp4", "output=out", "formats=[npz]")
    assert len(np.load(tmp_path / "out" / "walk.npz")["times"]) == 180


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("gone.mp4", "source=gone.mp4 does not exist"),
        ("noise.mp4", "source=noise.mp4 (300 bytes) cannot be opened as video"),
        ("sound.wav", "source=sound.wav holds no video, only audio"),
        ("97", "there is no webcam number 97"),
        ("walk.json", "walk.json"),
        ("rtsp://127.0.0.1:9/none", "source=rtsp://127.0.0.1:9/none cannot be opened as video"),
    ],
)
def test_bad_sources_end_in_one_sentence_and_leave_nothing(run, tmp_path, network, source, sentence):
    (tmp_path / "noise.mp4").write_bytes(b"\1" * 300)
    (tmp_path / "walk.json").write_text("{}", encoding="utf-8")
    write_sound(tmp_path / "sound.wav")
    before = sorted(tmp_path.rglob("*"))
    told = run(f"source={source}", fails=True)
    assert sentence in told
    assert "Traceback" not in told
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("skeleton=dog_12", "There is no skeleton 'dog_12'"),
        ("formats=[fbx]", "formats must be some of"),
        ("people=0", "people=0 must be at least 1"),
        ("bones=2", "bones must be true or false, got 2"),
        ("formats=[npz,npz]", "each once"),
        ("keypoints.weights=gone.onnx", "keypoints.weights=gone.onnx does not exist"),
        ("boxes.weights=gone.onnx", "boxes.weights=gone.onnx has no effect"),
    ],
)
def test_bad_settings_end_in_one_sentence_and_leave_nothing(run, clip, tmp_path, setting, sentence):
    clip(10)
    source = "source=example" if setting.startswith(("skeleton", "lifter", "people", "smooth")) else "source=walk.mp4"
    told = run(source, setting, fails=True, code=1 if setting.startswith(("skeleton", "keypoints")) else 2)
    assert sentence in told
    assert "Traceback" not in told
    assert [file.name for file in tmp_path.iterdir()] == ["walk.mp4"]


def test_nobody_leaves_nothing_but_a_sentence(run, clip, network, tmp_path):
    clip(30)
    network.away = set(range(30))
    assert "source=walk.mp4: nobody was found in its 30 frames" in run("source=walk.mp4", "output=out", fails=True)
    assert not (tmp_path / "out").exists()


def test_blazepose_that_is_not_there_is_offered(run, clip, tmp_path, monkeypatch):
    clip(10)
    monkeypatch.setenv("ANYPOSE_CACHE", str(tmp_path / "cache"))
    assert "anypose fetch blazepose`" in run("source=walk.mp4", fails=True)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{}", '{"source": "a.mp4"}', '{"source": [1], "settings": {}}']
)
def test_a_summary_that_is_none_is_named(tmp_path, text):
    (tmp_path / "walk.summary.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"walk\.summary\.json is damaged, or no summary of predict's\. Remove it"):
        job.read_summary(tmp_path / "walk.summary.json")
