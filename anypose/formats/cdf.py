"""One variable out of a CDF file (NASA's Common Data Format): cdflib reads it, after a look at what the file announces.

cdflib follows the counts and links in a file's records without a bound, so that one damaged word keeps it spinning or
takes all memory. So every record that it will follow is looked up first: each lies inside the file, none is linked
twice, and sizes stay within the limit. Records are described in "CDF Internal Format Description", version 3.
"""

from __future__ import annotations

import math
import struct
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import cdflib
import numpy as np

from anypose.bounds import largest_of, limit

MAX_BYTES = 1 << 28
_PLAIN = b"\x00\x00\xff\xff"
_VERSIONS = {b"\xcd\xf3\x00\x01": (8, 256), b"\xcd\xf2\x60\x02": (4, 64)}  # bytes of an offset and of a name
_GDR, _VXR, _ZVDR, _RVDR, _CCR, _CPR, _CVVR = 2, 6, 8, 3, 10, 11, 13
_FLOATS = {21: 4, 22: 8, 44: 4, 45: 8}
_MOST_RECORDS = 10_000
_DAMAGED = (ValueError, IndexError, KeyError, TypeError, OSError, EOFError, OverflowError, struct.error, zlib.error)


def read_cdf(data: bytes, variable: str, where: str) -> np.ndarray:
    """(records, *dimensions) float64, C order: all records of a floating-point variable, whatever the file's majority.

    Args:
        data: the whole file.
        variable: its name.
        where: what the file is called in errors.

    Raises:
        ValueError: with `where` and the byte, for anything that is not a whole CDF file with that variable.
    """
    records = _Records(data, where)
    shape = records.shape_of(variable)
    # cdflib reads files, and these bytes may be a member of an archive.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "take.cdf"
        path.write_bytes(records.data)
        try:
            values = np.asarray(cdflib.CDF(path).varget(variable), dtype=np.float64)
        except (*_DAMAGED, AttributeError, UnboundLocalError, MemoryError, RuntimeError) as error:
            raise ValueError(f"{where}: {error}; the file is cut off or damaged.") from None
    if values.shape != shape:
        raise ValueError(f"{where}: variable '{variable}' announces shape {shape}, found {values.shape}.")
    return np.ascontiguousarray(values)


