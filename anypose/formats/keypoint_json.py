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
from anypose.formats.coco_results import read_annotations, read_results
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
from anypose.skeleton import BLAZEPOSE_33, BODY_25, OPENPOSE_15, OPENPOSE_18

MAX_BYTES = 1 << 29
FASTEST, LARGEST = 100_000, 100_000  # frames a second, and pixels of a side, that are believed
# OpenPose's documented models by how many points they have. Others write theirs in its form: `skeleton=` says so.
OPENPOSE = {25: BODY_25, 18: OPENPOSE_18, 15: OPENPOSE_15}
LANDMARKS = ("pose_landmarks", "poseLandmarks", "landmarks", "landmark")


def load_json(path: Path) -> Any:
    """The document in a file.

    Raises:
        ValueError: with the path, for what is no JSON, nested too deep or too large.
    """
    data = read_bytes(path, "keypoints in JSON", MAX_BYTES)
    if (size := json_size(data)) > largest():
        raise ValueError(f"{path} takes about {size / 1e9:.3g} GB once it is read; at most {limit(largest())} are.")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {str(error)[:80]}.") from None


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
            return _mmpose_video(data, found)
        if "people" in data or "bodies" in data:
            _openpose_frame(data, found, number or 0, where)
            return "OpenPose" if "people" in data else "AlphaPose"
        if "annotations" in data and "images" in data:
            return read_annotations(data, found)
        if isinstance(data.get("frames"), list):
            _video(data, found)
            return _frames(data["frames"], found, size)
        if any(key in data for key in LANDMARKS):
            _mediapipe_frame(data, found, number or 0, size, where)
            return "MediaPipe"
        if data and all(
            isinstance(frame, Mapping) and ("people" in frame or "bodies" in frame) for frame in data.values()
        ):
            for place, (name, frame) in enumerate(data.items()):
                _openpose_frame(frame, found, frame_number(str(name), place), f"{where}, {name}")
            return "AlphaPose"
    elif isinstance(data, list):
        if not data:
            if number is not None:  # a frame without anybody, and otherwise no frame
                found.add(number, [])
            return "nothing"
        if all(isinstance(entry, Mapping) and "image_id" in entry and "keypoints" in entry for entry in data):
            return read_results(data, found)
        if all(isinstance(entry, Mapping) and "keypoints" in entry for entry in data):
            found.add(number or 0, [_instance(entry, found, f"{where}, person {p}") for p, entry in enumerate(data)])
            return "ultralytics" if isinstance(data[0]["keypoints"], Mapping) else "mmpose"
        return _frames(data, found, size)
    raise ValueError(
        f"{where} is JSON, but none of OpenPose, AlphaPose, COCO results, MediaPipe, ultralytics, mmpose or anypose; "
        f"it holds {described(data)}."
    )


def _frames(frames: list[Any], found: Detections, size: tuple[int, int] | None) -> str:
    """A list with something for each frame."""
    form = "nothing"
    for place, frame in enumerate(frames):
        where = f"{found.where}, frame {place}"
        number: float = place
        if isinstance(frame, Mapping):
            for key in ("frame", "frame_id", "frame_index", "frame_number", "frame_idx"):
                if isinstance(frame.get(key), int | float):
                    number = number_of(frame[key], f"{where}, {key}")
            if any(key in frame for key in LANDMARKS):
                _mediapipe_frame(frame, found, number, size, where)
                form = "MediaPipe"
                continue
            if "people" in frame:
                _openpose_frame(frame, found, number, where)
                form = "OpenPose"
                continue
            listed = next(
                (frame[key] for key in ("instances", "results", "predictions", "detections") if key in frame), None
            )
        else:
            listed = frame
        people = list_of(listed, where, "people") if listed is not None else []
        if (
            people
            and isinstance(people[0], Mapping)
            and {"x", "y"} <= people[0].keys()
            and "keypoints" not in people[0]
        ):
            _mediapipe_frame({"landmarks": people}, found, number, size, where)
            form = "MediaPipe"
            continue
        # mmpose's inferencer nests the people of a picture once more.
        if len(people) == 1 and isinstance(people[0], list):
            people = people[0]
        if listed is None and not (frame is None or frame == {}):
            raise ValueError(f"{where} is of no form that is known here; it holds {described(frame)}.")
        found.add(number, [_instance(entry, found, f"{where}, person {p}") for p, entry in enumerate(people)])
        if people:
            form = "ultralytics" if isinstance(people[0].get("keypoints"), Mapping) else "mmpose"
    return form


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
    size = size or found.size
    if size is None:
        raise ValueError(f"{where}: MediaPipe's landmarks are shares of the picture. Say its size=[width, height].")
    found.size = (int(size[0]), int(size[1]))
    found.declared = BLAZEPOSE_33
    persons = []
    for p, person in enumerate(people):
        place = f"{where}, {key} of person {p}"
        rows = []
        for point in list_of(person, place, "landmarks"):
            if not isinstance(point, Mapping) or not {"x", "y"} <= point.keys():
                raise ValueError(f"{place}: a landmark must have x and y, found {described(point)}.")
            rows.append([point["x"], point["y"], point.get("visibility", point.get("presence", 1.0))])
        points = points_of(rows, place)
        persons.append((None, points * [*found.size, 1]))
    stamp = next(
        (frame[key] for key in ("timestamp_ms", "timestampMs") if isinstance(frame.get(key), int | float)), None
    )
    if stamp is not None and (found.timed or not found.frames):
        found.timed, number = True, number_of(stamp, f"{where}, timestamp") / 1000
    return found.add(number, persons)


def _instance(entry: Any, found: Detections, where: str) -> tuple[int | None, np.ndarray]:
    """A person of ultralytics ({"keypoints": {"x", "y", "visible"}}) or of mmpose (points and scores apart)."""
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
    if "keypoint_scores" not in entry:
        return track, points_of(keypoints, f"{where}, keypoints")
    points = points_of(keypoints, f"{where}, keypoints", 2)
    scores = points_of(entry["keypoint_scores"], f"{where}, keypoint_scores", 1)
    if len(scores) != len(points):
        raise ValueError(f"{where}: there must be a score for each point, found {len(scores)} for {len(points)}.")
    return track, np.concatenate([points, scores], -1)


def _mmpose_video(data: Mapping[str, Any], found: Detections) -> str:
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
    numbers = [frame.get("frame_id") if isinstance(frame, Mapping) else None for frame in frames]
    if numbers and all(isinstance(number, int) and number >= 1 for number in numbers):  # mmpose counts frames from 1
        frames = [{**frame, "frame_id": frame["frame_id"] - 1} for frame in frames]
    _frames(frames, found, None)
    return "mmpose"
