"""Reads TensorFlow checkpoints without TensorFlow: both the one-file form (V1) and index with data shards (V2).

Both keep their names in a sorted-string table, LevelDB's format: blocks of prefix-compressed keys with values, an
index block, a footer. The values are protocol buffers. Only whole numeric tensors in uncompressed tables are read,
which is what TensorFlow's savers write. Everything is bounds-checked: a checkpoint is somebody else's file.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from anypose.formats.files import read_bytes, require_file

_MAGIC = 0xDB4775248B80FB57.to_bytes(8, "little")
_FOOTER = 48
# TensorFlow's numbers of types, and the TensorProto field that holds their values.
_TYPES = {1: ("<f4", 5), 2: ("<f8", 6), 3: ("<i4", 7), 9: ("<i8", 10), 19: ("<f2", 13)}
_MOST_FIELDS = 1_000_000  # of one message; numbers stand in one field together
_MOST_DIMENSIONS = 8
_LONGEST_KEY = 4096  # bytes of a tensor's name
_Fields = dict[int, list[int | bytes]]


def is_tf_checkpoint(path: Path) -> bool:
    """Whether `path` is a V1 checkpoint, or the prefix of a V2 one (`model.ckpt-140` of `model.ckpt-140.index`)."""
    if Path(f"{path}.index").is_file():
        return True
    if not path.is_file() or path.stat().st_size < _FOOTER:
        return False
    with path.open("rb") as file:
        file.seek(-8, 2)
        return file.read() == _MAGIC


def read_tf_checkpoint(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Every numeric tensor of a checkpoint with its name.

    Raises:
        ValueError: with the path, for a damaged file and for one without any numeric tensor.
    """
    index = Path(f"{path}.index")
    found = 0
    for name, values in _read_bundle(index, path) if index.is_file() else _read_slices(path):
        found += 1
        yield name, values
    if not found:
        raise ValueError(f"{path} is a TensorFlow checkpoint without numeric tensors; is it the right file?")


