"""Formats that hold one person: a file for each."""

from __future__ import annotations

import glob
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from anypose.formats.sink import GrowingFile, refuse_existing
from anypose.motion import Motion


class PersonFile(Protocol):
    """The file of one person."""

    file: GrowingFile

    def add(self, motion: Motion, p: int, first_frame: int) -> None:
        """Append the frames of person `p` of the chunk that starts with frame `first_frame` of the motion."""
        ...


class PersonFiles:
    """`NAME.suffix` of the only person; once there are two, `NAME_person1.suffix` and so on, by their ids.

    Args:
        path: of the only person's.
        overwrite: whether files that are there already may be replaced.
        begin: begins the file of person p of a chunk.

    Attributes:
        files: those there are so far.
    """

    def __init__(self, path: Path, overwrite: bool, begin: Callable[[Path, Motion, int], PersonFile]) -> None:
        self.path, self.begin = path, begin
        self.files: list[Path] = []
        self._people: dict[int, PersonFile] = {}
        for other in sorted(path.parent.glob(f"{glob.escape(path.stem)}_person*{path.suffix}")):
            refuse_existing(other, overwrite)

    def add(self, motion: Motion, first_frame: int) -> None:
        """Append a chunk to everybody's file; who has not been seen yet has none."""
        assert motion.world is not None
        for p, person in enumerate(motion.ids.tolist()):
            if person not in self._people:
                if not np.isfinite(motion.world[:, p]).any():
                    continue
                self._people[person] = self.begin(self._path(person), motion, p)
            self._people[person].add(motion, p, first_frame)

    def _path(self, person: int) -> Path:
        """Where a new person goes; the first one moves aside for the second."""
        named = {other: self.path.with_stem(f"{self.path.stem}_person{other}") for other in (*self._people, person)}
        if len(named) == 1:
            self.files.append(self.path)
            return self.path
        if self.files == [self.path]:
            first, place = next(iter(named.items()))
            self._people[first].file.move(place)
            self.files = [place]
        self.files.append(named[person])
        return named[person]

    def close(self) -> None:
        """Finish everybody's file."""
        for person in self._people.values():
            person.file.close()
