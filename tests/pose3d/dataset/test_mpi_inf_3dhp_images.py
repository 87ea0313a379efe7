"""MPI-INF-3DHP's official annotation files and a folder of frames, made up; its people are those of the generator."""

import re
from typing import Any

import cv2
import h5py
import numpy as np
import pytest
import scipy.io
import torch
import yaml

from anypose.engine.task import Loading
from anypose.skeleton import MPI_INF_3DHP_17, MPI_INF_3DHP_28
from pose3d.capture.layout import BODY
from pose3d.capture.people import targets_of
from pose3d.dataset.mixed_people import MixedPeople
from pose3d.dataset.mpi_inf_3dhp_images import MPIINF3DHPImages
from pose3d.synthesis.body import draw_body
from pose3d.synthesis.free_poses import draw_poses
from pose3d.synthesis.kinematics import rotation
from tests.conftest import REPOSITORY
from tests.pose3d.rendered import rendered_people
from tests.pose3d.task.test_orientation_fields import make_task

FRAMES, FOCAL, CENTRE = 6, 1500.0, 1024.0
VALID = np.array([0, 1, 1, 1, 0, 1])
H36M_IN_28 = {
    "hip": 0, "right_hip": 1, "right_knee": 2, "right_foot": 3, "left_hip": 4, "left_knee": 5, "left_foot": 6,
    "spine": 7, "thorax": 8, "head": 10, "left_shoulder": 11, "left_elbow": 12, "left_wrist": 13, "right_shoulder": 14,
    "right_elbow": 15, "right_wrist": 16,
}  # fmt: skip


