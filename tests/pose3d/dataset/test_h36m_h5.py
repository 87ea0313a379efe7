import re
import shutil

import h5py
import numpy as np
import pytest

from anypose.camera import project, world_to_camera
from pose3d.dataset.h36m_h5 import H36MH5
from pose3d.motion import h36m
from pose3d.motion.h36m_cameras import published_cameras
from tests.pose3d.motion.motion_files import (
    all_takes,
    motion_32,
    protocol,
    write_cameras_h5,
    write_h5,
    write_h5_release,
)

SUBJECTS, ACTIONS = ("S1", "S11"), ("Directions", "Photo", "Walking")
# Stacked Hourglass index of each of the 16 keypoints, as 3d-pose-baseline rearranges them.
REARRANGED = [6, 2, 1, 0, 3, 4, 5, 7, 8, 9, 13, 14, 15, 12, 11, 10]


def read(root, keypoints="gt", train=("S1",), validation=("S11",), frame_step=1, missing=False, actions=ACTIONS):
    return H36MH5(
        str(root),
        keypoints,
        False,
        None,
        **protocol(train, validation, actions, frame_step=frame_step, allow_missing=missing),
    )


def detection_path(root, subject, take, camera, folder="StackedHourglass"):
    return root / subject / folder / f"{take.replace(' ', '_')}.{camera}.h5"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """3D, cameras and detections of both kinds; as released, S11 Directions has none from 54138969."""
    root = tmp_path_factory.mktemp("release")
    write_h5_release(root, published_cameras(), SUBJECTS, ACTIONS)
    rng = np.random.default_rng(0)
    for folder in ("StackedHourglass", "StackedHourglassFineTuned240"):
        for subject, take, pose in all_takes(SUBJECTS, ACTIONS):
            for camera in published_cameras()[subject]:
                if (subject, take, camera.name) != ("S11", "Directions", "54138969"):
                    path = detection_path(root, subject, take, camera.name, folder)
                    joints = pose.reshape(-1, 32, 3) / 1000
                    middle = project(world_to_camera(joints, camera), camera).mean(1, keepdims=True)
                    write_h5(path, "poses", middle + rng.uniform(-40, 40, (len(pose), 16, 2)))
    return root


@pytest.fixture
def release(written, tmp_path):
    """A copy of it, to change."""
    return shutil.copytree(written, tmp_path, dirs_exist_ok=True)


def test_ground_truth_keeps_the_view_without_detections(release):
    dataset = read(release)
    assert (dataset.keypoint_source, dataset.notes) == ("ground truth", ())
    assert len(dataset.sequences("validation")) == 6 * 4
    assert {s.keypoint_skeleton.name for s in dataset.sequences("train")} == {"h36m_17"}


@pytest.mark.parametrize(
    ("folder", "source"),
    [
        ("StackedHourglass", "stacked hourglass (MPII)"),
        ("StackedHourglassFineTuned240", "stacked hourglass (fine-tuned)"),
    ],
)
def test_detections_come_in_the_baselines_order(release, folder, source):
    dataset = read(release, folder)
    assert dataset.keypoint_source == source
    for s in dataset.sequences("train"):
        with h5py.File(detection_path(release, "S1", s.take, s.camera.name, folder)) as file:
            poses = file["poses"][()]
        assert s.keypoint_skeleton.name == "sh_h36m_16"
        np.testing.assert_array_equal(s.keypoints, poses[:, REARRANGED].astype(np.float32))


def test_the_corrupt_video_of_s11_is_skipped_and_noted(release):
    dataset = read(release, "StackedHourglass")
    views = [s for s in dataset.sequences("validation") if s.take == "Directions"]
    assert [s.camera.name for s in views] == list(h36m.CAMERA_IDS[1:])
    assert len(dataset.sequences("validation")) == 6 * 4 - 1
    note = "without S11 Directions.54138969, whose video is corrupt"
    assert dataset.notes == (note,)
    for options, notes in (({"train": ("S11",), "validation": ("S1",)}, (note,)), ({"actions": ["Photo"]}, ())):
        dataset = read(release, "StackedHourglass", **options)
        dataset.sequences("train")
        assert dataset.notes == notes


def test_frame_step_thins_detections_and_joints_alike(release):
    whole, thin = (read(release, "StackedHourglass", frame_step=n).sequences("train")[3] for n in (1, 4))
    np.testing.assert_array_equal(thin.joints, whole.joints[::4])
    np.testing.assert_array_equal(thin.keypoints, whole.keypoints[::4])


