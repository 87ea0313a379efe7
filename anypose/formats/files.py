"""What foreign files and folders must satisfy before a reader looks inside them."""

from __future__ import annotations

from pathlib import Path

from anypose.bounds import largest_under, raising

LARGEST = 1e12  # of a coordinate, an angle or a time in any unit: products of larger ones overflow
GZIP = b"\x1f\x8b"  # how its files begin


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
        most_bytes: larger files are refused unread, unless the user has set a limit; None for `largest()`.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        raise FileNotFoundError(f"{path} is a folder. It should be {what}.")
    if not path.is_file():
        found = "is neither file nor folder" if path.exists() else "does not exist"
        raise FileNotFoundError(f"{path} {found}. It should be {what}.")
    size = path.stat().st_size
    most = largest_under(most_bytes)
    if not 0 < size <= most:
        raise ValueError(f"{path} has {size} bytes; {what} has 1 to {most}{f' ({raising()})' if size else ''}.")
    return path


def plain_number(word: str) -> float:
    """The number that a word of a file means to any program: nothing that Python alone reads, as 1_000 or digits of
    other scripts.

    Raises:
        ValueError: for every other word.
    """
    try:
        if "_" not in word and word.isascii():
            return float(word)
    except ValueError:
        pass
    raise ValueError(f"a number is wanted, found '{word[:40]}'.")


def is_number(word: str) -> bool:
    """Whether `plain_number` reads it."""
    try:
        plain_number(word)
    except ValueError:
        return False
    return True


def read_bytes(path: str | Path, what: str, most_bytes: int | None = None) -> bytes:
    """The contents of a file that `require_file` accepts."""
    data = require_file(path, what, most_bytes).read_bytes()
    if data[:2] == GZIP:
        raise ValueError(f"{path} is packed with gzip. Unpack it first.")
    return data
