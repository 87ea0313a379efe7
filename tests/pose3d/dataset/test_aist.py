import json
import pickle

import cv2
import numpy as np
import pytest

from anypose.camera import project
from pose3d.dataset.aist import AIST

NAMES = ("gBR_sBM_cAll_d04_mBR0_ch01", "gWA_sFM_cAll_d26_mWA1_ch02")
FRAMES = 80
DISTORTION = [-0.1, 0.05, 0.001, -0.0005, 0.0]


def read(root, views=("c01", "c09"), actions=None, unit=None, frame_step=1, missing=False, validation="pose_val"):
    return AIST(str(root), views, "pose_train", validation, actions, unit, frame_step, missing, None, 0, "both")


def cameras() -> list[dict]:
    """Nine cameras in a ring, 300 cm around, 150 cm up in a world whose y is up."""
    held = []
    for number in range(9):
        angle = 2 * np.pi * number / 9
        centre = np.array([300 * np.sin(angle), 150, 300 * np.cos(angle)])
        forward = np.array([0, 100, 0]) - centre
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0, 1, 0])
        right /= np.linalg.norm(right)
        rotation = np.stack([right, np.cross(forward, right), forward])
        held.append(
            {
                "name": f"c0{number + 1}",
                "size": [1920, 1080],
                "matrix": [[1500, 0, 960], [0, 1500, 540], [0, 0, 1]],
                "rotation": cv2.Rodrigues(rotation)[0].ravel().tolist(),
                "translation": (-rotation @ centre).tolist(),
                "distortions": DISTORTION,
            }
        )
    return held


