"""Pickles that hold arrays and plain containers, read by a machine that can build nothing else and calls nothing.

Motion is handed around as pickled dictionaries of arrays, and `pickle.load` runs whatever such a file names. Here the
operations are carried out one by one: containers, numbers, texts and NumPy arrays are built by this module from bytes
whose sizes are checked; any other name in the file is refused, and so is any operation that could call one.
"""

from __future__ import annotations

import math
import pickletools
import re
import warnings
from collections.abc import Callable, Hashable
from typing import IO, Any, cast

import numpy as np

MAX_OPERATIONS = 5_000_000
MAX_DEPTH = 20
_DTYPE = re.compile(r"(f[248]|[iu][1248]|b1|[US]\d{1,4}|O8?)")
# What a file may name, by what it stands for here.
_NAMES = {
    **{
        (f"numpy.{core}.{module}", name): name
        for core in ("core", "_core")
        for module, name in (("multiarray", "_reconstruct"), ("multiarray", "scalar"), ("numeric", "_frombuffer"))
    },
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "encode",
    ("collections", "OrderedDict"): "OrderedDict",
    ("__builtin__", "bytes"): "bytes",  # an empty text of bytes in old protocols
}


def load_plain(stream: IO[bytes], where: str) -> Any:
    """The object pickled in `stream`: None, numbers, texts, bytes, lists, tuples, dicts and NumPy arrays of those.

    Args:
        stream: at the pickle's first byte.
        where: what the file is called in errors.

    Raises:
        ValueError: with `where` and the byte, for a damaged pickle and for one that holds or does anything else.
    """
    machine = _Machine()
    position = 0
    try:
        with warnings.catch_warnings():
            # Python's reader of the oldest protocol warns of odd escapes in texts; here they are an error or nothing.
            warnings.simplefilter("ignore")
            for count, (operation, argument, at) in enumerate(pickletools.genops(cast(IO[bytes], _Pieces(stream)))):
                position = at or 0
                if count > MAX_OPERATIONS:
                    raise ValueError(f"more than {MAX_OPERATIONS} operations")
                if operation.name == "STOP":
                    return _finished(machine.pop(), 0, {})
                machine.run(operation.name, argument)
    except (ValueError, IndexError, KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"{where}, byte {position} of the pickle: {error}.") from None
    raise ValueError(f"{where}: the pickle ends without STOP; the file is cut off.")


