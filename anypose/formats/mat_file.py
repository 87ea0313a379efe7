"""Reads numeric arrays from MATLAB's version 5 files, so that MPII's head boxes need no further package."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_MATRIX, _COMPRESSED = 14, 15
_NUMERIC = range(6, 16)  # classes of numeric arrays; the others are cells, structures, objects, characters, sparse
_LARGEST = 1 << 28  # bytes that a compressed array may grow to


def read_mat(path: Path) -> dict[str, np.ndarray]:
    """The real numeric arrays of a file by name; everything else in it is passed over.

    Raises:
        ValueError: for a file of another kind (version 7.3 is HDF5) or a damaged one.
    """
    data = path.read_bytes()
    if len(data) < 128 or data[126:128] not in (b"IM", b"MI"):
        raise ValueError(f"{path} ({len(data)} bytes) is no MATLAB file of version 5 to 7. Save it with '-v7'.")
    order = "<" if data[126:128] == b"IM" else ">"
    try:
        return dict(_arrays(data[128:], order))
    except (struct.error, zlib.error, IndexError, KeyError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error}. Fetch it again.") from error


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """(type, content) of the elements that lie end to end in `data`."""
    place = 0
    while place + 8 <= len(data):
        kind, size = struct.unpack_from(f"{order}II", data, place)
        if kind >> 16:  # up to four bytes, packed into the tag
            kind, size, start, following = kind & 0xFFFF, kind >> 16, place + 4, place + 8
        else:
            start = place + 8
            following = start + size + (0 if kind == _COMPRESSED else -size % 8)
        if start + size > len(data):
            raise ValueError(f"an element of {size} bytes is cut off")
        yield kind, data[start : start + size]
        place = following


def _arrays(data: bytes, order: str) -> Iterator[tuple[str, np.ndarray]]:
    for kind, content in _elements(data, order):
        if kind == _COMPRESSED:
            inflated = zlib.decompressobj().decompress(content, _LARGEST)
            yield from _arrays(inflated, order)
        elif kind == _MATRIX:
            parts = list(_elements(content, order))
            flags = struct.unpack_from(f"{order}I", parts[0][1])[0]
            if flags & 0xFF not in _NUMERIC:
                continue
            shape = np.frombuffer(parts[1][1], f"{order}i4")
            kind, values = parts[3]
            array = np.frombuffer(values, order + _TYPES[kind])
            yield parts[2][1].decode("latin-1"), array.reshape(tuple(shape), order="F")
