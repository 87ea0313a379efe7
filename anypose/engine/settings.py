"""Settings are judged before anything is built: each is what the file's default or the constructor's signature says.

What the command line gives, and what stands in a checkpoint, is held against them by `anypose.settings`.
"""

from __future__ import annotations

import inspect
import typing
from typing import Any

import yaml
from hydra.errors import HydraException
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from anypose.engine.limits import check_beginning, check_seed, check_trainer
from anypose.engine.place import CONF
from anypose.engine.stored import BUILT
from anypose.settings import KINDS, Misuse, fitted


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
            _check_like(cfg, str(key), value, defaults.get(str(key)))
    _check_run(values)
    if command == "train":
        check_beginning({str(key): value for key, value in values.items()})


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
    try:
        for key in BUILT:
            if isinstance(values.get(key), dict):
                _check_section(config, key, values[key])
        _check_run(values)
    except Misuse as error:
        raise ValueError(f"{source}: {error}") from None


def _check_run(values: dict) -> None:
    if "seed" in values:
        check_seed(values["seed"])
    if "trainer" in values:
        check_trainer(values["trainer"])


def _check_section(cfg: DictConfig, key: str, values: dict) -> None:
    if "_target_" in values:
        annotations = _annotations(values["_target_"])
        for name, value in values.items():
            if name in annotations and value != "???":
                _put(cfg, f"{key}.{name}", value, fitted(f"{key}.{name}", value, annotations[name]))
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
        fitted(key, value, Any)
    elif isinstance(default, list):
        _put(cfg, key, value, fitted(key, value, list))
    elif type(default) in KINDS:
        _put(cfg, key, value, fitted(key, value, type(default)))


def _put(cfg: DictConfig, key: str, old: Any, new: Any) -> None:
    if type(old) is not type(new) or old != new:
        OmegaConf.update(cfg, key, new, force_add=True)


def _annotations(target: Any) -> dict[str, Any]:
    """What the parameters of a constructor or function may be; empty where it does not say."""
    try:
        thing = get_object(str(target))
    except (HydraException, ImportError, ValueError, AttributeError):
        return {}  # building it says what is missing
    function = thing.__init__ if inspect.isclass(thing) else thing
    try:
        return {name: kind for name, kind in typing.get_type_hints(function).items() if name != "return"}
    except (NameError, TypeError):
        return {}  # names that only its type checker knows


def _yaml(file: Any) -> dict[str, Any]:
    content = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return content if isinstance(content, dict) else {}
