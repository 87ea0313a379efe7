import numpy as np
import pytest

from anypose.skeleton import COCO_17, HUMANEVA_15
from pose3d.dataset.humaneva_npz import EXTRINSICS, HumanEvaNPZ
from pose3d.motion.pinhole import quaternion_rotation

SYMMETRY = {"gt": [[2, 3, 4, 8, 9, 10], [5, 6, 7, 11, 12, 13]], "coco": [list(range(1, 17, 2)), list(range(2, 17, 2))]}
TAKES = ("Walking 1 chunk0", "Walking 1 chunk1", "Jog 1 chunk0", "Gestures 1 chunk0")
FOCAL, CENTRE = 770.0, (310.0, 250.0)


def read(root, keypoints="gt", train=("Train/S1",), validation=("Validate/S2",), actions=("Walk", "Jog"), frame_step=1):
    return HumanEvaNPZ(str(root), keypoints, train, validation, actions, None, frame_step, None, 0, "both")


def motion(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(9 + seed, 15, 3)) * 0.3 + [0, 0, 1]).astype(np.float32)


def pixels(joints: np.ndarray, subject: str, camera: int) -> np.ndarray:
    quaternion, position = EXTRINSICS[subject][camera]
    seen = (joints - np.array(position) / 1000) @ quaternion_rotation(np.array(quaternion))
    return seen[..., :2] / seen[..., 2:] * FOCAL + CENTRE


@pytest.fixture
def root(tmp_path):
    held = {
        subject: {take: motion(10 * i + k) for k, take in enumerate(TAKES)}
        for i, subject in enumerate(("Train/S1", "Validate/S2", "Unlabeled/Train/S1"))
    }
    np.savez(tmp_path / "data_3d_humaneva15.npz", positions_3d=np.array(held, dtype=object))
    common = [j for j in HUMANEVA_15.joints if j in COCO_17.joints]
    for name in ("gt", "detectron_pt_coco"):
        seen: dict = {}
        for subject, takes in held.items():
            for take, joints in takes.items():
                views = [pixels(joints, subject[-2:], c).astype(np.float32) for c in range(3)]
                if name != "gt":
                    moved = [np.zeros((len(joints), 17, 3), np.float32) for _ in views]
                    for view, coco in zip(views, moved, strict=True):
                        ours = [HUMANEVA_15.index(j) for j in common]
                        coco[:, [COCO_17.index(j) for j in common], :2] = view[:, ours]
                        coco[..., 2] = 0.5
                    views = moved
                seen.setdefault(subject, {})[take] = views
        metadata = {"keypoints_symmetry": SYMMETRY["gt" if name == "gt" else "coco"]}
        np.savez(
            tmp_path / f"data_2d_humaneva15_{name}.npz",
            positions_2d=np.array(seen, dtype=object),
            metadata=np.array(metadata, dtype=object),
        )
    return tmp_path


@pytest.mark.parametrize("keypoints", ["gt", "detectron_pt_coco"])
def test_takes_are_read_with_the_lens_that_made_them(root, keypoints):
    sequences = read(root, keypoints).sequences("train")
    assert [(s.take, s.action, s.camera.name) for s in sequences[:4]] == [
        ("Walking 1 chunk0", "Walk", "C1"),
        ("Walking 1 chunk0", "Walk", "C2"),
        ("Walking 1 chunk0", "Walk", "C3"),
        ("Walking 1 chunk1", "Walk", "C1"),
    ]
    assert len(sequences) == 3 * 3
    for s in sequences:
        np.testing.assert_array_equal(s.joints, motion(TAKES.index(s.take)))
        np.testing.assert_allclose(s.camera.focal, FOCAL, rtol=1e-4)
        np.testing.assert_allclose(s.camera.centre, CENTRE, atol=0.05)
        assert (s.camera.width, s.camera.height, s.fps) == (640, 480, 60)
        assert s.skeleton == HUMANEVA_15
        if keypoints == "gt":
            np.testing.assert_allclose(s.keypoints, pixels(s.joints, "S1", int(s.camera.name[1]) - 1), atol=1e-3)
        else:
            assert s.keypoint_skeleton == COCO_17
            assert s.scores is not None
            assert (s.scores == 0.5).all()


def test_cameras_stand_around_the_subject_upright():
    for cameras in EXTRINSICS.values():
        for quaternion, position in cameras:
            rotation = quaternion_rotation(np.array(quaternion)).T
            centre = rotation @ (np.array([0, 0, 1000]) - position)
            assert centre[2] > 3000, "the middle of the room is in front"
            assert rotation[1] @ [0, 0, 1] < -0.9, "the world's z is up in the picture"


def test_frame_step_and_all_actions(root):
    every, third = (
        read(root, actions=None).sequences("train"),
        read(root, actions=None, frame_step=3).sequences("train"),
    )
    assert {s.action for s in every} == {"Walk", "Jog", "Gestures"}
    np.testing.assert_array_equal(third[0].keypoints, every[0].keypoints[::3])
    assert third[0].fps == 20


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": ("Train/S4",)}, r"subject Train/S4 has no published cameras"),
        ({"actions": ["Swim"]}, r"dataset\.actions must be of Walk, Jog, ThrowCatch, Gestures, Box, found Swim"),
        ({"frame_step": 0}, r"dataset\.frame_step=0 must be at least 1"),
        ({"train": ("Train/S3",)}, r"has no takes of Train/S3; it has Train/S1, Unlabeled/Train/S1, Validate/S2"),
        ({"actions": ["Box"]}, r"dataset\.actions=Box leave no take of Train/S1; it has Walking 1 chunk0"),
    ],
)
def test_wrong_choices_are_named_by_their_key(root, changes, message):
    with pytest.raises(ValueError, match=message):
        read(root, **changes).sequences("train")


def rescaled(root, factor: float) -> None:
    held = np.load(root / "data_3d_humaneva15.npz", allow_pickle=True)["positions_3d"].item()
    scaled = {subject: {take: joints * factor for take, joints in takes.items()} for subject, takes in held.items()}
    np.savez(root / "data_3d_humaneva15.npz", positions_3d=np.array(scaled, dtype=object))


def test_the_unit_is_that_which_makes_a_person(root):
    rescaled(root, 1000)
    np.testing.assert_allclose(read(root).sequences("train")[0].joints, motion(0), rtol=1e-6)
    rescaled(root, 1 / 25.4 / 1000)
    with pytest.raises(ValueError, match=r"Train/S1, Walking 1 chunk0: the widest pose measures .* in none of m, cm"):
        read(root).sequences("train")


def test_a_score_needs_nothing_to_train_on(root):
    assert read(root, train=("Train/S3",)).sequences("validation")


def test_missing_files_say_what_they_should_be(root):
    with pytest.raises(FileNotFoundError, match=r"data_2d_humaneva15_hrnet\.npz does not exist"):
        read(root, "hrnet")


def test_takes_without_2d_or_with_other_joints_are_named(root):
    held = {"Train/S1": {"Walking 1 chunk0": np.zeros((9, 20, 3))}}
    np.savez(root / "data_3d_humaneva15.npz", positions_3d=np.array(held, dtype=object))
    with pytest.raises(ValueError, match=r"Train/S1, Walking 1 chunk0 must have shape \(T, 15, 3\), got \(9, 20, 3\)"):
        read(root).sequences("train")
    held = {"Train/S1": {"Walking 9": motion(0)}}
    np.savez(root / "data_3d_humaneva15.npz", positions_3d=np.array(held, dtype=object))
    with pytest.raises(ValueError, match=r"Train/S1, Walking 9: 3 views are wanted, found NoneType"):
        read(root).sequences("train")
