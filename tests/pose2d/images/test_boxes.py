"""A detector's file made from annotations: the form COCO's results have, and what a detector might add."""

import json

import numpy as np
import pytest

from pose2d.images.boxes import annotated_boxes, main


def person(number, box, **changes):
    return {"id": number, "image_id": 7, "bbox": box, "num_keypoints": 3, "iscrowd": 0, **changes}


TRUTH = {
    "images": [{"id": 7}],
    "annotations": [
        person(1, [10.0, 20.0, 30.0, 40.0]),
        person(2, [0.0, 0.0, 5.0, 5.0], iscrowd=1),
        person(3, [0.0, 0.0, 5.0, 5.0], num_keypoints=0),
        person(4, [50.0, 60.0, 80.0, 90.0]),
    ],
}


def test_everyone_with_keypoints_is_found_best_with_the_annotated_box():
    found = annotated_boxes(TRUTH, copies=3, jitter=0.1, seed=0)
    assert len(found) == 6
    assert [entry["bbox"] for entry in found[::3]] == [[10.0, 20.0, 30.0, 40.0], [50.0, 60.0, 80.0, 90.0]]
    assert {entry["category_id"] for entry in found} == {1}
    for copies in (found[:3], found[3:]):
        assert [entry["score"] for entry in copies] == [0.95, 0.9025, 0.8574]
        first, *others = (np.array(entry["bbox"]) for entry in copies)
        for other in others:
            assert 0 < np.abs(other - first).max() < first[2:].max()
            assert (other[2:] >= 1).all()
    assert annotated_boxes(TRUTH, 3, 0.1, 0) == found
    assert annotated_boxes(TRUTH, 3, 0.1, 1) != found


def test_the_command_writes_the_file_and_its_folder(tmp_path, capsys):
    (tmp_path / "truth.json").write_text(json.dumps(TRUTH), encoding="utf-8")
    main([str(tmp_path / "truth.json"), "--output", str(tmp_path / "dets" / "boxes.json")])
    assert json.loads((tmp_path / "dets" / "boxes.json").read_text(encoding="utf-8")) == annotated_boxes(
        TRUTH, 1, 0.05, 0
    )
    assert "2 boxes in 1 images" in capsys.readouterr().out


def test_nobody_to_find_and_impossible_numbers_are_refused():
    with pytest.raises(ValueError, match=r"Nobody among 1 annotations has labelled keypoints"):
        annotated_boxes({"annotations": TRUTH["annotations"][1:2]}, 1, 0.0, 0)
    with pytest.raises(ValueError, match=r"--copies must be 1 or more and --jitter 0 or more, got 0 and 0.1"):
        annotated_boxes(TRUTH, 0, 0.1, 0)


def test_where_they_go_is_judged_before_the_annotations_are_read(tmp_path):
    with pytest.raises(ValueError, match=r"--output=?.? ?.* is a folder, and must name a file"):
        main([str(tmp_path / "gone.json"), "--output", str(tmp_path)])
