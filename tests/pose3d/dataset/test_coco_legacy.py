"""COCO.json as MATLAB writes it: people with entries of their own, company in several shapes, padding."""

import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml

from anypose.engine.task import Loading
from pose3d.capture.people import main_people
from pose3d.dataset.coco_legacy import CocoLegacy
from tests.conftest import REPOSITORY
from tests.pose3d.task.test_orientation_fields import SEED, make_task


def person(seed: int, left: float) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    points = np.column_stack([rng.uniform(left, left + 40, 17), rng.uniform(20, 110, 17), np.ones(17)]).round(2)
    points[3, 2], points[4] = 0, [0, 0, 2]  # one hidden, one not labelled
    return {"joint_self": points.tolist(), "bbox": [left, 20.0, 40.0, 90.0], "segment_area": 2000.0}


def entry(image_id: int, own: dict[str, Any], others: list[dict[str, Any]], validation: int = 0, **changes) -> dict:
    """One person's entry; a single other person loses the outer list, and boxes are padded to twenty."""
    joints = [other["joint_self"] for other in others]
    padded = [other["bbox"] for other in others] + [[0.0] * 4] * (20 - len(others))
    return {
        "dataset": "COCO", "isValidation": validation, "img_paths": f"train2014/COCO_train2014_{image_id:012d}.jpg",
        "img_width": 160.0, "img_height": 128.0, "image_id": image_id, "objpos": [0, 0], "num_keypoints": 16, **own,
        "numOtherPeople": len(others), "joint_others": joints[0] if len(joints) == 1 else joints,
        "bbox_other": padded, "segment_area_other": [other["segment_area"] for other in others], **changes,
    }  # fmt: skip


A, B, C = person(0, 10), person(1, 60), person(2, 110)
ENTRIES = [
    entry(9, A, [B, C]),
    entry(9, B, [A, C]),  # C has no entry: too close to another, say
    entry(25, A, [B]),
    entry(30, A, [], validation=1),
]


def write_files(root: Path) -> None:
    """COCO.json, images and masks as the original has them."""
    (root / "COCO.json").write_text(json.dumps({"root": ENTRIES}), encoding="utf-8")
    for folder in ("images/train2014", "mask2014"):
        (root / folder).mkdir(parents=True)
    for number in (9, 25, 30):
        image = np.full((128, 160, 3), 90, np.uint8)
        cv2.imwrite(str(root / f"images/train2014/COCO_train2014_{number:012d}.jpg"), image)
        mask = np.zeros((128, 160), np.uint8)
        mask[:, :80] = 255
        cv2.imwrite(str(root / f"mask2014/train2014_mask_all_{number:012d}.png"), mask)


@pytest.fixture
def root(tmp_path):
    write_files(tmp_path)
    return tmp_path


def read(root, **changes) -> Any:
    settings = yaml.safe_load((REPOSITORY / "conf" / "dataset" / "coco_legacy.yaml").read_text(encoding="utf-8"))
    del settings["_target_"]
    return CocoLegacy(**(settings | {"root": str(root)} | changes))


def test_everyone_is_there_once_and_only_those_with_an_entry_are_main(root):
    people = read(root).people("train")
    assert people.image_ids.tolist() == [9, 25]
    assert people.image.tolist() == [0, 0, 0, 1, 1]
    assert main_people(people).tolist() == [0, 1, 3]
    for row, source in enumerate((A, B, C, A, B)):
        points = np.array(source["joint_self"])
        known = points[:, 2] < 2
        np.testing.assert_allclose(people.keypoints[row][known], points[known, :2])
        assert people.visibility[row].tolist() == [{0: 1, 1: 2, 2: 0}[int(code)] for code in points[:, 2]]
    assert people.images.read(0).shape == (128, 160, 3)
    assert len(read(root).people("validation")) == 1


