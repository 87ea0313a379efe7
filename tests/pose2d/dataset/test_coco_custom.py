"""A dataset of one's own, described by its YAML."""

import json

import cv2
import numpy as np
import pytest

from pose2d.dataset.coco_custom import CocoCustom


@pytest.fixture
def root(tmp_path):
    (tmp_path / "images" / "day1").mkdir(parents=True)
    (tmp_path / "annotations").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "day1" / "x.png"), np.full((60, 80, 3), 90, np.uint8))
    keypoints = [10, 10, 2, 20, 20, 2, 5, 20, 1, 0, 0, 0, 6, 30, 2, 0, 0, 0, 8, 38, 2]
    annotations = [{"id": 5, "image_id": 1, "category_id": 3, "bbox": [2, 2, 40, 50], "keypoints": keypoints}]
    annotations.append({"id": 6, "image_id": 1, "category_id": 9, "bbox": [0, 0, 5, 5]})
    images = [{"id": 1, "file_name": "day1/x.png", "height": 60, "width": 80}]
    for split in ("train", "validation"):
        (tmp_path / "annotations" / f"{split}.json").write_text(
            json.dumps({"images": images, "annotations": annotations}), encoding="utf-8"
        )
    return tmp_path


@pytest.fixture
def settings(conf, root):
    return conf("dataset/coco_custom") | {"root": str(root), "category": 3}


def test_keypoints_flips_and_sigmas_come_from_the_settings(settings):
    dataset = CocoCustom(**settings)
    people = dataset.people("train")
    assert dataset.skeleton.joints[1] == "left_shoulder"
    assert dataset.skeleton.flip_index == (0, 2, 1, 4, 3, 6, 5)
    assert dataset.skeleton.parents == (-1, 0, 0, 1, 2, 3, 4)
    assert (people.upper, people.sigmas.tolist()) == (tuple(range(7)), settings["sigmas"])
    assert people.ids.tolist() == [5]
    assert people.visibility[0].tolist() == [2, 2, 1, 0, 2, 0, 2]
    assert people.images.read(0).shape == (60, 80, 3)


def test_annotations_without_area_or_counts_are_scored_all_the_same(settings, make_task, small_model, loading):
    """The commonest cause of AP -1 in datasets of one's own is a missing area."""
    import torch

    task = make_task(small_model(num_keypoints=7))
    dataset = CocoCustom(**settings)
    people = dataset.people("validation")
    assert people.truth["coco"]["annotations"][0]["area"] == 2000
    assert people.truth["coco"]["annotations"][0]["num_keypoints"] == 5
    task.batches(dataset, False, loading(1), torch.device("cpu"))
    metrics = task.metrics()
    prediction = {"keypoints": torch.from_numpy(people.keypoints).float(), "scores": torch.ones(1, 7)}
    metrics.update(prediction, {"index": torch.tensor([0])})
    assert metrics.compute()["ap"] == pytest.approx(100)


def test_half_bodies_need_an_upper_half(settings, make_task, small_model, loading):
    import torch

    task = make_task(small_model(num_keypoints=7))
    dataset = CocoCustom(**(settings | {"upper": []}))
    with pytest.raises(
        ValueError, match=r"does not say which keypoints are the upper body. Name them in dataset.upper"
    ):
        task.batches(dataset, True, loading(1), torch.device("cpu"))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"sigmas": [0.1] * 6}, r"dataset.sigmas needs 7 numbers above 0"),
        (
            {"flip_pairs": [["left_ear", "right_ear"]]},
            r"dataset.skeleton has no keypoint left_ear, right_ear. It has nose",
        ),
        ({"flip_pairs": [["nose", "left_elbow"], ["nose", "right_elbow"]]}, r"must name a keypoint once at most"),
        ({"flip_pairs": []}, r"flip_pairs must have \[left_shoulder, right_shoulder\].*It has \[\]"),
        ({"flip_pairs": [["left_wrist"]]}, r"must be \[left, right\] pairs of names"),
        ({"flip_pairs": ["left_wrist"]}, r"must be \[left, right\] pairs of names"),
        ({"skeleton": {"a": "b", "b": "a"}, "flip_pairs": []}, r"must be a tree.*got a: b, b: a"),
        ({"skeleton": {"a": None, "b": None}, "flip_pairs": []}, r"must be a tree"),
        ({"skeleton": {"a": None, "b": "c", "c": "b"}, "flip_pairs": []}, r"must be a tree"),
        ({"sigmas": ["a"] * 7}, r"dataset.sigmas needs 7 numbers above 0"),
        ({"sigmas": [float("nan")] * 7}, r"dataset.sigmas needs 7 numbers above 0"),
        ({"orientation": "exif"}, r"dataset.orientation must be one of auto, stored, upright, got exif"),
        ({"upper": ["knee"]}, r"has no joint 'knee'"),
    ],
)
def test_wrong_settings_are_refused(settings, wrong, message):
    with pytest.raises(ValueError, match=message):
        CocoCustom(**(settings | wrong)).people("train")


def test_keypoints_without_sides_need_no_pairs(settings):
    tree = {"head": None, "tail": "head"}
    dataset = CocoCustom(**(settings | {"skeleton": tree, "flip_pairs": [], "sigmas": [0.1, 0.1], "upper": []}))
    assert dataset.skeleton.flip_index == (0, 1)


@pytest.mark.parametrize(("size", "shape"), [((60, 80), (60, 80, 3)), ((80, 60), (80, 60, 3))])
def test_a_person_on_their_side_is_turned_where_the_annotations_stand_upright(settings, root, size, shape):
    """A phone's photograph: pixels as the sensor read them, a tag that turns them. Its annotators saw it turned."""
    from PIL import Image

    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(np.full((60, 80, 3), 90, np.uint8)).save(root / "images" / "day1" / "x.png", exif=exif)
    content = json.loads((root / "annotations" / "train.json").read_text(encoding="utf-8"))
    content["images"][0] |= {"height": size[0], "width": size[1]}
    (root / "annotations" / "train.json").write_text(json.dumps(content), encoding="utf-8")
    assert CocoCustom(**settings).people("train").images.read(0).shape == shape
