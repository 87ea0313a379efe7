"""NumPy's .npz and .npy files that nobody vouches for: plain arrays, and pickled containers of them."""

from __future__ import annotations

import ast
import math
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np

from anypose.archives import DAMAGED
from anypose.bounds import largest_of, limit
from anypose.formats.files import require_file
from anypose.formats.plain_pickle import load_plain
from anypose.shapes import check_shape

MAX_HEADER = 10_000


def read_npz(path: str | Path, names: Iterable[str]) -> dict[str, Any]:
    """The named members of an .npz file: arrays, or what is pickled in their place.

    Raises:
        ValueError: with the path, for a member that is missing, damaged, not plain data, or larger than it may be
            (`files.largest_of`).
    """
    path = require_file(path, "a NumPy .npz file")
    values = {}
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename: info for info in archive.infolist()}
            for name in names:
                if f"{name}.npy" not in members:
                    have = ", ".join(sorted(member.removesuffix(".npy") for member in members)[:8])
                    raise ValueError(f"{path} has no array '{name}'; it has {have or 'nothing'}.")
                member_info = members[f"{name}.npy"]
                size, most = member_info.file_size, largest_of(member_info.compress_size)
                if member_info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise ValueError(f"{path}: '{name}' is packed in way {member_info.compress_type}, not by NumPy.")
                if size > most:
                    raise ValueError(f"{path}: '{name}' has {size} bytes; at most {limit(most)} are read.")
                with archive.open(f"{name}.npy") as member:
                    values[name] = read_npy(member, size, f"{path}, {name}")
    except DAMAGED as error:
        raise ValueError(f"{path} is not a whole .npz file: {str(error)[:200]}.") from None
    return values


def names_in_npz(path: str | Path) -> tuple[str, ...]:
    """The members of an .npz file, unread."""
    path = require_file(path, "a NumPy .npz file")
    try:
        with zipfile.ZipFile(path) as archive:
            return tuple(name.removesuffix(".npy") for name in archive.namelist())
    except (*DAMAGED, ValueError) as error:
        raise ValueError(f"{path} is not a whole .npz file: {str(error)[:200]}.") from None


def read_npy(stream: IO[bytes], size: int, where: str) -> Any:
    """One array, or the object pickled in its place; a 0-d array of objects is its one object.

    Args:
        stream: at the first byte.
        size: how many bytes it has.
        where: what it is called in errors.
    """
    shape, fortran, dtype = _header(stream, where)
    if dtype.hasobject:
        value = load_plain(stream, where)
        return value.item() if isinstance(value, np.ndarray) and not value.shape else value
    if dtype.kind not in "fiubUS":
        raise ValueError(f"{where}: an array of {dtype} is not motion.")
    wanted = math.prod(shape) * dtype.itemsize
    if max(shape, default=0) > size or not 0 <= wanted <= size:
        raise ValueError(f"{where}: an array of shape {shape} and type {dtype} does not fit {size} bytes.")
    data = bytearray(wanted)
    place = 0
    while place < wanted:
        # Piece by piece, or a large array would be held twice.
        piece = stream.read(min(wanted - place, 1 << 24))
        if not piece:
            raise ValueError(f"{where}: {wanted} bytes should follow the header, found {place}; the file is cut off.")
        data[place : place + len(piece)] = piece
        place += len(piece)
    return np.ndarray(shape, dtype, data, order="F" if fortran else "C")


def _header(stream: IO[bytes], where: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, order and type of an .npy file. NumPy's own function raises whatever Python's tokenizer does."""
    start = stream.read(8)
    width = {b"\x93NUMPY\x01\x00": 2, b"\x93NUMPY\x02\x00": 4, b"\x93NUMPY\x03\x00": 4}.get(start, 0)
    size = int.from_bytes(stream.read(width), "little")
    try:
        if not width or size > MAX_HEADER:
            raise ValueError(f"it starts with {start!r} and a header of {size} bytes")
        # NumPy on Python 2 wrote long numbers as 10L.
        text = re.sub(r"(\d)L", r"\1", stream.read(size).decode("latin-1"))
        header = ast.literal_eval(text.strip())
        shape, fortran, kind = header["shape"], header["fortran_order"], header["descr"]
        if not isinstance(shape, tuple) or not all(isinstance(n, int) and n >= 0 for n in shape) or len(shape) > 8:
            raise ValueError(f"the shape is {str(shape)[:80]}")
        if not isinstance(kind, str):
            raise ValueError(f"the type is {str(kind)[:80]}")
        return shape, bool(fortran), np.dtype(kind)
    except (ValueError, TypeError, KeyError, SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError(f"{where}: the header of the array cannot be read: {error}.") from None


def motion_array(value: Any, shape: tuple[int | str, ...], where: str) -> np.ndarray:
    """`value` as a float array of `shape` (see `check_shape`), or an error that says what it is instead."""
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
        raise ValueError(f"{where} must be an array of numbers, found {type(value).__name__}.")
    check_shape(value, shape, where)
    return value
