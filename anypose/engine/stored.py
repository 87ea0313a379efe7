"""What a checkpoint says about itself is data: plain values, and nothing built but what this project's own files name.

A checkpoint may come from a stranger. Its configuration names classes to build (`_target_`), and Hydra would build
whatever stands there; a `${...}` in it would be resolved on the reader's machine. So nothing of it is used before
`plain_config` and `plain_choices` have looked at all of it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from anypose.engine.place import CONF

BUILT = ("model", "task", "dataset")  # the sections that are built from a file
NEVER_BUILT = ("device", "precision", "optimizer", "schedule")  # are the command's own: here for the record
DEEPEST, LARGEST = 20, 20_000  # levels, and values in all: real ones have 4 and 300
OPTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
RESERVED = re.compile(r"_[a-z]+_")  # _target_, _partial_, _args_, ...: words to Hydra


def plain_config(config: Any, source: str) -> dict[str, Any]:
    """The stored configuration if it is plain values and names only what this project's conf/ names.

    Args:
        config: as a file holds it.
        source: the file, for messages.

    Raises:
        ValueError: naming the key and what stands there. Nothing has been built or resolved by then.
    """
    if not isinstance(config, dict):
        raise ValueError(f"{source}: its configuration must be a mapping, found {type(config).__name__}.")
    for count, (path, value) in enumerate(_walk(config, (), source)):
        if count > LARGEST:
            raise ValueError(f"{source}: its configuration has more than {LARGEST} values.")
        name = ".".join(map(str, path))
        if value is not None and not isinstance(value, (bool, int, float, str, list, dict)):
            raise ValueError(f"{source}: {name} must be a plain value, found {type(value).__name__}.")
        if isinstance(value, str) and "${" in value:
            raise ValueError(
                f"{source}: {name} is '{value[:80]}'. A stored configuration holds plain values; what stands between "
                "${ and } is never looked up. Take the checkpoint from whoever trained it with this version."
            )
        key = path[-1]
        if isinstance(key, str) and RESERVED.fullmatch(key) and path[0] not in NEVER_BUILT:
            _check_reserved(path, value, name, source)
    return config


def plain_choices(choices: Any, source: str) -> dict[str, str]:
    """Which option each group took, if these are names and no paths.

    Raises:
        ValueError: naming what is none.
    """
    if not isinstance(choices, dict):
        raise ValueError(f"{source}: its choices must be a mapping, found {type(choices).__name__}.")
    for group, option in choices.items():
        if not isinstance(group, str) or not isinstance(option, str) or not OPTION.fullmatch(option):
            raise ValueError(f"{source}: choices.{group} must be the name of an option, found {str(option)[:80]!r}.")
    return choices


def existing(group: str, option: str, source: str) -> str:
    """The option if conf/ has it.

    Raises:
        ValueError: naming those that it has.
    """
    known = options(group)
    if option not in known:
        raise ValueError(f"{source}: {group}={option!r} is no option of conf/{group}/, which has {', '.join(known)}.")
    return option


def options(group: str) -> list[str]:
    """The options of a group of conf/."""
    return sorted(file.stem for file in (CONF / group).glob("*.yaml"))


def own_section(group: str, option: str | None) -> dict[str, Any]:
    """What this project's own file says, interpolations as they stand; empty where there is no such file."""
    return _read(CONF / group / f"{option}.yaml") if option in options(group) else {}


def _check_reserved(path: tuple[Any, ...], value: Any, name: str, source: str) -> None:
    if path[-1] == "_target_" and path[0] in BUILT:
        if isinstance(value, str) and value in _targets(path[0]):
            return
        known = f"no file of conf/{path[0]}/ names"
    else:
        known = "has no place in a stored configuration"
    raise ValueError(
        f"{source}: {name}={str(value)[:80]!r} {known}; nothing of this file was built. Do not use it unless you know "
        "who made it; classes of your own go into conf/, as CONTRIBUTING.md says."
    )


def _targets(group: str) -> set[str]:
    return {str(_read(file).get("_target_")) for file in (CONF / group).glob("*.yaml")}


@functools.cache
def _read(file: Path) -> dict[str, Any]:
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    return content if isinstance(content, dict) else {}


def _walk(node: Any, path: tuple[Any, ...], source: str) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every value below `node` with the keys that lead to it, mappings and lists themselves included."""
    if len(path) >= DEEPEST:
        raise ValueError(f"{source}: its configuration is more than {DEEPEST} levels deep.")
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in items:
        if not isinstance(key, (str, int)):
            raise ValueError(f"{source}: the keys of a configuration are words, found {type(key).__name__}.")
        yield (*path, key), value
        if isinstance(value, (dict, list, tuple)):
            yield from _walk(value, (*path, key), source)
