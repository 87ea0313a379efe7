"""A person's own keypoints and joints: an npz of arrays, or a CSV with a row for each frame.

npz   keypoints (N, K, 2 or 3) [px], the third a score; joints (N, J, 3) in camera axes, x right, y down, z away;
      subject (N,), or one word for all; action, take, camera, frame alike, where there are any;
      fps; size: width and height of the picture [px]
csv   subject, and action, take, camera, frame where there are any; then for each keypoint NAME_x_px, NAME_y_px and
      NAME_score where there is one; for each joint NAME_x_m, NAME_y_m, NAME_z_m, or _cm, or _mm
"""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from anypose.formats.files import LARGEST, is_number, plain_number, require_file
from anypose.formats.npz import motion_array, names_in_npz, read_npz
from anypose.settings import Misuse
from anypose.skeleton import Skeleton

KEYS = ("subject", "action", "take", "camera")
MAX_CSV_BYTES = 1 << 28
LARGEST_FRAME = 10**12
LARGEST_SIDE = 100_000  # of a picture [px]
LONGEST_WORD = 200  # of a name; NumPy gives all as many letters as the longest has
WHAT = "an .npz or .csv of keypoints and joints"


@dataclass(frozen=True, eq=False)
class Rows:
    """N frames as the file has them.

    Attributes:
        where: the file, for errors.
        keypoints: (N, K, 2) [px].
        scores: (N, K), or None.
        joints: (N, J, 3) camera axes, in `unit`.
        names: {"subject": (N,) words, "action": ..., "take": ..., "camera": ...}.
        frame: (N,) number of the frame in its take.
        unit: of the joints, where the file says it.
        fps: frames per second, where the file says it.
        size: width and height of the picture [px], where the file says it.
    """

    where: str
    keypoints: np.ndarray
    scores: np.ndarray | None
    joints: np.ndarray
    names: Mapping[str, np.ndarray]
    frame: np.ndarray
    unit: str | None = None
    fps: float | None = None
    size: tuple[int, int] | None = None


def read_rows(path: str, keypoints: Skeleton, joints: Skeleton) -> Rows:
    """The file's frames, checked against what its keypoints and joints are said to be."""
    file = require_file(path, WHAT)
    readers = {".npz": _from_npz, **dict.fromkeys((".csv", ".tsv", ".txt"), _from_csv)}
    if file.suffix.lower() not in readers:
        raise Misuse(f"dataset.file={path} must be {WHAT}, found '{file.suffix}'.")
    rows = readers[file.suffix.lower()](file, keypoints, joints)
    _check(rows)
    return rows


def _check(rows: Rows) -> None:
    """Refuse what is no motion, however it was written."""
    if not len(rows.keypoints):
        raise ValueError(f"{rows.where} holds no frame.")
    if rows.size is not None and not all(1 <= side <= LARGEST_SIDE for side in rows.size):
        raise ValueError(f"{rows.where}: a picture has 1 to {LARGEST_SIDE} px a side, found {rows.size}.")
    if not all(abs(int(number)) < LARGEST_FRAME for number in (rows.frame.min(), rows.frame.max())):
        raise ValueError(f"{rows.where}: numbers of frames must be within {LARGEST_FRAME:g}.")
    for what, points in (("keypoints", rows.keypoints), ("joints", rows.joints)):
        if not (there := (np.abs(points) <= LARGEST).all((1, 2))).all():
            raise ValueError(
                f"{rows.where}: the {what} of frame {int(there.argmin())} of {len(points)} hold NaN or infinity, or a "
                f"number beyond {LARGEST:g}."
            )


def _from_npz(path: Path, keypoints: Skeleton, joints: Skeleton) -> Rows:
    there = names_in_npz(path)
    if missing := [name for name in ("keypoints", "joints", "subject") if name not in there]:
        raise ValueError(f"{path} has no {', '.join(missing)}; it has {', '.join(there[:12]) or 'nothing'}.")
    known = ("keypoints", "joints", *KEYS, "frame", "fps", "size")
    held = read_npz(path, [name for name in known if name in there])
    points = motion_array(held["keypoints"], ("N", keypoints.num_joints, "C"), f"{path}, keypoints of {keypoints.name}")
    poses = motion_array(held["joints"], (len(points), joints.num_joints, 3), f"{path}, joints of {joints.name}")
    if points.shape[2] not in (2, 3):
        raise ValueError(f"{path}, keypoints: x, y and at most a score are wanted, found {points.shape[2]} numbers.")
    names = {key: _words(held[key], len(points), f"{path}, {key}") for key in KEYS if key in held}
    frame = np.asarray(held["frame"]) if "frame" in held else None
    if frame is not None and (frame.shape != (len(points),) or frame.dtype.kind not in "iu"):
        raise ValueError(f"{path}, frame: {len(points)} whole numbers are wanted, found {frame.dtype} {frame.shape}.")
    fps = _number(held.get("fps"), f"{path}, fps")
    size = np.asarray(held["size"]).ravel() if "size" in held else None
    if size is not None and (size.shape != (2,) or size.dtype.kind not in "iuf" or not np.isfinite(size).all()):
        raise ValueError(f"{path}, size: width and height of the picture are wanted, found {str(held['size'])[:80]}.")
    return Rows(
        where=str(path),
        keypoints=points[..., :2].astype(np.float32),
        scores=points[..., 2].astype(np.float32) if points.shape[2] == 3 else None,
        joints=poses.astype(np.float64),
        names=names,
        frame=_numbered(frame, names, len(points)),
        fps=fps,
        size=None if size is None else (int(size[0]), int(size[1])),
    )


