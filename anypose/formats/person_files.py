"""Formats that hold one person: a file for each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from anypose.formats.sink import Sink, refuse_existing
from anypose.motion import Motion


class PersonFile(Protocol):
    """The file of one person."""

    def add(self, motion: Motion, p: int, first_frame: int) -> None:
        """Append the frames of person `p` of the chunk that starts with frame `first_frame` of the motion."""
        ...

    def close(self) -> None:
        """Finish the file."""
        ...


class PersonSink(Sink):
    """`NAME.suffix` of the only person; once there are two, `NAME_person1.suffix` and so on, by their ids.

    A format sets `_open`.
    """

    def __init__(self, path: str | Path, overwrite: bool = False) -> None:
        super().__init__(path, overwrite)
        for other in sorted(self.path.parent.glob(f"{self.path.stem}_person*{self.path.suffix}")):
            refuse_existing(other, overwrite)
        self._people: dict[int, PersonFile] = {}

    def _begin(self, motion: Motion) -> None:
        """Nothing: a file begins with its person."""

    def _add(self, motion: Motion, pictures: Sequence[np.ndarray] | None) -> None:
        for p, person in enumerate(motion.ids.tolist()):
            if person not in self._people:
                if not np.isfinite(getattr(motion, self.needs[0])[:, p]).any():
                    continue
                self._people[person] = self._open(self._path(person), motion, p)
            self._people[person].add(motion, p, self.frames)

    def _open(self, path: Path, motion: Motion, p: int) -> PersonFile:
        raise TypeError(f"{type(self).__name__} does not say how a person's file begins.")

    def _path(self, person: int) -> Path:
        """Where a new person goes; the first one moves aside for the second."""
        named = {other: self.path.with_stem(f"{self.path.stem}_person{other}") for other in (*self._people, person)}
        if len(named) == 1:
            self.files.append(self.path)
            return self.path
        if self.files == [self.path]:
            self.files = [self.path.replace(next(iter(named.values())))]
        self.files.append(named[person])
        return named[person]

    def close(self) -> None:
        """Finish everybody's file."""
        for person in self._people.values():
            person.close()
