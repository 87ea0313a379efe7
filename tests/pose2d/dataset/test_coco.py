"""Reading COCO: real files where there are some, broken ones written here."""

import json
import logging

import numpy as np
import pytest


@pytest.mark.data
def test_the_real_people_are_read(real_data, read_coco):
    coco = read_coco(real_data("coco_mini"))
    train, validation = coco.people("train"), coco.people("validation")
    assert (len(train), len(validation)) == (86, 68)
    assert train.image_sizes[train.image].min() > 100
    first = int(np.flatnonzero(train.ids == 441444)[0])
    assert train.image_ids[train.image[first]] == 535506
    np.testing.assert_allclose(train.box_xyxy[first], [120.46, 133.32, 120.46 + 211.31, 133.32 + 497.58])
    assert train.keypoints[first, 0].tolist() == [281, 240]
    image = train.images.read(int(train.image[first]))
    assert image.shape[:2] == tuple(train.image_sizes[train.image[first]])


def test_columns_equal_the_file(folder, read_coco):
    truth = json.loads((folder / "annotations" / "person_keypoints_train2017.json").read_text())
    people = read_coco(folder).people("train")
    assert people.ids.tolist() == [a["id"] for a in truth["annotations"]]
    assert people.box_source == "ground truth"
    for row, annotation in enumerate(truth["annotations"]):
        keypoints = np.array(annotation["keypoints"]).reshape(17, 3)
        np.testing.assert_array_equal(people.keypoints[row], keypoints[:, :2])
        np.testing.assert_array_equal(people.visibility[row], keypoints[:, 2])
        x, y, w, h = annotation["bbox"]
        np.testing.assert_allclose(people.box_xyxy[row], [x, y, x + w - 1, y + h - 1])


def change(folder, split="train2017", **kinds):
    path = folder / "annotations" / f"person_keypoints_{split}.json"
    content = json.loads(path.read_text())
    for kind, edit in kinds.items():
        edit(content[kind])
    path.write_text(json.dumps(content))


def test_crowds_and_the_unlabelled_are_left_out_and_boxes_outside_are_named(folder, read_coco, caplog):
    def edit(annotations):
        annotations[0]["iscrowd"] = 1
        annotations[1].update(num_keypoints=0, keypoints=[0] * 51)
        annotations[2]["bbox"] = [5000, 5, 60, 50]
        annotations[3]["bbox"] = [5, 5, 0, 0]

    change(folder, annotations=edit)
    with caplog.at_level(logging.WARNING):
        people = read_coco(folder).people("train")
    assert people.ids.tolist() == list(range(5, 13))
    assert (
        "the boxes of 2 of 10 people have no area inside their image and are left out (annotations 3, 4)" in caplog.text
    )


def test_boxes_reach_the_images_last_pixel_and_no_further(folder, read_coco):
    def edit(annotations):
        annotations[0]["bbox"] = [-10, -10, 5000, 5000]

    change(folder, annotations=edit)
    people = read_coco(folder).people("train")
    height, width = people.image_sizes[people.image[0]]
    assert people.box_xyxy[0].tolist() == [0, 0, width - 1, height - 1]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda a: a[3].update(keypoints=[1, 2, 2] * 16),
            "annotation 4 has 16 keypoints, the dataset's skeleton has 17",
        ),
        (lambda a: a[3].update(image_id=999), "annotation 4 is of image 999, which the file does not list"),
        (lambda a: a[3].update(bbox=[1, 2, float("nan"), 4]), "annotation 4 needs a box of four numbers and no NaN"),
        (lambda a: a[3].pop("bbox"), "an entry lacks 'bbox'"),
        (lambda a: a.clear(), r"has no person with labelled keypoints \(0 annotations, 6 images\)"),
    ],
)
def test_broken_annotations_are_named(folder, read_coco, edit, message):
    change(folder, annotations=edit)
    with pytest.raises(ValueError, match=message):
        read_coco(folder).people("train")


