"""Keypoints in the forms in which people keep them, beside those that the tools write by themselves."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest

from anypose.formats.keypoint_columns import MEDIAPIPE
from anypose.formats.keypoints import read_keypoints
from anypose.skeleton import COCO_17
from tests.anypose.formats.foreign_keypoints import SIZE, as_rtmlib, instance, landmarks, openpose, people, write

COCO = [joint.replace("foot", "ankle") for joint in COCO_17.joints]


def flat(person, p):
    return {"keypoints": person.ravel().tolist(), "scores": 2.5, "idx": p + 1, "box": [1, 2, 3, 4]}


def yolo(person):
    return {"name": "person", "keypoints": dict(zip(("x", "y", "visible"), person.T.tolist(), strict=True))}


def as_poseflow(tmp, points):
    return write(
        tmp / "tracked.json", {f"{t}.jpg": [flat(*one[::-1]) for one in enumerate(f)] for t, f in enumerate(points)}
    )


def as_strings(tmp, points):
    return write(tmp / "a.json", [json.dumps([yolo(person) for person in frame]) for frame in points])


def as_lines(tmp, points):
    lines = [json.dumps([yolo(person) for person in frame]) for frame in points]
    (tmp / "a.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp / "a.jsonl"


def as_named_frames(tmp, points):
    return write(tmp / "a.json", {f"frame_{t}": [yolo(person) for person in frame] for t, frame in enumerate(points)})


def as_folder_of_pictures(tmp, points):
    for t, frame in enumerate(points):
        write(tmp / f"{t:06d}.json", [[instance(person) for person in frame]])
    return tmp


def as_folder_of_a_film(tmp, points):
    write(
        tmp / "film.json",
        [{"frame_id": t, "instances": [instance(p) for p in frame]} for t, frame in enumerate(points)],
    )
    return tmp


def as_demo_of_pictures(tmp, points):
    names = {str(i): name for i, name in enumerate(COCO)}
    for t, frame in enumerate(points):
        info = [instance(person) for person in frame]
        write(tmp / f"{t:06d}.json", {"meta_info": {"keypoint_id2name": names}, "instance_info": info})
    return tmp


def as_tensorflow(tmp, points):
    poses = [
        [
            {
                "score": 0.9,
                "keypoints": [
                    {"x": x, "y": y, "score": s, "name": n} for (x, y, s), n in zip(p.tolist(), COCO, strict=True)
                ],
            }
            for p in frame
        ]
        for frame in points
    ]
    return write(tmp / "a.json", poses)


def as_boxes_too(tmp, points):
    rows = [
        {"image_id": t, "category_id": 1, "keypoints": p.ravel().tolist()}
        for t, frame in enumerate(points)
        for p in frame
    ]
    dogs = [{"image_id": 0, "category_id": 18, "keypoints": [1.0] * 60}]
    return write(tmp / "a.json", [*rows, *dogs, {"image_id": 0, "category_id": 1, "bbox": [1, 2, 3, 4]}])


def as_unnamed_arrays(tmp, points):
    np.savez(tmp / "a.npz", points[..., :2], points[..., 2])
    return tmp / "a.npz"


def as_labels(tmp, points, *more):
    for t, frame in enumerate(points):
        rows = [
            [0, 0.5, 0.5, 0.2, 0.4, *(p / [*SIZE, 1]).ravel(), *(one[i] for one in more)] for i, p in enumerate(frame)
        ]
        text = "".join(" ".join(f"{number:.7g}" for number in row) + "\n" for row in rows)
        (tmp / f"film_{t}.txt").write_text(text, encoding="utf-8")
    return tmp


def as_tracked_labels(tmp, points):
    return as_labels(tmp, points, [0.9, 0.8], [3, 7])


def as_columns(tmp, points):
    head = ["frame", *(f"{name.upper()}_{axis}" for name in COCO for axis in ("X", "Y", "confidence"))]
    rows = [[t, *frame[0].ravel()] for t, frame in enumerate(points)]
    (tmp / "a.csv").write_text("\n".join(";".join(map(str, row)) for row in [head, *rows]), encoding="utf-8")
    return tmp / "a.csv"


def as_deeplabcut(tmp, points):
    parts = [name for name in COCO for _ in range(3)]
    head = [["scorer", *["net"] * 102], ["individuals", *["a"] * 51, *["b"] * 51], ["bodyparts", *parts, *parts]]
    head.append(["coords", *["x", "y", "likelihood"] * 34])
    rows = [[t, *frame.ravel()] for t, frame in enumerate(points)]
    (tmp / "a.csv").write_text("\n".join(",".join(map(str, row)) for row in [*head, *rows]), encoding="utf-8")
    return tmp / "a.csv"


TOLD = {"skeleton": "coco_17"}
# How it is kept, what must be said, people, whether ids are people, the source.
FORMS = [
    (as_poseflow, TOLD, 2, True, "AlphaPose"),
    (as_strings, TOLD, 2, False, "ultralytics"),
    (as_lines, TOLD, 2, False, "ultralytics"),
    (as_named_frames, TOLD, 2, False, "ultralytics"),
    (as_folder_of_pictures, TOLD, 2, False, "mmpose"),
    (as_folder_of_a_film, TOLD, 2, False, "mmpose"),
    (as_demo_of_pictures, {}, 2, False, "mmpose"),
    (as_tensorflow, {}, 2, False, "TensorFlow.js"),
    (as_boxes_too, TOLD, 2, False, "COCO results"),
    (as_unnamed_arrays, TOLD, 2, False, "rtmlib"),
    (as_labels, TOLD | {"size": SIZE}, 2, False, "ultralytics"),
    (as_tracked_labels, TOLD | {"size": SIZE}, 2, True, "ultralytics"),
    (as_columns, {}, 1, True, "CSV"),
    (as_deeplabcut, {}, 2, True, "DeepLabCut"),
]


@pytest.mark.parametrize(("form", "said", "P", "tracked", "source"), FORMS)
def test_everybody_comes_out_as_they_were_kept(tmp_path, form, said, P, tracked, source) -> None:
    points = people(17)
    motion = read_keypoints(form(tmp_path, points), rate=50, **said)
    assert motion.keypoint_skeleton is COCO_17
    assert (motion.facts["source"], motion.facts["tracked"]) == (source, tracked)
    assert motion.times == pytest.approx(np.arange(4) / 50)
    expected = points[:, :P].copy()
    expected[1, 0, 3] = np.nan
    np.testing.assert_allclose(motion.keypoints, expected, rtol=1e-4)


def test_arrays_of_objects_have_as_many_people_as_there_are(tmp_path) -> None:
    points, counts = people(17, T=4), [2, 0, 1, 2]
    frames, scores = np.empty(4, object), np.empty(4, object)
    for t, count in enumerate(counts):
        frames[t], scores[t] = points[t, :count, :, :2], points[t, :count, :, 2]
    np.savez(tmp_path / "a.npz", keypoints=frames, scores=scores)
    motion = read_keypoints(tmp_path / "a.npz", "coco_17")
    assert np.isfinite(motion.keypoints[..., 0, 0]).sum(-1).tolist() == counts
    np.testing.assert_allclose(motion.keypoints[3], points[3], rtol=1e-4)
    np.save(tmp_path / "a.npy", frames, allow_pickle=True)
    assert len(read_keypoints(tmp_path / "a.npy", "coco_17").ids) == 2
    ids = np.array([[7, 5], [], [5], [5, 7]], object)
    np.savez(tmp_path / "c.npz", keypoints=frames, ids=ids, times=[0.0, 0.5, 0.75, 2.0])
    motion = read_keypoints(tmp_path / "c.npz", "coco_17")
    assert (motion.times.tolist(), motion.ids.tolist()) == ([0.0, 0.5, 0.75, 2.0], [5, 7])
    np.testing.assert_allclose(motion.keypoints[0, ::-1, :, :2], points[0, :, :, :2], rtol=1e-4)
    for wrong in {"ids": ids[:3]}, {"ids": np.array([[7], [], [5], [5, 7]], object)}, {"times": [0.0, 1.0]}:
        np.savez(tmp_path / "d.npz", keypoints=frames, **wrong)
        with pytest.raises(ValueError, match=r"d\.npz.*there must be .* found"):
            read_keypoints(tmp_path / "d.npz", "coco_17")
    scores[3] = scores[3][:1]
    np.savez(tmp_path / "b.npz", keypoints=frames, scores=scores)
    with pytest.raises(ValueError, match=r"b\.npz, scores of frame 3 must be \(2, 17\), found \(1, 17\)"):
        read_keypoints(tmp_path / "b.npz", "coco_17")


def test_a_table_by_joints_says_who_is_meant(tmp_path) -> None:
    head = ["frame", "track_id", *(f"{joint}_{axis}" for joint in COCO_17.joints for axis in ("x", "y", "score"))]
    points = people(17, T=2)
    rows = [[t, (9, 4)[p], *points[t, p].ravel()] for t in range(2) for p in range(2)]
    (tmp_path / "a.csv").write_text("\n".join(",".join(map(str, row)) for row in [head, *rows]), encoding="utf-8")
    motion = read_keypoints(tmp_path / "a.csv", size=SIZE)
    assert motion.ids.tolist() == [4, 9]
    points[1, 0, 3] = np.nan  # which was not found
    np.testing.assert_allclose(motion.keypoints[:, ::-1], points, rtol=1e-4)


@pytest.mark.parametrize(
    "head",
    [
        [f"PoseLandmark.{name.upper()}_{axis}" for name in MEDIAPIPE for axis in ("x", "y", "z", "visibility")],
        [f"{axis}_{name}" for name in MEDIAPIPE for axis in ("x", "y", "z", "visibility")],
        [f"{i}_{axis}" for i in range(33) for axis in ("x", "y", "z", "visibility")],
    ],
)
@pytest.mark.parametrize("pixels", [False, True])
def test_columns_of_landmarks_are_shares_of_the_picture_or_pixels(tmp_path, head, pixels) -> None:
    points = people(33, P=1)
    scale = SIZE if pixels else (1, 1)
    rows = [
        [t, *(v for p in landmarks(f[0]) for v in (p["x"] * scale[0], p["y"] * scale[1], 0, p["visibility"]))]
        for t, f in enumerate(points)
    ]
    text = "\n".join(",".join(map(str, row)) for row in [["frame", *head], *rows])
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    motion = read_keypoints(tmp_path / "a.csv", size=None if pixels else SIZE)
    assert motion.keypoints[0, 0] == pytest.approx(points[0, 0], rel=1e-4)


def test_labels_of_somebody_who_has_no_id_yet(tmp_path) -> None:
    as_labels(tmp_path, people(17), [5, 6])
    file = tmp_path / "film_2.txt"
    file.write_text(
        "\n".join(line.rpartition(" ")[0] for line in file.read_text(encoding="utf-8").splitlines()), encoding="utf-8"
    )
    (tmp_path / "film_3.txt").write_text("", encoding="utf-8")
    motion = read_keypoints(tmp_path, "coco_17", SIZE)
    assert (len(motion), motion.facts["tracked"]) == (4, False)


BAD = [
    ("a.txt", "0 0.5 0.5 x", r"a\.txt, line 1 should be a person of ultralytics' labels .* found '0 0\.5 0\.5 x'"),
    ("a.txt", "0 " * 30, r"a\.txt: a person of coco_17 has a class, a box and 17 points .* found 30 numbers"),
    ("a.txt", "0 " * 56 + "\n" + "0 " * 30, r"a\.txt: every person must have as many numbers, found \[30, 56\]"),
    ("a.json", '[{"image_id": 1, "bbox": [1, 2]}]', r"a\.json holds boxes of people without keypoints"),
    ("a.json", '["[{"]', r"a\.json, frame 0 is not JSON"),
    ("a.jsonl", "[]\n{", r"a\.jsonl, line 2 is not JSON"),
    ("a.json", '[[{"keypoints": [{"x": 1}]}]]', r"frame 0, person 0, keypoints: a keypoint must have x and y"),
    (
        "a.csv",
        "scorer,n,n,n\nbodyparts,snout,snout,snout\ncoords,x,y,likelihood\n0,1,2,3\n",
        r"a\.csv is DeepLabCut's, and its body parts \(snout, \.\.\.\) are not 4 joints",
    ),
]


@pytest.mark.parametrize(("name", "text", "message"), BAD)
def test_what_is_kept_otherwise_is_told(tmp_path, name, text, message) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_keypoints(tmp_path / name, "coco_17", SIZE)


def test_what_is_packed_or_not_said_is_told(tmp_path) -> None:
    (tmp_path / "a.json").write_bytes(gzip.compress(json.dumps(openpose(people(25)[0])).encode()))
    with pytest.raises(ValueError, match=r"a\.json is packed with gzip\. Unpack it first"):
        read_keypoints(tmp_path / "a.json")
    labels = as_labels(tmp_path / "labels" if (tmp_path / "labels").mkdir() is None else tmp_path, people(17))
    with pytest.raises(ValueError, match=r"labels does not say what its 17 points are\. Say skeleton="):
        read_keypoints(labels)
    with pytest.raises(ValueError, match=r"labels has shares of the picture, none above 1\. Say its size="):
        read_keypoints(labels, "coco_17")
    assert read_keypoints(as_rtmlib(tmp_path, people(133)), "coco_133").keypoint_skeleton is COCO_17
