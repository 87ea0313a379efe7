"""Files that are whole or not there: written under another name, flushed to the disk, then renamed."""

from __future__ import annotations

import errno
import glob
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

try:
    import fcntl
except ImportError:  # Windows: there nothing is told to be left behind, and `remove_leftovers` alone clears
    fcntl = None

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # what the system says where no more can be written
DRAFTS = ".export-"  # how the folders of `drafts` begin
NAMED = 50  # letters of a file's name that its temporary one has: names have 255 bytes at most


def write_whole(path: Path, write: Callable[[IO[bytes]], Any], what: str = "", durable: bool = True) -> None:
    """Write under a temporary name, flush it to the disk, then rename it over `path`.

    Args:
        path: the file.
        write: given the open file.
        what: to be called in messages, "the checkpoint ".
        durable: wait for the disk; a power cut may else leave it empty, and hundreds of files are written sooner.

    Raises:
        OSError: when the disk refuses; `path` then still holds what it held before.
    """
    start = f".{path.name[:NAMED]}."
    for left in path.parent.glob(f"{glob.escape(start)}*.tmp"):
        if _abandoned(left):
            left.unlink(missing_ok=True)
    temporary = path.with_name(f"{start}{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            _hold(file.fileno())
            write(file)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(temporary, path)
        if durable:
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


@contextmanager
def drafts(folder: Path) -> Iterator[Path]:
    """A hidden folder inside `folder`, to write in what is then renamed into place; gone afterwards.

    What killed processes left of theirs goes first.
    """
    door = _opened(folder)
    try:
        _hold(door, wait=True)  # one at a time, or a new one is taken for one that was left
        for left in folder.glob(f"{DRAFTS}*"):
            if _abandoned(left):
                shutil.rmtree(left, ignore_errors=True)
        place = tempfile.TemporaryDirectory(prefix=DRAFTS, dir=folder)
        inside = _opened(Path(place.name))
        _hold(inside)
    finally:
        _close(door)
    try:
        with place:
            yield Path(place.name)
    finally:
        _close(inside)


def _hold(descriptor: int | None, wait: bool = False) -> bool:
    """Hold an open file or folder against other processes as long as this one lives; whether that was done."""
    if fcntl is None or descriptor is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:  # another holds it, or the file system knows no locks
        return False
    return True


def _abandoned(path: Path) -> bool:
    """Whether the process that made a file or folder is gone: it would hold it."""
    descriptor = _opened(path)
    try:
        return _hold(descriptor)
    finally:
        _close(descriptor)


def _opened(path: Path) -> int | None:
    """To be held; None where that cannot be."""
    with suppress(OSError):
        return os.open(path, os.O_RDONLY)
    return None


def _close(descriptor: int | None) -> None:
    if descriptor is not None:
        os.close(descriptor)


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
