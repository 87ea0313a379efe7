"""Anybody's keypoints as a `Motion`: one function for OpenPose, AlphaPose, MediaPipe, ultralytics, mmpose, rtmlib,
Detectron and VideoPose3D, COCO, Sports2D and ourselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from anypose.formats.detections import Detections, frame_number, named_skeleton, to_motion
from anypose.formats.keypoint_csv import read_table
from anypose.formats.keypoint_json import LINES, load_json, read_document
from anypose.formats.keypoint_labels import read_labels
from anypose.formats.keypoint_npz import read_array, read_arrays
from anypose.formats.keypoint_trc import read_markers
from anypose.formats.motion_json import FORMAT, read_motion_json
from anypose.formats.motion_npz import read_motion_npz
from anypose.formats.npz import names_in_npz
from anypose.motion import Motion
from anypose.skeleton import Skeleton

MAX_FILES = 2_000_000
SUFFIXES = (".json", LINES, ".csv", ".npz", ".npy", ".trc", ".txt")


def read_keypoints(
    path: str | Path,
    skeleton: str | Skeleton | None = None,
    size: Sequence[int] | None = None,
    rate: float | None = None,
) -> Motion:
    """Read keypoints, or joints, that somebody found in a video.

    Args:
        path: a file with one of `SUFFIXES`, or a folder of .json or of .txt files, one a frame.
        skeleton: what the points are, where the file does not say.
        size: width and height of the picture [px], where the file does not say; needed for MediaPipe's landmarks.
        rate: frames/s, where the file has no times; 30 where nobody says.

    Returns:
        A motion with `keypoints`, or with `world` from a TRC in metres; points that were not found are NaN.
        `facts["source"]` is the format, `facts["tracked"]` whether an id is one person from frame to frame.

    Raises:
        ValueError: naming file and place, for what cannot be read, and for a layout or a size that must be said.
        FileNotFoundError: where there is nothing.
    """
    path = Path(path).expanduser()
    picture = _size(size)
    if rate is not None and not 0 < rate <= 100_000:
        raise ValueError(f"rate must be frames a second, found {rate}.")
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist. It should be keypoints: a file or a folder of JSON files.")
    suffix = path.suffix.lower()
    if path.is_dir():
        files = sorted(path.glob("*.json"))
        if len(files) != 1:
            return _folder(path, files, skeleton, picture, rate)
        path, suffix = files[0], ".json"  # mmpose's predictions/ of one video
    found = Detections(str(path))
    if suffix == ".trc":
        return read_markers(path, skeleton, picture)
    if suffix == ".csv":
        form = read_table(path, found, picture)
    elif suffix == ".npz":
        names = names_in_npz(path)
        if {"times", "ids", "facts"} <= set(names):
            return _agree(read_motion_npz(path), path, skeleton, picture)
        form = read_arrays(path, names, found)
    elif suffix == ".npy":
        form = read_array(path, found)
    elif suffix == ".txt":
        form = read_labels([(0, path)], found, skeleton)
    elif suffix in (".json", LINES):
        data = load_json(path)
        if isinstance(data, dict) and data.get("format") == FORMAT:
            return _agree(read_motion_json(data, path), path, skeleton, picture)
        form = read_document(data, found, None, picture)
    else:
        raise ValueError(f"{path} should be keypoints: {', '.join(SUFFIXES)}, or a folder of .json or .txt files.")
    return to_motion(found, skeleton, picture, rate, {"source": form})


def _folder(
    path: Path,
    files: Sequence[Path],
    skeleton: str | Skeleton | None,
    size: tuple[int, int] | None,
    rate: float | None,
) -> Motion:
    """A file for each frame, in the order of the numbers in their names."""
    labels = [] if files else [file for file in sorted(path.glob("*.txt")) if file.name != "classes.txt"]
    files = files or labels
    if not 0 < len(files) <= MAX_FILES:
        raise ValueError(f"{path} has {len(files)} .json or .txt files; a folder of keypoints has one a frame.")
    found, form = Detections(str(path)), ""
    numbers = [frame_number(file.stem.removesuffix("_keypoints"), place) for place, file in enumerate(files)]
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"{path}: every file is a frame, and the last number in its name must be the frame's.")
    ordered = sorted(zip(numbers, files, strict=True))
    if labels:
        return to_motion(found, skeleton, size, rate, {"source": read_labels(ordered, found, skeleton)})
    for number, file in ordered:
        found.where = str(file)
        before = len(found.frames)
        form = read_document(load_json(file), found, number, size)
        if len(found.frames) != before + 1:
            raise ValueError(
                f"{file} must hold one frame, as the others in its folder; it holds {len(found.frames) - before}."
            )
    found.where = str(path)
    return to_motion(found, skeleton, size, rate, {"source": form})


def _agree(motion: Motion, path: Path, skeleton: str | Skeleton | None, size: tuple[int, int] | None) -> Motion:
    """Our own file, which says everything itself."""
    layout = motion.keypoint_skeleton or motion.skeleton
    if skeleton is not None and layout is not None and named_skeleton(skeleton) != layout:
        raise ValueError(
            f"{path} says that its points are {layout.name}, and skeleton= says {named_skeleton(skeleton).name}."
        )
    if size is not None and motion.size is not None and size != tuple(motion.size):
        raise ValueError(f"{path} is of pictures of {motion.size[0]}x{motion.size[1]}, size= says {size[0]}x{size[1]}.")
    facts = {"tracked": True} | dict(motion.facts) | {"source": "anypose"}
    return replace(motion, size=motion.size or size, facts=facts)


def _size(size: Sequence[int] | None) -> tuple[int, int] | None:
    if size is None:
        return None
    if len(size) != 2 or not all(0 < int(side) <= 100_000 for side in size):
        raise ValueError(f"size must be the picture's width and height in pixels, found {list(size)}.")
    return int(size[0]), int(size[1])
