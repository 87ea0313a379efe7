"""Chunks of a motion on disk, for formats that can only be written whole: memory stays flat however long it gets."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from anypose.motion import Motion

BLOCK = 1 << 20  # numbers held at once while a field is read back


class Spool:
    """Fields of a motion, appended to temporary files without a name: nothing is left behind, whatever happens.

    Attributes:
        fields: (T, P, ...) arrays of `Motion` that are kept.
        last: the newest chunk: its skeletons, camera and facts.
        rest: the newest (J, 3) rest pose of each person.
    """

    def __init__(self, folder: Path, fields: tuple[str, ...]) -> None:
        self.folder, self.fields = folder, fields
        self.times: list[np.ndarray] = []
        self.rest: dict[int, np.ndarray] = {}
        self.last: Motion | None = None
        self._chunks: list[tuple[int, tuple[int, ...]]] = []
        self._files: dict[str, IO[bytes]] = {}
        self._kinds: dict[str, tuple[np.dtype, tuple[int, ...]]] = {}

    def append(self, motion: Motion) -> None:
        """Keep a chunk."""
        for field in self.fields:
            values = getattr(motion, field)
            if values is None:
                continue
            if field not in self._files:
                self._files[field] = tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115
                self._kinds[field] = values.dtype, values.shape[2:]
            kind, shape = self._kinds[field]
            if values.shape[2:] != shape:
                raise ValueError(
                    f"{field} of {motion.name} must keep its shape (T, P, {', '.join(map(str, shape))}), "
                    f"found {values.shape}."
                )
            self._files[field].seek(0, 2)
            self._files[field].write(np.ascontiguousarray(values, kind).tobytes())
        if motion.rest is not None:
            self.rest.update(zip(motion.ids.tolist(), motion.rest, strict=True))
        self.times.append(np.asarray(motion.times, dtype=np.float64))
        self._chunks.append((len(motion), tuple(motion.ids.tolist())))
        self.last = motion

    @property
    def kept(self) -> tuple[str, ...]:
        """The fields that the motion has."""
        return tuple(self._files)

    @property
    def ids(self) -> tuple[int, ...]:
        """Everybody, in the order in which they came."""
        return tuple(dict.fromkeys(person for _, ids in self._chunks for person in ids))

    @property
    def num_frames(self) -> int:
        """Frames of all chunks."""
        return sum(frames for frames, _ in self._chunks)

    @property
    def density(self) -> float:
        """Which share of everybody's frames are of chunks with them."""
        there = sum(frames * len(ids) for frames, ids in self._chunks)
        return there / max(self.num_frames * len(self.ids), 1)

    def kind(self, field: str) -> tuple[np.dtype, tuple[int, ...]]:
        """Type, and shape after (T, P), of a field."""
        return self._kinds[field]

    def blocks(self, field: str) -> Iterator[np.ndarray]:
        """A field from its first frame to its last as (t, P, ...) with everybody; who is not there is NaN or False."""
        kind, shape = self._kinds[field]
        one = int(np.prod(shape, dtype=np.int64))
        place = {person: p for p, person in enumerate(self.ids)}
        file = self._files[field]
        file.flush()
        file.seek(0)
        for frames, ids in self._chunks:
            columns = [place[person] for person in ids]
            most = max(1, BLOCK // max(one * len(place), 1))
            for start in range(0, frames, most):
                count = min(most, frames - start)
                data = file.read(count * len(ids) * one * kind.itemsize)
                block = np.full((count, len(place), *shape), np.nan if kind.kind == "f" else 0, kind)
                block[:, columns] = np.frombuffer(data, kind).reshape(count, len(ids), *shape)
                yield block

    def close(self) -> None:
        """Let go of the temporary files."""
        for file in self._files.values():
            file.close()


class Pace:
    """When to write a growing file anew: never more than a twentieth of the time goes into it."""

    SHARE = 20

    def __init__(self) -> None:
        self._next = 0.0

    def due(self) -> bool:
        """Whether it is time."""
        return time.monotonic() >= self._next

    def took(self, seconds: float) -> None:
        """Say how long the last time took."""
        self._next = time.monotonic() + max(1.0, self.SHARE * seconds)
