"""Pickles that hold arrays and plain containers; anything else that one names or does is refused.

Motion is handed around as pickled dictionaries of arrays, and `pickle.load` runs whatever such a file names. Here an
Unpickler finds numpy's few constructors and nothing more, and what it finds are stand-ins of this module, which check
sizes: what comes out of a file is never larger than what went into it.
"""

from __future__ import annotations

import math
import pickle
import pickletools
import re
import struct
import warnings
from collections.abc import Callable
from typing import IO, Any

import numpy as np

from anypose.bounds import largest, limit

MAX_OPERATIONS = 5_000_000
MAX_DEPTH = 20
LARGEST_KEY = 1 << 53  # below 2**61 - 1 no two whole numbers have one hash
# What tiny values may add up to beyond the file's own bytes.
SLACK = 1 << 20
_DTYPE = re.compile(r"(f[248]|[iu][1248]|b1|[US]\d{1,4}|O8?)")
_REFUSED = frozenset((
    "PERSID", "BINPERSID", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "EMPTY_SET", "ADDITEMS",
    "FROZENSET", "NEXT_BUFFER", "READONLY_BUFFER",
))  # fmt: skip
_REFUSED_CODES = {ord(op.code) for op in pickletools.opcodes if op.name in _REFUSED}
_DAMAGED = (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, struct.error)


def load_plain(stream: IO[bytes], where: str, operations: int = MAX_OPERATIONS) -> Any:
    """The object pickled in `stream`: None, numbers, texts, bytes, lists, tuples, dicts and NumPy arrays of those.

    Args:
        stream: at the pickle's first byte.
        where: what the file is called in errors.
        operations: at most so many; a text or a number takes one or two.

    Raises:
        ValueError: with `where` and the byte, for a damaged pickle and for one that holds or does anything else.
    """
    pieces = _Pieces(stream)
    try:
        with warnings.catch_warnings():
            # Python's reader of the oldest protocol warns of odd escapes in texts; here they are an error or nothing.
            warnings.simplefilter("ignore")
            value = _Finished()(_PlainUnpickler(pieces, operations).load(), 0)[0]
    except EOFError:
        raise ValueError(f"{where}: the pickle ends without STOP; the file is cut off.") from None
    except (*_DAMAGED, pickle.UnpicklingError) as error:
        raise ValueError(f"{where}, byte {pieces.count} of the pickle: {error}.") from None
    return value


