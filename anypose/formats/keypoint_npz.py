"""Keypoints in npz: as rtmlib's users save them, Detectron's of VideoPose3D, and VideoPose3D's own; an array in npy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from anypose.formats.detections import MAX_PEOPLE, MAX_POINTS, Detections, declared_skeleton, skeleton_by_names
from anypose.formats.files import require_file
from anypose.formats.npz import read_npy, read_npz
from anypose.skeleton import COCO_17

POSITIONAL = {"arr_0": "keypoints", "arr_1": "scores"}  # what np.savez(file, keypoints, scores) calls its arrays


def read_arrays(path: Path, names: Sequence[str], found: Detections) -> str:
    """Add the frames of an npz that is not ours; gives the name of its form."""
    if "positions_2d" in names:
        return _videopose3d(path, names, found)
    if not {"keypoints", "arr_0"} & set(names):
        raise ValueError(
            f"{path} has no array 'keypoints' or 'positions_2d'; it has {', '.join(names[:8]) or 'nothing'}."
        )
    wanted = ("keypoints", "scores", "boxes", "metadata", "ids", "times", "fps", "size", "keypoint_names", "skeleton")
    # `segments` of Detectron is never needed.
    data = read_npz(path, [name for name in (*wanted, *POSITIONAL) if name in names])
    if "keypoints" not in data:
        data |= {name: data[place] for place, name in POSITIONAL.items() if place in data}
    keypoints = data["keypoints"]
    meta = data.get("metadata")
    if isinstance(keypoints, np.ndarray) and keypoints.dtype != object:
        return _rtmlib(path, data, found)
    if _is_ragged(keypoints):
        return _ragged(path, data, found)
    if isinstance(meta, Mapping) and isinstance(meta.get("w"), int | float) and isinstance(meta.get("h"), int | float):
        found.size = (int(meta["w"]), int(meta["h"]))
    return _detectron(path, keypoints, found)


def read_array(path: Path, found: Detections) -> str:
    """Add the frames of an .npy file, one array as in `_rtmlib`; gives the name of its form."""
    with require_file(path, "a NumPy .npy file").open("rb") as stream:
        keypoints = read_npy(stream, path.stat().st_size, str(path))
    (_ragged if _is_ragged(keypoints) else _rtmlib)(path, {"keypoints": keypoints}, found)
    return "npy"


def _rtmlib(path: Path, data: dict[str, Any], found: Detections) -> str:
    """keypoints (T, P, K, 2) or (T, K, 2) with scores (T, P, K), or three numbers a point."""
    keypoints = np.asarray(data["keypoints"])
    if keypoints.dtype.kind not in "fiu" or keypoints.ndim not in (3, 4) or keypoints.shape[-1] not in (2, 3):
        raise ValueError(f"{path}, keypoints must be (T, P, K, 2 or 3) or (T, K, 2 or 3), found {keypoints.shape}.")
    if keypoints.ndim == 3:
        keypoints = keypoints[:, None]
    if "scores" in data:
        scores = np.asarray(data["scores"])
        if scores.dtype.kind not in "fiu" or scores.size != keypoints[..., 0].size:
            raise ValueError(
                f"{path}, scores must be {keypoints.shape[:-1]} as its keypoints are, found {scores.shape}."
            )
        keypoints = np.concatenate([keypoints[..., :2], scores.reshape(keypoints.shape[:-1])[..., None]], -1)
    elif keypoints.shape[-1] == 2:
        keypoints = np.concatenate([keypoints, np.ones((*keypoints.shape[:-1], 1))], -1)
    T, P, K = keypoints.shape[:3]
    if P > MAX_PEOPLE or K > MAX_POINTS:
        raise ValueError(
            f"{path}, keypoints: at most {MAX_PEOPLE} people of {MAX_POINTS} points are read, found {P} of {K}."
        )
    _declared(path, data, found)
    ids = np.ravel(data["ids"]).tolist() if "ids" in data else [None] * P
    times = _times(path, data, T, found)
    if len(ids) != P:
        raise ValueError(f"{path}: there must be an id for each of {P} people, found {len(ids)}.")
    there = ~(np.isnan(keypoints).any(-1) | (keypoints[..., :2] == 0).all(-1)).all(-1)
    for t in range(T):
        found.add(times[t], [(ids[p], keypoints[t, p]) for p in range(P) if there[t, p]])
    return "rtmlib"


def _declared(path: Path, data: Mapping[str, Any], found: Detections) -> None:
    """What the points are, the frames' rate and the picture's size, as far as arrays say them."""
    if "skeleton" in data:
        found.declared = declared_skeleton(str(data["skeleton"]), str(path))
    elif "keypoint_names" in data:
        found.declared = skeleton_by_names([str(name) for name in np.ravel(data["keypoint_names"]).tolist()])
    if "fps" in data and np.size(data["fps"]) == 1:
        found.rate = float(np.ravel(data["fps"])[0])
    if "size" in data and np.size(data["size"]) == 2:
        found.size = tuple(int(side) for side in np.ravel(data["size"]))  # pyright: ignore[reportAttributeAccessIssue]


def _times(path: Path, data: Mapping[str, Any], frames: int, found: Detections) -> np.ndarray:
    """Of each frame its time [s], or else its number."""
    times = np.ravel(data["times"]) if "times" in data else np.arange(frames)
    if len(times) != frames:
        raise ValueError(f"{path}: there must be a time for each of {frames} frames, found {len(times)}.")
    found.timed = "times" in data
    return times


def _is_ragged(keypoints: Any) -> bool:
    """Whether an array of objects is frames of (P, K, 2 or 3) keypoints, with now more and now fewer people."""
    frames = list(keypoints) if isinstance(keypoints, np.ndarray) and keypoints.ndim == 1 else []
    if not all(isinstance(frame, np.ndarray) and frame.dtype.kind in "fiu" for frame in frames):
        return False
    filled = [frame for frame in frames if frame.size]
    return bool(filled) and all(frame.ndim == 3 and frame.shape[-1] in (2, 3) for frame in filled)


def _ragged(path: Path, data: Mapping[str, Any], found: Detections) -> str:
    """What rtmlib gave frame by frame, as arrays of objects: (P, K, 2 or 3) keypoints, (P, K) scores, (P,) ids each."""
    _declared(path, data, found)
    frames = data["keypoints"]
    scores, ids = (_each(path, name, data, len(frames)) for name in ("scores", "ids"))
    times = _times(path, data, len(frames), found)
    for t, people in enumerate(frames):
        if not people.size:
            found.add(times[t], [])
            continue
        sure = np.ones(people.shape[:2]) if scores is None else np.asarray(scores[t])
        if sure.dtype.kind not in "fiu" or sure.shape != people.shape[:2]:
            raise ValueError(f"{path}, scores of frame {t} must be {people.shape[:2]}, found {sure.shape}.")
        if scores is not None or people.shape[-1] == 2:
            people = np.concatenate([people[..., :2], sure[..., None]], -1)
        if people.shape[1] > MAX_POINTS:
            raise ValueError(f"{path}, keypoints of frame {t}: at most {MAX_POINTS} points, found {people.shape[1]}.")
        who = [None] * len(people) if ids is None else np.ravel(ids[t]).tolist()
        if len(who) != len(people):
            raise ValueError(f"{path}, ids of frame {t}: there must be {len(people)}, found {len(who)}.")
        found.add(times[t], list(zip(who, people.astype(np.float64), strict=True)))
    return "rtmlib"


def _each(path: Path, name: str, data: Mapping[str, Any], frames: int) -> Any:
    """An array with something for each frame, None where it is not there."""
    if name in data and (found := len(np.atleast_1d(data[name]))) != frames:
        raise ValueError(f"{path}: there must be {name} for each of {frames} frames, found {found}.")
    return data.get(name)


def _detectron(path: Path, keypoints: Any, found: Detections) -> str:
    """VideoPose3D's infer_video.py: for each frame and class the (N, 4, 17) x, y, logit, score of COCO's keypoints."""
    found.declared = COCO_17
    frames = list(np.ravel(keypoints)) if isinstance(keypoints, np.ndarray) and keypoints.ndim == 1 else list(keypoints)
    for t, frame in enumerate(frames):
        last = frame[-1] if isinstance(frame, list | tuple | np.ndarray) and len(frame) else []
        try:
            people: np.ndarray = np.asarray(last, dtype=np.float64)
        except (ValueError, TypeError, OverflowError):
            people = np.zeros(1)
        if not people.size:
            people = people.reshape(0, 4, 17)
        if people.ndim != 3 or people.shape[1:] != (4, 17):
            raise ValueError(f"{path}, keypoints of frame {t} must be (N, 4, 17), found {str(last)[:60]}.")
        found.add(t, [(None, person[[0, 1, 3]].T) for person in people])
    return "Detectron"


def _videopose3d(path: Path, names: Sequence[str], found: Detections) -> str:
    """Its data_2d_*.npz of own videos: one subject, one camera; the layout's name is in the metadata."""
    data = read_npz(path, [name for name in ("positions_2d", "metadata") if name in names])
    meta = data.get("metadata")
    if isinstance(meta, Mapping) and isinstance(meta.get("layout_name"), str):
        found.declared = declared_skeleton(meta["layout_name"], str(path))
    videos = data["positions_2d"]
    views = [
        (f"{subject}/{action}", view)
        for subject, actions in (videos.items() if isinstance(videos, Mapping) else [])
        for action, cameras in (actions.items() if isinstance(actions, Mapping) else [])
        for view in (cameras if isinstance(cameras, list | tuple | np.ndarray) else [])
    ]
    if len(views) != 1:
        called = ", ".join(name for name, _ in views[:5])
        raise ValueError(
            f"{path} must hold one video, found {len(views)} ({called}{', ...' if len(views) > 5 else ''}). Save the "
            "one that is meant by itself."
        )
    name, view = views[0]
    points = np.asarray(view)
    if points.dtype.kind not in "fiu" or points.ndim != 3 or points.shape[-1] not in (2, 3):
        raise ValueError(f"{path}, positions_2d of {name} must be (T, K, 2), found {points.shape}.")
    if isinstance(meta, Mapping) and isinstance(meta.get("video_metadata"), Mapping):
        entry = meta["video_metadata"].get(name.split("/")[0])
        if isinstance(entry, Mapping) and isinstance(entry.get("w"), int) and isinstance(entry.get("h"), int):
            found.size = (entry["w"], entry["h"])
    if points.shape[-1] == 2:
        points = np.concatenate([points, np.ones((*points.shape[:2], 1))], -1)
    for t, person in enumerate(points):
        found.add(t, [(None, person)] if np.isfinite(person).any() else [])
    return "VideoPose3D"
