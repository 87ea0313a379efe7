"""Arrays out of MATLAB's files of version 5 to 7 (`save` without -v7.3, which makes HDF5), read without trust."""

from __future__ import annotations

import math
import zlib
from pathlib import Path

import numpy as np

from anypose.formats.files import read_bytes

MAX_BYTES = 1 << 30
MAX_UNPACKED = 1 << 31
MAX_CELLS = 10_000

_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_MATRIX, _COMPRESSED = 14, 15
_CELL, _NUMERIC = 1, range(6, 16)
_COMPLEX = 0x800


def read_mat5(path: str | Path, names: list[str]) -> dict[str, np.ndarray]:
    """The named variables: arrays of numbers, and cells as object arrays of those, in MATLAB's shape.

    Raises:
        ValueError: with path and variable, for a file that is damaged, larger than it may be, or holds something else.
    """
    data = read_bytes(path, "a MATLAB .mat file", MAX_BYTES)
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if order is None:
        raise ValueError(f"{path} is not a .mat file of version 5 to 7: its header ends in {data[126:128]!r}.")
    reader = _Reader(str(path), order)
    found: dict[str, np.ndarray] = {}
    seen = []
    at = 128
    while at < len(data):
        kind, start, end = reader.element(data, at)
        at = end if kind == _COMPRESSED else end + -end % 8
        element = memoryview(data)[start:end]
        if kind == _COMPRESSED:
            kind, element = reader.inflate(bytes(element))
        if kind == _MATRIX:
            name = reader.name(element)
            seen.append(name)
            if name in names:
                found[name] = reader.matrix(element, name)
    missing = [name for name in names if name not in found]
    if missing:
        raise ValueError(f"{path} has no variable {', '.join(missing)}; it has {', '.join(seen[:8]) or 'none'}.")
    return found


class _Reader:
    def __init__(self, path: str, order: str) -> None:
        self.path, self.order = path, order
        self.unpacked = self.cells = 0

    def error(self, message: str) -> ValueError:
        return ValueError(f"{self.path}: {message}; the file is cut off or damaged.")

    def element(self, data: bytes | memoryview, at: int) -> tuple[int, int, int]:
        """(type, first byte, byte after the last) of the data element at `at`."""
        if at + 8 > len(data):
            raise self.error(f"an element should start at byte {at} of {len(data)}")
        kind, size = (int(n) for n in np.frombuffer(data[at : at + 8], self.order + "u4"))
        # Small elements keep size and type in one word, and their data in the other.
        start = at + 8 if kind < 1 << 16 else at + 4
        kind, size = (kind, size) if kind < 1 << 16 else (kind & 0xFFFF, kind >> 16)
        if start + size > len(data) or (start == at + 4 and size > 4):
            raise self.error(f"{size} bytes should follow byte {start} of {len(data)}")
        return kind, start, start + size

    def inflate(self, packed: bytes) -> tuple[int, memoryview]:
        """Type and contents of the one element in a compressed one."""
        room = MAX_UNPACKED - self.unpacked
        try:
            data = zlib.decompressobj().decompress(packed, room)
        except zlib.error as error:
            raise self.error(f"a compressed element cannot be unpacked ({error})") from None
        self.unpacked += len(data)
        if len(data) >= room:
            raise self.error(f"more than {MAX_UNPACKED} bytes after unpacking")
        kind, start, end = self.element(data, 0)
        return kind, memoryview(data)[start:end]

    def name(self, matrix: memoryview) -> str:
        """The matrix's name: its third element, after flags and shape."""
        place = 0
        for _ in range(2):
            _, _, end = self.element(matrix, place)
            place = end + -end % 8
        _, start, end = self.element(matrix, place)
        return bytes(matrix[start:end]).decode("ascii", errors="replace")

    def matrix(self, matrix: memoryview, where: str, in_cell: bool = False) -> np.ndarray:
        """(...) numbers, or objects for a cell, in MATLAB's shape. Cells in cells are refused."""
        place, parts = 0, []
        for _ in range(3):
            kind, start, end = self.element(matrix, place)
            parts.append(self.numbers(kind, matrix[start:end], where))
            place = end + -end % 8
        flags, shape = int(parts[0][0]) if len(parts[0]) else 0, tuple(int(n) for n in parts[1])
        count = math.prod(shape)
        if not 2 <= len(shape) <= 8 or min(shape) < 0 or flags & _COMPLEX:
            raise self.error(f"'{where}' is complex or has shape {shape}")
        if flags & 0xFF == _CELL and not in_cell:
            self.cells += count
            if self.cells > MAX_CELLS:
                raise self.error(f"'{where}' has more than {MAX_CELLS} cells")
            cells = np.empty(count, dtype=object)
            for i in range(count):
                kind, start, end = self.element(matrix, place)
                if kind != _MATRIX:
                    raise self.error(f"cell {i} of '{where}' is of type {kind}")
                cells[i] = self.matrix(matrix[start:end], f"{where}, cell {i}", in_cell=True)
                place = end + -end % 8
            return cells.reshape(shape, order="F")
        if flags & 0xFF not in _NUMERIC:
            raise ValueError(f"{self.path}: '{where}' is of MATLAB's class {flags & 0xFF}, not an array of numbers.")
        kind, start, end = self.element(matrix, place)
        values = self.numbers(kind, matrix[start:end], where)
        if len(values) != count:
            raise self.error(f"'{where}' of shape {shape} holds {len(values)} numbers")
        return values.reshape(shape, order="F")

    def numbers(self, kind: int, data: memoryview, where: str) -> np.ndarray:
        if kind not in _TYPES:
            raise self.error(f"'{where}' holds data of type {kind}")
        dtype = np.dtype(self.order + _TYPES[kind])
        if len(data) % dtype.itemsize:
            raise self.error(f"'{where}' holds {len(data)} bytes of type {dtype}")
        return np.frombuffer(data, dtype)
