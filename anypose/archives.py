"""torch's archives that nobody vouches for: what their pickles may call, judged before torch reads them.

`torch.load(weights_only=True)` runs no code of a file's, but it calls what makes memory out of a number: 60 bytes that
say `bytearray(6000000000)` take 6 GB. What `torch.save` writes of tensors and plain containers names nothing of the
kind.
"""

from __future__ import annotations

import itertools
import pickletools
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import torch

MOST_OPERATIONS = 2_000_000  # of its pickles together; a network with its optimiser has some 100,000
ZIP = b"PK\x03\x04"
LEGACY_PICKLES = 5  # before the numbers of a file that is no zip archive
# What zipfile raises on damage; OSError where a list of contents sends it before the file's beginning.
DAMAGED = (
    zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, struct.error, LookupError, OSError,
    UnicodeDecodeError,
)  # fmt: skip
_CALLED = re.compile(
    r"collections (OrderedDict|Counter)|_codecs encode|torch (Size|device|\w+Storage|[a-z]\w*)|torch\.storage \w+"
    r"|torch\._utils _rebuild_\w+|torch\._tensor _rebuild_\w+|torch\.nn\.parameter Parameter"
    r"|torch\.serialization _get_layout|(__builtin__|builtins) (set|complex)"
)


# What torch puts around the one sentence that says what a file has: how to go on without the guard, whom to write to.
_ADVICE = re.compile(
    r"Weights only load failed\..*?(?=WeightsUnpickler error|Trying to load|$)|WeightsUnpickler error:"
    r"|(Please (use|file)|Check the documentation|was not an allowed global by default).*",
    re.DOTALL,
)


def read_archive(path: Path, allowed: Sequence[Any] = (), names: Iterable[str] = (), mapped: bool = False) -> Any:
    """What `torch.save` wrote, on the CPU: tensors and plain containers, and nothing that was not judged before.

    torch warns of a pickle of another protocol than its own, and reads it or fails: what it read is what counts.

    Args:
        path: the file.
        allowed: what else may stand in it, as `torch.serialization.safe_globals` takes it.
        names: "module.name" of these, as the file has them.
        mapped: read no tensor before it is used.

    Raises:
        ValueError: with what the file names that weights need not, without the path.
        Exception: whatever torch raises on damage (`reason_of` says why).
    """
    check_archive(path, names)
    with torch.serialization.safe_globals(list(allowed)), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)


def check_archive(path: Path, names: Iterable[str] = ()) -> None:
    """Refuse pickles that name what makes memory out of a number, or that have more operations than weights need.

    A pickle that is cut off is passed over: torch says it better.

    Args:
        path: a file that torch will read with weights_only=True.
        names: "module.name" of what else it may name, because a stand-in takes its place.

    Raises:
        ValueError: with what it names, without the path.
    """
    allowed = {" ".join(name.rsplit(".", 1)) for name in names}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of damage that looks like an escape
        _check_file(path, allowed)


def reason_of(error: BaseException) -> str:
    """Why torch did not read a file, without its advice to read it unguarded, which runs what is in it."""
    text = " ".join(_ADVICE.sub(" ", str(error)).split()).rstrip(". ")
    return text[:200] if " " in text else f"{type(error).__name__} {text}".rstrip()


def _check_file(path: Path, allowed: set[str]) -> None:
    with path.open("rb") as file:
        if file.read(len(ZIP)) != ZIP:  # as torch tells them apart
            file.seek(0)
            return _check(file, LEGACY_PICKLES, allowed)
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(".pkl"):
                    with archive.open(name) as file:
                        _check(file, 1, allowed)
    except DAMAGED as error:
        raise ValueError(f"its archive cannot be read ({str(error)[:200]})") from None


def _check(file: IO[bytes], pickles: int, allowed: set[str]) -> None:
    operations = itertools.chain.from_iterable(_operations(file) for _ in range(pickles))
    for count, (operation, named) in enumerate(operations, start=1):
        if count > MOST_OPERATIONS:
            raise ValueError(f"its pickle has more than {MOST_OPERATIONS} operations, which no weights need")
        if operation == "GLOBAL" and not _CALLED.fullmatch(named) and named not in allowed:
            raise ValueError(f"it names {named.replace(' ', '.')[:80]}, which tensors and plain containers need not")


def _operations(file: IO[bytes]) -> Iterator[tuple[str, str]]:
    """Name of each operation, with what a GLOBAL names, up to STOP or to what is damaged."""
    try:
        for operation, argument, _ in pickletools.genops(file):
            yield operation.name, str(argument) if operation.name == "GLOBAL" else ""
    except (ValueError, EOFError, OverflowError, UnicodeDecodeError, IndexError, MemoryError):
        return  # also where a length is one that no file has
