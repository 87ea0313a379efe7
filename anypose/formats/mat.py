"""Arrays out of MATLAB's files of version 5 to 7 (`save` without -v7.3, which makes HDF5).

`scipy.io.loadmat` reads them. What it is given has been unpacked here, within a limit, and holds nothing but arrays of
numbers and cells of such: it follows what a file says of itself, sizes and nesting, as far as memory reaches.
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import scipy.io

from anypose.bounds import largest_of, limit
from anypose.formats.files import read_bytes

MAX_CELLS = 10_000
_HEADER = 128
_SIZES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}  # bytes of a number of each type
_MATRIX, _COMPRESSED = 14, 15
_CELL, _NUMERIC = 1, range(6, 16)
_COMPLEX = 0x800


def read_mat(path: str | Path, names: list[str] | None = None) -> dict[str, np.ndarray]:
    """The named variables: arrays of numbers, and cells as object arrays of those, in MATLAB's shape.

    Args:
        path: the file.
        names: of the variables; None for every array of numbers, all else is passed over.

    Raises:
        ValueError: with path and variable, for a file that is damaged, larger than it may be, or holds something else.
    """
    data = read_bytes(path, "a MATLAB .mat file")
    order = {b"IM": "<", b"MI": ">"}.get(data[126:_HEADER])
    if order is None:
        if data[:4] == b"\x89HDF" or data[512:516] == b"\x89HDF":
            raise ValueError(f"{path} is a .mat file of version 7.3; save it with '-v7'.")
        raise ValueError(f"{path} is not a .mat file of version 5 to 7: its header ends in {data[126:_HEADER]!r}.")
    try:
        unpacked, found = _checked(data, order, names, str(path))
        missing = [name for name in names or () if name not in found]
        if missing:
            raise ValueError(f"{path} has no variable {', '.join(missing)}; it has {', '.join(found[:8]) or 'none'}.")
        read = scipy.io.loadmat(io.BytesIO(unpacked), variable_names=names or None)
    except (struct.error, zlib.error, TypeError, KeyError, IndexError, OverflowError, OSError, EOFError) as error:
        raise ValueError(f"{path} is cut off or damaged: {error}.") from None
    except (ValueError, MemoryError, UnboundLocalError, scipy.io.matlab.MatReadError) as error:
        raise ValueError(str(error) if str(path) in str(error) else f"{path} is cut off or damaged: {error}.") from None
    return {name: value for name, value in read.items() if not name.startswith("__") and isinstance(value, np.ndarray)}


def _checked(data: bytes, order: str, names: list[str] | None, path: str) -> tuple[bytes, list[str]]:
    """The file with its variables unpacked, those left out that are not wanted; and the names of all."""
    kept, seen, room = [data[:_HEADER]], [], largest_of(len(data))
    at = _HEADER
    while at < len(data):
        kind, start, end = _element(data, at, order)
        element = data[at:end]
        at = end if kind == _COMPRESSED else end + -end % 8
        if kind == _COMPRESSED:
            element = zlib.decompressobj().decompress(data[start:end], room + 1)
            kind = struct.unpack_from(f"{order}I", element)[0]
        room -= len(element)
        if room < 0:
            raise ValueError(f"{path}: its variables need more than {limit(largest_of(len(data)))} unpacked.")
        if kind != _MATRIX:
            continue
        _, start, end = _element(element, 0, order)
        flags, name, shape, values = _about(element, start, order)
        seen.append(name)
        if flags & 0xFF in _NUMERIC and not flags & _COMPLEX:
            _check_numbers(element, values, order, shape, f"{path}: '{name}'")
        elif name in (names or ()):
            _check_cell(element, (values, end), order, flags, shape, f"{path}: '{name}'")
        else:
            continue
        kept.append(element[:end] + bytes(-end % 8))
    return b"".join(kept), seen


def _check_cell(data: bytes, part: tuple[int, int], order: str, flags: int, shape: tuple[int, ...], where: str) -> None:
    if flags & _COMPLEX or flags & 0xFF != _CELL:
        kind = "complex" if flags & _COMPLEX else f"of MATLAB's class {flags & 0xFF}"
        raise ValueError(f"{where} is {kind}, not an array of numbers.")
    count, (at, end) = math.prod(shape), part
    if not 0 <= count <= MAX_CELLS:
        raise ValueError(f"{where} has more than {MAX_CELLS} cells.")
    for number in range(count):
        kind, start, stop = _element(data, at, order)
        if kind != _MATRIX:
            raise ValueError(f"{where}, cell {number} is of type {kind}")
        inner, _, shape, values = _about(data, start, order)
        if inner & 0xFF not in _NUMERIC or inner & _COMPLEX:
            raise ValueError(f"{where}, cell {number} is of MATLAB's class {inner & 0xFF}, not an array of numbers.")
        _check_numbers(data, values, order, shape, f"{where}, cell {number}")
        at = stop + -stop % 8
    if at < end:
        raise ValueError(f"{where} of shape {shape} holds more than {count} cells")


def _check_numbers(data: bytes, at: int, order: str, shape: tuple[int, ...], where: str) -> None:
    """scipy takes type and size of the numbers as they stand, and reads other memory where they are wrong."""
    kind, start, end = _element(data, at, order)
    if not 2 <= len(shape) <= 8 or min(shape) < 0 or math.prod(shape) * _SIZES.get(kind, -1) != end - start:
        raise ValueError(f"{where} of shape {shape} holds {end - start} bytes of type {kind}")


def _about(data: bytes, at: int, order: str) -> tuple[int, str, tuple[int, ...], int]:
    """Flags, name and shape of the matrix whose contents start at `at`, and where its values start."""
    parts = []
    for wanted in (6, 5, 1):
        kind, start, end = _element(data, at, order)
        if kind != wanted:
            raise ValueError(f"an element of type {wanted} should be at byte {at}, found {kind}")
        parts.append((start, end))
        at = end + -end % 8
    if parts[0][1] - parts[0][0] != 8 or (parts[1][1] - parts[1][0]) % 4:
        raise ValueError("flags or sizes of a matrix have a wrong length")
    (flags,) = struct.unpack_from(f"{order}I", data, parts[0][0])
    shape = struct.unpack(f"{order}{(parts[1][1] - parts[1][0]) // 4}i", data[slice(*parts[1])])
    return flags, data[slice(*parts[2])].decode("latin-1"), shape, at


def _element(data: bytes, at: int, order: str) -> tuple[int, int, int]:
    """(type, first byte, byte after the last) of the data element at `at`."""
    kind, size = struct.unpack_from(f"{order}II", data, at)
    # Small elements keep size and type in one word, and their data in the other.
    start, kind, size = (at + 8, kind, size) if kind < 1 << 16 else (at + 4, kind & 0xFFFF, kind >> 16)
    if start + size > len(data):
        raise ValueError(f"{size} bytes should follow byte {start}, there are {len(data) - start}")
    return kind, start, start + size
