"""JSON files of others: how large they may be, and their values as numbers of a stated kind."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from anypose.bounds import json_size

OBJECTS = 10  # times its size a file takes as objects
LARGEST = 1e12  # of a number that stands for pixels or their products; squares of larger ones overflow
MEGABYTES = 1000.0  # COCO's largest file of keypoints has 240; as objects it is ten times as much


def read_json(path: Path, setting: str, max_megabytes: float = MEGABYTES) -> Any:
    """What a JSON file holds.

    Args:
        path: the file.
        setting: how the user named it.
        max_megabytes: larger files are refused unread; dataset.max_megabytes raises it.
    """
    if not path.is_file():
        near = sorted(p.name for p in path.parent.glob("*.json")) if path.parent.is_dir() else []
        found = f"It has {', '.join(near)}." if near else f"There is no JSON file in {path.parent}."
        what = "is a folder" if path.is_dir() else "does not exist"
        raise FileNotFoundError(f"{setting} needs {path}, which {what}. {found}")
    size = path.stat().st_size / 1e6
    if size > max_megabytes:
        raise ValueError(
            f"{path} has {size:.0f} MB; JSON files of up to {max_megabytes:g} are read, as they take ten times their "
            f"size in memory. If it is what you think, set dataset.max_megabytes={np.ceil(size):.0f}."
        )
    data = path.read_bytes()
    if json_size(data) > OBJECTS * 1e6 * max_megabytes:
        raise ValueError(
            f"{path} takes about {json_size(data) / 1e9:.3g} GB once it is read, far more than annotations of its size "
            f"do. If it is what you think, set dataset.max_megabytes={np.ceil(json_size(data) / OBJECTS / 1e6):.0f}."
        )
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError(f"{path} is nested too deeply to be a file of annotations. Fetch it again.") from error
    except ValueError as error:
        raise ValueError(f"{path} is no valid JSON: {error}. Fetch it again.") from error


def numbers(value: Any, count: int, what: str) -> np.ndarray:
    """(count,) float64 of a list of finite numbers.

    Raises:
        ValueError: naming `what` and what it is instead.
    """
    short = value if isinstance(value, list) else [value]
    if len(short) == count < 8 and all(type(number) in (int, float) and abs(number) < LARGEST for number in short):
        return np.array(short, dtype=np.float64)  # in a quarter of the time; a file has hundreds of thousands
    try:
        array = np.array(value)
    except (ValueError, OverflowError):  # lists of different lengths
        array = np.array(None)
    if array.dtype.kind not in "iuf" or array.size != count or not (np.abs(array.astype(np.float64)) < LARGEST).all():
        raise ValueError(f"{what} must be {count} finite numbers, got {shown(value)}.")
    return array.ravel().astype(np.float64)


def whole(value: Any, what: str, least: int | None = None) -> int:
    """A whole number, also one written as 480.0.

    Raises:
        ValueError: naming `what` and what it is instead.
    """
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 2**63
    if not number or value != int(value) or (least is not None and value < least):
        bound = "" if least is None else f" of at least {least}"
        raise ValueError(f"{what} must be a whole number{bound}, got {shown(value)}.")
    return int(value)


def fields(entry: Any, names: Sequence[str], what: str) -> dict[str, Any]:
    """An entry that is an object and has all of `names`.

    Raises:
        ValueError: naming `what`, what it lacks and what it has.
    """
    if not isinstance(entry, dict):
        raise ValueError(f"{what} must be an object with {', '.join(names)}, got {shown(entry)}.")
    if missing := [name for name in names if name not in entry]:
        raise ValueError(f"{what} lacks {', '.join(missing)}; it has {', '.join(map(str, entry)) or 'nothing'}.")
    return entry


def file_name(value: Any, what: str) -> str:
    """A path inside the folder of the images.

    Raises:
        ValueError: for what is none, and for one that leaves the folder.
    """
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError(f"{what} must be the name of a file, got {shown(value)}.")
    parts = value.replace("\\", "/").split("/")
    if parts[0] == "" or ".." in parts or parts[0].endswith(":"):
        raise ValueError(f"{what} must stay inside the folder of the images, got {shown(value)}.")
    return value


def shown(value: Any) -> str:
    """A value in a message: at most 60 characters of it."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
