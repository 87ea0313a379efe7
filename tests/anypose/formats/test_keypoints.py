"""Everybody's keypoints: the same two people walk through each format and come out the same."""

from __future__ import annotations

import json

import numpy as np
import pytest

from anypose.formats.coco_results import CocoSink
from anypose.formats.keypoints import read_keypoints
from anypose.formats.motion_csv import CsvSink
from anypose.formats.motion_json import JsonSink
from anypose.formats.motion_npz import NpzSink
from anypose.formats.trc import TrcSink
from anypose.skeleton import SKELETONS
from tests.anypose.formats.dancers import dancers
from tests.anypose.formats.foreign_keypoints import (
    SIZE,
    as_alphapose,
    as_alphapose_cmu_folder,
    as_alphapose_open,
    as_coco_results,
    as_detectron,
    as_mediapipe,
    as_mediapipe_legacy,
    as_mediapipe_long,
    as_mediapipe_wide,
    as_mmpose,
    as_mmpose_list,
    as_openpose_folder,
    as_rtmlib,
    as_ultralytics,
    as_videopose3d,
    people,
    write,
)

# How it is written, points a person, what must be said, the skeleton, people, whether ids are people, the source.
FORMATS = [
    (as_openpose_folder, 25, {}, "body_25", 2, False, "OpenPose"),
    (as_openpose_folder, 26, {"skeleton": "halpe_26"}, "halpe_26", 2, False, "OpenPose"),
    (as_openpose_folder, 136, {"skeleton": "halpe_26"}, "halpe_26", 2, False, "OpenPose"),
    (as_alphapose, 17, {"skeleton": "coco_17"}, "coco_17", 2, True, "AlphaPose"),
    (as_openpose_folder, 18, {}, "openpose_18", 2, False, "OpenPose"),
    (as_openpose_folder, 15, {}, "openpose_15", 2, False, "OpenPose"),
    (as_openpose_folder, 25, {"skeleton": "body_25b"}, "body_25b", 2, False, "OpenPose"),
    (as_openpose_folder, 135, {"skeleton": "body_25b"}, "body_25b", 2, False, "OpenPose"),
    (as_alphapose_open, 18, {}, "openpose_18", 2, False, "AlphaPose"),
    (as_alphapose_cmu_folder, 18, {}, "openpose_18", 2, False, "AlphaPose"),
    (as_alphapose, 68, {"skeleton": "halpe_26"}, "halpe_26", 2, True, "AlphaPose"),
    (as_rtmlib, 134, {"skeleton": "openpose_18"}, "openpose_18", 2, False, "rtmlib"),
    (as_coco_results, 17, {"skeleton": "coco_17"}, "coco_17", 2, False, "COCO results"),
    (as_ultralytics, 17, {"skeleton": "coco_17"}, "coco_17", 2, True, "ultralytics"),
    (as_mmpose, 17, {"skeleton": "h36m_17"}, "h36m_17", 2, False, "mmpose"),
    (as_mmpose_list, 133, {"skeleton": "coco_17"}, "coco_17", 2, False, "mmpose"),
    (as_mediapipe, 33, {"size": SIZE}, "blazepose_33", 2, False, "MediaPipe"),
    (as_mediapipe_legacy, 33, {"size": SIZE}, "blazepose_33", 1, True, "MediaPipe"),
    (as_mediapipe_long, 33, {"size": SIZE}, "blazepose_33", 1, True, "MediaPipe"),
    (as_mediapipe_wide, 33, {"size": SIZE}, "blazepose_33", 1, True, "MediaPipe"),
    (as_rtmlib, 17, {"skeleton": "coco_17"}, "coco_17", 2, False, "rtmlib"),
    (as_detectron, 17, {}, "coco_17", 2, False, "Detectron"),
    (as_videopose3d, 17, {}, "coco_17", 1, True, "VideoPose3D"),
]


@pytest.mark.parametrize(("form", "K", "said", "skeleton", "P", "tracked", "source"), FORMATS)
def test_everybody_comes_out_as_they_went_in(tmp_path, form, K, said, skeleton, P, tracked, source) -> None:
    points = people(K)
    motion = read_keypoints(form(tmp_path, points), rate=50, **said)
    assert motion.keypoint_skeleton == SKELETONS[skeleton]
    assert motion.facts == {"source": source, "tracked": tracked, "frames_per_second": 50.0}
    assert np.diff(motion.times) == pytest.approx(1 / 50)
    expected = points[:, :P, : motion.keypoint_skeleton.num_joints].copy()
    expected[1, 0, 3] = np.nan
    if form is as_videopose3d:
        expected[..., 2] = np.where(np.isnan(expected[..., 0]), np.nan, 1)
    np.testing.assert_allclose(motion.keypoints, expected, rtol=1e-4)