class _Pieces:
    """A stream that reads no more at once than there may be: a damaged length would have memory set aside for it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream
        self.readline, self.tell = stream.readline, stream.tell

    def read(self, size: int) -> bytes:
        pieces = []
        while size > 0 and (piece := self.stream.read(min(size, 1 << 24))):
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)


class _Name(str):
    """One of `_NAMES`, so that no text in the file can pose as one."""


class _Dtype:
    def __init__(self, code: str) -> None:
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

    def build(self, state: Any) -> None:
        _, shape, dtype, fortran, raw = state
        self.fill(shape, dtype, raw, "F" if fortran else "C")

    def fill(self, shape: Any, dtype: Any, raw: Any, order: str) -> None:
        if not isinstance(dtype, _Dtype) or order not in ("C", "F"):
            raise ValueError("an array without a type")
        if not isinstance(shape, tuple) or len(shape) > 8 or not all(isinstance(n, int) and n >= 0 for n in shape):
            raise ValueError(f"an array of shape {str(shape)[:80]}")
        kind, count = dtype.dtype(), math.prod(shape)
        if kind.hasobject:
            if not isinstance(raw, list) or len(raw) != count:
                raise ValueError(f"an array of {count} objects without them")
            self.array = _objects(raw).reshape(shape, order=order)
        else:
            data = raw.encode("latin-1") if isinstance(raw, str) else raw
            if not isinstance(data, bytes | bytearray) or len(data) != count * kind.itemsize:
                found = len(data) if isinstance(data, bytes | bytearray) else type(data).__name__
                raise ValueError(
                    f"an array of shape {shape} and type {kind} needs {count * kind.itemsize} bytes, found {found}"
                )
            self.array = np.ndarray(shape, kind, bytearray(data), order=order)


class _Machine:
    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def pop(self) -> Any:
        if not self.stack or (self.marks and self.marks[-1] >= len(self.stack)):
            raise ValueError("nothing left to take")
        return self.stack.pop()

    def pop_marked(self) -> list[Any]:
        if not self.marks:
            raise ValueError("no mark")
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def top(self, kind: type) -> Any:
        if not self.stack or not isinstance(self.stack[-1], kind):
            raise ValueError(f"a {kind.__name__} should be here")
        return self.stack[-1]

    def run(self, operation: str, argument: Any) -> None:
        if operation in _PUSHES:
            self.stack.append(argument)
        elif operation in _CONSTANTS:
            self.stack.append(_CONSTANTS[operation]())
        elif operation in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self.memo[len(self.memo) if operation == "MEMOIZE" else argument] = self.top(object)
        elif operation in ("GET", "BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[argument])
        elif operation == "MARK":
            self.marks.append(len(self.stack))
        elif operation in ("TUPLE", "LIST", "DICT"):
            items = self.pop_marked()
            self.stack.append(tuple(items) if operation == "TUPLE" else items if operation == "LIST" else _pairs(items))
        elif operation in ("TUPLE1", "TUPLE2", "TUPLE3"):
            self.stack.append(tuple(self.pop() for _ in range(int(operation[-1])))[::-1])
        elif operation in ("APPEND", "APPENDS"):
            items = [self.pop()] if operation == "APPEND" else self.pop_marked()
            self.top(list).extend(items)
        elif operation in ("SETITEM", "SETITEMS"):
            items = [self.pop(), self.pop()][::-1] if operation == "SETITEM" else self.pop_marked()
            self.top(dict).update(_pairs(items))
        elif operation in ("GLOBAL", "STACK_GLOBAL"):
            named = argument.split(" ", 1) if operation == "GLOBAL" else [self.pop(), self.pop()][::-1]
            if tuple(named) not in _NAMES:
                raise ValueError(
                    f"it names {'.'.join(map(str, named))[:80]}; only arrays and plain containers are read"
                )
            self.stack.append(_Name(_NAMES[named[0], named[1]]))
        elif operation == "REDUCE":
            arguments, name = self.pop(), self.pop()
            self.stack.append(_reduced(name, arguments))
        elif operation == "BUILD":
            state, target = self.pop(), self.top(object)
            if not isinstance(target, _Dtype | _Array):
                raise ValueError("it sets attributes of an object; only arrays and plain containers are read")
            target.build(state)
        elif operation not in ("PROTO", "FRAME"):
            raise ValueError(f"operation {operation}; only arrays and plain containers are read")


# fmt: off
_PUSHES = frozenset((
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
))
# fmt: on
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
}


def _pairs(items: list[Any]) -> dict[Any, Any]:
    keys = items[::2]
    if len(items) % 2 or not all(isinstance(key, Hashable) for key in keys):
        raise ValueError("a dictionary with a key that is none, or without its value")
    return dict(zip(keys, items[1::2], strict=True))


def _reduced(name: Any, arguments: Any) -> Any:
    """What calling `name` would have given, built here."""
    if not isinstance(name, _Name) or not isinstance(arguments, tuple):
        raise ValueError("it calls something; only arrays and plain containers are read")
    if name == "dtype":
        return _Dtype(arguments[0])
    if name == "_reconstruct" and isinstance(arguments[0], _Name) and arguments[0] == "ndarray":
        return _Array()
    if name == "encode" and arguments[1:] in ((), ("latin1",), ("latin-1",)):
        return arguments[0].encode("latin-1")
    if name in ("OrderedDict", "bytes") and arguments == ():
        return b"" if name == "bytes" else {}
    if name == "scalar" and len(arguments) == 2:
        array = _Array()
        array.fill((), arguments[0], arguments[1], "C")
        return array
    if name == "_frombuffer" and len(arguments) == 4:
        array = _Array()
        array.fill(arguments[2], arguments[1], arguments[0], arguments[3])
        return array
    raise ValueError(f"{name} is used in an unknown way")


def _objects(items: list[Any]) -> np.ndarray:
    """(len(items),) of objects, whatever they are: assigning them at once would unpack sequences."""
    array = np.empty(len(items), dtype=object)
    for i, item in enumerate(items):
        array[i] = item
    return array


def _finished(value: Any, depth: int, known: dict[int, Any]) -> Any:
    """`value` with arrays in place of what they were built in. What is shared stays shared, so nothing multiplies."""
    if depth > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    if id(value) in known:
        return known[id(value)]
    finished = value
    if isinstance(value, _Array):
        if value.array is None:
            raise ValueError("an array without contents")
        finished = value.array if value.array.shape else value.array[()]
        if value.array.dtype.hasobject:
            items = [_finished(item, depth + 1, known) for item in value.array.ravel()]
            finished = _objects(items).reshape(value.array.shape)
    elif isinstance(value, _Dtype | _Name):
        raise ValueError("it holds a name; only arrays and plain containers are read")
    elif isinstance(value, list | tuple):
        finished = type(value)(_finished(item, depth + 1, known) for item in value)
    elif isinstance(value, dict):
        finished = {key: _finished(item, depth + 1, known) for key, item in value.items()}
    known[id(value)] = finished
    return finished