class _Pieces:
    """A stream that counts, and reads no more at once than there may be: a damaged length would take all memory."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream
        self.block, self.place, self.before = b"", 0, 0  # read ahead, how far it was used, bytes of those before it

    @property
    def count(self) -> int:
        """Bytes that were used."""
        return self.before + self.place

    def next(self) -> int:
        """One byte."""
        if self.place == len(self.block):
            self.before += self.place
            self.block, self.place = self.stream.read(1 << 16), 0
            self._judge()
            if not self.block:
                raise EOFError
        self.place += 1
        return self.block[self.place - 1]

    def read(self, size: int) -> bytes:
        pieces = [self.block[self.place : self.place + size]]
        self.place += len(pieces[0])
        size -= len(pieces[0])
        while size > 0 and (piece := self.stream.read(min(size, 1 << 24))):
            pieces.append(piece)
            size -= len(piece)
            self.before += len(piece)
            self._judge()
        return b"".join(pieces) if len(pieces) > 1 else pieces[0]

    def readline(self) -> bytes:
        end = self.block.find(b"\n", self.place) + 1
        line = self.block[self.place : end or len(self.block)]
        self.place += len(line)
        if not end:
            rest = self.stream.readline()
            self.before += len(rest)
            self._judge()
            line += rest
        return line

    def _judge(self) -> None:
        if self.count > largest():
            raise ValueError(f"it has more bytes than the limit of {limit(largest())}")


# The Python form of the Unpickler keeps its memo in a dictionary, whatever places a file names, and its operations can
# be replaced one by one; the C form sets memory aside first.
_PythonUnpickler: Any = pickle._Unpickler  # pyright: ignore[reportAttributeAccessIssue]


class _PlainUnpickler(_PythonUnpickler):
    def __init__(self, pieces: _Pieces, operations: int) -> None:
        super().__init__(pieces, encoding="latin1")
        self.pieces, self.made, self.operations = pieces, 0, operations

    def load(self) -> Any:
        """As Python's own, which takes three calls for each byte; frames only say how much to read ahead."""
        self.metastack, self.stack, self.proto = [], [], 0
        self.append = self.stack.append
        self.read, self.readline = self.pieces.read, self.pieces.readline
        following, handlers = self.pieces.next, self.dispatch
        try:
            for _ in range(self.operations):
                code = following()
                handler = handlers.get(code)
                if handler is None:
                    operation = pickletools.code2op.get(chr(code))  # pyright: ignore[reportAttributeAccessIssue]
                    name = operation.name if operation else f"of byte {code}"
                    raise ValueError(f"operation {name}; only arrays and plain containers are read")
                handler(self)
        except pickle._Stop as stop:  # pyright: ignore[reportAttributeAccessIssue]
            return stop.value
        raise ValueError(f"more than {self.operations} operations")

    def find_class(self, module: str, name: str) -> Any:
        core = re.fullmatch(r"numpy\._?core\.(multiarray|numeric)", module)
        stand_ins = {
            "numpy dtype": _Dtype,
            "numpy ndarray": _NDARRAY,
            "multiarray _reconstruct": lambda *_: _Array(self.making),
            "multiarray scalar": lambda dtype, raw: _Array(self.making).fill((), dtype, raw, "C"),
            "numeric _frombuffer": lambda raw, dtype, shape, order: _Array(self.making).fill(shape, dtype, raw, order),
            "_codecs encode": self._encode,
            "collections OrderedDict": lambda: {},
            "__builtin__ bytes": lambda: b"",  # an empty text of bytes in old protocols
        }
        found = stand_ins.get(f"{core[1] if core else module} {name}")
        if found is None:
            raise ValueError(f"it names {f'{module}.{name}'[:80]}; only arrays and plain containers are read")
        return found

    def making(self, size: int) -> None:
        """Count bytes that a stand-in is about to make: bytes used again and again would grow without bound."""
        self.made += size
        if self.made > 2 * self.pieces.count + SLACK:
            raise ValueError(f"{self.made} bytes would be made of the {self.pieces.count} read: it unpacks without end")

    def _encode(self, text: str, encoding: str = "latin1") -> bytes:
        if encoding not in ("latin1", "latin-1"):
            raise ValueError(f"it encodes in {str(encoding)[:40]!r}")
        self.making(len(text))
        return text.encode("latin-1")

    def _set_items(self, target: Any, items: list[Any]) -> None:
        """Keys must be plain: to hash a tuple of tuples of the same tuples would take for ever, and to keep large
        numbers apart that were chosen to have one hash."""
        if not isinstance(target, dict) or len(items) % 2:
            raise ValueError("a dictionary, or a value for a key, should be here")
        for key in items[::2]:
            for part in key if isinstance(key, tuple) else (key,):
                if not isinstance(part, str | bytes | int | float | None):
                    raise ValueError(f"a dictionary with a key of type {type(part).__name__}")
                if isinstance(part, int) and not -LARGEST_KEY < part < LARGEST_KEY:
                    raise ValueError(f"a dictionary with a number beyond {LARGEST_KEY} as a key")
        target.update(zip(items[::2], items[1::2], strict=True))

    def load_dict(self) -> None:
        items: Any = self.pop_mark()
        made: dict[Any, Any] = {}
        self._set_items(made, items)
        self.append(made)

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set_items(self.stack[-1], [key, value])

    def load_setitems(self) -> None:
        items: Any = self.pop_mark()
        self._set_items(self.stack[-1], items)

    def load_frame(self) -> None:
        self.read(8)

    def load_bytearray8(self) -> None:
        (size,) = struct.unpack("<Q", self.read(8))
        self.append(self.read(size))

    def load_build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if not isinstance(target, _Dtype | _Array):
            raise ValueError("it sets attributes of an object; only arrays and plain containers are read")
        target.build(state)

    dispatch = {  # noqa: RUF012 (the Unpickler has it so)
        **{code: load for code, load in _PythonUnpickler.dispatch.items() if code not in _REFUSED_CODES},
        pickle.DICT[0]: load_dict,
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
        pickle.BYTEARRAY8[0]: load_bytearray8,
        pickle.BUILD[0]: load_build,
        pickle.FRAME[0]: load_frame,
    }


