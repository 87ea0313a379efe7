"""Settings are what the annotations of those that take them say: one place for every kind of wrong value.

A constructor's annotations are its contract: `dropout: float`, `loss: Literal["mpjpe", ...]`. A value that is none of
that is answered with the key and what it may be, not by whatever would have stumbled over it later.
"""

from __future__ import annotations

import collections.abc
import functools
import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")
KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}
LARGEST = 2**63 - 1
KNOWN_MODULES = ("builtins", "collections.abc", "typing")
LISTS = (list, tuple, collections.abc.Sequence, collections.abc.Iterable, collections.abc.Collection)


class Misuse(ValueError):
    """A setting that cannot be meant."""


def check_range(section: str, low: float, high: float, without_low: bool = False, **settings: Any) -> None:
    """Refuse settings that are no finite numbers between `low` and `high`, both included.

    Args:
        section: what stands before the names, "task".
        high: may be infinite, which then is no value either.
        without_low: `low` itself is none.
        settings: values by name.

    Raises:
        Misuse: naming the setting, what it must be and what it is.
    """
    for name, value in settings.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if not number or not low <= value <= high or (without_low and value == low):
            above = f"above {low:g}" if without_low else f"{low:g} or more"
            most = "" if math.isinf(high) else f" and at most {high:g}"
            raise Misuse(f"{section}.{name} must be a number {above}{most}, got {value!r}.")


def judged(section: str) -> Callable[[type[T]], type[T]]:
    """A decorator of classes that conf/ builds: the constructor gets values of the kinds it names, whoever calls it.

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
                    several = isinstance(value, collections.abc.Sequence) and not isinstance(value, str | bytes)
                    fit = fitted(f"{section}.{name}", list(value) if several else value, hints[name])
                    bound.arguments[name] = tuple(fit) if isinstance(fit, list) else fit
            constructor(*bound.args, **bound.kwargs)

        kind.__init__ = judge
        return kind

    return decorate


def fitted(key: str, value: Any, kind: Any) -> Any:
    """The value as the kind has it: a single one stands for a list of one, a number for the word it is written as.

    Args:
        key: as the user writes it, "dataset.fps".
        value: of YAML, or an object.
        kind: an annotation, e.g. `Sequence[str] | None`.

    Raises:
        Misuse: where it is of another kind.
    """
    arms = _arms(kind)
    if isinstance(value, float) and math.isnan(value):
        raise Misuse(f"{key} must be {_described(arms)}, got nan, which is no number.")
    if type(value) is int and abs(value) > LARGEST:
        raise Misuse(f"{key} must be {_described(arms)}, got {_shown(value)}, which is more than 64 bits hold.")
    if isinstance(value, dict) and "_target_" in value:
        return value  # becomes an object
    for arm in arms:
        if _fits(value, arm):
            return value
    if type(value) in (int, float) and str in arms:
        return str(value)
    if type(value) is float and int in arms and value.is_integer():
        return fitted(key, int(value), kind)
    if not isinstance(value, (list, dict)) and value is not None:
        for arm in arms:
            if _origin(arm) in LISTS and _fits([value], arm):
                return [value]
            if _origin(arm) in LISTS and type(value) in (int, float) and _fits([str(value)], arm):
                return [str(value)]
    if isinstance(value, list):
        for arm in arms:
            words = [str(item) if type(item) in (int, float) else item for item in value]
            if _origin(arm) in LISTS and _fits(words, arm):
                return words
    raise Misuse(f"{key} must be {_described(arms)}, got {_shown(value)}.")


def _fits(value: Any, arm: Any) -> bool:
    origin, inside = _origin(arm), typing.get_args(arm)
    if arm in (Any, object):
        return True
    if arm is None or arm is type(None):
        return value is None
    if origin is typing.Literal:
        return any(value == word and type(value) is type(word) for word in inside)
    if arm is float:
        return type(value) in (int, float)
    if arm in KINDS:
        return type(value) is arm
    if origin in LISTS:
        if not isinstance(value, list):
            return False
        if origin is tuple and inside and Ellipsis not in inside:
            return len(value) == len(inside) and all(map(_fits_any, value, inside))
        return not inside or all(_fits_any(item, inside[0]) for item in value)
    if origin in (dict, collections.abc.Mapping, collections.abc.MutableMapping):
        return isinstance(value, Mapping)
    return not isinstance(arm, type) or not isinstance(value, (str, int, float, bool, list, type(None)))


def _fits_any(value: Any, kind: Any) -> bool:
    return any(_fits(value, arm) for arm in _arms(kind))


def _arms(kind: Any) -> list[Any]:
    """The kinds that a union allows; one for others."""
    if isinstance(kind, typing.TypeVar) or kind is inspect.Parameter.empty:
        return [Any]
    return list(typing.get_args(kind)) if _origin(kind) in (typing.Union, types.UnionType) else [kind]


def _origin(kind: Any) -> Any:
    return typing.get_origin(kind) or kind


def _described(arms: list[Any]) -> str:
    words = []
    # What no YAML can hold, such as torch's Tensor for a learning rate, is no advice.
    typed = [arm for arm in arms if not isinstance(_origin(arm), type) or _origin(arm).__module__ in KNOWN_MODULES]
    for arm in typed or arms:
        inside = typing.get_args(arm)
        if _origin(arm) is typing.Literal:
            words += map(str, inside)
        elif _origin(arm) in LISTS:
            words.append(f"a list [{', '.join(_described(_arms(kind)) for kind in inside if kind is not ...)}]")
        elif arm is None or arm is type(None):
            words.append("null")
        elif _origin(arm) in (dict, collections.abc.Mapping):
            words.append("a mapping {key: value}")
        else:
            words.append(KINDS.get(arm, "a value" if arm is Any else getattr(arm, "__name__", str(arm))))
    return " or ".join(words)


def _shown(value: Any) -> str:
    return "null" if value is None else repr(value)[:80]
