"""One variable out of a CDF file (NASA's Common Data Format), after its Internal Format Description, versions 2.6 to 3.

Why not cdflib, which others read the release with: it follows the counts in a file's records without a bound, so a file
with one damaged word kept it spinning for more than 20 s or took all memory. Here every record is looked up inside the
file, once, and every size is checked first. In the tests cdflib writes the files, and this reader must agree with it.
"""

from __future__ import annotations

import math
import zlib

import numpy as np

MAX_BYTES = 1 << 28
MAX_NUMBERS = 1 << 26
MAX_RECORDS = 10_000

_CDR, _GDR, _RVDR, _VXR, _VVR, _ZVDR, _CCR, _CPR, _CVVR = 1, 2, 3, 6, 7, 8, 10, 11, 13
_DTYPES = {21: "f4", 22: "f8", 44: "f4", 45: "f8"}
# Byte order by the number of the encoding; VAX and other floating-point formats of their own are left out.
_ORDER = {**dict.fromkeys((1, 2, 5, 7, 9, 11, 12, 18), ">"), **dict.fromkeys((4, 6, 13, 16, 17), "<")}


def read_cdf(data: bytes, variable: str, where: str) -> np.ndarray:
    """(records, *dimensions) float64, C order: all records of a floating-point variable, whatever the file's majority.

    Args:
        data: the whole file.
        variable: its name.
        where: what the file is called in errors.

    Raises:
        ValueError: with `where` and the byte, for anything that is not a whole CDF file with that variable.
    """
    return _Cdf(data, where).read(variable)


