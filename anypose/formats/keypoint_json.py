"""Keypoints in JSON, whoever wrote them: OpenPose, AlphaPose, COCO, MediaPipe, ultralytics, mmpose, ourselves.

The form tells the writer. What the points are is in the file (mmpose's names, MediaPipe's landmarks, our own), is one
of the models of OpenPose's documentation, or is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from anypose.bounds import json_size, largest, limit
from anypose.formats.coco_results import alphapose_id, read_annotations, read_results
from anypose.formats.detections import (
    Detections,
    described,
    frame_number,
    list_of,
    named_skeleton,
    number_of,
    points_of,
    skeleton_by_names,
)
from anypose.formats.files import read_bytes
from anypose.formats.keypoint_csv import in_pixels
from anypose.skeleton import BODY_25, OPENPOSE_15, OPENPOSE_18

MAX_BYTES = 1 << 29
FASTEST, LARGEST = 100_000, 100_000  # frames a second, and pixels of a side, that are believed
# OpenPose's documented models by how many points they have. Others write theirs in its form: `skeleton=` says so.
OPENPOSE = {25: BODY_25, 18: OPENPOSE_18, 15: OPENPOSE_15}
LINES = ".jsonl"  # a document a line, each a frame
LISTS = ("instances", "results", "predictions", "detections", "poses")  # what the people of a frame are called
LANDMARKS = ("pose_landmarks", "poseLandmarks", "landmarks", "landmark")


def load_json(path: Path) -> Any:
    """The document in a file.

    Raises:
        ValueError: with the path, for what is no JSON, nested too deep or too large.
    """
    data = read_bytes(path, "keypoints in JSON", MAX_BYTES)
    if path.suffix.lower() == LINES:
        return [_parsed(line, f"{path}, line {n}") for n, line in enumerate(data.splitlines(), 1) if line.strip()]
    return _parsed(data, str(path))


def _parsed(text: bytes, where: str) -> Any:
    if (size := json_size(text)) > largest():
        raise ValueError(f"{where} takes about {size / 1e9:.3g} GB once it is read; at most {limit(largest())} are.")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where} is not JSON: {str(error)[:80]}.") from None


def read_document(data: Any, found: Detections, number: float | None, size: tuple[int, int] | None) -> str:
    """Add the frames of a document; gives the name of its form.

    Args:
        data: of `load_json`.
        found: where to add them.
        number: of the frame, for documents that are one.
        size: of the picture, for coordinates that are shares of it.
    """
    where = found.where
    if isinstance(data, Mapping):
        if "instance_info" in data:
            return _mmpose(data, found, number)
        if _is_openposes(data):
            _openpose_frame(data, found, number or 0, where)
            return "OpenPose" if "people" in data else "AlphaPose"
        if "annotations" in data and "images" in data:
            return read_annotations(data, found)
        if isinstance(data.get("frames"), list):
            _video(data, found)
            return _frames(data["frames"], found, size)
        if any(key in data for key in LANDMARKS):
            return _frame(data, found, number or 0, size, where)
        if (key := next((key for key in LISTS if isinstance(data.get(key), list)), None)) is not None:
            pictures = number is None and all(isinstance(entry, list) for entry in data[key])
            return _frames(data[key], found, size) if pictures else _frame(data, found, number or 0, size, where)
        if data and all(isinstance(frame, list) or _is_openposes(frame) for frame in data.values()):
            forms = [
                _frame(frame, found, frame_number(str(name), place), size, f"{found.where}, {str(name)[:60]}")
                for place, (name, frame) in enumerate(data.items())
            ]
            return "AlphaPose" if forms[0] == "OpenPose" else next((form for form in forms if form != "nothing"), "")
    elif isinstance(data, list):
        if not data:
            if number is not None:  # a frame without anybody, and otherwise no frame
                found.add(number, [])
            return "nothing"
        if all(isinstance(entry, Mapping) and "image_id" in entry for entry in data):
            return read_results(data, found)
        if number is not None or all(isinstance(entry, Mapping) and "keypoints" in entry for entry in data):
            return _frame(data, found, number or 0, size, where)
        return _frames(data, found, size)
    raise ValueError(
        f"{where} is JSON, but none of OpenPose, AlphaPose, COCO results, MediaPipe, ultralytics, mmpose or anypose; "
        f"it holds {described(data)}."
    )


def _frames(frames: list[Any], found: Detections, size: tuple[int, int] | None) -> str:
    """A list with something for each frame; gives the name of its form."""
    form = "nothing"
    for place, frame in enumerate(frames):
        one = _frame(frame, found, place, size, f"{found.where}, frame {place}")
        form = form if one == "nothing" else one
    return form


def _frame(frame: Any, found: Detections, number: float, size: tuple[int, int] | None, where: str) -> str:
    """One frame: what it says of its number goes before `number`. Gives the name of its form."""
    if isinstance(frame, str):  # what ultralytics' to_json() gives, in a list of its user's
        frame = _parsed(frame.encode(), where)
    if isinstance(frame, Mapping):
        for key in ("frame", "frame_id", "frame_index", "frame_number", "frame_idx"):
            if isinstance(frame.get(key), int | float):
                number = number_of(frame[key], f"{where}, {key}")
        if any(key in frame for key in LANDMARKS):
            _mediapipe_frame(frame, found, number, size, where)
            return "MediaPipe"
        if _is_openposes(frame):
            _openpose_frame(frame, found, number, where)
            return "OpenPose"
        listed = next((frame[key] for key in LISTS if key in frame), None)
        if listed is None and frame:
            raise ValueError(f"{where} is of no form that is known here; it holds {described(frame)}.")
    else:
        listed = frame
    people = list_of(listed, where, "people") if listed is not None else []
    if people and isinstance(people[0], Mapping) and {"x", "y"} <= people[0].keys() and "keypoints" not in people[0]:
        _mediapipe_frame({"landmarks": people}, found, number, size, where)
        return "MediaPipe"
    # mmpose's inferencer nests the people of a picture once more.
    if len(people) == 1 and isinstance(people[0], list):
        people = people[0]
    found.add(number, [_instance(entry, found, f"{where}, person {p}") for p, entry in enumerate(people)])
    return _form_of(people[0]) if people else "nothing"


def _is_openposes(frame: Any) -> bool:
    return isinstance(frame, Mapping) and ("people" in frame or "bodies" in frame)


def _form_of(person: Mapping[str, Any]) -> str:
    """Whose form a person has that `_instance` can read."""
    if isinstance(person["keypoints"], Mapping):
        return "ultralytics"
    if person["keypoints"] and isinstance(person["keypoints"][0], Mapping):
        return "TensorFlow.js"
    return "AlphaPose" if "idx" in person else "mmpose"


def _video(data: Mapping[str, Any], found: Detections) -> None:
    """What a document says of its video beside the frames: their rate, and the picture's size."""
    rate = next((data[key] for key in ("fps", "frame_rate", "frameRate") if isinstance(data.get(key), int | float)), 0)
    found.rate = float(rate) if 0 < rate <= FASTEST else found.rate
    found.size = _size(data.get("width"), data.get("height")) or found.size


