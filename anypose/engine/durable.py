"""Where files can be written, judged before the work, and a folder that one process at a time writes."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from anypose.settings import Misuse

LOCK = ".lock"
HELD = (errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.EDEADLK)  # what systems say of a lock that another has
LONGEST_NAME = 255  # bytes of one part of a path


def check_folder(folder: str | Path, key: str) -> Path:
    """The folder, if files can be written into it once it is made; nothing is left there to find that out.

    Args:
        folder: that something will be written to, at the end of the work.
        key: what names it, "output" or "--output".

    Raises:
        Misuse: where a file is in the way.
        OSError: where nothing can be written.
    """
    path = Path(folder).expanduser()
    _check_place(path, _named(key, folder))
    return path


def check_file(file: str | Path, key: str) -> Path:
    """The file's path, if it can be written; as `check_folder`."""
    path = Path(file).expanduser()
    if len(os.fsencode(path.name)) > LONGEST_NAME:
        raise Misuse(f"{_named(key, file)} cannot be written: names have {LONGEST_NAME} bytes at most.")
    _check_place(path.parent, _named(key, file))
    if path.is_dir():
        raise Misuse(f"{_named(key, file)} is a folder, and must name a file.")
    return path


def _named(key: str, path: str | Path) -> str:
    return f"{key}{' ' if key.startswith('-') else '='}{path}"


def _check_place(folder: Path, named: str) -> None:
    if any(len(os.fsencode(part)) > LONGEST_NAME for part in folder.parts):
        raise Misuse(f"{named} cannot be written: names have {LONGEST_NAME} bytes at most.")
    there = folder
    while not there.exists() and there != there.parent:
        if there.is_symlink():
            raise Misuse(f"{named} cannot be written: {there} is a link to what is not there.")
        there = there.parent
    if not there.is_dir():
        raise Misuse(f"{named} cannot be written: {there} is a file, and must be a folder.")
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise OSError(f"{named} cannot be written: {there}: {error.strerror}. Choose another.") from error


def remove_empty(folder: Path) -> None:
    """Remove a folder below the current one, and those above it, as far as nothing is in them."""
    here = Path.cwd()
    folder = here / folder
    while here in folder.parents and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


@contextmanager
def locked(folder: Path, source: str) -> Iterator[None]:
    """Hold a folder against other processes; a killed one lets go by itself.

    Args:
        folder: holds the lock's file meanwhile.
        source: what the folder is, for the message.

    Raises:
        ValueError: where another process holds it.
    """
    path = folder / LOCK
    while True:
        file = path.open("a+", encoding="utf-8")
        try:
            _hold(file)
        except OSError as error:
            file.close()
            if error.errno not in HELD:
                raise OSError(
                    f"{source}={folder} cannot be held against other processes: its file system locks no files "
                    f"({error.strerror}). Train on another: hydra.run.dir=FOLDER."
                ) from error
            holder = path.read_text(encoding="utf-8") if path.is_file() else ""
            raise ValueError(
                f"{source}={folder} is being written by another process{f' ({holder})' if holder else ''}. Wait for "
                "it, or train in another folder: hydra.run.dir=FOLDER."
            ) from None
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            break
        file.close()  # the one before took its file away while this one waited at the door
    file.truncate(0)
    file.write(f"process {os.getpid()}")
    file.flush()
    try:
        yield
    finally:
        path.unlink(missing_ok=True) if sys.platform != "win32" else None
        file.close()
        path.unlink(missing_ok=True) if sys.platform == "win32" else None


def _hold(file: IO[str]) -> None:
    if sys.platform == "win32":
        import msvcrt

        file.seek(1 << 20)  # a byte nobody reads
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