_NDARRAY = object()


class _Dtype:
    def __init__(self, code: Any, *_: Any) -> None:
        if not isinstance(code, str) or not _DTYPE.fullmatch(code):
            raise ValueError(f"arrays of type {str(code)[:40]!r} are not read")
        self.code, self.order = code, "|"

    def build(self, state: Any) -> None:
        order, subarray, names, fields = state[1:5]
        if order not in ("<", ">", "|", "=") or (subarray, names, fields) != (None, None, None):
            raise ValueError("structured arrays are not read")
        self.order = order

    def dtype(self) -> np.dtype:
        return np.dtype("O") if self.code[0] == "O" else np.dtype(self.order + self.code)


class _Array:
    """An array whose contents follow; texts and numbers are complete once built."""

    array: np.ndarray | None = None

    def __init__(self, making: Callable[[int], None]) -> None:
        self.making = making

    def build(self, state: Any) -> None:
        _, shape, dtype, fortran, raw = state
        self.fill(shape, dtype, raw, "F" if fortran else "C")

    def fill(self, shape: Any, dtype: Any, raw: Any, order: Any) -> _Array:
        """Make the array of `raw`: bytes, Latin-1 text of them, or a list of objects."""
        if not isinstance(dtype, _Dtype) or order not in ("C", "F"):
            raise ValueError("an array without a type")
        if not isinstance(shape, tuple) or not all(isinstance(n, int) and 0 <= n < 1 << 40 for n in shape):
            raise ValueError(f"an array of shape {str(shape)[:80]}")
        made, count = dtype.dtype(), math.prod(shape)
        if made.hasobject:
            if not isinstance(raw, list) or len(raw) != count:
                raise ValueError(f"an array of shape {shape} needs a list of {count} objects")
            flat = np.empty(count, dtype=object)
            self.making(flat.nbytes // 8)
            for i, item in enumerate(raw):
                flat[i] = item
            self.array = flat.reshape(shape, order=order)
            return self
        if isinstance(raw, str):  # Python 2
            self.making(len(raw))
            raw = raw.encode("latin-1")
        wanted = count * made.itemsize
        if not isinstance(raw, bytes) or len(raw) != wanted:
            found = len(raw) if isinstance(raw, bytes) else type(raw).__name__
            raise ValueError(f"an array of shape {shape} and type {made} needs {wanted} bytes, found {found}")
        self.making(wanted)
        self.array = np.frombuffer(bytearray(raw), made).reshape(shape, order=order)
        return self


class _Finished:
    """Arrays in place of what they were built in. What is shared stays shared, and may not stand for too much."""

    def __init__(self) -> None:
        self.known: dict[int, tuple[Any, int]] = {}

    def __call__(self, value: Any, depth: int) -> tuple[Any, int]:
        """The finished value, and its bytes if everything in it that is shared were there as often as it stands."""
        if depth > MAX_DEPTH:
            raise ValueError(f"nested deeper than {MAX_DEPTH}")
        if id(value) in self.known:
            return self.known[id(value)]
        finished, size = value, 8
        if isinstance(value, _Array):
            if value.array is None:
                raise ValueError("an array without contents")
            finished, size = value.array if value.array.shape else value.array[()], value.array.nbytes
            if value.array.dtype.hasobject:
                items, size = self._all(value.array.ravel(), depth)
                flat = np.empty(len(items), dtype=object)
                for i, item in enumerate(items):
                    flat[i] = item
                finished = flat.reshape(value.array.shape)
        elif isinstance(value, list | tuple):
            items, size = self._all(value, depth)
            finished = type(value)(items)
        elif isinstance(value, dict):
            items, size = self._all(value.values(), depth)
            finished = dict(zip(value, items, strict=True))
        elif isinstance(value, str | bytes):
            size = len(value)
        elif not isinstance(value, bool | int | float | None):
            raise ValueError("it holds a name; only arrays and plain containers are read")
        if size > largest():
            raise ValueError(f"with what it repeats it is larger than the limit of {limit(largest())}")
        self.known[id(value)] = finished, size
        return finished, size

    def _all(self, values: Any, depth: int) -> tuple[list[Any], int]:
        pairs = [self(value, depth + 1) for value in values]
        return [finished for finished, _ in pairs], 8 + sum(size for _, size in pairs)
