"""COCO keypoint results: a list with an entry for each person and frame. COCO's annotations are read, too.

`image_id` is the number of the frame from 0, `keypoints` x, y [px] and score of COCO's 17, zeros where one is not
known, `score` their mean. `time` [s], `track_id` and `skeleton` are ours; COCO's own tools pass over them. AlphaPose's
list is of the same form, with names of pictures and its own `idx`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from anypose.formats.detections import (
    Detections,
    declared_skeleton,
    described,
    frame_number,
    list_of,
    number_of,
    points_of,
    skeleton_by_names,
)
from anypose.formats.rows import format_rows
from anypose.formats.sink import GrowingFile, Sink
from anypose.motion import Motion
from anypose.skeleton import COCO_17, convert


class CocoSink(Sink):
    """`NAME_coco.json`."""

    suffix = "_coco.json"
    needs = ("keypoints",)

    def _begin(self, motion: Motion) -> None:
        assert motion.keypoint_skeleton is not None
        convert(np.zeros((motion.keypoint_skeleton.num_joints, 3)), motion.keypoint_skeleton, COCO_17)
        self._file = GrowingFile(self.path, b"[", b"\n]\n")
        self._entries = 0
        self.files.append(self.path)

    def _add(self, motion: Motion, pictures: Sequence[np.ndarray] | None) -> None:
        assert motion.keypoints is not None
        assert motion.keypoint_skeleton is not None
        T, P = len(motion), len(motion.ids)
        points = convert(motion.keypoints.astype(np.float64), motion.keypoint_skeleton, COCO_17).reshape(T * P, 17, 3)
        known = np.asarray(np.isfinite(points).all(-1))
        points = np.where(known[..., None], points, 0)
        scores = points[..., 2].sum(-1) / np.maximum(known.sum(-1), 1)
        frames = np.repeat(np.arange(self.frames, self.frames + T), P)
        rows = np.column_stack(
            [frames, np.repeat(motion.times, P), np.tile(motion.ids, T), scores, points.reshape(T * P, 51)]
        )[known.any(-1)]
        pattern = (
            '{"image_id": %d, "category_id": 1, "time": %.6f, "track_id": %d, "score": %.4f, '
            f'"skeleton": "{COCO_17.name}", "keypoints": [{", ".join(["%.2f, %.2f, %.3f"] * 17)}]}}\n'
        )
        entries = format_rows(pattern, rows).splitlines()
        if entries:
            self._file.append((("," if self._entries else "") + "\n" + ",\n".join(entries)).encode())
        self._entries += len(entries)

    def close(self) -> None:
        """Let go of the file."""
        if self.files:
            self._file.close()


def read_results(entries: list[Any], found: Detections) -> str:
    """COCO results, and AlphaPose's list, which names pictures instead of numbering them.

    Boxes without keypoints are left out, and where there are several categories all but COCO's first, the people.
    """
    several = len({str(entry.get("category_id")) for entry in entries}) > 1
    entries = [entry for entry in entries if "keypoints" in entry and (not several or entry.get("category_id") == 1)]
    if not entries:
        raise ValueError(f"{found.where} holds boxes of people without keypoints, or of other things than people.")
    frames: dict[Any, list[tuple[int | None, np.ndarray]]] = {}
    names = {str(entry.get("skeleton", "")) for entry in entries}
    if len(names) == 1 and "" not in names:
        found.declared = declared_skeleton(names.pop(), found.where)
    times: dict[Any, float] = {}
    for place, entry in enumerate(entries):
        where, image = f"{found.where}, entry {place}", entry["image_id"]
        if not isinstance(image, int | str) or isinstance(image, bool):
            raise ValueError(f"{where}: image_id must be a number or a file's name, found {described(image)}.")
        person = entry.get("track_id") if isinstance(entry.get("track_id"), int) else alphapose_id(entry.get("idx"))
        frames.setdefault(image, []).append((person, points_of(entry["keypoints"], f"{where}, keypoints")))
        if isinstance(entry.get("time"), int | float):
            times[image] = number_of(entry["time"], f"{where}, time")
    numbers = {
        image: number_of(image, f"{found.where}, image_id") if isinstance(image, int) else frame_number(image, 0)
        for image in frames
    }
    span = max(numbers.values()) - min(numbers.values())
    if len(set(numbers.values())) < len(frames) or span > 10 * len(frames) + 100:
        numbers = {image: float(place) for place, image in enumerate(frames)}  # pictures, not the frames of a video
    found.timed = len(times) == len(frames)
    for image, people in frames.items():
        found.add(times[image] if found.timed else numbers[image], people)
    return (
        "AlphaPose"
        if any("idx" in entry or isinstance(entry["image_id"], str) for entry in entries)
        else "COCO results"
    )


def alphapose_id(idx: Any) -> int | None:
    """A person of AlphaPose's: a number from 1, or nested lists of those whose boxes became one; 0 was not tracked."""
    ids = [idx]
    while any(isinstance(one, list) for one in ids):
        ids = [part for one in ids for part in (one if isinstance(one, list) else [one])]
    whole = [int(one) for one in ids if isinstance(one, int) or (isinstance(one, float) and one.is_integer())]
    return min((one for one in whole if one > 0), default=None)


def read_annotations(data: Mapping[str, Any], found: Detections) -> str:
    """COCO's annotations: the category names its keypoints."""
    categories = [
        entry for entry in list_of(data.get("categories", []), found.where, "categories") if isinstance(entry, Mapping)
    ]
    names = [entry["keypoints"] for entry in categories if isinstance(entry.get("keypoints"), list)]
    found.declared = skeleton_by_names(names[0]) if names else None
    people: dict[Any, list[tuple[int | None, np.ndarray]]] = {}
    for place, entry in enumerate(list_of(data["annotations"], found.where, "annotations")):
        if isinstance(entry, Mapping) and entry.get("keypoints") and isinstance(entry.get("image_id"), int | str):
            points = points_of(entry["keypoints"], f"{found.where}, annotation {place}, keypoints")
            points[:, 2] = np.minimum(points[:, 2], 1)  # 1 hidden, 2 visible: both were looked at
            person = entry["track_id"] if isinstance(entry.get("track_id"), int) else None  # PoseTrack's
            people.setdefault(entry["image_id"], []).append((person, points))
    sizes = set()
    for place, image in enumerate(list_of(data["images"], found.where, "images")):
        if isinstance(image, Mapping):
            found.add(place, people.get(image.get("id"), []))
            sizes.add((image.get("width"), image.get("height")))
    if len(sizes) == 1 and all(isinstance(side, int) for side in next(iter(sizes))):
        found.size = next(iter(sizes))
    return "COCO annotations"
