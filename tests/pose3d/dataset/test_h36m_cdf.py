import io
import re
import tarfile

import cdflib
import numpy as np
import pytest

from anypose.camera import project, world_to_camera
from pose3d.dataset.h36m_cdf import H36MCDF
from pose3d.dataset.h36m_h5 import H36MH5
from pose3d.motion import h36m
from pose3d.motion.h36m_cameras import published_cameras
from tests.pose3d.motion.motion_files import (
    motion_32,
    protocol,
    take_frames,
    write_cdf,
    write_h5_release,
    write_metadata,
    write_release,
)

SUBJECTS, ACTIONS = ("S1", "S9"), ("Directions", "Photo", "WalkDog", "Walking")


def read(
    root,
    metadata=None,
    train=("S1",),
    validation=("S9",),
    actions=ACTIONS,
    frame_step=1,
    missing=False,
    leave_out=(),
    cache=None,
):
    return H36MCDF(
        str(root),
        metadata,
        cache,
        **protocol(train, validation, actions, frame_step=frame_step, allow_missing=missing, leave_out=leave_out),
    )


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    root = tmp_path_factory.mktemp("h36m")
    write_release(root, SUBJECTS, ACTIONS)
    return root


def copy(release, tmp_path):
    """A release of one's own, to be damaged."""
    for file in release.rglob("*"):
        if file.is_file():
            target = tmp_path / file.relative_to(release)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    return tmp_path


def test_the_sequences_are_the_files_seen_by_four_cameras(release):
    dataset = read(release)
    sequences = dataset.sequences("validation")
    assert len(sequences) == 4 * 2 * 4
    assert dataset.actions == ACTIONS
    assert (dataset.name, dataset.keypoint_source, dataset.notes) == ("h36m_cdf", "ground truth", ())
    kept = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
    for s in sequences:
        file = release / "S9/MyPoseFeatures/D3_Positions" / f"{s.take}.cdf"
        pose = cdflib.CDF(file).varget("Pose")[0].reshape(-1, 32, 3)[:, kept] / 1000
        np.testing.assert_allclose(s.joints, pose, atol=1e-6)
        np.testing.assert_allclose(s.keypoints, project(world_to_camera(pose, s.camera), s.camera), atol=1e-3)
        assert s.fps == 50
        assert s.subject == "S9"
    assert [s.camera.name for s in sequences[:4]] == list(h36m.CAMERA_IDS)
    assert sequences[0].joints is sequences[3].joints, "the views of a take share one array"


def test_cdf_and_h5_agree_to_float_precision(release, tmp_path):
    write_h5_release(tmp_path, published_cameras(), SUBJECTS, ACTIONS)
    h5 = H36MH5(str(tmp_path), "gt", False, None, **protocol(actions=ACTIONS))
    for split in ("train", "validation"):
        for a, b in zip(read(release).sequences(split), h5.sequences(split), strict=True):
            assert a.name == b.name
            np.testing.assert_allclose(a.joints, b.joints, atol=5e-7)
            np.testing.assert_allclose(a.keypoints, b.keypoints, atol=2e-4)


def test_released_and_renamed_files_give_the_same(release, tmp_path):
    write_release(tmp_path, SUBJECTS, ACTIONS, released_names=False)
    assert (release / "S1/MyPoseFeatures/D3_Positions/WalkingDog 1.cdf").exists()
    assert (tmp_path / "S1/MyPoseFeatures/D3_Positions/WalkDog 1.cdf").exists()
    for a, b in zip(read(release).sequences("train"), read(tmp_path).sequences("train"), strict=True):
        assert (a.name, a.action) == (b.name, b.action)
        np.testing.assert_array_equal(a.joints, b.joints)
    assert {s.action for s in read(release).sequences("train")} == set(ACTIONS)


def test_the_archives_of_the_release_need_no_unpacking(release, tmp_path):
    for subject in SUBJECTS:
        with tarfile.open(tmp_path / f"Poses_D3_Positions_{subject}.tgz", "w:gz") as tar:
            tar.add(release / subject, subject)
    write_metadata(tmp_path / "metadata.xml")
    for a, b in zip(read(release).sequences("train"), read(tmp_path).sequences("train"), strict=True):
        assert a.name == b.name
        np.testing.assert_array_equal(a.keypoints, b.keypoints)


def test_frame_step_actions_and_cache(release, tmp_path):
    every, third = (read(release, frame_step=n, actions=("Walking",)).sequences("train") for n in (1, 3))
    np.testing.assert_array_equal(third[0].joints, every[0].joints[::3])
    np.testing.assert_array_equal(third[0].keypoints, every[0].keypoints[::3])
    assert third[0].fps == pytest.approx(50 / 3)
    for _ in range(2):
        cached = read(release, frame_step=3, actions=("Walking",), cache=str(tmp_path)).sequences("train")
        np.testing.assert_array_equal(cached[5].keypoints, third[5].keypoints)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_take_left_out_by_choice_is_not_read_and_names_itself(release):
    dataset = read(release, leave_out=["S9 Walking", "S9 Photo 1"])
    assert {s.take for s in dataset.sequences("validation")}.isdisjoint({"Walking", "Photo 1"})
    assert len(dataset.sequences("validation")) == 4 * 6
    assert dataset.notes == ("S9 Walking, S9 Photo 1 left out by choice",)


