"""A file of a format that cannot grow: the motion is kept aside, the file written anew now and then."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from anypose.formats.spool import Pace, Spool
from anypose.motion import Motion


class RenewedFile:
    """Written anew every few seconds and at the end: whole, or as it was before.

    Args:
        path: of the file.
        fields: of `Motion` that it holds.
        put: writes the whole of it.

    Attributes:
        files: the path, once it is there.
    """

    def __init__(self, path: Path, fields: tuple[str, ...], put: Callable[[IO[bytes], Spool], None]) -> None:
        self.path, self.put = path, put
        self.files: list[Path] = []
        self.spool, self.pace = Spool(path.parent, fields), Pace()

    def append(self, motion: Motion) -> None:
        """Take a chunk."""
        self.spool.append(motion)
        if self.pace.due():
            self.write()

    def write(self) -> None:
        """The file under another name, then in its place."""
        start = time.monotonic()
        part = self.path.with_name(f".{self.path.name}.part")
        try:
            with part.open("wb") as file:
                self.put(file, self.spool)
            os.replace(part, self.path)
        except OSError as error:
            told = f"{error.strerror}; what was written before is whole"
            raise OSError(error.errno, told, error.filename or str(self.path)) from error
        finally:
            part.unlink(missing_ok=True)
        self.files = [self.path]
        self.pace.took(time.monotonic() - start)

    def close(self, last: bool) -> None:
        """Let go of what was kept aside, after the `last` frames are written where there are some."""
        try:
            if last:
                self.write()
        finally:
            self.spool.close()