def test_missing_detections_are_named(release):
    detection_path(release, "S1", "Walking 1", "58860488").unlink()
    message = (
        r"lacks 1 files of StackedHourglass detections, <take>\.<camera>\.h5: S1 Walking 1\.58860488\. .*allow_missing"
    )
    with pytest.raises(FileNotFoundError, match=message):
        read(release, "StackedHourglass").sequences("train")
    dataset = read(release, "StackedHourglass", missing=True)
    assert len(dataset.sequences("train")) == 6 * 4 - 1
    assert "1 views without detections" in dataset.notes


def test_detections_nobody_has_any_more_are_named_by_their_folder_with_those_that_are_there(release):
    for subject in SUBJECTS:
        shutil.rmtree(release / subject / "StackedHourglassFineTuned240")
    message = (
        r"dataset\.keypoints=StackedHourglassFineTuned240: .* has no such detections, "
        r"S1/StackedHourglassFineTuned240/<take>\.<camera>\.h5; it has StackedHourglass\. .*=StackedHourglass\."
    )
    with pytest.raises(FileNotFoundError, match=message):
        read(release, "StackedHourglassFineTuned240").sequences("train")


def test_a_score_needs_nothing_to_train_on_and_training_needs_what_it_is_scored_on(release):
    shutil.rmtree(release / "S1")
    assert len(read(release).sequences("validation")) == 6 * 4
    with pytest.raises(FileNotFoundError, match=r"has no takes of S1 \(S1/MyPoses"):
        read(release).sequences("train")
    (release / "S11").rename(release / "S1")
    with pytest.raises(FileNotFoundError, match=r"has no takes of S11 \(S11/MyPoses"):
        read(release).sequences("train")


def test_unknown_keypoints_are_refused_with_the_choices(release):
    with pytest.raises(
        ValueError, match=r"dataset\.keypoints=cpn is not one of gt, StackedHourglass, StackedHourglassFine"
    ):
        read(release, "cpn")


def test_without_a_camera_file_the_published_cameras_are_used_and_noted(release):
    before = read(release).sequences("train")[0]
    (release / "cameras.h5").unlink()
    dataset = read(release)
    assert dataset.notes == ("published camera table, no cameras.h5",)
    np.testing.assert_allclose(dataset.sequences("train")[0].keypoints, before.keypoints, atol=1e-3)


def test_a_camera_file_without_the_subject_is_refused(release):
    write_cameras_h5(release / "cameras.h5", {"S1": published_cameras()["S1"]})
    with pytest.raises(ValueError, match=r"cameras\.h5 has no cameras of S11; it has S1\."):
        read(release).sequences("validation")


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("3D_positions", motion_32(7, 0), r"3D_positions of .*Walking 1\.h5 must have shape \(96, T\), got \(7, 96\)"),
        ("3D_positions", motion_32(96, 0), r"Walking 1\.h5: joints 0 and 11 must coincide"),
        (
            "3D_positions",
            np.full((96, 4), np.nan),
            r"Walking 1\.h5: '3D_positions' holds NaN or infinity, first at \(0, 0",
        ),
        ("positions", np.zeros((96, 4)), r"Walking 1\.h5 has no dataset '3D_positions'; it has positions"),
    ],
)
def test_motion_in_another_layout_is_named(release, name, array, message):
    write_h5(release / "S1/MyPoses/3D_positions/Walking 1.h5", name, array)
    with pytest.raises(ValueError, match=message):
        read(release).sequences("train")


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 16, 2), r"poses of .*Walking_1\.58860488\.h5 must have shape \(T, 16, 2\) with T=\d+, got \(3, 16, 2\)"),
        ((9, 17, 2), r"must have shape \(T, 16, 2\)"),
    ],
)
def test_detections_of_another_length_or_layout_are_named(release, shape, message):
    write_h5(detection_path(release, "S1", "Walking 1", "58860488"), "poses", np.zeros(shape))
    with pytest.raises(ValueError, match=message):
        read(release, "StackedHourglass").sequences("train")


def test_a_cut_file_is_named(release):
    path = release / "S1/MyPoses/3D_positions/Walking 1.h5"
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(ValueError, match=re.escape(str(path)) + " cannot be read as HDF5"):
        read(release).sequences("train")


def test_a_wrong_root_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no takes of S1, S11 \(S1/MyPoses/3D_pos"):
        read(tmp_path)
