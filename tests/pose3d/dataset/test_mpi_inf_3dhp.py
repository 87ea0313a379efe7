import h5py
import numpy as np
import pytest
import scipy.io

from anypose.skeleton import MPI_INF_3DHP_17
from pose3d.dataset import mpi_inf_3dhp
from pose3d.dataset.mpi_inf_3dhp import MPIINF3DHP

# Which of the 28 joints are the 17 of the test set, as published.
KEPT = [7, 5, 14, 15, 16, 9, 10, 11, 23, 24, 25, 18, 19, 20, 4, 3, 6]
FRAMES = 12
VALID = np.array([0, 1, 1, 1, 0, 1, 1, 1, 1, 1, 0, 1])


def read(root, annotation="univ_annot3", train=("S1",), validation=("TS1", "TS6"), cameras=(0, 8), frame_step=1):
    return MPIINF3DHP(str(root), annotation, train, validation, cameras, None, frame_step, None, 0, "both")


def motion(seed: int, joints: int, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (T, J, 2) [px] and camera-frame joints (T, J, 3) [mm]."""
    rng = np.random.default_rng(seed)
    seen = scale * (rng.normal(size=(FRAMES, joints, 3)) * [400, 400, 200] + [0, 0, 4000])
    return seen[..., :2] / seen[..., 2:] * 1500 + 1024, seen


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(mpi_inf_3dhp, "TRAIN", {("S1", "Seq1"): (FRAMES - 2, 25), ("S1", "Seq2"): (FRAMES, 50)})
    for number, sequence in enumerate(("Seq1", "Seq2")):
        held = {}
        for key, index, scale in (("annot2", 0, 1.0), ("annot3", 1, 1.0), ("univ_annot3", 1, 0.9)):
            cell = np.empty((14, 1), dtype=object)
            for camera in range(14):
                cell[camera, 0] = motion(100 * number + camera, 28, scale)[index].reshape(FRAMES, -1)
            held[key] = cell
        (tmp_path / "S1" / sequence).mkdir(parents=True)
        scipy.io.savemat(tmp_path / "S1" / sequence / "annot.mat", held, do_compression=True)
    for name in ("TS1", "TS6"):
        folder = tmp_path / "mpi_inf_3dhp_test_set" / name
        folder.mkdir(parents=True)
        keypoints, joints = motion(int(name[2]), 17)
        joints[VALID == 0] = np.nan
        with h5py.File(folder / "annot_data.mat", "w") as file:
            file["annot2"], file["univ_annot3"] = keypoints[:, None], joints[:, None]
            file["valid_frame"] = VALID[:, None].astype(float)
    return tmp_path


@pytest.fixture
def npz(root, tmp_path_factory):
    """The two files P-STMO makes of the same motion."""
    folder = tmp_path_factory.mktemp("npz")
    train, test = {}, {}
    for number, (sequence, frames) in enumerate((("Seq1", FRAMES - 2), ("Seq2", FRAMES))):
        views = {}
        for camera in (0, 1, 2, 4, 5, 6, 7, 8):
            keypoints, joints = motion(100 * number + camera, 28, 0.9)
            views[str(camera)] = {"data_2d": keypoints[:frames, KEPT], "data_3d": joints[:frames, KEPT]}
        train[f"S1 {sequence}"] = [views, 25]
    for name in ("TS1", "TS6"):
        keypoints, joints = motion(int(name[2]), 17)
        test[name] = {"data_2d": keypoints, "data_3d": joints, "valid": VALID.astype(float)}
    np.savez_compressed(folder / "data_train_3dhp.npz", data=np.array(train, dtype=object))
    np.savez_compressed(folder / "data_test_3dhp.npz", data=np.array(test, dtype=object))
    return folder


def test_the_seventeen_joints_are_those_published(root):
    sequences = read(root).sequences("train")
    assert [(s.subject, s.take, s.camera.name, len(s), s.fps) for s in sequences] == [
        ("S1", "Seq1", "0", FRAMES - 2, 25),
        ("S1", "Seq1", "8", FRAMES - 2, 25),
        ("S1", "Seq2", "0", FRAMES, 50),
        ("S1", "Seq2", "8", FRAMES, 50),
    ]
    for s in sequences:
        keypoints, joints = motion(100 * (s.take == "Seq2") + int(s.camera.name), 28, 0.9)
        np.testing.assert_allclose(s.keypoints, keypoints[: len(s), KEPT], rtol=1e-6)
        np.testing.assert_allclose(s.joints_camera(), joints[: len(s), KEPT] / 1000, atol=1e-5)
        np.testing.assert_allclose(s.camera.focal, 1500, rtol=1e-5)
        assert s.skeleton == MPI_INF_3DHP_17
    assert "univ_annot3" in read(root).notes[0]


def test_both_forms_of_the_data_agree(root, npz):
    for split in ("train", "validation"):
        for a, b in zip(read(root).sequences(split), read(npz).sequences(split), strict=True):
            assert (a.name, a.action, a.fps) == (b.name, b.action, b.fps)
            np.testing.assert_array_equal(a.keypoints, b.keypoints)
            np.testing.assert_allclose(a.joints, b.joints, atol=1e-6)


def test_people_of_their_own_size_are_in_the_mat_files_only(root, npz):
    own, scaled = (read(root, annotation=a).sequences("train")[0] for a in ("annot3", "univ_annot3"))
    np.testing.assert_allclose(own.joints_camera() * 0.9, scaled.joints_camera(), rtol=1e-5)
    with pytest.raises(ValueError, match=r"annotation=annot3, but .*data_train_3dhp\.npz holds univ_annot3 only"):
        read(npz, annotation="annot3").sequences("train")


def test_test_sequences_are_their_valid_stretches(root):
    sequences = read(root).sequences("validation")
    assert [(s.subject, s.take, len(s)) for s in sequences[:3]] == [
        ("TS1", "TS1 part 1", 3),
        ("TS1", "TS1 part 2", 5),
        ("TS1", "TS1 part 3", 1),
    ]
    keypoints, joints = motion(1, 17)
    got = np.concatenate([s.joints_camera() for s in sequences[:3]])
    np.testing.assert_allclose(got, joints[VALID > 0] / 1000, atol=1e-5)
    np.testing.assert_allclose(np.concatenate([s.keypoints for s in sequences[:3]]), keypoints[VALID > 0], rtol=1e-6)
    assert {(s.camera.width, s.camera.height) for s in sequences if s.subject == "TS6"} == {(1920, 1080)}
    assert {s.action for s in sequences} == {"TS1", "TS6"}


def test_the_unit_is_that_which_makes_a_person(root, npz):
    want = read(npz).sequences("validation")[0]
    data = np.load(npz / "data_test_3dhp.npz", allow_pickle=True)["data"].item()

    def write(factor: float) -> None:
        scaled = {name: {**held, "data_3d": held["data_3d"] * factor} for name, held in data.items()}
        np.savez(npz / "data_test_3dhp.npz", data=np.array(scaled, dtype=object))

    write(0.001)
    np.testing.assert_allclose(read(npz).sequences("validation")[0].joints_camera(), want.joints_camera(), atol=1e-5)
    write(1 / 25.4)
    with pytest.raises(ValueError, match=r"TS1: the widest pose measures .* Say which it is with dataset\.unit="):
        read(npz).sequences("validation")


def test_people_stand_upright_in_the_world_made_up_for_a_view(root):
    s = read(root).sequences("train")[0]
    np.testing.assert_allclose(s.joints[..., 2], -s.joints_camera()[..., 1], atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"annotation": "annot4"}, r"dataset\.annotation has annot4; possible are univ_annot3, annot3"),
        ({"train": ("S9",)}, r"dataset\.train_subjects has S9; possible are S1"),
        ({"validation": ("TS7",)}, r"dataset\.validation_subjects has TS7; possible are TS1, TS2"),
        ({"cameras": (14,)}, r"dataset\.cameras has 14; possible are 0, 1"),
        ({"frame_step": 0}, r"dataset\.frame_step has 0; possible are 1"),
    ],
)
def test_wrong_choices_are_named_by_their_key(root, changes, message):
    with pytest.raises(ValueError, match=message):
        read(root, **changes)


def test_missing_files_are_named(root):
    (root / "S1/Seq2/annot.mat").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no S1/Seq2/annot\.mat, nor data_train_3dhp\.npz"):
        read(root).sequences("train")
    assert read(root).sequences("validation"), "a score needs nothing to train on"


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ({"annot2": np.ones((3, 4))}, r"has no variable univ_annot3; it has annot2"),
        (
            {"annot2": np.ones((3, 4)), "univ_annot3": np.ones((3, 4))},
            r"camera 0: annot2 must be a cell for each camera",
        ),
    ],
)
def test_mat_files_that_hold_something_else_are_named(root, held, message):
    scipy.io.savemat(root / "S1/Seq1/annot.mat", held)
    with pytest.raises(ValueError, match=message):
        read(root).sequences("train")


def test_test_files_that_do_not_fit_are_named(root):
    with h5py.File(root / "mpi_inf_3dhp_test_set/TS1/annot_data.mat", "a") as file:
        del file["valid_frame"]
        file["valid_frame"] = np.ones((3, 1))
    with pytest.raises(ValueError, match=r"2D, 3D and valid flags must be of one length, found 12, 12 and 3 frames"):
        read(root).sequences("validation")


def test_npz_files_that_hold_something_else_are_named(npz):
    np.savez(npz / "data_train_3dhp.npz", data=np.array({"S1 Seq1": [{}]}, dtype=object))
    with pytest.raises(ValueError, match=r"S1 Seq1, camera 0: there is none; is it data_train_3dhp\.npz"):
        read(npz).sequences("train")
    np.savez(npz / "data_test_3dhp.npz", data=np.array({"TS1": {"data_2d": None}}, dtype=object))
    with pytest.raises(ValueError, match=r"TS1, 2D must be an array of numbers, found NoneType"):
        read(npz).sequences("validation")