def _size(width: Any, height: Any) -> tuple[int, int] | None:
    """Of the picture, where these say one."""
    whole = isinstance(width, int) and isinstance(height, int)
    return (width, height) if whole and 0 < min(width, height) <= max(width, height) <= LARGEST else None


def _openpose_frame(frame: Mapping[str, Any], found: Detections, number: float, where: str) -> None:
    """One frame of OpenPose's form, which AlphaPose and ControlNet write too; ControlNet says the picture's size."""
    found.size = _size(frame.get("canvas_width"), frame.get("canvas_height")) or found.size
    people = list_of(frame.get("people", frame.get("bodies")), where, "people")
    found.add(number, [_openpose_person(person, found, where) for person in people])


def _openpose_person(person: Any, found: Detections, where: str) -> tuple[int | None, np.ndarray]:
    if not isinstance(person, Mapping):
        raise ValueError(f"{where}: a person must be an object with 'pose_keypoints_2d', found {described(person)}.")
    key = next((key for key in ("pose_keypoints_2d", "pose_keypoints", "joints") if key in person), None)
    if key is None:
        raise ValueError(f"{where}: a person has no 'pose_keypoints_2d'; there are {', '.join(map(str, person))[:80]}.")
    points = points_of(person[key], f"{where}, {key}")
    found.usual = OPENPOSE.get(len(points))
    ids = np.ravel(person.get("person_id", -1)).tolist()
    known = len(ids) == 1 and isinstance(ids[0], int) and ids[0] >= 0
    return (ids[0] if known else None), points


