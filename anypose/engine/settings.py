"""Settings are judged before anything is built: each is what the file's default or the constructor's signature says.

A constructor's annotations are its contract: `dropout: float`, `loss: Literal["mpjpe", ...]`. What the command line
gives, and what stands in a checkpoint, is held against them, so that a wrong word is answered with the key and what it
may be, not by whatever would have stumbled over it later. A constructor that hands `**rest` on to another class says so
by `gathers = Class`.
"""

from __future__ import annotations

import collections.abc
import inspect
import math
import types
import typing
from collections.abc import Mapping
from typing import Any

import yaml
from hydra.errors import HydraException
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from anypose.engine.limits import check_seed
from anypose.engine.place import CONF
from anypose.engine.stored import BUILT

KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}
LARGEST = 2**63 - 1
KNOWN_MODULES = ("builtins", "collections.abc", "typing")
LISTS = (list, tuple, collections.abc.Sequence, collections.abc.Iterable, collections.abc.Collection)


class Misuse(ValueError):
    """A command line that cannot be meant."""


def check_settings(cfg: DictConfig, command: str) -> None:
    """Refuse settings of another kind than they must be; a single word where a list is meant becomes one.

    Args:
        cfg: composed, changed in place.
        command: whose primary configuration it is, "train".

    Raises:
        Misuse: naming the key, what it may be and what it was.
    """
    values = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(values, dict)
    defaults = _yaml(CONF / f"{command}.yaml")
    for key, value in values.items():
        if isinstance(value, dict):
            _check_section(cfg, str(key), value)
        else:
            _check_like(cfg, str(key), value, defaults.get(key))
    if "seed" in values:
        check_seed(values["seed"])


def check_stored(config: DictConfig, source: str) -> None:
    """Refuse settings of another kind in the sections of a checkpoint's configuration that something is built from.

    Args:
        config: changed in place as by `check_settings`.
        source: the file, for messages.

    Raises:
        ValueError: naming the file and the key.
    """
    values = OmegaConf.to_container(config, resolve=True)
    assert isinstance(values, dict)
    for key in BUILT:
        if isinstance(values.get(key), dict):
            try:
                _check_section(config, key, values[key])
            except Misuse as error:
                raise ValueError(f"{source}: {error}") from None


def _check_section(cfg: DictConfig, key: str, values: dict) -> None:
    if "_target_" in values:
        annotations = _annotations(values["_target_"])
        for name, value in values.items():
            if name in annotations and value != "???":
                _put(cfg, f"{key}.{name}", value, _fitted(f"{key}.{name}", value, annotations[name]))
    elif (CONF / key / "default.yaml").is_file():
        defaults = _yaml(CONF / key / "default.yaml")
        for name, value in values.items():
            _check_like(cfg, f"{key}.{name}", value, defaults.get(name))
    for name, value in values.items():
        if isinstance(value, dict):
            _check_section(cfg, f"{key}.{name}", value)


def _check_like(cfg: DictConfig, key: str, value: Any, default: Any) -> None:
    """A value must be of its default's kind; where that is null only numbers that are none are refused."""
    if default is None or value is None:
        _fitted(key, value, Any)
    elif isinstance(default, list):
        _put(cfg, key, value, _fitted(key, value, list))
    elif type(default) in KINDS:
        _put(cfg, key, value, _fitted(key, value, type(default)))


def _put(cfg: DictConfig, key: str, old: Any, new: Any) -> None:
    if type(old) is not type(new) or old != new:
        OmegaConf.update(cfg, key, new, force_add=True)


def _annotations(target: Any) -> dict[str, Any]:
    """What the parameters of a constructor or function may be; empty where it does not say."""
    try:
        thing = get_object(str(target))
    except (HydraException, ImportError, ValueError, AttributeError):
        return {}  # building it says what is missing
    functions = [thing.__init__, *([thing.gathers.__init__] if hasattr(thing, "gathers") else [])]
    try:
        hints = [typing.get_type_hints(function) for function in (functions if inspect.isclass(thing) else [thing])]
    except (NameError, TypeError):
        return {}  # names that only its type checker knows
    return {name: kind for found in hints for name, kind in found.items() if name != "return"}


def _fitted(key: str, value: Any, kind: Any) -> Any:
    """The value, or the list that a single one stands for.

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
        return _fitted(key, int(value), kind)
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


def _yaml(file: Any) -> dict[str, Any]:
    content = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return content if isinstance(content, dict) else {}
