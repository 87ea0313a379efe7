"""Reading COCO: real files where there are some, broken ones written here."""

import json
import logging

import numpy as np
import pytest

from anypose.skeleton import COCO_17
from pose2d.scores.average_precision import pycocotools_statistics


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
    truth = json.loads((folder / "annotations" / "person_keypoints_train2017.json").read_text(encoding="utf-8"))
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
    content = json.loads(path.read_text(encoding="utf-8"))
    for kind, edit in kinds.items():
        edit(content[kind])
    path.write_text(json.dumps(content), encoding="utf-8")


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
        (lambda a: a[3].pop("bbox"), "annotation number 3 lacks bbox; it has id, image_id"),
        (lambda a: a[3].pop("id"), "annotation number 3 lacks id"),
        (lambda a: a.__setitem__(3, "x"), "annotation number 3 must be an object with id, image_id, bbox, got 'x'"),
        (lambda a: a[3].update(id="four"), "id of an annotation must be a whole number of at least 0, got 'four'"),
        (lambda a: a[3].update(id=2), "annotations must have an id of their own each, but there is 2 2 times"),
        (lambda a: a[3].update(keypoints=None), "annotation 4: keypoints must be 51 finite numbers, got None"),
        (lambda a: a[3].update(keypoints=["1"] * 51), "annotation 4: keypoints must be 51 finite numbers"),
        (lambda a: a[3].update(keypoints=[[1, 2, 2]] * 51), "annotation 4: keypoints must be 51 finite numbers"),
        (lambda a: a[3]["keypoints"].__setitem__(0, float("inf")), "annotation 4: keypoints must be 51 finite"),
        (
            lambda a: a[3]["keypoints"].__setitem__(5, 0.9),
            r"1 \(hidden\) or 2 \(visible\); got 0.9. Certainties are no",
        ),
        (lambda a: a[3]["keypoints"].__setitem__(5, -1), "got -1"),
        (lambda a: a[3]["keypoints"].__setitem__(5, 3), "got 3"),
        (lambda a: a[3].update(bbox="abcd"), "annotation 4 needs a box of four numbers and no NaN, got bbox 'abcd'"),
        (lambda a: a[3].update(bbox={"x": 1}), "got bbox {'x': 1}"),
        (lambda a: a[3].update(area="large"), "annotation 4: area must be 1 finite numbers, got 'large'"),
        (lambda a: a[3].update(image_id=[100]), r"annotation 4: image_id must be a whole number, got \[100\]"),
        (lambda a: a[3].update(id=-1), "id of an annotation must be a whole number of at least 0, got -1"),
        (
            lambda a: a[3].update(bbox=[1, 1, -3, 5]),
            r"annotation 4 needs a box of x, y, width, height, got bbox \[1, 1",
        ),
        (lambda a: a[3].update(image_id=100.5), "image_id must be a whole number, got 100.5"),
        (lambda a: a[3].update(iscrowd="no"), "annotation 4: iscrowd must be a whole number, got 'no'"),
        (lambda a: a[3].update(iscrowd=1, segmentation="x"), "annotation 4: segmentation must be polygons or runs"),
        (
            lambda a: [entry.update(category_id="1" if entry["id"] > 3 else 3) for entry in a],
            r"no annotation is of category 1, there are 9 of '1', 3 of 3\. With dataset=coco_custom dataset\.category=",
        ),
        (lambda a: a.clear(), r"has no person with labelled keypoints \(0 annotations, 6 images\)"),
    ],
)
def test_broken_annotations_are_named(folder, read_coco, edit, message):
    change(folder, annotations=edit)
    with pytest.raises(ValueError, match=message):
        read_coco(folder).people("train")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda i: i[2].pop("width"), "image 2 lacks width; it has id, file_name, height"),
        (lambda i: i[2].update(height=0), "image 2: height must be a whole number of at least 1, got 0"),
        (lambda i: i[2].update(height="90"), "image 2: height must be a whole number of at least 1, got '90'"),
        (lambda i: i[2].update(height=float("nan")), "image 2: height must be a whole number of at least 1, got nan"),
        (lambda i: i[2].update(width=10**6, height=10**6), r"image 2 is 1000000x1000000 px.*max_megapixels=120"),
        (lambda i: i[2].update(id="000102"), "image 2: id must be a whole number, got '000102'"),
        (lambda i: i[2].update(id=100), "images must have an id of their own each, but there is 100 2 times"),
        (lambda i: i[2].update(file_name=7), "image 2: file_name must be the name of a file, got 7"),
        (lambda i: i[2].update(file_name="../../etc/passwd"), "image 2: file_name must stay inside the folder"),
        (lambda i: i[2].update(file_name="/etc/passwd"), "image 2: file_name must stay inside the folder"),
        (lambda i: i[2].update(width=8000), r"002.jpg is \d+x\d+ px, its annotations are for 8000x\d+"),
        (lambda i: i.clear(), "has no images"),
        (lambda i: i.__setitem__(2, None), "image 2 must be an object with id, file_name, height, width, got None"),
    ],
)
def test_broken_images_are_named(folder, read_coco, edit, message):
    change(folder, images=edit)
    with pytest.raises(ValueError, match=message):
        read_coco(folder).people("train")


