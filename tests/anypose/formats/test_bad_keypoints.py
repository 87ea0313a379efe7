"""Keypoints that cannot be read: one sentence, with the file and the place."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anypose.formats.keypoints import read_keypoints
from anypose.skeleton import COCO_17
from tests.anypose.formats.foreign_keypoints import SIZE, openpose, people, write

BAD = [
    ("a.json", "{", r"a\.json is not JSON"),
    ("a.json", "[" * 100_000, r"a\.json is not JSON"),
    ("a.json", '{"weather": 1}', r"a\.json is JSON, but none of OpenPose.*it holds an object with weather"),
    ("a.json", "[]", r"a\.json has nobody in its 0 frames"),
    ("a.json", '{"frames": []}', r"a\.json has nobody in its 0 frames"),
    ("a.json", '{"people": 3}', r"a\.json: 'people' must be a list, found int 3"),
    ("a.json", '{"people": [{"pose_keypoints_2d": [1, 2]}]}', r"a\.json, pose_keypoints_2d must be numbers, 3 a point"),
    ("a.json", '{"people": [{"pose_keypoints_2d": [1, "x", 2]}]}', r"pose_keypoints_2d must be numbers, 3 a point"),
    (
        "a.json",
        '{"people": [{"pose_keypoints_2d": [1, 2, Infinity]}]}',
        r"pose_keypoints_2d must be numbers, 3 a point",
    ),
    ("a.json", '{"people": [{"face": []}]}', r"a person has no 'pose_keypoints_2d'; there are face"),
    ("a.json", '[[{"keypoints": {"x": [1], "y": [1, 2]}}]]', r"frame 0, person 0: x, y and visible must be as many"),
    ("a.json", '[[{"keypoints": [[1, 2]], "keypoint_scores": [1, 2]}]]', r"a score for each point, found 2 for 1"),
    ("a.json", '[{"image_id": null, "keypoints": [1, 2, 3]}]', r"entry 0: image_id must be a number or a file's name"),
    ("a.json", '{"format": "anypose motion", "version": 9}', r"a\.json is no motion of ours: ValueError version 1"),
    ("a.json", '{"format": "anypose motion"}', r"a\.json is no motion of ours: KeyError 'version'"),
    ("a.csv", "a,b\n1,2\n", r"a\.csv is no table of keypoints that is known here.*found a, b"),
    ("a.csv", "a,a\n1,2\n", r"its first line must name different columns"),
    (
        "a.csv",
        "time_s,id,nose_x_px,nose_y_px,nose_score\n0,1,2,3,4\n",
        r"name no skeleton that is known here \(1 points\)",
    ),
    ("a.csv", "landmark,x,y\n0,1,2\n", r"must say of which frame"),
    ("a.csv", "frame,landmark,x,y\n0,tail,1,2\n", r"landmarks are 0 to 32 or MediaPipe's names, found 'tail'"),
    ("a.csv", "frame,landmark,x,y\n0,0,1\n", r"a\.csv, line 2: 4 numbers are expected"),
    ("a.csv", "frame,landmark,x,y\n0,0, ,1_0\n", r"a\.csv, line 2, y: a number is wanted, found '1_0'"),
    ("a.csv", "frame,landmark,x,y\n0,0,1,1e300\n", r"a\.csv: numbers must be within 1e\+12"),
    ("a.json", '{"people": [{"pose_keypoints_2d": [1, 2, 1e300]}]}', r"pose_keypoints_2d must be numbers, 3 a point"),
    (
        "a.csv",
        ",".join(f"{axis}{i}" for i in range(1, 34) for axis in "xyv" if (i, axis) != (9, "v"))
        + "\n"
        + "1," * 97
        + "1\n",
        r"a\.csv has no column 'v9'",
    ),
    ("a.csv", f"frame,landmark,x,y\n0,0,{'1' * 200_000},1\n", r"a\.csv is no table of keypoints: field larger"),
    ("a.csv", f"frame,{'x' * 200_000}\n0,0\n", r"a\.csv is no table of keypoints: field larger"),
    ("a.json", f'[{{"frame_id": 1{"0" * 400}, "instances": []}}]', r"frame 0, frame_id must be a number within 1e\+12"),
    ("a.json", f'[{{"image_id": 1{"0" * 400}, "keypoints": [1, 2, 3]}}]', r"image_id must be a number within 1e\+12"),
    ("a.json", f'[{{"image_id": 1, "time": 1{"0" * 400}, "keypoints": [1, 2, 3]}}]', r"entry 0, time must be a number"),
    (
        "a.json",
        f'[{{"image_id": 1, "idx": 1{"0" * 30}, "keypoints": {[1.0] * 51}}}]',
        r"a\.json, frame 1: an id must be a whole number, found 1000",
    ),
    (
        "a.json",
        f'{{"annotations": [{{"image_id": 1, "keypoints": {[1] * 51}}}], "categories": [{{"keypoints": '
        + json.dumps(COCO_17.joints)
        + '}], "images": [{"id": 1, "width": 1000000, "height": 3}]}',
        r"a\.json: its pictures must have 1 to 100000 px a side, found \(1000000, 3\)",
    ),
    ("a.json", "[" + "[]," * 22_000_000 + "1]", r"a\.json takes about 2\.\d+ GB once it is read; at most 2 GB"),
    (
        "a.json",
        '[{"pose_landmarks": {"NOSE": {"x": 0.5, "y": 0.5}}}]',
        r"frame 0, pose_landmarks must be a list of landmarks",
    ),
    (
        "a.csv",
        "timestamp,landmark,x,y\n0,0,0.5,0.5\n40,0,0.5,0.5\n80,0,0.5,0.5\n",
        r"a\.csv: times must be seconds, and its frames are 40 apart",
    ),
    (
        "a.json",
        f'{{"people": [{{"pose_keypoints_2d": {[-0.5, 0.25, 0.9] * 18}}}]}}',
        r"a\.json: coordinates must be pixels or shares of the picture, found -0\.5 to 0\.25\. OpenPose writes",
    ),
    ("a.pkl", "hello", r"a\.pkl should be keypoints: \.json, \.jsonl, .*, or a folder of \.json or \.txt files"),
]


@pytest.mark.parametrize(("name", "text", "message"), BAD)
def test_what_cannot_be_read_is_named_with_the_place(tmp_path, name, text, message) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_keypoints(tmp_path / name, size=SIZE)


def test_people_who_are_never_there_together_take_no_more_than_a_file_may(tmp_path) -> None:
    """A megabyte that would become two gigabytes, most of them NaN."""
    persons = [{"image_id": i, "idx": i + 1, "keypoints": [9.0] * 51} for i in range(1500)]
    (tmp_path / "a.json").write_text(json.dumps(persons), encoding="utf-8")
    with pytest.raises(ValueError, match=r"a\.json: 1500 people in 1500 frames are more than 0\.268 GB"):
        read_keypoints(tmp_path / "a.json", skeleton="coco_17")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros(3)}, r"a\.npz has no array 'keypoints' or 'positions_2d'; it has x"),
        (
            {"keypoints": np.zeros((3, 17))},
            r"keypoints must be \(T, P, K, 2 or 3\) or \(T, K, 2 or 3\), found \(3, 17\)",
        ),
        ({"keypoints": np.ones((3, 17, 2)), "scores": np.ones(4)}, r"scores must be \(3, 1, 17\) as its keypoints are"),
        ({"keypoints": np.ones((1, 5000, 1, 2))}, r"at most 1000 people of 1000 points are read, found 5000 of 1"),
        ({"positions_2d": {}}, r"must hold one video, found 0"),
        (
            {"positions_2d": {"a": {"b": [np.ones((3, 17))]}}},
            r"positions_2d of a/b must be \(T, K, 2\), found \(3, 17\)",
        ),
        ({"keypoints": np.array([[[], 3]], dtype=object)}, r"keypoints of frame 0 must be \(N, 4, 17\), found 3"),
        ({"keypoints": np.full((3, 17, 2), 1e300)}, r"a\.npz: coordinates must be within 1e\+12 px"),
        ({"keypoints": np.ones((3, 17, 2)), "ids": ["a"]}, r"a\.npz, frame 0: an id must be a whole number, found a"),
        ({"keypoints": np.ones((3, 17, 2)), "fps": np.nan}, r"a\.npz: its rate must be frames a second, found nan"),
        ({"keypoints": np.ones((3, 17, 2)), "skeleton": "cow"}, r"a\.npz: There is no skeleton 'cow'"),
    ],
)
def test_arrays_that_are_none_of_keypoints_are_refused(tmp_path, arrays, message) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        read_keypoints(tmp_path / "a.npz", skeleton="coco_17")


def test_files_and_folders_that_are_not_there(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.json does not exist\. It should be keypoints"):
        read_keypoints(tmp_path / "gone.json")
    with pytest.raises(ValueError, match=r"has 0 \.json or \.txt files; a folder of keypoints has one a frame"):
        read_keypoints(tmp_path)
    for name in ("a_1.json", "b_1.json"):
        write(tmp_path / name, openpose(people(25)[0]))
    with pytest.raises(ValueError, match="every file is a frame, and the last number in its name must be the frame's"):
        read_keypoints(tmp_path)


KEYS = ["people", "pose_keypoints_2d", "keypoints", "image_id", "instance_info", "instances", "x", "y", "landmarks"]
KEYS += ["frames", "format", "version", "annotations", "images", "keypoint_scores", "id", "pose_landmarks", "bodies"]
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**20) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.slow
@settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))
@given(data=plain)
def test_any_json_is_read_or_refused_in_one_sentence(tmp_path, data) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    message = "a.json"
    try:
        read_keypoints(path, size=SIZE)
    except ValueError as error:
        message = str(error)
    assert "a.json" in message
    assert len(message) < 500