def test_the_seed_s_training_reads_it_and_its_masks(root):
    task = make_task(**SEED, size=64, mask="all", reduced_decode=False)
    batch = next(iter(task.batches(read(root), True, Loading(3, seed=0), torch.device("cpu")).epoch(0)))
    assert len(batch["image"]) == 3
    assert 0.1 < float(batch["mask"].mean()) < 0.9
    inside = batch["keypoints"][0, 0][batch["labelled"][0, 0]]
    assert len(inside) > 3
    loss, terms = task.loss(batch)
    assert float(terms["heatmap_error"]) == float(loss.detach()) > 0
    at = batch["to_image"][:, 0, :2].sum(-1) * 8 * 4 + batch["to_image"][:, 0, 2]  # x in the image of cell (4, 4)
    trusted = batch["mask"][:, 0, 4, 4]
    assert ((trusted > 0.5) == (at < 80)).all(), "the left half of every mask is white"


def test_without_masks_it_says_so(root):
    dataset = read(root, masks=None)
    assert dataset.notes[-1] == "no masks: whom nobody annotated counts as background"
    assert "masks" not in dataset.people("train").truth
    assert not dataset.people("train").truth["coco"]["annotations"][2]["main"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bbox": [1.0, 2.0]}, "entry 0: a person needs 17 x 3 keypoints with codes 0, 1, 2 and a box of four numbers"),
        ({"joint_self": [[1, 2, 7]] * 17}, "found 17 x 3, codes [7.0] and 4 numbers"),
        ({"joint_self": "x"}, "entry 0: joint_self must hold numbers"),
        ({"joint_self": [[float("nan"), 2, 1]] * 17}, "entry 0: joint_self holds NaN or infinity"),
        ({"numOtherPeople": 40}, "joint_others must hold 40 x 51 numbers (numOtherPeople), has 102"),
        ({"img_width": "wide"}, "entry 0: img_width must be a whole number of at least 1, got 'wide'"),
        ({"img_height": float("nan")}, "entry 0: img_height must be a whole number of at least 1, got nan"),
        ({"image_id": "nine"}, "entry 0: image_id must be a whole number, got 'nine'"),
        ({"isValidation": "yes"}, "entry 0: isValidation must be 1 finite numbers, got 'yes'"),
        ({"segment_area": []}, "entry 0: segment_area must be 1 finite numbers, got []"),
        ({"numOtherPeople": "two"}, "entry 0: numOtherPeople must be a whole number"),
        ({"joint_self": [1, 2]}, "found 0.666667 x 3"),
        ({"img_paths": "../../x.jpg"}, "entry 0: img_paths must stay inside the folder"),
        ({"isValidation": 1}, "has no person for train: isValidation of all 1 entries says so"),
    ],
)
def test_a_damaged_entry_is_named(root, changes, message):
    (root / "COCO.json").write_text(json.dumps({"root": [entry(9, A, [B, C]) | changes]}), encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(message)):
        read(root).people("train")


def test_other_files_are_refused(root):
    (root / "COCO.json").write_text(json.dumps({"images": []}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"must have a list 'root' of people, as COCO\.json has"):
        read(root).people("train")
    (root / "COCO.json").write_text(json.dumps({"root": [{"image_id": 9}]}), encoding="utf-8")
    with pytest.raises(ValueError, match="entry 0 lacks isValidation, img_paths"):
        read(root).people("train")
    (root / "COCO.json").write_text(
        json.dumps({"root": [entry(9, A, []), entry(9, B, [], img_width=80.0)]}), encoding="utf-8"
    )
    with pytest.raises(ValueError, match=r"entry 1: image 9 is .*'width': 80\}, and before it was .*'width': 160\}"):
        read(root).people("train")
    with pytest.raises(ValueError, match=r"dataset.masks=m/\{number\}.png must be a path with the fields"):
        read(root, masks="m/{number}.png")
    with pytest.raises(FileNotFoundError, match=r"has no file other\.json \(dataset\.annotations\)"):
        read(root, annotations="other.json")


def test_a_mask_of_another_size_is_refused(root):
    cv2.imwrite(str(root / "mask2014/train2014_mask_all_000000000009.png"), np.zeros((10, 10), np.uint8))
    task = make_task(**SEED, size=64, mask="all")
    with pytest.raises(ValueError, match=r"mask_all_000000000009.png is 10x10 px, its annotations are for 160x128"):
        next(iter(task.batches(read(root), True, Loading(3, seed=0), torch.device("cpu")).epoch(0)))
