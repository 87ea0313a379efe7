"""Where chunks of a motion go: a file that grows, whole at any moment, that overwrites nothing without a word."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from anypose.motion import Motion

BINARY = getattr(os, "O_BINARY", 0)  # Windows' word for: as it is
ARRAYS = ("keypoints", "joints", "world", "rotations", "rest", "filled", "contacts", "hypotheses")


class Sink:
    """Takes a motion chunk by chunk. A context manager; leaving it by an error keeps what was written.

    A format's sink says what it needs and sets `_begin` (the first chunk) and `_add` (every chunk). Nothing is created
    before the first frame. `files` are those there are so far, `notes` what a reader of the files should know.
    """

    suffix = ""
    needs: tuple[str, ...] = ()  # fields of Motion
    shows = False  # whether it uses pictures

    def __init__(self, path: str | Path, overwrite: bool = False) -> None:
        self.path = Path(path)
        self.overwrite = overwrite
        self.frames = 0
        self.files: list[Path] = []
        self.notes: list[str] = []
        self.last_time = -np.inf
        self._first: Motion | None = None
        refuse_existing(self.path, overwrite)

    def write(self, motion: Motion, pictures: Sequence[np.ndarray] | None = None) -> None:
        """Append a chunk.

        Args:
            motion: later than all before it, of the same skeletons.
            pictures: T of (H, W, 3) uint8 RGB, for the sinks that show them.
        """
        if not len(motion):
            return
        self._check(motion)
        if self._first is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._begin(motion)
            self._first = motion
        self._add(motion, pictures)
        self.frames += len(motion)
        self.last_time = float(motion.times[-1])

    def close(self) -> None:
        """Finish the files."""

    def __enter__(self) -> Any:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _begin(self, motion: Motion) -> None:
        raise TypeError(f"{type(self).__name__} does not say how its file begins.")

    def _add(self, motion: Motion, pictures: Sequence[np.ndarray] | None) -> None:
        raise TypeError(f"{type(self).__name__} does not say how frames are added.")

    def _check(self, motion: Motion) -> None:
        missing = [field for field in self.needs if getattr(motion, field) is None]
        if missing:
            raise ValueError(f"{self.path}: this format holds {', '.join(missing)}, and {motion.name} has none.")
        if motion.times[0] <= self.last_time:
            raise ValueError(
                f"{self.path}: chunks of {motion.name} must follow each other in time, "
                f"but {motion.times[0]:g} s comes after {self.last_time:g} s."
            )
        if self._first is not None:
            for field in ("skeleton", "keypoint_skeleton"):
                was, now = getattr(self._first, field), getattr(motion, field)
                if was != now:
                    raise ValueError(
                        f"{self.path}: {field} of {motion.name} must stay {was and was.name}, found {now and now.name}."
                    )
            for field in ARRAYS:
                was, now = getattr(self._first, field), getattr(motion, field)
                if (was is None) != (now is None):
                    raise ValueError(
                        f"{self.path}: {field} of {motion.name} must be in every chunk or in none, "
                        f"but the first has {'none' if was is None else 'them'}."
                    )


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Nobody's file is lost without a word."""
    if not overwrite and path.exists():
        raise FileExistsError(
            f"{path} exists and is not overwritten. Move it, write elsewhere (output=), or say overwrite=true."
        )


class GrowingFile:
    """A file that is whole after every call: what is new replaces the tail and brings it along.

    Numbers of the head are patched in place, so they must keep their width. Where the disk is full the file goes back
    to what it was.
    """

    def __init__(self, path: Path, head: bytes, tail: bytes = b"") -> None:
        self.path, self.tail = path, tail
        self.end = 0
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | BINARY, 0o666)
        self.append(head)

    def append(self, data: bytes) -> None:
        """Write `data` before the tail."""
        try:
            self._write(data + self.tail, self.end)
        except OSError as error:
            os.ftruncate(self._file, self.end)
            self._write(self.tail, self.end)
            raise OSError(error.errno, f"{error.strerror}; what was written before is whole", str(self.path)) from error
        self.end += len(data)

    def patch(self, place: int, data: bytes) -> None:
        """Replace what stands at `place`."""
        self._write(data, place)

    def move(self, path: Path) -> None:
        """Go on at `path`; on the way nobody holds the file, or Windows would not move it."""
        self.close()
        self.path = self.path.replace(path)
        self._file = os.open(path, os.O_WRONLY | BINARY)

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _write(self, data: bytes, place: int) -> None:
        os.lseek(self._file, place, os.SEEK_SET)
        left = memoryview(data)
        while left:
            left = left[os.write(self._file, left) :]