NEEDS = [
    (
        as_openpose_folder,
        17,
        {},
        r"json does not say what its 17 points are\. Say skeleton=, for example h36m_17 or coco_17",
    ),
    (as_alphapose, 17, {}, r"alphapose-results\.json does not say what its 17 points are"),
    (as_coco_results, 17, {}, r"results\.json does not say what its 17 points are"),
    (as_ultralytics, 17, {}, r"yolo\.json does not say what its 17 points are"),
    (
        as_mmpose_list,
        133,
        {},
        r"mmpose\.json does not say what its 133 points are\. Say skeleton=, for example coco_17\.",
    ),
    (as_rtmlib, 26, {}, r"rtm\.npz does not say what its 26 points are\. Say skeleton=, for example halpe_26"),
    (as_mediapipe, 33, {}, r"mp\.json, frame 0: MediaPipe's landmarks are shares of the picture\. Say its size="),
    (as_mediapipe_long, 33, {}, r"mp\.csv: MediaPipe's landmarks are shares of the picture\. Say its size="),
    (
        as_alphapose,
        17,
        {"skeleton": "halpe_26"},
        r"alphapose-results\.json has 17 points a person, and halpe_26 has 26",
    ),
    (as_alphapose, 17, {"skeleton": "spider"}, r"There is no skeleton 'spider'\. There are h36m_32"),
    (as_videopose3d, 17, {"skeleton": "h36m_17"}, r"says that its points are coco_17, and skeleton= says h36m_17"),
    (as_detectron, 17, {"size": (1920, 1080)}, r"is of pictures of 640x480, size= says 1920x1080"),
    (as_rtmlib, 17, {"skeleton": "coco_17", "rate": 0}, r"rate must be frames a second, found 0"),
    (as_rtmlib, 17, {"skeleton": "coco_17", "size": (640,)}, r"size must be the picture's width and height in pixels"),
]


@pytest.mark.parametrize(("form", "K", "said", "message"), NEEDS)
def test_what_a_file_does_not_say_is_asked_for(tmp_path, form, K, said, message) -> None:
    with pytest.raises(ValueError, match=message):
        read_keypoints(form(tmp_path, people(K)), **said)


def test_frames_that_are_counted_from_one_begin_at_the_beginning(tmp_path) -> None:
    assert read_keypoints(as_mmpose(tmp_path, people(17)), skeleton="h36m_17", rate=25).times[:2].tolist() == [0, 0.04]


def test_an_array_is_a_file_of_keypoints(tmp_path) -> None:
    rows = np.random.default_rng(0).uniform(100, 500, (3, 17, 2)).astype(np.float32)
    np.save(tmp_path / "mine.npy", rows)
    motion = read_keypoints(tmp_path / "mine.npy", skeleton="coco_17", size=(640, 480), rate=25)
    np.testing.assert_array_equal(motion.keypoints[:, 0, :, :2], rows)
    assert (motion.times.tolist(), motion.facts["source"]) == ([0, 0.04, 0.08], "npy")
    np.save(tmp_path / "flat.npy", rows.reshape(3, -1))
    with pytest.raises(ValueError, match=r"flat\.npy, keypoints must be .* found \(3, 34\)"):
        read_keypoints(tmp_path / "flat.npy", skeleton="coco_17")
    np.save(tmp_path / "run.npy", np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"run\.npy"):
        read_keypoints(tmp_path / "run.npy", skeleton="coco_17")


def test_layouts_that_are_declared_are_taken(tmp_path) -> None:
    coco = SKELETONS["coco_17"].joints
    names = {str(i): name.replace("foot", "ankle") for i, name in enumerate(coco)}
    assert read_keypoints(as_mmpose(tmp_path, people(17), keypoint_id2name=names)).keypoint_skeleton.name == "coco_17"
    assert read_keypoints(as_mmpose(tmp_path, people(17), dataset_name="h36m")).keypoint_skeleton.name == "h36m_17"
    assert (
        read_keypoints(as_rtmlib(tmp_path, people(17), keypoint_names=np.array(coco))).keypoint_skeleton.name
        == "coco_17"
    )
    with pytest.raises(ValueError, match="does not say what its 17 points are"):
        read_keypoints(as_mmpose(tmp_path, people(17), dataset_name="dogs"))


def test_an_assumed_rate_is_said(tmp_path) -> None:
    motion = read_keypoints(as_detectron(tmp_path, people(17)))
    assert motion.facts["assumed"] == ["30 frames/s"]
    assert motion.times[1] == pytest.approx(1 / 30)


def test_frames_in_which_nobody_was_keep_their_time(tmp_path) -> None:
    points = people(17, T=6)
    path = write(
        tmp_path / "a.json",
        [{"image_id": t, "category_id": 1, "keypoints": points[t, 0].ravel().tolist(), "score": 1} for t in (0, 1, 5)],
    )
    motion = read_keypoints(path, skeleton="coco_17", rate=10)
    assert motion.times.tolist() == [0, 0.1, 0.5]


