"""Settings judged by the annotations of what takes them, before it runs: one place for every kind of wrong value."""

from __future__ import annotations

import functools
import inspect
import math
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")

_TOLD = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}


def judged(section: str) -> Callable[[type[T]], type[T]]:
    """A decorator of classes that conf/ builds: the constructor gets values of the types it names, or none.

    A single value stands for a list of one (`dataset.actions=Walking`), a whole number for a real one, and a number for
    the word it is written as (`dataset.train_subjects=[1]`). Anything else is an error with the key, before the
    constructor runs.

    Args:
        section: of the configuration, e.g. "dataset"; keys are named `dataset.fps`.
    """

    def decorate(kind: type[T]) -> type[T]:
        constructor = kind.__init__
        signature = inspect.signature(constructor)

        @functools.wraps(constructor)
        def judge(self: Any, *positional: Any, **named: Any) -> None:
            hints = typing.get_type_hints(constructor)
            bound = signature.bind(self, *positional, **named)
            for name, value in bound.arguments.items():
                if name in hints and signature.parameters[name].kind is not inspect.Parameter.VAR_KEYWORD:
                    bound.arguments[name] = fitting(value, hints[name], f"{section}.{name}")
            constructor(*bound.args, **bound.kwargs)

        kind.__init__ = judge
        return kind

    return decorate


def fitting(value: Any, hint: Any, key: str) -> Any:
    """`value` as the type `hint` names, e.g. `Sequence[str] | None`; types that no YAML can hold are not judged.

    Raises:
        ValueError: with the key, what it must be and what it is.
    """
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        kinds = [kind for kind in inner if kind is not type(None)]
        if value is None and len(kinds) < len(inner):
            return None
        for kind in kinds[:-1]:
            try:
                return fitting(value, kind, key)
            except ValueError:
                continue
        return fitting(value, kinds[-1], key)
    if origin is typing.Literal:
        if value not in inner:
            choices = [str(choice) for choice in inner if choice is not None]
            raise ValueError(f"{key} must be {', '.join(choices[:-1])} or {choices[-1]}, found {value!r}.")
        return value
    if isinstance(origin, type) and issubclass(origin, Sequence):
        several = isinstance(value, Sequence) and not isinstance(value, str | bytes)
        if value is None:
            raise ValueError(f"{key} must be a list, found null.")
        return tuple(fitting(item, inner[0], key) for item in (value if several else (value,)))
    if hint not in _TOLD:
        return value
    if hint is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return value
    if hint is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise ValueError(f"{key} must be {_TOLD[hint]}, found {_shown(value)}.")
    if hint is float and math.isnan(value):
        raise ValueError(f"{key} must be a number, found NaN.")
    return value


def _shown(value: Any) -> str:
    """As it stands in YAML, cut short."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value)[:80]