def motion(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (T, 28, 2) [px] and camera-frame joints (T, 28, 3) [mm] of a person with a head top above the head."""
    rng = np.random.default_rng(seed)
    poses = draw_poses(rng, draw_body(rng, 0.05), FRAMES)
    turned = poses @ rotation(np.array([[0.0, 0.0, rng.uniform(-3, 3)]]))[0].T
    seen = 1000 * (turned[..., [1, 2, 0]] * [-1.0, -1.0, 1.0] + [0.1, 0.0, 4.0])
    joints = np.repeat(seen[:, :1], 28, axis=1)
    for name, row in H36M_IN_28.items():
        joints[:, MPI_INF_3DHP_28.index(name)] = seen[:, row]
    joints[:, MPI_INF_3DHP_28.index("head_top")] = seen[:, 10] * 1.2 - seen[:, 8] * 0.2
    return joints[..., :2] / joints[..., 2:] * FOCAL + CENTRE, joints


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("3dhp")
    for number, sequence in enumerate(("Seq1", "Seq2")):
        held = {name: np.empty((14, 1), dtype=object) for name in ("annot2", "annot3", "univ_annot3")}
        for camera in range(14):
            keypoints, joints = motion(100 * number + camera)
            held["annot2"][camera, 0] = keypoints.reshape(FRAMES, -1)
            held["annot3"][camera, 0] = joints.reshape(FRAMES, -1)
            held["univ_annot3"][camera, 0] = 0.9 * joints.reshape(FRAMES, -1)
        (root / "S1" / sequence).mkdir(parents=True)
        scipy.io.savemat(root / "S1" / sequence / "annot.mat", held, do_compression=True)
        for camera in (0, 8):
            folder = root / "S1" / sequence / "imageFrames" / f"video_{camera}"
            folder.mkdir(parents=True)
            for frame in range(1, FRAMES):  # the last frame was not extracted
                cv2.imwrite(str(folder / f"frame_{frame:06d}.jpg"), np.full((2048, 2048, 3), 40 * frame, np.uint8))
    folder = root / "mpi_inf_3dhp_test_set" / "TS1"
    (folder / "imageSequence").mkdir(parents=True)
    keypoints, joints = motion(7)
    kept = [MPI_INF_3DHP_28.index(name) for name in MPI_INF_3DHP_17.joints]
    joints[VALID == 0] = np.nan
    with h5py.File(folder / "annot_data.mat", "w") as file:
        file["annot2"], file["univ_annot3"] = keypoints[:, None, kept], joints[:, None, kept]
        file["annot3"] = joints[:, None, kept]
        file["valid_frame"] = VALID[:, None].astype(float)
    for frame in range(1, FRAMES + 1):
        cv2.imwrite(str(folder / "imageSequence" / f"img_{frame:06d}.jpg"), np.full((64, 64, 3), 40 * frame, np.uint8))
    return root


def read(root, **changes):
    settings = yaml.safe_load(
        (REPOSITORY / "conf" / "dataset" / "mpi_inf_3dhp_images.yaml").read_text(encoding="utf-8")
    )
    del settings["_target_"]
    settings |= {"root": str(root), "train_subjects": ["S1"], "validation_subjects": ["TS1"], "cameras": [0, 8]}
    return MPIINF3DHPImages(**(settings | {"frame_step": 1} | changes))


def test_each_frame_with_a_file_is_a_person_known_in_3d(root):
    people = read(root).people("train")
    assert len(people) == 2 * 2 * (FRAMES - 1)
    assert people.images.name(0).endswith("S1/Seq1/imageFrames/video_0/frame_000001.jpg")
    assert people.images.name(5).endswith("S1/Seq1/imageFrames/video_8/frame_000001.jpg")
    assert abs(int(people.images.read(2)[0, 0, 0]) - 120) < 3, "the third frame's own pixels"
    keypoints, joints = motion(0)
    shoulder = MPI_INF_3DHP_28.index("left_shoulder")
    np.testing.assert_allclose(people.keypoints[:5, 5], keypoints[:5, shoulder], rtol=1e-6)
    np.testing.assert_allclose(people.truth["joints"][:5, 11], joints[:5, shoulder] / 1000, rtol=1e-6)
    np.testing.assert_allclose(people.truth["lenses"], [[FOCAL, CENTRE, CENTRE]] * len(people), rtol=1e-4)
    assert not people.visibility[:, :5].any(), "it has no face"
    assert people.visibility[:, 5:].all()


def test_the_targets_are_the_body_s_without_a_face_and_with_a_head_top(root):
    targets = targets_of(read(root).people("train"), False, "3dhp")
    assert targets.spatial.all()
    known = {BODY.joints[joint] for joint in np.flatnonzero(targets.labelled.any(axis=0))}
    assert set(BODY.joints) - known == {"nose", "right_eye", "left_eye", "right_ear", "left_ear"}
    keypoints, _ = motion(0)
    top = keypoints[:5, MPI_INF_3DHP_28.index("head_top")]
    np.testing.assert_allclose(targets.keypoints[:5, BODY.joints.index("head_top")], top, atol=0.05)


def test_valid_test_frames_are_scored_at_the_people_s_own_or_one_size(root):
    people = read(root).people("validation")
    assert [people.images.name(i)[-10:-4] for i in range(len(people))] == ["000002", "000003", "000004", "000006"]
    half = read(root, frame_step=2).people("validation")
    assert [half.images.name(i)[-10:-4] for i in range(len(half))] == ["000003"]
    scaled = read(root, annotation="univ_annot3").people("train").truth["joints"]
    np.testing.assert_allclose(scaled, 0.9 * read(root).people("train").truth["joints"], rtol=1e-6)


@pytest.mark.slow
def test_real_people_in_3d_and_rendered_ones_teach_each_what_their_source_labels(root):
    """One is not taught that a face is empty because the other has labels for it."""
    rendered: Any = rendered_people(train_images=20)
    dataset: Any = MixedPeople(rendered, read(root), "spatial")
    task = make_task(size=64)
    batch = next(iter(task.batches(dataset, True, Loading(40, seed=0), torch.device("cpu")).epoch(0)))
    truth = task.targets(batch)
    assert truth["spatial"].all()
    source = batch["source"]
    assert sorted(source.unique().tolist()) == [0, 1]
    nose = BODY.joints.index("nose")
    assert truth["joints"][source == 0, nose].all()
    assert not truth["joints"][source == 1, nose].any()
    assert truth["joints"][source == 1, BODY.joints.index("head_top")].all()
    assert torch.isfinite(task.loss(batch)[0])


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"annotation": "annot4"}, ValueError, "dataset.annotation must be annot3 or univ_annot3, got annot4"),
        ({"frame_step": 0}, ValueError, "dataset.frame_step must be at least 1, got 0"),
        (
            {"cameras": [3]},
            FileNotFoundError,
            "has no image of a train frame like S1/Seq1/imageFrames/video_3/frame_000001.jpg. Extract the videos'",
        ),
    ],
)
def test_what_is_missing_is_said(root, changes, error, message):
    with pytest.raises(error, match=re.escape(message)):
        read(root, **changes).people("train")


def test_a_file_with_too_few_cameras_is_refused(root, tmp_path):
    (tmp_path / "S1" / "Seq1").mkdir(parents=True)
    cell = np.empty((1, 1), dtype=object)
    cell[0, 0] = np.ones((FRAMES, 56))
    scipy.io.savemat(tmp_path / "S1" / "Seq1" / "annot.mat", {"annot2": cell, "annot3": cell})
    with pytest.raises(ValueError, match=r"annot\.mat, camera 8: annot2 must be a cell for each camera, found"):
        read(tmp_path, cameras=[8]).people("train")
