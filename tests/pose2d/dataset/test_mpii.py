"""MPII's lists and head boxes, written here in microsoft's form."""

import json

import cv2
import numpy as np
import pytest
from scipy.io import loadmat, savemat

from pose2d.dataset.mpii import Mpii


@pytest.fixture
def root(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "annot").mkdir()
    (tmp_path / "images").mkdir()
    for name in ("b.jpg", "a.jpg"):
        cv2.imwrite(str(tmp_path / "images" / name), np.zeros((40, 50, 3), np.uint8))
    for split in ("train", "valid"):
        entries = [
            {
                "image": ("b.jpg", "a.jpg", "b.jpg")[i],
                "center": [100.0 + i, 200.0],
                "scale": 1.5 + i,
                "joints": rng.uniform(1, 300, (16, 2)).tolist(),
                "joints_vis": rng.integers(0, 2, 16).tolist(),
            }
            for i in range(3)
        ]
        (tmp_path / "annot" / f"{split}.json").write_text(json.dumps(entries), encoding="utf-8")
    joints = np.array([e["joints"] for e in entries])
    visible = np.array([e["joints_vis"] for e in entries])
    boxes = np.zeros((2, 2, 3))
    boxes[1, 0], boxes[1, 1] = [30, 60, 90], [40, 80, 120]
    arrays = {"headboxes_src": boxes, "jnt_missing": 1 - visible.T, "pos_gt_src": joints.transpose(1, 2, 0)}
    savemat(tmp_path / "annot" / "gt_valid.mat", arrays)
    return tmp_path


def test_people_are_read_with_boxes_as_microsoft_makes_them(root, conf):
    mpii = Mpii(**(conf("dataset/mpii") | {"root": str(root)}))
    entries = json.loads((root / "annot" / "train.json").read_text(encoding="utf-8"))
    people = mpii.people("train")
    assert people.ids.tolist() == [1, 0, 2]  # by image
    for row, number in enumerate(people.ids.tolist()):
        entry = entries[number]
        # Crop side 200 * scale * 1.25 around the centre moved down by 15 * scale, all less one pixel.
        centre, side = people.box_xyxy[row].reshape(2, 2).mean(axis=0), np.diff(people.box_xyxy[row, ::2])[0]
        assert side == pytest.approx(200 * entry["scale"])
        assert centre.tolist() == pytest.approx([entry["center"][0] - 1, entry["center"][1] + 15 * entry["scale"] - 1])
        np.testing.assert_allclose(people.keypoints[row], np.array(entry["joints"]) - 1)
        np.testing.assert_array_equal(people.visibility[row] > 0, np.array(entry["joints_vis"]) > 0)


def test_head_sizes_follow_their_people(root, conf):
    people = Mpii(**(conf("dataset/mpii") | {"root": str(root)})).people("validation")
    assert people.truth["head_sizes"].tolist() == [100, 50, 150]
    entries = json.loads((root / "annot" / "valid.json").read_text(encoding="utf-8"))
    labelled = people.visibility[1] > 0
    np.testing.assert_allclose(people.keypoints[1][labelled], np.array(entries[0]["joints"])[labelled] - 1)


def test_what_is_missing_or_does_not_fit_is_named(root, conf):
    settings = conf("dataset/mpii") | {"root": str(root)}
    (root / "images" / "a.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks 1 of the 2 images with people in them: a.jpg"):
        Mpii(**settings).people("train")
    savemat(root / "annot" / "gt_valid.mat", {"headboxes_src": np.zeros((2, 2, 9))})
    with pytest.raises(ValueError, match=r"'headboxes_src' must have shape \(2, 2, 3\).* got \(2, 2, 9\)"):
        Mpii(**settings).people("validation")
    (root / "annot" / "gt_valid.mat").unlink()
    with pytest.raises(FileNotFoundError, match=r"dataset.head_boxes needs .*gt_valid.mat"):
        Mpii(**settings).people("validation")
    (root / "annot" / "train.json").write_text('[{"image": "b.jpg", "joints": [[1, 2]]}]', encoding="utf-8")
    with pytest.raises(ValueError, match=r"entry 0 lacks center, scale, joints_vis; it has image, joints"):
        Mpii(**settings).people("train")
    with pytest.raises(FileNotFoundError, match=r"has no folder 'annot'. Found a|has no folder 'annot'. Found b.jpg"):
        Mpii(**(settings | {"root": str(root / "images")}))


def test_a_head_without_extent_is_named(root, conf):
    """Errors are shares of it: with 0, nothing would ever be right, or everything, without a word."""
    arrays = loadmat(root / "annot" / "gt_valid.mat")
    arrays["headboxes_src"][:, :, 1] = 7
    savemat(root / "annot" / "gt_valid.mat", {name: a for name, a in arrays.items() if not name.startswith("__")})
    with pytest.raises(ValueError, match=r"gt_valid.mat: a head box must have an extent.* entry 1 is 0 px \(1 of 3"):
        Mpii(**(conf("dataset/mpii") | {"root": str(root)})).people("validation")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("pos_gt_src", lambda array: array[:, :, ::-1], "is of other people than .*valid.json, or in another order"),
        ("headboxes_src", lambda array: 10 * array, "a head box's diagonal is 2 of a person's height in the median"),
        ("headboxes_src", lambda array: array / 50, "a head box's diagonal is 0.004 of a person's height"),
        ("jnt_missing", lambda array: np.where(array > 0, np.nan, 0), "'jnt_missing' must be 0 or 1 each"),
    ],
)
def test_head_boxes_that_are_not_those_of_the_list_are_refused(root, conf, name, change, message):
    arrays = {key: array for key, array in loadmat(root / "annot" / "gt_valid.mat").items() if key[0] != "_"}
    savemat(root / "annot" / "gt_valid.mat", arrays | {name: change(arrays[name])})
    with pytest.raises(ValueError, match=message):
        Mpii(**(conf("dataset/mpii") | {"root": str(root)})).people("validation")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"joints": [[1, 2]] * 15}, "entry 1: joints must be 16 pairs"),
        ({"joints": [[1, 2]] * 15 + [[1]]}, "entry 1: joints must be 32 finite numbers"),
        ({"joints_vis": [0.5] * 16}, "entry 1: joints_vis must be 0 or 1 each"),
        ({"joints_vis": None}, "entry 1: joints_vis must be 16 finite numbers, got None"),
        ({"center": "middle"}, "entry 1: center must be 2 finite numbers"),
        ({"scale": float("nan")}, "entry 1: scale must be 1 finite numbers, got nan"),
        ({"image": "../b.jpg"}, "entry 1: image must stay inside the folder"),
        ({"image": 5}, "entry 1: image must be the name of a file, got 5"),
    ],
)
def test_a_damaged_entry_is_named(root, conf, change, message):
    path = root / "annot" / "train.json"
    entries = json.loads(path.read_text(encoding="utf-8"))
    entries[1] |= change
    path.write_text(json.dumps(entries), encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        Mpii(**(conf("dataset/mpii") | {"root": str(root)})).people("train")
    path.write_text(json.dumps({"root": entries}), encoding="utf-8")
    with pytest.raises(ValueError, match="must be a list of people"):
        Mpii(**(conf("dataset/mpii") | {"root": str(root)})).people("train")


def test_which_way_up_must_be_said_where_no_size_tells(root, conf):
    with pytest.raises(ValueError, match=r"dataset.orientation=auto needs the sizes of images"):
        Mpii(**(conf("dataset/mpii") | {"root": str(root), "orientation": "auto"}))