@pytest.mark.parametrize("sink", [NpzSink, CsvSink, JsonSink, CocoSink])
def test_our_own_files_are_read_back(tmp_path, sink) -> None:
    motion = dancers(people=2)
    motion.keypoints[4, 1] = np.nan
    with sink(tmp_path / f"dance{sink.suffix}") as writer:
        writer.write(motion)
    again = read_keypoints(writer.path)
    assert again.keypoint_skeleton == motion.keypoint_skeleton
    assert again.facts["tracked"] is True
    np.testing.assert_allclose(again.times, motion.times, atol=1e-6)
    np.testing.assert_array_equal(again.ids, motion.ids)
    np.testing.assert_allclose(again.keypoints, motion.keypoints, atol=6e-3)
    if sink in (NpzSink, JsonSink):
        np.testing.assert_allclose(again.world, motion.world, atol=6e-5)


def test_markers_in_metres_are_joints_and_in_pixels_keypoints(tmp_path) -> None:
    motion = dancers()
    with TrcSink(tmp_path / "dance.trc") as sink:
        sink.write(motion)
    metres = read_keypoints(sink.path)
    assert metres.skeleton.name == "h36m_17"
    np.testing.assert_allclose(metres.world, motion.world, atol=2e-5)
    (tmp_path / "dance_px_person00.trc").write_bytes(sink.path.read_bytes())
    pixels = read_keypoints(tmp_path / "dance_px_person00.trc")
    assert pixels.world is None
    np.testing.assert_allclose(pixels.keypoints[..., 0], motion.world[..., 0], atol=2e-5)


SPORTS2D = ["Hip", *(side + name for side in "RL" for name in ("Hip", "Knee", "Ankle", "BigToe", "SmallToe", "Heel"))]
SPORTS2D += ["Neck", "Head", "Nose"]


def test_sports2ds_markers_are_halpes_without_eyes_and_ears(tmp_path) -> None:
    head = "PathFileType\t4\t(X/Y/Z)\ta.trc\nDataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\n60\t60\t2\t16\tcm\n"
    head += "Frame#\tTime\t" + "\t\t\t".join(SPORTS2D) + "\t\t\n\t\tX1\tY1\tZ1\n"
    rows = "".join(f"{t}\t{t / 60}\t" + "\t".join(str(i + t) for i in range(48)) + "\n" for t in range(2))
    (tmp_path / "a_m_person00.trc").write_text(head + rows, encoding="utf-8")
    motion = read_keypoints(tmp_path / "a_m_person00.trc")
    assert motion.skeleton.name == "halpe_26"
    np.testing.assert_allclose(motion.world[0, 0, motion.skeleton.index("right_foot")], [0.09, -0.11, 0.10], atol=1e-7)
    assert np.isnan(motion.world[:, :, motion.skeleton.index("left_ear")]).all()
    assert read_keypoints(tmp_path / "a_m_person00.trc", skeleton="h36m_17").skeleton.name == "h36m_17"
    for units, size in (("m", "45"), ("mm", "0\\.045")):
        (tmp_path / "b.trc").write_text(head.replace("cm", units) + rows, encoding="utf-8")
        with pytest.raises(
            ValueError, match=rf"b\.trc: its markers lie {size} m apart where Units, in line 3, says {units},"
        ):
            read_keypoints(tmp_path / "b.trc")
    (tmp_path / "c.trc").write_text(
        head.replace("Nose", "left_wrist").replace("Head", "LWrist") + rows, encoding="utf-8"
    )
    with pytest.raises(ValueError, match=r"c\.trc, line 4: markers LWrist and left_wrist are both left_wrist"):
        read_keypoints(tmp_path / "c.trc")


@pytest.mark.parametrize("told", [True, False])
def test_frames_of_bare_landmarks_are_mediapipes_and_a_document_says_rate_and_size(tmp_path, told) -> None:
    shares = np.random.default_rng(0).uniform(0.2, 0.8, (3, 33, 2)).round(4)
    frames = [[{"x": x, "y": y, "z": 0, "visibility": 0.9} for x, y in frame] for frame in shares.tolist()]
    whole = {"fps": 50, "width": 640, "height": 480, "frames": [{"landmarks": frame} for frame in frames]}
    (tmp_path / "a.json").write_text(json.dumps(whole if told else frames), encoding="utf-8")
    motion = read_keypoints(tmp_path / "a.json", size=None if told else [640, 480], rate=None if told else 50)
    assert (motion.size, motion.keypoint_skeleton.name) == ((640, 480), "blazepose_33")
    assert motion.times == pytest.approx([0, 0.02, 0.04])
    assert motion.keypoints[:, 0, :, :2] == pytest.approx(shares * [640, 480], abs=1e-3)