def test_without_metadata_the_published_cameras_are_used_and_noted(release, tmp_path):
    root = copy(release, tmp_path)
    (root / "metadata.xml").rename(root / "elsewhere.xml")
    dataset = read(root)
    assert dataset.notes == ("published camera table, no metadata.xml",)
    named = read(root, metadata=str(root / "elsewhere.xml"))
    assert named.notes == ()
    np.testing.assert_allclose(
        dataset.sequences("train")[0].keypoints, named.sequences("train")[0].keypoints, atol=1e-3
    )
    with pytest.raises(FileNotFoundError, match=r"nowhere\.xml does not exist\. It should be metadata\.xml"):
        read(root, metadata=str(root / "nowhere.xml"))


def test_a_wrong_root_is_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"dataset\.root=.*/nothing does not exist\. It must be a folder with Hum"
    ):
        read(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match=r"has no takes of S1, S9 \(S1/MyPoseFeatures/D3_Positions/\*\.cdf or"):
        read(tmp_path)


def test_missing_subjects_and_takes_of_both_splits_are_named_at_once(release, tmp_path, caplog):
    root = copy(release, tmp_path)
    with pytest.raises(
        FileNotFoundError, match=r"has no takes of S11 .*Found S1, S9\. Training needs S1; validation S11"
    ):
        read(root, validation=("S11",)).sequences("validation")
    (root / "S1/MyPoseFeatures/D3_Positions/TakingPhoto 1.cdf").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks 1 of 16 takes: S1 Photo 1\. .*dataset\.allow_missing=true"):
        read(root).sequences("train")
    assert len(read(root).sequences("validation")) == 4 * 8, "a score needs nothing to train on"
    dataset = read(root, missing=True)
    with caplog.at_level("WARNING", logger="pose3d.motion.h36m"):
        assert len(dataset.sequences("train")) == 4 * 7
    assert dataset.notes == ("without S1 Photo 1",)
    assert caplog.messages == ["Human3.6M: without S1 Photo 1."], "train.py says it, too"
    (root / "S9/MyPoseFeatures/D3_Positions/Walking.cdf").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks 2 of 16 takes: S1 Photo 1, S9 Walking\."):
        read(root).sequences("train")


@pytest.mark.parametrize(
    ("pose", "message"),
    [
        (np.zeros((5, 51)), r"Pose of .*Walking 1\.cdf must have shape \(1, T, 96\), got \(1, 5, 51\)"),
        (motion_32(96, 0).T.copy(), r"Walking 1\.cdf: joints 0 and 11 must coincide"),
        (
            np.where(np.arange(5)[:, None] == 3, np.nan, motion_32(5, 0)),
            r"Walking 1\.cdf: NaN or infinity in frame 3 of 5",
        ),
    ],
)
def test_files_that_hold_something_else_are_named(release, tmp_path, pose, message):
    root = copy(release, tmp_path)
    write_cdf(root / "S1/MyPoseFeatures/D3_Positions/Walking 1.cdf", pose)
    with pytest.raises(ValueError, match=message):
        read(root).sequences("train")


def test_a_cut_file_is_named_and_leaves_no_cache(release, tmp_path):
    root = copy(release, tmp_path)
    path = root / "S1/MyPoseFeatures/D3_Positions/Walking 1.cdf"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=re.escape(str(path)) + r", byte \d+: .* cut off or damaged"):
        read(root, cache=str(tmp_path / "cache")).sequences("train")
    assert not list(tmp_path.glob("cache/*"))


def test_a_cut_archive_is_named(release, tmp_path):
    path = tmp_path / "Poses_D3_Positions_S1.tgz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(release / "S1", "S1")
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"Poses_D3_Positions_S1\.tgz is not a whole \.tgz archive"):
        read(tmp_path)


def test_an_archive_with_an_absurd_member_is_refused(tmp_path):
    header = tarfile.TarInfo("S1/x.cdf")
    header.size = 1 << 40
    with tarfile.open(tmp_path / "Poses_D3_Positions_S1.tgz", "w:gz") as tar:
        tar.fileobj.write(header.tobuf())
        tar.addfile(tarfile.TarInfo("end"), io.BytesIO())
    with pytest.raises(ValueError, match=r"member S1/x\.cdf has 1099511627776 bytes"):
        read(tmp_path)


def test_an_archive_whose_descriptions_are_no_descriptions_is_refused(tmp_path):
    """tarfile reads a description whole: 4 MB that hold one of 1 GB took two."""
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 1 << 17
    with tarfile.open(tmp_path / "Poses_D3_Positions_S1.tgz", "w:gz") as tar:
        tar.fileobj.write(header.tobuf() + bytes(1 << 17))
        tar.addfile(tarfile.TarInfo("end"), io.BytesIO())
    with pytest.raises(
        ValueError, match=r"S1\.tgz is not a whole \.tgz archive: the description of a member has 131072"
    ):
        read(tmp_path)


def test_lengths_differ_from_take_to_take_so_that_mixed_files_would_show():
    assert len({take_frames("S1", t) for a in ACTIONS for t in h36m.takes_of("S1", a)}) > 2
