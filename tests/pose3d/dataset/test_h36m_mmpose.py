import pickle

import numpy as np
import pytest

from anypose.camera import project, world_to_camera
from pose3d.dataset.h36m_cdf import H36MCDF
from pose3d.dataset.h36m_mmpose import H36MMMPose
from pose3d.motion import h36m
from pose3d.motion.h36m_cameras import published_cameras
from tests.pose3d.motion.motion_files import all_takes, protocol, write_release

SUBJECTS, ACTIONS = ("S1", "S9"), ("Directions", "Photo")


def read(root, cameras=None, frame_step=1, missing=False, cache=None):
    return H36MMMPose(
        str(root), cameras, cache, **protocol(actions=ACTIONS, frame_step=frame_step, allow_missing=missing)
    )


def rows(subject: str, every: int = 1) -> dict[str, np.ndarray]:
    """As preprocess_h36m.py makes them: a row per picture, 3D in the camera's frame [m], visibilities of 1."""
    back = {renamed: released for released, renamed in h36m.RENAMED.items()}
    columns: dict[str, list] = {"imgname": [], "part": [], "S": []}
    for owner, take, pose in all_takes(SUBJECTS, ACTIONS):
        if owner != subject:
            continue
        action, _, number = take.partition(" ")
        name = f"{subject}_{back.get(action, action)}{'_' + number if number else ''}"
        joints = h36m.joints_17(pose, "x")[::every]
        for camera in published_cameras()[subject]:
            seen = world_to_camera(joints, camera)
            stem = f"{name}.{camera.name}"
            columns["imgname"] += [f"{subject}/{stem}/{stem}_{1 + every * i:06d}.jpg" for i in range(len(joints))]
            columns["part"].append(np.concatenate([project(seen, camera), np.ones((len(seen), 17, 1))], -1))
            columns["S"].append(np.concatenate([seen, np.ones((len(seen), 17, 1))], -1))
    return {
        "imgname": np.array(columns["imgname"]),
        "part": np.concatenate(columns["part"]),
        "S": np.concatenate(columns["S"]),
        "center": np.zeros((3, 2)),
    }


def camera_file() -> dict:
    return {
        (subject, c.name): {
            "R": c.rotation.T,
            "T": c.position[:, None],
            "c": c.centre[:, None],
            "f": c.focal[:, None],
            "k": c.radial[:, None],
            "p": c.tangential[:, None],
            "w": c.width,
            "h": c.height,
            "name": "camera1",
            "id": c.name,
        }
        for subject, cameras in published_cameras().items()
        for c in cameras
    }


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "fps50"
    folder.mkdir()
    np.savez(folder / "h36m_train.npz", **rows("S1"))
    np.savez(folder / "h36m_test.npz", **rows("S9"))
    (tmp_path / "cameras.pkl").write_bytes(pickle.dumps(camera_file()))
    return folder


def test_mmpose_and_cdf_agree_to_float_precision(root, tmp_path_factory):
    release = tmp_path_factory.mktemp("h36m")
    write_release(release, SUBJECTS, ACTIONS)
    cdf = H36MCDF(str(release), None, None, **protocol(actions=ACTIONS))
    dataset = read(root)
    for split in ("train", "validation"):
        for a, b in zip(cdf.sequences(split), dataset.sequences(split), strict=True):
            assert (a.name, a.action, a.fps) == (b.name, b.action, b.fps)
            np.testing.assert_allclose(a.joints, b.joints, atol=2e-6)
            np.testing.assert_allclose(a.keypoints, b.keypoints, atol=1e-3)
    assert dataset.notes == ()


def test_thinned_files_keep_their_rate(root):
    np.savez(root / "h36m_train.npz", **rows("S1", every=5))
    assert {s.fps for s in read(root).sequences("train")} == {10.0}


def test_shuffled_rows_are_put_back_in_order(root):
    before = read(root).sequences("train")
    held = rows("S1")
    order = np.random.default_rng(0).permutation(len(held["imgname"]))
    np.savez(root / "h36m_train.npz", **{k: v[order] if len(v) == len(order) else v for k, v in held.items()})
    for a, b in zip(before, read(root).sequences("train"), strict=True):
        np.testing.assert_array_equal(a.keypoints, b.keypoints)


def test_without_cameras_the_published_ones_are_used_and_noted(root):
    (root.parent / "cameras.pkl").unlink()
    assert read(root).notes == ("published camera table, no cameras.pkl",)
    with pytest.raises(FileNotFoundError, match=r"dataset\.cameras=nowhere\.pkl does not exist"):
        read(root, cameras="nowhere.pkl")


def test_missing_takes_are_named(root):
    held = rows("S1")
    keep = np.char.find(held["imgname"], "TakingPhoto_1") < 0
    np.savez(root / "h36m_train.npz", **{k: v[keep] if len(v) == len(keep) else v for k, v in held.items()})
    with pytest.raises(FileNotFoundError, match=r"lacks 1 of 8 takes: S1 Photo 1"):
        read(root).sequences("train")
    dataset = read(root, missing=True)
    assert len(dataset.sequences("train")) == 3 * 4
    assert dataset.notes == ("without S1 Photo 1",)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda h: h.update(S=h["S"][:-1]), r"h36m_train\.npz, S must have shape \(\d+, 17, 4\), got"),
        (lambda h: h.update(part=h["part"][:, :16]), r"part must have shape \(\d+, 17, 3\), got \(\d+, 16, 3\)"),
        (lambda h: h.update(imgname=np.arange(3)), r"imgname must be a list of picture names"),
        (lambda h: h["imgname"].__setitem__(2, "cat.jpg"), r"picture 2 is called 'cat\.jpg', not S1_Directions_1"),
        (lambda h: h["imgname"].__setitem__(3, h["imgname"][2]), r"must be evenly spaced, found steps of 0, 1, 2"),
        (
            lambda h: h["S"].__setitem__(5, np.nan),
            r"joints of S1/Directions 1/\d+ hold NaN or infinity, first in frame 5",
        ),
    ],
)
def test_rows_that_do_not_fit_are_named(root, damage, message):
    held = rows("S1")
    damage(held)
    np.savez(root / "h36m_train.npz", **held)
    with pytest.raises(ValueError, match=message):
        read(root).sequences("train")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda h: h.pop(("S9", "60457274")), r"has no camera \('S9', '60457274'\)"),
        (lambda h: h["S1", "54138969"].update(f=np.zeros(3)), r"S1, 54138969, f must have shape \(2, 1\), got \(3,\)"),
        (lambda h: h["S1", "54138969"].update(R=None), r"S1, 54138969, R must be an array of numbers, found NoneType"),
        (lambda h: h.update(run=print), r"it names builtins\.print; only arrays and plain containers are read"),
    ],
)
def test_cameras_that_are_none_are_named(root, damage, message):
    held = camera_file()
    damage(held)
    (root / "cameras.pkl").write_bytes(pickle.dumps(held))
    with pytest.raises(ValueError, match=message):
        read(root)
