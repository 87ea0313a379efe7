"""How large a foreign file, an array in one, or what settings ask for may be: one limit, and how it is raised."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from anypose.settings import Misuse

MAX_KEY = "max_gigabytes"  # of the commands
MAX_VARIABLE = "ANYPOSE_MAX_GIGABYTES"  # elsewhere; it also reaches the processes that a command starts
DEFAULT_GIGABYTES = 2.0
# Numbers of real motion shrink to a fifth at best. What grows a hundredfold is no motion, from this many bytes on.
MOST_GROWTH = 100
GROWTH_FREE = 1 << 28
SHARED = 4  # names that weights may have in a file: tied layers, an average
CONTAINERS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def largest() -> int:
    """The most bytes that a file, or an array in one, may have once it is unpacked.

    2 GB, or what `max_gigabytes` or the environment variable ANYPOSE_MAX_GIGABYTES says: no array of the data sets that
    are read here is larger, and a packed file of a few kilobytes can ask for all memory there is.
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


def largest_under(most: int | None) -> int:
    """The most bytes of a kind of file that has `most` in practice; a limit the user has set is taken as it is."""
    return largest() if most is None or os.environ.get(MAX_VARIABLE) else min(largest(), most)


def json_size(data: bytes) -> int:
    """About how many bytes a JSON document takes as objects of Python: `[]` becomes 80, a number of any length 32."""
    return len(data) + 64 * (data.count(b"[") + data.count(b"{")) + 32 * (data.count(b",") + data.count(b":"))


def check_made(size: float, settings: str) -> None:
    """Refuse settings that ask for more memory than a file may.

    Args:
        size: bytes of what would be made up, or held at once.
        settings: with their values, as the subject of a sentence: "dataset.frames=800".

    Raises:
        Misuse: naming them, the size and the limit.
    """
    if not size <= largest():
        raise Misuse(
            f"{settings} would take {size / 1e9:.3g} GB, more than {largest() / 1e9:.3g}. Ask for less, or set "
            f"{MAX_KEY}=N (outside a command {MAX_VARIABLE}=N)."
        )


def check_repeated(tensors: Iterable[Any], file: Path, source: str) -> None:
    """Refuse tensors that a few numbers are repeated to: copied, they would need more memory than the file has bytes.

    Args:
        tensors: of a file, not copied yet; several may share their numbers.
        file: theirs.
        source: what it is called in messages.

    Raises:
        ValueError: saying how large they would become.
    """
    size, most = sum(tensor.numel() * tensor.element_size() for tensor in tensors), SHARED * file.stat().st_size
    if size > most:
        raise ValueError(f"{source} has {file.stat().st_size} bytes, and its tensors would need {size}.")


def memory() -> int:
    """The bytes that this machine has, or the container that this process runs in."""
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):  # Windows
        size = 1 << 62
    for name in CONTAINERS:
        try:
            size = min(size, int(Path(name).read_text(encoding="utf-8")))
        except (OSError, ValueError):  # not there, or "max"
            continue
    return size


def limit(size: int) -> str:
    """How a limit is told: its size, and how to raise it."""
    return f"{size / 1e9:.3g} GB ({raising()})"


def raising() -> str:
    """How a limit is raised."""
    return f"if you trust the file, set {MAX_KEY}=N; outside a command {MAX_VARIABLE}=N"


@contextmanager
def raised_to(gigabytes: float | None) -> Iterator[None]:
    """The limit that a command was given; None leaves it as it is.

    Raises:
        Misuse: for what is no size.
    """
    if gigabytes is None:
        yield
        return
    if not 0 < gigabytes < 1e6:
        raise Misuse(f"{MAX_KEY} must be a number of gigabytes above 0, e.g. 16; got {gigabytes!r}.")
    before = os.environ.get(MAX_VARIABLE)
    os.environ[MAX_VARIABLE] = str(gigabytes)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(MAX_VARIABLE)
        else:
            os.environ[MAX_VARIABLE] = before