class _Records:
    """What the records of a file announce, each looked at once. A file packed as a whole is unpacked."""

    def __init__(self, data: bytes, where: str) -> None:
        self.where, self.data, self.packed_size = where, data, len(data)
        self.visited: set[int] = set()
        if data[:4] not in _VERSIONS:
            raise ValueError(f"{where} is not a CDF file of version 2.6 or later: it starts with {data[:4].hex()}.")
        self.word, self.name_size = _VERSIONS[data[:4]]
        self.room = largest_of(len(data))
        if data[4:8] != _PLAIN:
            start, end = self.record(8, _CCR)
            self.check_gzip(self.offset(start))
            self.data = data[:4] + _PLAIN + self.inflate(start + 2 * self.word + 4, end)
            self.visited.clear()

    def error(self, at: int, message: str) -> ValueError:
        return ValueError(f"{self.where}, byte {at}: {message}; the file is cut off or damaged.")

    def integer(self, at: int, size: int = 4) -> int:
        if not 0 <= at <= len(self.data) - size:
            raise self.error(at, f"{size} bytes should be here, the file has {len(self.data)}")
        return int.from_bytes(self.data[at : at + size], "big", signed=True)

    def offset(self, at: int) -> int:
        return self.integer(at, self.word)

    def record(self, at: int, *kinds: int) -> tuple[int, int]:
        """Where the contents of the record at `at` start and end."""
        size, kind = self.offset(at), self.integer(at + self.word)
        if kinds and kind not in kinds:
            raise self.error(at, f"a record of type {' or '.join(map(str, kinds))} should be here, found {kind}")
        if at in self.visited or len(self.visited) >= _MOST_RECORDS:
            raise self.error(at, f"this record is linked twice, or there are more than {_MOST_RECORDS}")
        if not self.word + 4 <= size <= len(self.data) - at:
            raise self.error(at, f"a record of {size} bytes does not fit the file's {len(self.data)}")
        self.visited.add(at)
        return at + self.word + 4, at + size

    def check_gzip(self, at: int) -> None:
        start, _ = self.record(at, _CPR)
        if self.integer(start) != 5:
            raise ValueError(f"{self.where}: compressed in way {self.integer(start)}; only 5, GZIP, is supported.")

    def inflate(self, start: int, end: int) -> bytes:
        try:
            data = zlib.decompressobj(wbits=31).decompress(self.data[start:end], self.room + 1)
        except zlib.error as error:
            raise self.error(start, f"cannot be decompressed as GZIP ({error})") from None
        self.room -= len(data)
        if self.room < 0:
            raise self.error(start, f"it needs more than {limit(largest_of(self.packed_size))} unpacked")
        return data

    def shape_of(self, variable: str) -> tuple[int, ...]:
        """(records, *dimensions) that the variable announces, all its blocks being there."""
        cdr, _ = self.record(8, 1)
        for vdr, name, dimensions in self.variables(self.offset(cdr)):
            if name != variable:
                continue
            fixed = vdr + self.word
            kind, count = self.integer(fixed), self.integer(fixed + 4) + 1
            flags, sparse = self.integer(fixed + 8 + 2 * self.word), self.integer(fixed + 12 + 2 * self.word)
            elements = self.integer(fixed + 28 + 2 * self.word)
            if kind not in _FLOATS or sparse or elements != 1 or not flags & 1:
                raise ValueError(
                    f"{self.where}: variable '{variable}' must hold one floating-point number an element and no sparse "
                    f"records, found data type {kind}, {elements} elements, sparseness {sparse}, flags {flags}."
                )
            size = 8 * count * math.prod(dimensions)
            most = largest_of(self.packed_size)
            if count < 1 or min(dimensions, default=1) < 1 or size > most:
                raise self.error(vdr, f"{count} records of {tuple(dimensions)}; 1 number to {limit(most)} are possible")
            if flags & 4:
                self.check_gzip(self.offset(fixed + 36 + 2 * self.word))
            self.check_blocks(self.offset(fixed + 8))
            return count, *dimensions
        names = ", ".join(name for _, name, _ in self.variables(self.offset(cdr), again=True))
        raise ValueError(f"{self.where} has no variable '{variable}'; it has {names[:200] or 'none'}.")

    def variables(self, gdr_at: int, again: bool = False) -> Iterator[tuple[int, str, list[int]]]:
        """(start of the descriptor, name, sizes of the dimensions it varies along) of every variable."""
        if again:
            self.visited.clear()
        gdr, _ = self.record(gdr_at, _GDR)
        counts = gdr + 4 * self.word
        shared = self.sizes(counts + 32 + self.word, self.integer(counts + 12))
        for head, number, kind in ((self.word, counts + 16, _ZVDR), (0, counts, _RVDR)):
            at = self.offset(gdr + head)
            for _ in range(self.integer(number)):
                vdr, _ = self.record(at, kind)
                name_at = vdr + 4 * self.word + 40
                name = self.data[name_at : name_at + self.name_size].decode("latin-1").rstrip("\0 ")
                dimensions, dims_at = shared, name_at + self.name_size
                if kind == _ZVDR:
                    dimensions = self.sizes(dims_at + 4, self.integer(dims_at))
                    dims_at += 4 + 4 * len(dimensions)
                varies = [self.integer(dims_at + 4 * i) for i in range(len(dimensions))]
                yield vdr, name, [size for size, vary in zip(dimensions, varies, strict=True) if vary]
                at = self.offset(vdr)

    def sizes(self, at: int, count: int) -> list[int]:
        if not 0 <= count <= 10:
            raise self.error(at, f"{count} dimensions; CDF has at most 10")
        return [self.integer(at + 4 * i) for i in range(count)]

    def check_blocks(self, index_at: int) -> None:
        """Every block that the indices from `index_at` on list lies inside the file and unpacks within the limit."""
        open_indices = [index_at]
        while open_indices:
            index, end = self.record(open_indices.pop(), _VXR)
            entries, used = self.integer(index + self.word), self.integer(index + self.word + 4)
            first_at = index + self.word + 8
            if not 0 <= used <= entries or first_at + entries * (8 + self.word) > end:
                raise self.error(index, f"{used} of {entries} index entries do not fit the record")
            for i in range(used):
                at = self.offset(first_at + 8 * entries + self.word * i)
                if (kind := self.integer(at + self.word)) == _VXR:
                    open_indices.append(at)
                    continue
                start, stop = self.record(at)
                if kind == _CVVR:
                    self.inflate(start + 4 + self.word, stop)
            if following := self.offset(index):
                open_indices.append(following)