def test_ids_that_start_at_0_and_numbers_written_as_floats_are_scored_alike(folder, read_coco, caplog):
    """COCO's evaluation takes an id of 0 for nobody: that person would never be found."""
    before = read_coco(folder).people("validation")

    def edit(annotations):
        for number, annotation in enumerate(annotations):
            annotation["id"] = number
            annotation["keypoints"] = [float(value) for value in annotation["keypoints"]]

    change(folder, "val2017", annotations=edit, images=lambda i: i[0].update(height=float(i[0]["height"])))
    with caplog.at_level(logging.WARNING):
        people = read_coco(folder).people("validation")
    assert "ids of annotations start at 0; here each is one higher" in caplog.text
    assert people.ids.tolist() == before.ids.tolist()
    truth = people.truth["coco"]
    results = [
        {"image_id": a["image_id"], "category_id": 1, "keypoints": a["keypoints"], "score": 1.0}
        for a in truth["annotations"]
        if a["num_keypoints"]
    ]
    assert pycocotools_statistics(truth, results, "keypoints", people.sigmas)[0] == pytest.approx(1.0)


def test_miscounted_keypoints_are_counted_anew_and_said(folder, read_coco, caplog):
    def edit(annotations):
        annotations[0]["num_keypoints"] = 0
        annotations[1]["num_keypoints"] = 17

    change(folder, annotations=edit)
    with caplog.at_level(logging.WARNING):
        people = read_coco(folder).people("train")
    assert "num_keypoints of 2 annotations is not how many are labelled" in caplog.text
    counted = [a["num_keypoints"] for a in people.truth["coco"]["annotations"]][:2]
    assert counted == [int((people.visibility[row] > 0).sum()) for row in range(2)]
    assert people.ids[0] == 1


def test_the_same_keypoints_in_another_order_are_refused(folder, read_coco):
    names = ["left_ankle" if name == "left_foot" else name for name in COCO_17.joints]
    path = folder / "annotations" / "person_keypoints_train2017.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["categories"] = [{"id": 1, "name": "person", "keypoints": names}]
    path.write_text(json.dumps(content), encoding="utf-8")
    assert len(read_coco(folder).people("train"))
    names[5], names[6] = names[6], names[5]
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ValueError, match=r"in another order: .*right_shoulder, left_shoulder.*dataset=coco_custom"):
        read_coco(folder).people("train")


