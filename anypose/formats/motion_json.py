"""A motion as JSON that says of itself what it holds: units, axes, skeletons; frames follow one by one.

    {"format": "anypose motion", "version": 1, "name": "walk",
     "units": {"times": "s", "keypoints": "px", "joints": "m", "world": "m"},
     "axes": {"keypoints": "x right, y down", "joints": "...", "world": "..."},
     "size": [width, height] or null, "camera": {...} or null, "facts": {...},
     "keypoint_skeleton": {"name": ..., "joints": [...], "parents": [...]}, "skeleton": {...},
     "frames": [{"time": 0.04, "people": [{"id": 1,
        "keypoints": [[x, y, score], ...], "filled": [0 or 1, ...], "joints": [[x, y, z], ...],
        "world": [[x, y, z], ...], "contacts": [left foot stands: 0 or 1, right foot]}]}]}

What a motion has not is left out; a point that is not known is null; a person who is not there is not among `people`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from anypose.bounds import largest_of, limit
from anypose.camera import Camera
from anypose.formats.files import LARGEST
from anypose.formats.rows import format_rows
from anypose.formats.sink import GrowingFile, Sink
from anypose.motion import Motion
from anypose.skeleton import Skeleton, get_skeleton

FORMAT, VERSION = "anypose motion", 1
UNITS = {"times": "s", "keypoints": "px", "joints": "m", "world": "m"}
AXES = {
    "keypoints": "x right, y down, from the picture's upper left corner; then the score, 0 to 1",
    "joints": "of the camera: x right, y down, z away from it",
    "world": "upright: z up, the floor at 0",
}


class JsonSink(Sink):
    """`NAME.json`, in the schema above."""

    suffix = ".json"

    def _begin(self, motion: Motion) -> None:
        head: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "name": motion.name,
            "units": UNITS,
            "axes": AXES,
            "size": list(motion.size) if motion.size else None,
            "camera": describe_camera(motion),
            "facts": dict(motion.facts),
        }
        for field in ("keypoint_skeleton", "skeleton"):
            if skeleton := getattr(motion, field):
                head[field] = describe_skeleton(skeleton)
        text = json.dumps(head, indent=1, allow_nan=False, default=_plain)
        self._file = GrowingFile(self.path, (text[:-2] + ',\n "frames": [').encode(), b"\n ]\n}\n")
        self.files.append(self.path)

    def _add(self, motion: Motion, pictures: Sequence[np.ndarray] | None) -> None:
        texts = [_people(motion, p) for p in range(len(motion.ids))]
        frames = []
        for t, time in enumerate(motion.times.tolist()):
            people = ",\n   ".join([text[t] for text in texts if text[t]])
            frames.append(f'\n  {{"time": {time:.6f}, "people": [{people}]}}')
        self._file.append((("," if self.frames else "") + ",".join(frames)).encode())

    def close(self) -> None:
        """Let go of the file."""
        if self.files:
            self._file.close()


def read_motion_json(data: Mapping[str, Any], where: Path) -> Motion:
    """The motion of a document that `JsonSink` wrote."""
    try:
        if data["version"] != VERSION:
            raise ValueError(f"version {VERSION} is read here, found {data['version']}")
        fields: dict[str, Any] = {"size": tuple(data["size"]) if data.get("size") else None}
        for field in ("keypoint_skeleton", "skeleton"):
            if field in data:
                fields[field] = get_skeleton(data[field]["name"])
                if list(fields[field].joints) != data[field]["joints"]:
                    raise ValueError(f"{field} {data[field]['name']} has other joints here")
        if data.get("camera"):
            camera = dict(data["camera"])
            width, height = camera.pop("size")
            fields["camera"] = Camera(**camera, width=width, height=height)
        frames = data["frames"]
        ids = sorted({int(person["id"]) for frame in frames for person in frame["people"]})
        place = {person: p for p, person in enumerate(ids)}
        T, P = len(frames), len(ids)
        K = fields["keypoint_skeleton"].num_joints if "keypoint_skeleton" in fields else 0
        J = fields["skeleton"].num_joints if "skeleton" in fields else 0
        a_person = 12 * (K + 2 * J)  # bytes in a frame
        most = largest_of(a_person * sum(len(frame["people"]) for frame in frames))
        if T * P * a_person > most:
            raise ValueError(f"{P} people in {T} frames are more than {limit(most)} hold")
        there = {key for frame in frames for person in frame["people"] for key in person} - {"id"}
        shapes = {"keypoints": (K, 3), "joints": (J, 3), "world": (J, 3), "filled": (K,), "contacts": (2,)}
        for field, shape in shapes.items():
            if field in there:
                points = len(shape) == 2
                fields[field] = np.full((T, P, *shape), np.nan if points else 0, np.float32 if points else bool)
        for t, frame in enumerate(frames):
            for person in frame["people"]:
                for field in there & person.keys() & shapes.keys():
                    # A point that is null is null in every number.
                    rows = [row if row is not None else [None] * 3 for row in person[field]]
                    values = np.array(rows, dtype=np.float64)
                    if (np.abs(values) > LARGEST).any():
                        raise ValueError(f"{field} of frame {t} are beyond {LARGEST:g}")
                    fields[field][t, place[int(person["id"])]] = values
        times = np.array([frame["time"] for frame in frames], dtype=np.float64)
        return Motion(Path(where).stem, times, np.array(ids, dtype=np.int64), facts=dict(data["facts"]), **fields)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise ValueError(f"{where} is no motion of ours: {type(error).__name__} {str(error)[:200]}.") from None


def describe_skeleton(skeleton: Skeleton) -> dict[str, Any]:
    """Name, joints and parents as plain containers."""
    return {"name": skeleton.name, "joints": list(skeleton.joints), "parents": list(skeleton.parents)}


def describe_camera(motion: Motion) -> dict[str, Any] | None:
    """The motion's camera as plain containers."""
    if motion.camera is None:
        return None
    camera = motion.camera
    return {
        "name": camera.name,
        "rotation": camera.rotation.tolist(),
        "position": camera.position.tolist(),
        "focal": camera.focal.tolist(),
        "centre": camera.centre.tolist(),
        "radial": camera.radial.tolist(),
        "tangential": camera.tangential.tolist(),
        "size": [camera.width, camera.height],
    }


def _people(motion: Motion, p: int) -> list[str]:
    """The person's text in each frame, empty where they are not."""
    parts, patterns = [], []
    present = np.zeros(len(motion), bool)
    for field, one in (
        ("keypoints", "[%.2f, %.2f, %.3f]"),
        ("filled", "%d"),
        ("joints", "[%.4f, %.4f, %.4f]"),
        ("world", "[%.4f, %.4f, %.4f]"),
        ("contacts", "%d"),
    ):
        values = getattr(motion, field)
        if values is None:
            continue
        values = values[:, p]
        patterns.append(f'"{field}": [{", ".join([one] * values.shape[1])}]')
        parts.append(values.reshape(len(motion), -1))
        if one.startswith("["):
            present |= np.isfinite(parts[-1]).any(-1)
    if not parts:
        return [""] * len(motion)
    pattern = f'{{"id": {motion.ids[p]}, ' + ", ".join(patterns) + "}\n"
    text = format_rows(pattern, np.column_stack(parts)).replace("[nan, nan, nan]", "null").replace("nan", "null")
    return [line if there else "" for line, there in zip(text.splitlines(), present.tolist(), strict=True)]


def _plain(value: Any) -> Any:
    """What NumPy's scalars and arrays among the facts are in JSON."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"facts must be plain containers, found {type(value).__name__}.")