def _read_slices(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """A V1 checkpoint: the empty key, which comes first, lists what there is; every other holds a tensor.

    TensorFlow's writer gives type and shape in that list alone. Each tensor's own message has its values, and neither.
    """
    listed: dict[str, tuple[int, tuple[int, ...]]] = {}
    for key, value in _table(path):
        message = _fields(value, path)
        if not key:
            for tensor in _fields(_first(message, 1), path).get(1, []):
                about = _fields(_bytes(tensor, path), path)
                listed[_name(about, path)] = _integer(about, 3), _shape(about, 2, path)
        for saved in message.get(2, []):
            yield from _saved_slice(_bytes(saved, path), path, listed)


def _read_bundle(index: Path, prefix: Path) -> Iterator[tuple[str, np.ndarray]]:
    shards: dict[int, np.memmap] = {}
    num_shards, read = 1, 0
    for key, value in _table(index):
        fields = _fields(value, index)
        if not key:
            num_shards = _integer(fields, 1, 1)
            continue
        kind = _TYPES.get(_integer(fields, 1))
        if kind is None:
            continue  # strings: the saver's own notes
        shape = _shape(fields, 2, index)
        shard, offset, size = (_integer(fields, number) for number in (3, 4, 5))
        if shard not in shards:
            file = Path(f"{prefix}.data-{shard:05d}-of-{num_shards:05d}")
            shards[shard] = np.memmap(require_file(file, f"the data of {index}"), np.uint8, "r")
        count = math.prod(shape)
        if 7 in fields or size != count * np.dtype(kind[0]).itemsize or offset + size > len(shards[shard]):
            raise ValueError(
                f"{index}: '{key.decode(errors='replace')}' of shape {shape} should fill {size} bytes at {offset} "
                "of its data file, and does not. A partitioned variable or a damaged file."
            )
        read += size
        if read > sum(map(len, shards.values())):
            raise ValueError(f"{index}: its tensors lie over each other in the data file. The file is damaged.")
        data = shards[shard][offset : offset + size].tobytes()
        yield key.decode(errors="replace"), _shaped(np.frombuffer(data, kind[0]), shape, index)


def _saved_slice(
    message: bytes, path: Path, listed: dict[str, tuple[int, tuple[int, ...]]]
) -> Iterator[tuple[str, np.ndarray]]:
    """The tensor of a V1 SavedSlice: name, which slice of it, and its values as a TensorProto.

    Args:
        message: the SavedSlice.
        path: for errors.
        listed: {name: number of the type, shape} of the checkpoint's list.
    """
    saved = _fields(message, path)
    name = _name(saved, path)
    tensor = _fields(_bytes(saved.get(3, [b""])[0], path), path)
    number, shape = _integer(tensor, 1), _shape(tensor, 2, path)
    if not number:
        if name not in listed:
            raise ValueError(f"{path}: neither '{name}' nor the list of contents says its type. The file is damaged.")
        number, shape = listed[name]
    kind = _TYPES.get(number)
    if kind is None:
        return
    dtype, field = kind
    extents = [_fields(_bytes(extent, path), path) for extent in _fields(_first(saved, 2), path).get(1, [])]
    content = _first(tensor, 4)
    try:
        values = np.frombuffer(content, dtype) if content else _numbers(tensor.get(field, []), dtype)
    except (IndexError, ValueError) as error:
        raise ValueError(f"{path}: '{name}' cannot be read ({error}). The file is damaged.") from None
    if any(2 in extent for extent in extents) or len(values) != math.prod(shape):
        raise ValueError(
            f"{path}: '{name}' has {len(values)} values for shape {shape}. A partitioned variable or a damaged file."
        )
    yield name, _shaped(values, shape, path)


def _shaped(values: np.ndarray, shape: tuple[int, ...], path: Path) -> np.ndarray:
    if len(shape) > _MOST_DIMENSIONS or max(shape, default=0) > max(1, values.size):
        raise ValueError(f"{path}: {len(values)} values have no shape {str(shape)[:80]}. The file is damaged.")
    return values.reshape(shape)


def _numbers(parts: list[int | bytes], dtype: str) -> np.ndarray:
    """A repeated numeric field: floats packed as they are, integers and halves as varints."""
    numbers: list[np.ndarray] = []
    for part in parts:
        if isinstance(part, int):
            numbers.append(np.array([part], dtype=np.uint64))
        elif dtype in ("<f4", "<f8"):
            numbers.append(np.frombuffer(part, dtype))
        else:
            numbers.append(_varints(part))
    flat = np.concatenate(numbers) if numbers else np.zeros(0)
    if dtype == "<f2":
        return flat.astype("<u2").view(dtype)
    return flat.astype(np.uint64).view("<i8").astype(dtype) if dtype[1] == "i" else flat.astype(dtype)


def _varints(part: bytes) -> np.ndarray:
    """(N,) uint64 of packed varints: seven bits a byte, the lowest first, the eighth set where more follow."""
    data = np.frombuffer(part, np.uint8)
    ends = np.flatnonzero(data < 0x80)
    if not len(data):
        return np.zeros(0, np.uint64)
    if not len(ends) or ends[-1] + 1 < len(data):
        raise IndexError("a number is cut off")
    starts = np.concatenate([[0], ends[:-1] + 1])
    place = np.arange(len(data)) - np.repeat(starts, ends - starts + 1)
    if place.max() > 9:
        raise IndexError("a number of more than 64 bits")
    bits = (data & 0x7F).astype(np.uint64) << (7 * place).astype(np.uint64)
    return np.bitwise_or.reduceat(bits, starts)


def _table(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a sorted-string table."""
    data = read_bytes(path, "a TensorFlow checkpoint")
    if len(data) < _FOOTER or data[-8:] != _MAGIC:
        raise ValueError(f"{path} ({len(data)} bytes) does not end as a TensorFlow checkpoint must. Cut off?")
    footer = data[-_FOOTER:]
    _, place = _handle(footer, 0, path)
    (offset, size), _ = _handle(footer, place, path)
    for _, handle in _block(data, offset, size, path):
        (offset, size), _ = _handle(handle, 0, path)
        yield from _block(data, offset, size, path)


def _handle(data: bytes, place: int, path: Path) -> tuple[tuple[int, int], int]:
    try:
        offset, place = _varint(data, place)
        size, place = _varint(data, place)
    except IndexError as error:
        raise ValueError(f"{path}: a block's position is cut off. The file is damaged.") from error
    return (offset, size), place


def _block(data: bytes, offset: int, size: int, path: Path) -> Iterator[tuple[bytes, bytes]]:
    if offset + size + 5 > len(data) or size < 4:
        raise ValueError(f"{path}: a block of {size} bytes at {offset} is not inside the file's {len(data)}.")
    if data[offset + size] != 0:
        raise ValueError(
            f"{path}: its tables are compressed, which TensorFlow's savers do not do. Export the variables to npz."
        )
    block = data[offset : offset + size]
    (restarts,) = struct.unpack_from("<I", block, size - 4)
    end, place, key = size - 4 - 4 * restarts, 0, b""
    try:
        while place < end:
            shared, place = _varint(block, place)
            fresh, place = _varint(block, place)
            length, place = _varint(block, place)
            if shared + fresh > _LONGEST_KEY:
                raise ValueError(f"{path}: a name of {shared + fresh} bytes. The file is damaged.")
            key = key[:shared] + block[place : place + fresh]
            place += fresh
            yield key, block[place : place + length]
            place += length
    except IndexError as error:
        raise ValueError(f"{path}: the block at {offset} is cut off. The file is damaged.") from error


def _fields(message: bytes, path: Path) -> _Fields:
    """A protocol buffer's fields by number: integers, or bytes for everything longer."""
    fields: _Fields = {}
    place = count = 0
    try:
        while place < len(message):
            tag, place = _varint(message, place)
            kind = tag & 7
            value: int | bytes
            if kind == 0:
                value, place = _varint(message, place)
            elif kind in (1, 5):
                width = 8 if kind == 1 else 4
                value, place = message[place : place + width], place + width
            elif kind == 2:
                length, place = _varint(message, place)
                value, place = message[place : place + length], place + length
            else:
                raise ValueError(f"{path}: a protocol buffer has wire type {kind}. The file is damaged.")
            if place > len(message):
                raise ValueError(f"{path}: a protocol buffer is cut off. The file is damaged.")
            fields.setdefault(tag >> 3, []).append(value)
            count += 1
            if count > _MOST_FIELDS:
                raise ValueError(f"{path}: a protocol buffer of more than {_MOST_FIELDS} fields. The file is damaged.")
    except IndexError as error:
        raise ValueError(f"{path}: a protocol buffer is cut off. The file is damaged.") from error
    return fields


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, place
        shift += 7
        if shift > 63:
            raise IndexError("a number of more than 64 bits")


def _name(fields: _Fields, path: Path) -> str:
    return b"".join(_bytes(part, path) for part in fields.get(1, [])).decode(errors="replace")


def _integer(fields: _Fields, number: int, default: int = 0) -> int:
    value = fields.get(number, [default])[0]
    return value if isinstance(value, int) else default


def _first(fields: _Fields, number: int) -> bytes:
    value = fields.get(number, [b""])[0]
    return value if isinstance(value, bytes) else b""


def _bytes(value: int | bytes, path: Path) -> bytes:
    if isinstance(value, int):
        raise ValueError(f"{path}: a protocol buffer holds a number where a message belongs. The file is damaged.")
    return value


def _shape(fields: _Fields, number: int, path: Path) -> tuple[int, ...]:
    dimensions = _fields(_first(fields, number), path).get(2, [])
    return tuple(_integer(_fields(_bytes(dimension, path), path), 1) for dimension in dimensions)
