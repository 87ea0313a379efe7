"""Files that are whole or not there: written under another name, flushed to the disk, then renamed."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # what the system says where no more can be written
NAMED = 50  # letters of a file's name that its temporary one has: names have 255 bytes at most


def write_whole(path: Path, write: Callable[[IO[bytes]], Any], what: str = "") -> None:
    """Write under a temporary name, flush it to the disk, then rename it over `path`.

    Args:
        path: the file.
        write: given the open file.
        what: to be called in messages, "the checkpoint ".

    Raises:
        OSError: when the disk refuses; `path` then still holds what it held before.
    """
    temporary = path.with_name(f".{path.name[:NAMED]}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except (OSError, RuntimeError) as error:  # torch's archive writer reports a full disk as a RuntimeError
        kept = (
            f"{path} still holds {what or 'what was there '}before it" if path.exists() else "there is no earlier one"
        )
        free = shutil.disk_usage(path.parent).free / 1e6
        raise OSError(f"Could not write {what}{path} ({error}; {free:.1f} MB are free there); {kept}.") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """The whole text, or what was there before."""
    write_whole(path, lambda file: file.write(text.encode()))


def copy_whole(source: Path, path: Path) -> None:
    """A copy of the file, or what was there before."""
    with source.open("rb") as original:
        write_whole(path, lambda file: shutil.copyfileobj(original, file))


def remove_leftovers(folder: Path) -> None:
    """Delete the unfinished files of a process that was killed while it wrote."""
    for file in folder.glob(".*.tmp"):
        file.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """The rename itself must survive a power cut. Windows cannot open folders and does not need it."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
