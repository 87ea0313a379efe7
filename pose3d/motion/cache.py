"""Parsed motion kept on disk, memory-mapped when it is wanted again; keyed by what was read and by what read it.

    python -m anypose cache            what is kept, and since when it was not used
    python -m anypose cache --empty    remove it

What was not used for longest goes when there is more than `limit()`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from anypose.camera import Camera
from anypose.settings import Misuse
from anypose.skeleton import get_skeleton
from pose3d.motion.sequence import PoseSequence

# Raise when what is stored, or what any reader makes of the same bytes, changes.
VERSION = 2
FOLDER = "~/.cache/anypose"  # where conf/dataset/*.yaml keep it
LIMIT_VARIABLE = "ANYPOSE_CACHE_GIGABYTES"
DEFAULT_GIGABYTES = 10.0
_WRITING = ".writing-"  # begins the name of what is not whole yet
_DAY = 86400.0  # seconds; what a killed process left half written is older

log = logging.getLogger(__name__)


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
        sequences = build()
        _write(place, sequences)
        trim(place.parent, limit(), keep=place)
        if not place.is_dir():  # larger than the limit by itself
            return sequences
    os.utime(place)
    return _read(place)


def limit() -> int:
    """The most bytes kept: 10 GB, or what the environment variable ANYPOSE_CACHE_GIGABYTES says."""
    text = os.environ.get(LIMIT_VARIABLE, "")
    try:
        size = float(text) if text else DEFAULT_GIGABYTES
    except ValueError:
        size = -1.0
    if not 0 <= size < 1e6:
        raise ValueError(f"{LIMIT_VARIABLE}={text!r} must be a number of gigabytes, e.g. 20; 0 keeps nothing.")
    return int(size * 1e9)


def kept(folder: Path) -> list[tuple[Path, int, float]]:
    """(what, bytes, when it was last used [s]) of everything in a folder of caches, what was not used longest first."""
    found = []
    for place in folder.iterdir() if folder.is_dir() else ():
        if place.is_dir() and ((place / "index.json").is_file() or place.name.startswith(_WRITING)):
            with suppress(FileNotFoundError):  # another process removed it meanwhile
                size = sum(file.stat().st_size for file in place.iterdir())
                found.append((place, size, place.stat().st_mtime))
    return sorted(found, key=lambda item: item[2])


def trim(folder: Path, most: int, keep: Path | None = None) -> int:
    """Remove what was not used for longest until no more than `most` bytes are left; returns the bytes removed.

    Args:
        folder: of caches. Nothing else in it is touched.
        most: bytes.
        keep: goes last.
    """
    places = [item for item in kept(folder) if not item[0].name.startswith(_WRITING)]
    abandoned = [item for item in kept(folder) if item not in places and time.time() - item[2] > _DAY]
    for place, _, _ in abandoned:
        shutil.rmtree(place, ignore_errors=True)
    removed, total = 0, sum(size for _, size, _ in places)
    for place, size, _ in sorted(places, key=lambda item: item[0] == keep):
        if total - removed <= most:
            break
        # Away at once, so that nobody finds half of it; whoever has it open keeps it until they are done.
        away = folder / f"{_WRITING}removed-{os.getpid()}-{place.name}"
        try:
            place.rename(away)
        except PermissionError:  # on Windows, where nothing is renamed that somebody has open
            log.info("%s (%.2f GB) stays in the cache: it is in use.", place.name, size / 1e9)
            continue
        except FileNotFoundError:  # another process was quicker
            pass
        shutil.rmtree(away, ignore_errors=True)
        log.info("Removed %s (%.2f GB) from the cache, which keeps %.3g GB.", place.name, size / 1e9, most / 1e9)
        removed += size
    return removed


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
    temporary = Path(tempfile.mkdtemp(prefix=_WRITING, dir=place.parent))
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
        with (temporary / "index.json").open("w", encoding="utf-8") as out:
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
        index = json.loads((place / "index.json").read_text(encoding="utf-8"))
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


def main() -> None:
    """Show what is kept, or empty it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(FOLDER), help=f"of caches, dataset.cache; {FOLDER}")
    parser.add_argument("--empty", action="store_true", help="remove everything in it")
    options = parser.parse_args()
    if options.folder.expanduser().is_file():
        raise Misuse(f"--folder {options.folder} is a file, and must be a folder.")
    folder = options.folder.expanduser()
    if options.empty:
        print(f"{folder}: removed {trim(folder, 0) / 1e9:.2f} GB")
        return
    places = kept(folder)
    for place, size, used in places:
        print(f"{size / 1e9:8.2f} GB  {time.strftime('%Y-%m-%d %H:%M', time.localtime(used))}  {place.name}")
    total = sum(size for _, size, _ in places)
    print(f"{total / 1e9:8.2f} GB of at most {limit() / 1e9:.3g} ({LIMIT_VARIABLE}) in {folder}")


if __name__ == "__main__":
    main()