def test_broken_files_are_named(folder, read_coco):
    path = folder / "annotations" / "person_keypoints_train2017.json"
    path.write_text(path.read_text()[:-20])
    with pytest.raises(ValueError, match=r"person_keypoints_train2017.json is no valid JSON: .*line 1"):
        read_coco(folder).people("train")
    path.write_text("[]")
    with pytest.raises(ValueError, match=r"must be COCO annotations with a list 'images'"):
        read_coco(folder).people("train")


def test_missing_pieces_say_what_was_found(folder, read_coco, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no folder 'annotations'. It does not exist or is empty"):
        read_coco(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"has no folder 'annotations'. Found 000.jpg, 001.jpg"):
        read_coco(folder / "train2017")
    with pytest.raises(
        FileNotFoundError, match=r"dataset.train=train2014 needs .*It has person_keypoints_train2017.json"
    ):
        read_coco(folder, train="train2014").people("train")
    (folder / "val2017" / "001.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks 1 of the 4 images with people in them: 001.jpg"):
        read_coco(folder).people("validation")
    (folder / "val2017").rename(folder / "validation")
    with pytest.raises(FileNotFoundError, match=r"images of val2017 are in neither .*images/val2017 nor .*val2017"):
        read_coco(folder).people("validation")


def detections(folder, boxes):
    (folder / "dets").mkdir(exist_ok=True)
    (folder / "dets" / "boxes.json").write_text(json.dumps(boxes))


def test_detected_boxes_take_the_place_of_annotated_ones_and_bring_their_precision(folder, read_coco):
    truth = json.loads((folder / "annotations" / "person_keypoints_val2017.json").read_text())
    boxes = [
        {"image_id": a["image_id"], "category_id": 1, "bbox": a["bbox"], "score": 0.9} for a in truth["annotations"]
    ]
    boxes.insert(0, {"image_id": 103, "category_id": 2, "bbox": [0, 0, 9, 9], "score": 0.9})
    boxes.insert(0, {"image_id": 103, "category_id": 1, "bbox": [-4, 0, 9, 9], "score": 0.0})
    boxes.insert(0, {"image_id": 103, "category_id": 1, "bbox": [-4, 0, 9, 9], "score": 0.3})
    detections(folder, boxes)
    coco = read_coco(folder, boxes="dets/boxes.json")
    people = coco.people("validation")
    assert people.box_source == "detections boxes.json (box AP 100.0)"
    assert len(people) == len(truth["annotations"]) + 1
    assert (np.diff(people.image) >= 0).all()
    assert [-4, 0, 5, 9] in people.box_xyxy.tolist()
    assert (people.ids == -1).all()
    assert sorted(set(people.box_scores)) == [0.3, 0.9]
    assert coco.people("train").box_source == "ground truth"


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ({"boxes": []}, "must be a list of {image_id, category_id, bbox, score}"),
        ([{"image_id": 100, "bbox": [0, 0, 5, 5]}], "must be a list of"),
        (
            [{"image_id": 7, "bbox": [0, 0, 5, 5], "score": 1}],
            "boxes in 1 images that the annotations lack, e.g. image 7",
        ),
        ([{"image_id": 100, "bbox": [0, 0, -5, 5], "score": 1}], "1 of 1 boxes without extent"),
        ([{"image_id": 100, "bbox": [0, 0, 5, 5], "score": 0}], "no box of a person above dataset.min_box_score=0.0"),
    ],
)
def test_broken_detections_are_named(folder, read_coco, boxes, message):
    detections(folder, boxes)
    with pytest.raises(ValueError, match=message):
        read_coco(folder, boxes="dets/boxes.json").people("validation")


def test_a_missing_detection_file_names_its_setting(folder, read_coco):
    with pytest.raises(FileNotFoundError, match=r"dataset.boxes=dets/human_detection.json needs .*no JSON file in"):
        read_coco(folder, boxes="dets/human_detection.json").people("validation")
