"""Parsed motion kept on disk, memory-mapped when it is wanted again; keyed by what was read and by what read it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from anypose.camera import Camera
from anypose.skeleton import get_skeleton
from pose3d.motion.sequence import PoseSequence

# Raise when what is stored, or what any reader makes of the same bytes, changes.
VERSION = 2


def cached_sequences(
    folder: str | None,
    name: str,
    settings: dict[str, Any],
    files: Iterable[Path],
    build: Callable[[], list[PoseSequence]],
) -> list[PoseSequence]:
    """What `build()` returns, from disk if it was built before from the same bytes with the same settings.

    Args:
        folder: where caches lie, `dataset.cache`; None to build every time.
        name: of the reader, for the eye of who lists the folder.
        settings: everything besides the files' contents that `build` depends on; JSON values.
        files: all files that `build` reads. Their contents count, not their names or dates.
        build: parses the files.
    """
    if folder is None:
        return build()
    place = Path(folder).expanduser() / f"{name}-{_key(name, settings, files)}"
    if not place.is_dir():
        _write(place, build())
    return _read(place)


def _key(name: str, settings: dict[str, Any], files: Iterable[Path]) -> str:
    digest = hashlib.sha256(json.dumps([VERSION, name, settings], sort_keys=True).encode())
    for path in files:
        content = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                content.update(block)
        digest.update(content.digest())
    return digest.hexdigest()[:32]


def _write(place: Path, sequences: list[PoseSequence]) -> None:
    """Everything into a temporary folder, which then takes its name: a cache is whole or not there."""
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=place.parent))
    try:
        arrays: dict[str, list[np.ndarray]] = {}
        rows: dict[str, int] = {}
        known: dict[int, list[Any]] = {}

        def store(kind: str, array: np.ndarray | None) -> list[Any] | None:
            """[file, first row, end row]; views of one take share one array, and share it here too."""
            if array is None:
                return None
            if id(array) not in known:
                file = f"{kind}_{array.shape[1]}"
                start = rows.get(file, 0)
                rows[file] = start + len(array)
                arrays.setdefault(file, []).append(array)
                known[id(array)] = [file, start, rows[file]]
            return known[id(array)]

        index = [
            {
                "subject": s.subject,
                "action": s.action,
                "take": s.take,
                "fps": s.fps,
                "frames": [s.first_frame, s.frame_stride],
                "camera": _camera_record(s.camera),
                "skeleton": s.skeleton.name,
                "keypoint_skeleton": s.keypoint_skeleton.name,
                "joints": store("joints", s.joints),
                "keypoints": store("keypoints", s.keypoints),
                "scores": store("scores", s.scores),
            }
            for s in sequences
        ]
        for file, parts in arrays.items():
            _write_rows(temporary / f"{file}.npy", parts, rows[file])
        with (temporary / "index.json").open("w") as out:
            json.dump(index, out)
            out.flush()
            os.fsync(out.fileno())
        try:
            temporary.rename(place)
        except OSError:
            # Another process finished the same cache first; its content is the same as ours.
            if not place.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_rows(path: Path, parts: list[np.ndarray], rows: int) -> None:
    """One .npy of all parts, row after row, without ever holding a second copy of them."""
    header = {"descr": "<f4", "fortran_order": False, "shape": (rows, *parts[0].shape[1:])}
    with path.open("wb") as out:
        np.lib.format.write_array_header_1_0(out, header)
        for part in parts:
            out.write(np.ascontiguousarray(part, dtype="<f4").data)
        out.flush()
        os.fsync(out.fileno())


def _read(place: Path) -> list[PoseSequence]:
    files: dict[str, np.ndarray] = {}
    slices: dict[tuple[Any, ...], np.ndarray] = {}

    def load(where: list[Any]) -> np.ndarray:
        file, start, stop = where
        if file not in files:
            # Copy-on-write: the arrays may be written to like any other, the file never changes.
            files[file] = np.load(place / f"{file}.npy", mmap_mode="c", allow_pickle=False).view(np.ndarray)
        return slices.setdefault((file, start, stop), files[file][start:stop])

    try:
        index = json.loads((place / "index.json").read_text())
        return [
            PoseSequence(
                subject=record["subject"],
                action=record["action"],
                take=record["take"],
                fps=record["fps"],
                first_frame=record["frames"][0],
                frame_stride=record["frames"][1],
                camera=Camera(**record["camera"]),
                skeleton=get_skeleton(record["skeleton"]),
                keypoint_skeleton=get_skeleton(record["keypoint_skeleton"]),
                joints=load(record["joints"]),
                keypoints=load(record["keypoints"]),
                scores=load(record["scores"]) if record["scores"] else None,
            )
            for record in index
        ]
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise ValueError(
            f"The cache {place} is damaged ({error}). Delete that folder; it will be made again."
        ) from None


def _camera_record(camera: Camera) -> dict[str, Any]:
    return {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in vars(camera).items()}
