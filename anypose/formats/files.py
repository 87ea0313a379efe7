"""What foreign files and folders must satisfy before a reader looks inside them."""

from __future__ import annotations

import os
from pathlib import Path

MAX_VARIABLE = "ANYPOSE_MAX_GIGABYTES"
DEFAULT_GIGABYTES = 2.0
# Numbers of real motion shrink to a fifth at best. What grows a hundredfold is no motion, from this many bytes on.
MOST_GROWTH = 100
GROWTH_FREE = 1 << 28


def largest() -> int:
    """The most bytes that a file, or an array in one, may have once it is unpacked.

    2 GB, or what the environment variable ANYPOSE_MAX_GIGABYTES says: no array of the data sets that are read here is
    larger, and a packed file of a few kilobytes can ask for all memory there is.
    """
    text = os.environ.get(MAX_VARIABLE, "")
    try:
        size = float(text) if text else DEFAULT_GIGABYTES
    except ValueError:
        size = 0.0
    if not 0 < size < 1e6:
        raise ValueError(f"{MAX_VARIABLE}={text!r} must be a number of gigabytes above 0, e.g. 16.")
    return int(size * 1e9)


def largest_of(packed: int) -> int:
    """The most bytes that `packed` ones may unpack to; a limit the user has set is taken as it is."""
    return largest() if os.environ.get(MAX_VARIABLE) else min(largest(), max(GROWTH_FREE, MOST_GROWTH * packed))


def limit(size: int) -> str:
    """How a limit is told: its size, and how to raise it."""
    return f"{size / 1e9:.3g} GB (if you trust the file, set {MAX_VARIABLE}=N in the environment)"


def require_folder(root: str | Path, holds: str) -> Path:
    """`root` as a Path, or an error that says what `dataset.root` must hold."""
    path = Path(root).expanduser()
    if not path.is_dir():
        found = "is a file" if path.exists() else "does not exist"
        raise FileNotFoundError(f"dataset.root={root} {found}. It must be a folder with {holds}.")
    return path


def require_file(path: str | Path, what: str, most_bytes: int | None = None) -> Path:
    """`path` as a Path to a file of sane size.

    Args:
        path: where the file should be.
        what: what it is and where it comes from, for the message.
        most_bytes: larger files are refused unread; None for `largest()`.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        raise FileNotFoundError(f"{path} is a folder. It should be {what}.")
    if not path.is_file():
        found = "is neither file nor folder" if path.exists() else "does not exist"
        raise FileNotFoundError(f"{path} {found}. It should be {what}.")
    size = path.stat().st_size
    most = min(most_bytes or largest(), largest())
    if not 0 < size <= most:
        told = str(most) if most < largest() else limit(most)
        raise ValueError(f"{path} has {size} bytes; {what} has 1 to {told}.")
    return path


def read_bytes(path: str | Path, what: str, most_bytes: int | None = None) -> bytes:
    """The contents of a file that `require_file` accepts."""
    return require_file(path, what, most_bytes).read_bytes()