def motion(seed: int) -> np.ndarray:
    """(T, 17, 3) [cm], y up."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(FRAMES, 17, 3)) * [30, 40, 30] + [0, 100, 0]


@pytest.fixture
def root(tmp_path):
    for folder in ("keypoints2d", "keypoints3d", "cameras", "splits"):
        (tmp_path / folder).mkdir()
    (tmp_path / "cameras/mapping.txt").write_text("".join(f"{name} setting1\n" for name in NAMES), encoding="utf-8")
    (tmp_path / "cameras/setting1.json").write_text(json.dumps(cameras()), encoding="utf-8")
    (tmp_path / "splits/pose_train.txt").write_text(
        f"{NAMES[0].replace('cAll', 'c01')}\n{NAMES[0].replace('cAll', 'c02')}\n", encoding="utf-8"
    )
    (tmp_path / "splits/pose_val.txt").write_text(f"{NAMES[1]}\ngBR_ignored\n", encoding="utf-8")
    (tmp_path / "ignore_list.txt").write_text("gBR_ignored\n", encoding="utf-8")
    for seed, name in enumerate(NAMES):
        joints = motion(seed)
        seen = np.ones((9, FRAMES, 17, 3))
        for view, camera in enumerate(cameras()):
            matrix = np.array(camera["matrix"], dtype=np.float64)
            rotation, shift = np.array(camera["rotation"]), np.array(camera["translation"])
            points, _ = cv2.projectPoints(joints.reshape(-1, 3), rotation, shift, matrix, np.array(DISTORTION))
            seen[view, ..., :2] = points.reshape(FRAMES, 17, 2)
        seen[..., 2] = 1.01
        (tmp_path / f"keypoints2d/{name}.pkl").write_bytes(
            pickle.dumps({"keypoints2d": seen, "det_scores": np.ones((9, FRAMES)), "timestamps": np.arange(FRAMES)})
        )
        held = {"keypoints3d": joints + 5, "keypoints3d_optim": joints}
        (tmp_path / f"keypoints3d/{name}.pkl").write_bytes(pickle.dumps(held))
    return tmp_path


def test_straightened_detections_lie_where_the_camera_projects_the_joints(root):
    dataset = read(root)
    sequences = dataset.sequences("train")
    assert [(s.subject, s.action, s.camera.name, s.fps) for s in sequences] == [
        ("d04", "Break", "c01", 60),
        ("d04", "Break", "c09", 60),
    ]
    for s in sequences:
        np.testing.assert_allclose(s.keypoints, project(s.joints_camera(), s.camera), atol=0.01)
        x, y, z = np.moveaxis(motion(0) / 100, -1, 0)
        np.testing.assert_allclose(s.joints, np.stack([x, -z, y], -1), atol=1e-6)
        assert s.camera.position[2] == pytest.approx(1.5), "cameras stand 1.5 m over the floor of a world with z up"
        assert s.scores is not None
        assert s.scores.max() == 1
    assert dataset.notes == ()
    assert {s.action for s in dataset.sequences("validation")} == {"Waack"}


def test_frames_without_a_detection_cut_the_take(root):
    path = root / f"keypoints2d/{NAMES[0]}.pkl"
    held = pickle.loads(path.read_bytes())
    held["keypoints2d"][0, 35:37, 3] = np.nan
    path.write_bytes(pickle.dumps(held))
    sequences = read(root, frame_step=2).sequences("train")
    assert [(s.take, s.camera.name, len(s)) for s in sequences] == [
        (f"{NAMES[0]} part 1", "c01", 18),
        (f"{NAMES[0]} part 2", "c01", 22),
        (NAMES[0], "c09", 40),
    ]


def test_missing_sequences_are_named_and_ignored_ones_are_not(root):
    (root / "splits/pose_val.txt").write_text(f"{NAMES[1]}\ngLO_sBM_cAll_d13_mLO0_ch01\n", encoding="utf-8")
    with pytest.raises(
        FileNotFoundError, match=r"lacks the files of 1 sequences of the splits: gLO_sBM_cAll_d13_mLO0_ch01\."
    ):
        read(root).sequences("train")
    dataset = read(root, missing=True)
    dataset.sequences("validation")
    assert dataset.notes == ("without 1 sequences",)
    with pytest.raises(FileNotFoundError, match=r"pose_test\.txt does not exist"):
        read(root, validation="pose_test")


def test_a_score_needs_nothing_to_train_on(root):
    for path in root.glob(f"keypoints*/{NAMES[0]}.pkl"):
        path.unlink()
    assert read(root).sequences("validation")
    with pytest.raises(FileNotFoundError, match=f"lacks the files of 1 sequences of the splits: {NAMES[0]}"):
        read(root).sequences("train")


def test_the_unit_is_that_which_makes_a_person(root):
    path = root / f"keypoints3d/{NAMES[0]}.pkl"
    (want,) = read(root, views=("c01",)).sequences("train")
    path.write_bytes(pickle.dumps({"keypoints3d_optim": motion(0) * 10}))
    (got,) = read(root, views=("c01",)).sequences("train")
    np.testing.assert_allclose(got.joints, want.joints, atol=1e-6)
    path.write_bytes(pickle.dumps({"keypoints3d_optim": motion(0) / 2.54}))
    with pytest.raises(ValueError, match=r"keypoints3d.*pkl: the widest pose measures .* in none of m, cm, mm"):
        read(root).sequences("train")
    (got,) = read(root, views=("c01",), unit="m").sequences("train")
    np.testing.assert_allclose(got.joints, want.joints / 0.0254, rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"views": ("c10",)}, r"dataset\.views has c10; AIST\+\+ has c01, c02"),
        ({"actions": ["Waltz"]}, r"dataset\.actions has Waltz; AIST\+\+ has Break, Pop"),
        ({"frame_step": 0}, r"dataset\.frame_step=0 must be at least 1"),
    ],
)
def test_wrong_choices_are_named_by_their_key(root, changes, message):
    with pytest.raises(ValueError, match=message):
        read(root, **changes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"setting1\.json is not JSON"),
        ("[" * 5000, r"setting1\.json is not JSON"),
        ('{"name": "c01"}', r"setting1\.json has no camera 'c01'"),
        ('[{"name": "c01"}]', r"camera c01: 'size' must be \(2,\) finite numbers, found None"),
    ],
)
def test_cameras_that_are_none_are_named(root, text, message):
    (root / "cameras/setting1.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read(root).sequences("train")


def test_keypoints_that_are_none_are_named(root):
    path = root / f"keypoints3d/{NAMES[0]}.pkl"
    path.write_bytes(pickle.dumps({"keypoints3d": np.zeros((FRAMES, 17, 3))}))
    with pytest.raises(ValueError, match=r"has no 'keypoints3d_optim', found keypoints3d\."):
        read(root).sequences("train")
    path.write_bytes(pickle.dumps({"keypoints3d_optim": np.zeros((FRAMES - 1, 17, 3))}))
    with pytest.raises(ValueError, match=r"has 80 frames, .* has 79"):
        read(root).sequences("train")
    path.write_bytes(pickle.dumps({"keypoints3d_optim": print}))
    with pytest.raises(ValueError, match=r"it names builtins\.print"):
        read(root).sequences("train")


def test_lists_with_other_words_are_named_with_the_line(root):
    (root / "cameras/mapping.txt").write_text(f"{NAMES[0]} setting1\nlonely\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"mapping\.txt, line 2: 2 words are wanted, found 'lonely'"):
        read(root)