def _from_csv(path: Path, keypoints: Skeleton, joints: Skeleton) -> Rows:
    try:
        with require_file(path, WHAT, MAX_CSV_BYTES).open(newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            file.seek(0)
            rows = (row for row in csv.reader(file, delimiter=max(",;\t", key=first.count)) if row)
            header = [name.strip() for name in next(rows, [])]
            unit, scored, columns = _columns(header, path, keypoints, joints)
            cells, words = _cells(rows, header, columns, path)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is not a table in UTF-8: {error}.") from None
    N, K, J = len(cells), keypoints.num_joints, joints.num_joints
    points, poses, scores = np.split(cells[:, : 2 * K + 3 * J + scored * K], [2 * K, 2 * K + 3 * J], axis=1)
    frame = cells[:, -1] if "frame" in header else None
    if frame is not None and not (whole := (np.abs(frame) < LARGEST_FRAME) & (frame == np.round(frame))).all():
        raise ValueError(
            f"{path}, frame: whole numbers are wanted, found {frame[whole.argmin()]:g} in row {whole.argmin() + 2}."
        )
    return Rows(
        where=str(path),
        keypoints=points.reshape(N, K, 2).astype(np.float32),
        scores=scores.astype(np.float32) if scored else None,
        joints=poses.reshape(N, J, 3),
        names=words,
        frame=_numbered(None if frame is None else frame.astype(np.int64), words, N),
        unit=unit,
    )


def _columns(header: list[str], path: Path, keypoints: Skeleton, joints: Skeleton) -> tuple[str, bool, list[str]]:
    """The unit of the joints, whether keypoints have scores, and the columns of numbers that are read, in order."""
    units = [unit for unit in ("m", "cm", "mm") if f"{joints.joints[0]}_x_{unit}" in header]
    unit = units[0] if units else "m"
    wanted = [f"{joint}_{axis}_px" for joint in keypoints.joints for axis in "xy"]
    wanted += [f"{joint}_{axis}_{unit}" for joint in joints.joints for axis in "xyz"]
    scores = [f"{joint}_score" for joint in keypoints.joints]
    scored = any(name in header for name in scores)
    wanted += scores if scored else []
    if twice := [name for name in ("subject", *KEYS, "frame", *wanted) if header.count(name) > 1]:
        raise ValueError(f"{path} has two columns {twice[0]}. Leave one of them out.")
    if missing := [name for name in ("subject", *wanted) if name not in header]:
        raise ValueError(
            f"{path} has no column {', '.join(missing[:8])}{', ...' if len(missing) > 8 else ''}; it has "
            f"{', '.join(header[:8])}{', ...' if len(header) > 8 else ''}."
        )
    return unit, scored, [*wanted, *(["frame"] if "frame" in header else [])]


def _cells(
    rows: Iterable[list[str]], header: list[str], columns: list[str], path: Path
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """(N, len(columns)) numbers, and the words of each of `KEYS`."""
    places = [header.index(name) for name in columns]
    named = {key: header.index(key) for key in KEYS if key in header}
    cells, words = array("d"), {key: [] for key in named}
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise ValueError(f"{path}, row {number}: {len(header)} columns are wanted, found {len(row)}.")
        try:
            cells.extend([plain_number(row[place]) for place in places])
        except ValueError:
            name, place = next((n, p) for n, p in zip(columns, places, strict=True) if not is_number(row[p]))
            raise ValueError(f"{path}, row {number}, {name}: a number is wanted, found '{row[place][:40]}'.") from None
        for key, place in named.items():
            words[key].append(row[place].strip()[:LONGEST_WORD])
    table = np.array(cells, dtype=np.float64).reshape(-1, len(columns))
    return table, {key: np.array(value) for key, value in words.items()}


def _words(value: Any, count: int, where: str) -> np.ndarray:
    """(count,) words from as many words or numbers, or from one for all."""
    array = np.asarray(value)
    if array.dtype.kind not in "USiuO" or array.shape not in ((), (1,), (count,)):
        raise ValueError(f"{where}: {count} names, or one for all, are wanted, found {array.dtype} {array.shape}.")
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "replace")
    return np.broadcast_to(array.astype(str).ravel() if array.shape else array.astype(str), (count,))


def _number(value: Any, where: str) -> float | None:
    if value is None:
        return None
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "iuf" or not 0.01 < float(array.ravel()[0]) < 1e5:
        raise ValueError(f"{where}: one number of frames per second is wanted, found {str(value)[:80]}.")
    return float(array.ravel()[0])


def _numbered(frame: np.ndarray | None, names: Mapping[str, np.ndarray], count: int) -> np.ndarray:
    """The frames' numbers; where the file has none, 0, 1, 2, ... anew in each take, as its rows stand."""
    if frame is not None:
        return frame.astype(np.int64)
    seen: dict[tuple[str, ...], int] = {}
    numbers = np.empty(count, np.int64)
    for row, key in enumerate(zip(*names.values(), strict=True)):
        numbers[row] = seen.get(key, 0)
        seen[key] = int(numbers[row]) + 1
    return numbers
