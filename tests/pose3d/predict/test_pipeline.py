"""The whole pipeline in Python: chunks, joined motion, settings, live sources, the numbers on real clips."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from anypose.engine.finding import RELEASED
from anypose.engine.place import PACKAGE
from anypose.formats.keypoints import read_keypoints
from anypose.motion import Motion
from anypose.skeleton import BLAZEPOSE_33
from pose3d import Pipeline
from pose3d.predict import finding
from pose3d.predict import pipeline as module
from pose3d.predict.recording import MainPeople, join
from pose3d.predict.settings import complete
from pose3d.predict.sinks import save
from tests.pose3d.predict.walkers import seen, walk

LIMBS = [f"{s}_{j}" for s in ("left", "right") for j in ("hip", "knee", "foot", "shoulder", "elbow", "wrist")]


def test_every_frame_comes_out_once_with_everything(network, clip, monkeypatch, tmp_path):
    monkeypatch.setattr(finding, "CHUNK", 50)
    pipeline = Pipeline()
    chunks = list(pipeline.stream(clip(170)))
    assert [len(chunk) for chunk in chunks] == [91, 79]  # three seconds settle the floor, the last has its context, too
    assert np.concatenate([chunk.times for chunk in chunks]) == pytest.approx(np.arange(170) / 30, abs=1e-3)
    whole = join(chunks)
    assert whole.ids.tolist() == [1]
    assert whole.keypoints.shape == whole.joints.shape == whole.world.shape == (170, 1, 17, 3)
    assert np.isfinite(whole.world).all()
    assert network.frames == list(range(170))
    assert set(pipeline.stopwatch.seconds) == {"decode", "2D", "3D"}
    (file,) = chunks[1][:20].save(tmp_path / "part.csv")
    assert len(file.read_text(encoding="utf-8").splitlines()) == 21


@pytest.mark.parametrize(
    ("smooth", "hold_feet"), [("butterworth", True), ("one_euro", False), ("savitzky_golay", False), ("off", False)]
)
def test_where_chunks_end_does_not_show(tmp_path, monkeypatch, smooth, hold_feet):
    save(example_keypoints(78, 20.0), tmp_path / "walk.npz")
    motions = []
    for chunk in (1000, 7, 1):
        monkeypatch.setattr(finding, "WHOLE", chunk)
        motions.append(Pipeline(smooth=smooth, hold_feet=hold_feet)(tmp_path / "walk.npz"))
    for motion in motions[1:]:
        assert motion.ids.tolist() == motions[0].ids.tolist()
        np.testing.assert_allclose(motion.keypoints, motions[0].keypoints, atol=0.05)
        np.testing.assert_allclose(motion.joints, motions[0].joints, atol=2e-3)
        np.testing.assert_allclose(motion.world, motions[0].world, atol=2e-3)


@pytest.mark.slow
def test_a_file_can_be_seen_as_if_it_were_live(tmp_path):
    save(example_keypoints(20, 25.0), tmp_path / "walk.npz")
    parts = list(Pipeline(live=True).stream(tmp_path / "walk.npz"))
    assert [len(part) for part in parts] == [1] * 20
    save(example_keypoints(12, 25.0), tmp_path / "half.npz")
    half = Pipeline(live=True)(tmp_path / "half.npz")
    np.testing.assert_allclose(half.world, join(parts).world[:12], atol=1e-5)  # what comes later changes nothing


def test_a_floor_that_is_guessed_is_told(tmp_path):
    whole = example_keypoints(20, 25.0)
    legs = [whole.keypoint_skeleton.index(f"{side}_{part}") for side in ("left", "right") for part in ("knee", "foot")]
    for columns, told in ((legs, 1), (legs[:1], 0)):
        half = whole.keypoints.copy()
        half[:, :, columns] = np.nan
        file = tmp_path / f"half{told}.npz"
        save(replace(whole, keypoints=half), file)
        pipeline = Pipeline()
        pipeline(file)
        assert [f"source={file} shows no foot" in warning for warning in pipeline.warnings] == [True] * told


def example_keypoints(frames: int, rate: float) -> Motion:
    """The first frames of the example, keypoints alone, at another rate."""
    whole = read_keypoints(PACKAGE / RELEASED / "example.npz")
    facts = {"tracked": True}
    return replace(whole, times=np.arange(frames) / rate, keypoints=whole.keypoints[:frames], facts=facts)


@pytest.mark.slow
def test_the_person_is_where_they_walk(network, clip):
    motion = Pipeline(focal=0.85 * 160)(clip(90))
    truth = walk(motion.times, (-1.0, 5.0), (0.5, 0.0))
    hips = motion.world[:, 0, 0]
    assert np.linalg.norm(hips[-1, :2] - hips[0, :2]) == pytest.approx(0.5 * motion.times[-1], rel=0.35)
    assert hips[:, 2] == pytest.approx(truth[:, 0, 2], abs=0.25)
    assert motion.joints[:, 0, 0, 2] == pytest.approx(seen(truth)[0][:, 0, 2], rel=0.3)
    taller = Pipeline(focal=0.85 * 160, height=2.8, hold_feet=False)(clip(90))
    shorter = Pipeline(focal=0.85 * 160, height=1.4, hold_feet=False)(clip(90))
    assert taller.joints == pytest.approx(2 * shorter.joints, rel=5e-3, abs=0.02)


def test_gaps_are_filled_when_short_and_stay_when_long(network, clip):
    network.away = {20, 21, 22, *range(50, 70)}
    motion = Pipeline()(clip(100))
    assert motion.ids.tolist() == [1]
    assert np.flatnonzero(motion.filled.any((1, 2))).tolist() == [20, 21, 22]
    assert np.flatnonzero(np.isnan(motion.joints).any((1, 2, 3))).tolist() == list(range(50, 70))


def test_somebody_seen_for_a_moment_is_nobody(network, clip):
    network.away = set(range(100)) - {40, 41, 42}
    with pytest.raises(ValueError, match=r"source=.*walk.mp4: nobody was found in its 100 frames by a net"):
        Pipeline()(clip(100))


def test_two_people_have_their_ids_and_people_keeps_the_main_one(network, clip):
    network.paths = [((-1.0, 9.0), (0.5, 0.0)), ((1.0, 4.0), (-0.5, 0.0))]
    assert Pipeline()(clip(90)).ids.tolist() == [1, 2]
    main = Pipeline(people=1)(clip(90))
    assert main.ids.tolist() == [2]
    with pytest.raises(ValueError, match=r"people=0 must be at least 1"):
        MainPeople(0)


@pytest.mark.parametrize("frames", [1, 2, 3, 5])
def test_a_moment_is_a_motion_too(network, clip, frames):
    motion = Pipeline()(clip(frames))
    assert motion.joints.shape == (frames, 1, 17, 3)
    assert np.isfinite(motion.world).all()


def test_a_live_source_gives_frame_by_frame(network, clip, monkeypatch):
    opened = module.open_source

    def live(source, settings):
        video = opened(source, settings)
        video.live = True
        return video

    monkeypatch.setattr(module, "open_source", live)
    chunks = list(Pipeline().stream(clip(40)))
    assert {len(chunk) for chunk in chunks} == {1}
    assert np.isfinite(join(chunks).joints[5:]).all()


@pytest.mark.slow
def test_stopping_finishes_what_was_seen(network, clip):
    pipeline = Pipeline()
    frames = 0
    for chunk in pipeline.stream(clip(400)):
        frames += len(chunk)
        pipeline.stopping = True
    assert 120 <= frames < 400


@pytest.mark.slow
def test_leaving_the_loop_early_ends_the_threads(network, clip):
    import threading

    before = threading.active_count()
    for _chunk in Pipeline().stream(clip(400)):
        break
    assert threading.active_count() == before


def test_the_example_needs_nothing(tmp_path):
    motion = Pipeline()("example")
    assert motion.keypoints.shape[:2] == (150, 2)
    assert motion.size == (640, 360)
    files = motion.save(tmp_path / "walk.npz")
    assert [file.name for file in files] == ["walk.npz"]
    with pytest.raises(FileExistsError, match=r"walk.npz exists and is not overwritten"):
        motion.save(tmp_path / "walk.npz")


def test_keypoints_of_a_file_are_lifted_with_a_size_and_not_without(tmp_path):
    motion = Pipeline()("example")
    unsized = join([motion])
    object.__setattr__(unsized, "size", None)
    unsized.save(tmp_path / "walk.npz")
    with pytest.raises(ValueError, match=r"does not say how large its video was.*size=\[WIDTH,HEIGHT\]"):
        Pipeline()(tmp_path / "walk.npz")
    again = Pipeline(size=[640, 360], smooth="off")(tmp_path / "walk.npz")
    assert again.ids.tolist() == motion.ids.tolist()


def test_settings_are_checked_by_name(network, clip):
    assert complete({"keypoints": {"min_score": 0.3}}).keypoints.weights is None
    assert complete({"keypoints": "net.onnx"}).keypoints.weights == "net.onnx"
    with pytest.raises(ValueError, match=r"Pipeline has no setting heigth. Did you mean height\?"):
        Pipeline(heigth=1.8)
    with pytest.raises(ValueError, match=r"keypoints has no setting score; it has weights, min_score"):
        Pipeline(keypoints={"score": 1})
    with pytest.raises(ValueError, match=r"smooth must be one of .*got 'kalman'"):
        Pipeline(smooth="kalman")("example")
    with pytest.raises(ValueError, match=r"video=a.mp4 has no effect"):
        Pipeline(video="a.mp4")(clip(5))


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize(("camera", "worst"), [("cam01", 95.0), ("cam03", 102.0)])
def test_real_people_lose_nothing_on_the_way(real_data, camera, worst):
    """P-MPJPE [mm] of the twelve limb joints against those triangulated from four cameras."""
    wild = real_data("video").parents[1] / "wild"
    truth = np.load(wild / f"{camera}.npz")
    motion = Pipeline()(real_data("video") / f"pose2sim_single_{camera}.mp4")
    main = int(np.isfinite(motion.joints[..., 0, 0]).sum(0).argmax())
    found = motion.joints[truth["frames"], main][:, [motion.skeleton.index(joint) for joint in LIMBS]]
    joints = truth["joints"][:, [BLAZEPOSE_33.index(joint) for joint in LIMBS]]
    import torch

    from anypose.metrics import p_mpjpe

    assert 1e3 * float(p_mpjpe(torch.from_numpy(found).double(), torch.from_numpy(joints).double()).mean()) < worst