def _mediapipe_frame(frame: Mapping[str, Any], found: Detections, number: float, size: Any, where: str) -> None:
    """One frame of landmarks: those of one person, or a list of people."""
    key = next(key for key in LANDMARKS if key in frame)
    landmarks = frame[key]
    if isinstance(landmarks, Mapping):
        if not {"landmark", "landmarks"} & landmarks.keys():
            raise ValueError(f"{where}, {key} must be a list of landmarks, found {described(landmarks)}.")
        landmarks = landmarks.get("landmark", landmarks.get("landmarks"))
    if landmarks is None or landmarks == []:
        return found.add(number, [])
    people = landmarks if isinstance(landmarks, list) and isinstance(landmarks[0], list) else [landmarks]
    persons = []
    for p, person in enumerate(people):
        place = f"{where}, {key} of person {p}"
        rows = []
        for point in list_of(person, place, "landmarks"):
            if not isinstance(point, Mapping) or not {"x", "y"} <= point.keys():
                raise ValueError(f"{place}: a landmark must have x and y, found {described(point)}.")
            rows.append([point["x"], point["y"], point.get("visibility", point.get("presence", 1.0))])
        persons.append((None, in_pixels(points_of(rows, place), size, found, where)))
    stamp = next(
        (frame[key] for key in ("timestamp_ms", "timestampMs") if isinstance(frame.get(key), int | float)), None
    )
    if stamp is not None and (found.timed or not found.frames):
        found.timed, number = True, number_of(stamp, f"{where}, timestamp") / 1000
    return found.add(number, persons)


def _instance(entry: Any, found: Detections, where: str) -> tuple[int | None, np.ndarray]:
    """A person of ultralytics ({"keypoints": {"x", "y", "visible"}}), of mmpose (points and scores apart), of AlphaPose
    (three numbers a point) or of TensorFlow.js (points with their names).
    """
    if not isinstance(entry, Mapping) or "keypoints" not in entry:
        raise ValueError(f"{where} must be an object with 'keypoints', found {described(entry)}.")
    keypoints = entry["keypoints"]
    track = next((entry[key] for key in ("track_id", "id") if isinstance(entry.get(key), int)), None)
    if isinstance(keypoints, Mapping):
        if not {"x", "y"} <= keypoints.keys():
            raise ValueError(f"{where}, keypoints must have x and y, found {described(keypoints)}.")
        columns = [points_of(keypoints[axis], f"{where}, keypoints.{axis}", 1)[:, 0] for axis in ("x", "y")]
        visible = keypoints.get("visible", keypoints.get("conf"))
        columns.append(
            np.ones_like(columns[0]) if visible is None else points_of(visible, f"{where}, keypoints.visible", 1)[:, 0]
        )
        if len({len(column) for column in columns}) > 1:
            raise ValueError(f"{where}: x, y and visible must be as many, found {[len(column) for column in columns]}.")
        return track, np.stack(columns, -1)
    if isinstance(keypoints, list) and keypoints and isinstance(keypoints[0], Mapping):
        return track, _named_points(keypoints, found, f"{where}, keypoints")
    if "idx" in entry:
        track = alphapose_id(entry["idx"])
    if "keypoint_scores" not in entry:
        return track, points_of(keypoints, f"{where}, keypoints")
    points = points_of(keypoints, f"{where}, keypoints", 2)
    scores = points_of(entry["keypoint_scores"], f"{where}, keypoint_scores", 1)
    if len(scores) != len(points):
        raise ValueError(f"{where}: there must be a score for each point, found {len(scores)} for {len(points)}.")
    return track, np.concatenate([points, scores], -1)


def _named_points(points: list[Any], found: Detections, where: str) -> np.ndarray:
    """Points that are objects with x, y, score and name."""
    if not all(isinstance(point, Mapping) and {"x", "y"} <= point.keys() for point in points):
        raise ValueError(f"{where}: a keypoint must have x and y, found {described(points)}.")
    found.declared = skeleton_by_names([str(point.get("name", "")) for point in points]) or found.declared
    return points_of([[point["x"], point["y"], point.get("score", 1.0)] for point in points], where)


def _mmpose(data: Mapping[str, Any], found: Detections, number: float | None) -> str:
    """A video or a picture, with what its dataset says of the points."""
    meta = data.get("meta_info", {})
    if isinstance(meta, Mapping):
        names = meta.get("keypoint_id2name")
        if isinstance(names, Mapping) and all(str(key).isdigit() for key in names):
            found.declared = skeleton_by_names([str(names[key]) for key in sorted(names, key=int)])
        if found.declared is None and isinstance(meta.get("dataset_name"), str):
            try:
                found.declared = named_skeleton(meta["dataset_name"])
            except ValueError:
                found.declared = None  # a dataset that is not known here: the user is asked
    frames = list_of(data["instance_info"], found.where, "instance_info")
    if frames and all(isinstance(entry, Mapping) and "keypoints" in entry for entry in frames):  # of one picture
        return _frame(frames, found, number or 0, None, found.where)
    numbers = [frame.get("frame_id") if isinstance(frame, Mapping) else None for frame in frames]
    if numbers and all(isinstance(number, int) and number >= 1 for number in numbers):  # mmpose counts frames from 1
        frames = [{**frame, "frame_id": frame["frame_id"] - 1} for frame in frames]
    _frames(frames, found, None)
    return "mmpose"