def test_a_file_of_json_that_is_a_bomb_is_refused(folder, read_coco):
    path = folder / "annotations" / "person_keypoints_train2017.json"
    for bomb in ('{"a":' * 100_000, "[" * 200_000):
        path.write_text(bomb, encoding="utf-8")
        with pytest.raises(ValueError, match=r"train2017.json is nested too deeply"):
            read_coco(folder).people("train")
    with path.open("r+b") as file:
        file.truncate(3_000_000_000)
    with pytest.raises(ValueError, match=r"has 3000 MB; JSON files of up to 1000.*dataset.max_megabytes=3000"):
        read_coco(folder).people("train")
    path.write_text('{"images": []}' + " " * 2_000_000, encoding="utf-8")
    with pytest.raises(ValueError, match=r"has 2 MB; JSON files of up to 1 are"):
        read_coco(folder, max_megabytes=1).people("train")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="is no valid JSON"):
        read_coco(folder).people("train")


def test_a_huge_image_is_named_with_the_key_that_lets_it_in(folder, read_coco):
    with pytest.raises(ValueError, match=r"read. Raise that if"):
        read_coco(folder, max_megapixels=0.01).people("train")


def test_broken_files_are_named(folder, read_coco):
    path = folder / "annotations" / "person_keypoints_train2017.json"
    path.write_text(path.read_text(encoding="utf-8")[:-20], encoding="utf-8")
    with pytest.raises(ValueError, match=r"person_keypoints_train2017.json is no valid JSON: .*line 1"):
        read_coco(folder).people("train")
    path.write_text("[]", encoding="utf-8")
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
    with pytest.raises(FileNotFoundError, match=r"images of val2017 are in neither .*images.val2017 nor .*val2017"):
        read_coco(folder).people("validation")


def detections(folder, boxes):
    (folder / "dets").mkdir(exist_ok=True)
    (folder / "dets" / "boxes.json").write_text(json.dumps(boxes), encoding="utf-8")


def test_detected_boxes_take_the_place_of_annotated_ones_and_bring_their_precision(folder, read_coco):
    truth = json.loads((folder / "annotations" / "person_keypoints_val2017.json").read_text(encoding="utf-8"))
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
        (
            [{"image_id": 100, "bbox": [0, 0, 5, 5], "score": float("nan")}],
            "entry 0: score must be 1 finite numbers, got nan",
        ),
        ([{"image_id": 100, "bbox": [0, 0, 5, 5], "score": "high"}], "entry 0: score must be 1 finite numbers"),
        ([{"image_id": [100], "bbox": [0, 0, 5, 5], "score": 1}], "entry 0: image_id must be a whole number"),
        ([{"image_id": 100, "bbox": [0, 0, 5], "score": 1}], "entry 0: bbox must be 4 finite numbers"),
        ([{"image_id": 100, "bbox": None, "score": 1}], "entry 0: bbox must be 4 finite numbers, got None"),
    ],
)
def test_broken_detections_are_named(folder, read_coco, boxes, message):
    detections(folder, boxes)
    with pytest.raises(ValueError, match=message):
        read_coco(folder, boxes="dets/boxes.json").people("validation")


def test_a_missing_detection_file_names_its_setting(folder, read_coco):
    with pytest.raises(FileNotFoundError, match=r"dataset.boxes=dets/human_detection.json needs .*no JSON file in"):
        read_coco(folder, boxes="dets/human_detection.json").people("validation")


def test_silhouettes_are_read_when_they_are_asked_for(folder, read_coco):
    def edit(annotations):
        for number, annotation in enumerate(annotations):
            annotation["segmentation"] = [[0, 0, 10 + number, 0, 10, 10]]

    change(folder, annotations=edit)
    truth = read_coco(folder).people("train").truth
    assert "segmentation" not in truth["coco"]["annotations"][0]
    outlines = truth["silhouettes"]()
    assert sorted(outlines) == [a["id"] for a in truth["coco"]["annotations"]]
    assert outlines[3] == [[0, 0, 12, 0, 10, 10]]