class _Cdf:
    def __init__(self, data: bytes, where: str) -> None:
        self.where = where
        self.data = data
        # File offsets have 8 bytes since version 3 and names more room.
        self.word, self.name_size = {b"\xcd\xf3\x00\x01": (8, 256), b"\xcd\xf2\x60\x02": (4, 64)}.get(
            self.data[:4], (0, 0)
        )
        if not self.word:
            raise ValueError(
                f"{where} is not a CDF file of version 2.6 or later: it starts with {self.data[:4].hex()}."
            )
        self.visited: set[int] = set()
        if self.data[4:8] == b"\xcc\xcc\x00\x01":
            start, end = self.record(8, _CCR)
            parameters, _ = self.record(self.offset(start), _CPR)
            if self.integer(parameters) != 5:
                raise ValueError(f"{where}: compressed in way {self.integer(parameters)}; only 5, GZIP, is supported.")
            packed = self.data[start + 2 * self.word + 4 : end]
            self.data = self.data[:8] + self.inflate(packed, MAX_BYTES, start)
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
        """Where the contents of the record at `at` start and end. No record is read twice, so links cannot circle."""
        size, kind = self.offset(at), self.integer(at + self.word)
        if kind not in kinds:
            raise self.error(at, f"a record of type {' or '.join(map(str, kinds))} should be here, found {kind}")
        if at in self.visited or len(self.visited) >= MAX_RECORDS:
            raise self.error(at, f"this record is linked twice, or there are more than {MAX_RECORDS}")
        if not self.word + 4 <= size <= len(self.data) - at:
            raise self.error(at, f"a record of {size} bytes does not fit the file's {len(self.data)}")
        self.visited.add(at)
        return at + self.word + 4, at + size

    def inflate(self, packed: bytes, most: int, at: int) -> bytes:
        try:
            return zlib.decompressobj(wbits=31).decompress(packed, most)
        except zlib.error as error:
            raise self.error(at, f"cannot be decompressed as GZIP ({error})") from None

    def read(self, variable: str) -> np.ndarray:
        cdr, _ = self.record(8, _CDR)
        encoding, flags = self.integer(cdr + self.word + 8), self.integer(cdr + self.word + 12)
        if encoding not in _ORDER or not flags & 2:
            raise ValueError(f"{self.where}: encoding {encoding} or a CDF in several files is not supported.")
        vdr, dimensions = self.find(variable, self.offset(cdr))
        fixed = vdr + self.word
        kind, count = self.integer(fixed), self.integer(fixed + 4) + 1
        sparse, elements = self.integer(fixed + 12 + 2 * self.word), self.integer(fixed + 28 + 2 * self.word)
        if kind not in _DTYPES or sparse or elements != 1:
            raise ValueError(
                f"{self.where}: variable '{variable}' must hold one floating-point number an element and no sparse "
                f"records, found data type {kind}, {elements} elements, sparseness {sparse}."
            )
        numbers = count * math.prod(dimensions)
        if count < 1 or min(dimensions, default=1) < 1 or numbers > MAX_NUMBERS:
            raise self.error(vdr, f"{count} records of {tuple(dimensions)}; 1 to {MAX_NUMBERS} numbers are possible")
        dtype = np.dtype(_ORDER[encoding] + _DTYPES[kind])
        record_size = dtype.itemsize * math.prod(dimensions)
        data = self.blocks(self.offset(fixed + 8), count, record_size)
        row_major = bool(flags & 1)
        shape = dimensions if row_major else dimensions[::-1]
        values = np.frombuffer(data, dtype).reshape(count, *shape)
        if not row_major:
            values = values.transpose(0, *range(len(dimensions), 0, -1))
        return np.ascontiguousarray(values, dtype=np.float64)

    def find(self, variable: str, gdr_at: int) -> tuple[int, list[int]]:
        """Where the variable's descriptor starts, and the sizes of the dimensions it varies along."""
        gdr, _ = self.record(gdr_at, _GDR)
        counts = gdr + 4 * self.word
        r_dimensions = self.sizes(counts + 32 + self.word, self.integer(counts + 12))
        names = []
        for head, number, kind in ((self.word, counts + 16, _ZVDR), (0, counts, _RVDR)):
            at = self.offset(gdr + head) if self.integer(number) > 0 else 0
            while at > 0:
                vdr, _ = self.record(at, kind)
                name_at = vdr + 4 * self.word + 40
                name = self.data[name_at : name_at + self.name_size].rstrip(b"\0 ").decode("ascii", errors="replace")
                if name == variable:
                    dims_at = name_at + self.name_size
                    dimensions = r_dimensions
                    if kind == _ZVDR:
                        dimensions = self.sizes(dims_at + 4, self.integer(dims_at))
                        dims_at += 4 + 4 * len(dimensions)
                    varies = [self.integer(dims_at + 4 * i) for i in range(len(dimensions))]
                    return vdr, [size for size, vary in zip(dimensions, varies, strict=True) if vary]
                names.append(name)
                at = self.offset(vdr)
        raise ValueError(f"{self.where} has no variable '{variable}'; it has {', '.join(names[:8]) or 'none'}.")

    def sizes(self, at: int, count: int) -> list[int]:
        if not 0 <= count <= 10:
            raise self.error(at, f"{count} dimensions; CDF has at most 10")
        return [self.integer(at + 4 * i) for i in range(count)]

    def blocks(self, index_at: int, count: int, record_size: int) -> bytes:
        """The bytes of records 0 to `count` - 1, joined from the blocks that the index at `index_at` lists."""
        joined = bytearray()
        open_indices = [index_at]
        while open_indices:
            index, end = self.record(open_indices.pop(), _VXR)
            entries, used = self.integer(index + self.word), self.integer(index + self.word + 4)
            first_at = index + self.word + 8
            if not 0 <= used <= entries or first_at + entries * (8 + self.word) > end:
                raise self.error(index, f"{used} of {entries} index entries do not fit the record")
            inner = []
            for i in range(used):
                first, last = self.integer(first_at + 4 * i), self.integer(first_at + 4 * (entries + i))
                at = self.offset(first_at + 8 * entries + self.word * i)
                if self.integer(at + self.word) == _VXR:
                    inner.append(at)
                    continue
                if first * record_size != len(joined) or not first <= last:
                    raise self.error(at, f"a block of records {first} to {last} does not follow the one before")
                block = self.block(at, min(last + 1, count) * record_size - len(joined))
                joined += block
            following = self.offset(index)
            open_indices += ([following] if following else []) + inner[::-1]
            if len(joined) >= count * record_size:
                return bytes(joined)
        raise self.error(index_at, f"{count * record_size} bytes of data are announced, found {len(joined)}")

    def block(self, at: int, size: int) -> bytes:
        start, end = self.record(at, _VVR, _CVVR)
        if self.integer(at + self.word) == _CVVR:
            start += 4 + self.word
            data = self.inflate(self.data[start:end], size, at)
        else:
            data = self.data[start : min(start + size, end)]
        if len(data) < size:
            raise self.error(at, f"a block of {size} bytes should be here, found {len(data)}")
        return data
