"""Keypoints in tables: CSV of ours, of MediaPipe, of DeepLabCut, and of whoever names the columns by joints."""

from __future__ import annotations

import csv
import io
from array import array
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from anypose.bounds import largest_of, limit
from anypose.formats.detections import MAX_POINTS, Detections, skeleton_by_names
from anypose.formats.files import LARGEST, is_number, plain_number, read_bytes
from anypose.formats.keypoint_columns import (
    LEAST,
    MEDIAPIPE,
    SCORES,
    columns_of_joints,
    deeplabcuts_columns,
    plain,
    points_of_columns,
)
from anypose.skeleton import BLAZEPOSE_33

PERSON = ("person", "person_id", "pose", "pose_id", "pose_index", "track_id", "id")  # columns that say who it is
SHARES = 3.0  # of MediaPipe's landmarks few lie so many pictures away
MAX_BYTES = 1 << 28  # as numbers and text it takes ten times as much


def read_table(path: Path, found: Detections, size: tuple[int, int] | None) -> str:
    """Add the frames of a CSV file; gives the name of its form."""
    try:
        text = read_bytes(path, "keypoints in CSV", MAX_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not CSV in UTF-8: byte {error.start} is not text.") from None
    try:
        return _read(path, text, found, size)
    except csv.Error as error:
        raise ValueError(f"{path} is no table of keypoints: {error}.") from None


def _read(path: Path, text: str, found: Detections, size: tuple[int, int] | None) -> str:
    if (head := deeplabcuts_columns(text)) is not None:
        return _deeplabcut(path, text, *head, found)
    first, _, body = text.partition("\n")
    separator = next((mark for mark in ";\t" if mark in first and "," not in first), ",")
    if separator != ",":
        first, body = first.replace(separator, ","), body.replace(",", ".").replace(separator, ",")
    names = [name.strip() for name in next(csv.reader([first]), [])]
    if not names or not body.strip() or len(set(names)) != len(names) or len(names) > 8 * MAX_POINTS:
        raise ValueError(
            f"{path} is no table of keypoints: its first line must name different columns, and rows follow."
        )
    if "time_s" in names and "id" in names:
        return _ours(path, names, body, found)
    lower = [plain(name) for name in names]
    landmark = next(
        (name for name in ("landmark", "landmark_id", "landmark_index", "landmark_name", "name") if name in lower), None
    )
    if landmark is not None and {"x", "y"} <= set(lower):
        return _long(path, lower, landmark, body, found, size)
    return _wide(path, lower, body, found, size)


def _numbers(path: Path, names: Sequence[str], body: str, columns: Sequence[str]) -> np.ndarray:
    """(N, len(columns)) numbers of a table, NaN where a cell is empty."""
    if missing := [column for column in columns if column not in names]:
        raise ValueError(f"{path} has no column '{missing[0]}'.")
    places = [names.index(column) for column in columns]
    cells = array("d")
    for line, row in enumerate(csv.reader(io.StringIO(body)), start=2):
        if not row:
            continue
        if len(row) != len(names):
            raise ValueError(
                f"{path}, line {line}: {len(names)} numbers are expected, found {len(row)}: {str(row)[:60]}."
            )
        try:
            cells.extend([plain_number(row[place].strip() or "nan") for place in places])
        except ValueError as error:
            place = next(place for place in places if row[place].strip() and not is_number(row[place]))
            raise ValueError(f"{path}, line {line}, {names[place]}: {error}") from None
    table = np.frombuffer(cells).reshape(-1, len(columns)) if cells else np.zeros((0, len(columns)))
    if (np.abs(table) > LARGEST).any():
        raise ValueError(
            f"{path}: numbers must be within {LARGEST:g}, row {np.argwhere(np.abs(table) > LARGEST)[0][0] + 1}."
        )
    return table


def _ours(path: Path, names: list[str], body: str, found: Detections) -> str:
    joints = [name.removesuffix("_x_px") for name in names if name.endswith("_x_px")]
    found.declared = skeleton_by_names(joints)
    if found.declared is None:
        raise ValueError(f"{path}: the columns *_x_px name no skeleton that is known here ({len(joints)} points).")
    columns = [f"{joint}_{part}" for joint in joints for part in ("x_px", "y_px", "score")]
    table = _numbers(path, names, body, ["time_s", "id", *columns])
    found.timed = True
    _group(path, table[:, 0], table[:, 1], table[:, 2:].reshape(len(table), -1, 3), found)
    return "anypose"


def _group(path: Path, times: np.ndarray, ids: np.ndarray, points: np.ndarray, found: Detections) -> None:
    """Rows of (N,) times and ids, NaN ids for nobody in particular, become frames."""
    if not np.isfinite(times).all():
        raise ValueError(
            f"{path}: every row must have its time or frame, row {np.argmin(np.isfinite(times)) + 1} has none."
        )
    order = np.argsort(times, kind="stable")
    starts = np.flatnonzero(np.diff(times[order], prepend=-np.inf))
    for rows in np.split(order, starts[1:]):
        people = [(None if np.isnan(ids[row]) else int(ids[row]), points[row]) for row in rows]
        found.add(float(times[rows[0]]), people)


def in_pixels(points: np.ndarray, size: tuple[int, int] | None, found: Detections, where: str) -> np.ndarray:
    """MediaPipe's landmarks (..., 33, 3) in pixels: as it gives them they are shares of the picture, but people
    multiply them before they save them.
    """
    found.declared = BLAZEPOSE_33
    found.size = size or found.size
    lengths = np.abs(points[..., :2][np.isfinite(points[..., :2])])
    if len(lengths) and np.percentile(lengths, 90) > SHARES:
        return points
    if found.size is None:
        raise ValueError(f"{where}: MediaPipe's landmarks are shares of the picture. Say its size=[width, height].")
    return points * [*found.size, 1]


def _clock(names: Sequence[str], found: Detections) -> tuple[str | None, float]:
    """The column that says when, and what its unit is in seconds; frames have the unit 1."""
    for name, unit in (("timestamp_ms", 1e-3), ("time_ms", 1e-3), ("time", 1.0), ("timestamp", 1.0), ("time_s", 1.0)):
        if name in names:
            found.timed = True
            return name, unit
    return next((name for name in ("frame", "frame_id", "frame_number", "frame_index") if name in names), None), 1.0


def _long(
    path: Path, names: list[str], landmark: str, body: str, found: Detections, size: tuple[int, int] | None
) -> str:
    """A row for each landmark."""
    clock, unit = _clock(names, found)
    if clock is None:
        raise ValueError(
            f"{path} has a row for each landmark and must say of which frame: no column 'frame' or 'time'."
        )
    score = next((name for name in ("visibility", "presence", "score") if name in names), None)
    person = next((name for name in PERSON if name in names), None)
    table = _numbers(path, names, body, [clock, "x", "y", *([score] if score else []), *([person] if person else [])])
    index = {name: i for i, name in enumerate(MEDIAPIPE)} | {str(i): i for i in range(len(MEDIAPIPE))}
    called = [plain(row[names.index(landmark)]) for row in csv.reader(io.StringIO(body)) if row]
    unknown = [name for name in called if name not in index]
    if unknown:
        raise ValueError(f"{path}: landmarks are 0 to 32 or MediaPipe's names, found '{unknown[0][:40]}'.")
    which = [index[name] for name in called]
    who = table[:, -1] if person else np.zeros(len(table))
    keys, rows = np.unique(np.stack([table[:, 0], who], -1), axis=0, return_inverse=True)
    if len(keys) * 33 * 3 * 8 > (most := largest_of(path.stat().st_size)):
        raise ValueError(f"{path}: {len(keys)} people of 33 landmarks are more than {limit(most)}.")
    points = np.full((len(keys), 33, 3), np.nan)
    points[rows.ravel(), which] = np.column_stack([table[:, 1:3], table[:, 3] if score else np.ones(len(table))])
    points = in_pixels(points, size, found, str(path))
    _group(path, keys[:, 0] * unit, keys[:, 1] if person else np.full(len(keys), np.nan), points, found)
    return "MediaPipe"


def _wide(path: Path, names: list[str], body: str, found: Detections, size: tuple[int, int] | None) -> str:
    """A row for each frame, or for each person of it: x1, y1, z1, v1 ..., landmark_0_x ..., or nose_x ..."""
    clock, unit = _clock(names, found)
    person = next((name for name in PERSON if name in names), None)
    beside = [name for name in (person, clock) if name is not None]
    for form in (
        lambda i, axis: f"{axis}{i + 1}",
        lambda i, axis: f"{axis}{i}",
        lambda i, axis: f"{axis}_{i}",
        lambda i, axis: f"{i}_{axis}",
        lambda i, axis: f"landmark_{i}_{axis}",
        lambda i, axis: f"{MEDIAPIPE[i]}_{axis}",
        lambda i, axis: f"{axis}_{MEDIAPIPE[i]}",
    ):
        if not all(form(i, axis) in names for i in range(33) for axis in "xy"):
            continue
        score = next((axis for axis in SCORES if form(0, axis) in names), None)
        columns = [form(i, axis) for i in range(33) for axis in ("x", "y", *([score] if score else []))]
        table = _numbers(path, names, body, [*columns, *beside])
        points = np.ones((len(table), 33, 3))
        points[..., : 3 if score else 2] = table[:, : len(columns)].reshape(len(table), 33, -1)
        points, form_of = in_pixels(points, size, found, str(path)), "MediaPipe"
        break
    else:
        named = columns_of_joints(names)
        if named is None:
            raise ValueError(
                f"{path} is no table of keypoints that is known here: ours has columns time_s, id, nose_x_px ..., "
                f"MediaPipe's frame, landmark, x, y, or x1, y1 ..., others nose_x, nose_y ...; found "
                f"{', '.join(names[:6])}."
            )
        found.declared, used = named
        columns = [column for three in used.values() for column in three if column is not None]
        table = _numbers(path, names, body, [*columns, *beside])
        points, form_of = points_of_columns(found.declared, used, columns, table), "CSV"
    when = table[:, -1] * unit if clock else np.arange(len(table), dtype=np.float64)
    _group(path, when, table[:, len(columns)] if person else np.full(len(table), np.nan), points, found)
    return form_of


def _deeplabcut(path: Path, text: str, animals: list[str], names: list[str], head: int, found: Detections) -> str:
    """Its table has three or four lines of head, and a row a frame."""
    body = "\n".join(text.splitlines()[head:])
    people: list[np.ndarray] = []
    for animal in dict.fromkeys(animals[1:]):
        own = [name if one == animal else "" for one, name in zip(animals, names, strict=True)]
        named = columns_of_joints(own)
        if named is None:
            parts = dict.fromkeys(name.rpartition("_")[0] for name in names[1:])
            raise ValueError(
                f"{path} is DeepLabCut's, and its body parts ({', '.join(list(parts)[:6])}, ...) are not {LEAST} "
                "joints of one skeleton: left_shoulder, right_hip, nose ..."
            )
        found.declared, used = named
        columns = [column for three in used.values() for column in three if column is not None]
        people.append(points_of_columns(found.declared, used, columns, _numbers(path, own, body, columns)))
    if len({points.shape for points in people}) > 1:
        raise ValueError(f"{path}: everybody must have the same body parts.")
    for t, row in enumerate(zip(*people, strict=True)):
        found.add(t, [(p, points) for p, points in enumerate(row, 1) if np.isfinite(points[..., 0]).any()])
    return "DeepLabCut"
