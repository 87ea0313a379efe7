"""A checkpoint's configuration under a command's: which of the two says what."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError

from anypose.engine.overrides import parsed
from anypose.engine.stored import BUILT, options, own_section
from anypose.settings import Misuse

log = logging.getLogger(__name__)

FRESH = ("device", "precision")  # belong to where the model runs now, not to where it was trained
PROTOCOLS = ("experiment", "recipe")  # bring a dataset and a task
GLOBAL = ("debug",)  # sets single keys of other sections
LINK = re.compile(r"\$\{[.\w]+\}")  # to another key; what looks things up elsewhere is not tied again
LIMITS = ("max_megapixels", "max_megabytes")  # of what is read from the disk
WRITTEN = ("cache", "results")  # settings that say where files are written
USE = ("flip_test", "bones")  # settings of a task that say how released weights are used, on whatever they are scored


def used_as_released(own: dict[str, Any], stored: dict[str, Any], path: Path) -> dict[str, Any]:
    """The command's own configuration, its task set to what released weights say of their use."""
    task, said = own["task"], stored.get("task", {})
    use = {key: said[key] for key in USE if key in task and isinstance(said.get(key), bool) and said[key] != task[key]}
    if use:
        words = " ".join(f"task.{key}={str(value).lower()}" for key, value in use.items())
        log.info("%s is used with %s, unless other is said.", path.name, words)
    return {**own, "task": {**task, **use}}


def take_the_rest(config: DictConfig, cfg: DictConfig, source: str) -> None:
    """Settings of how to score that a checkpoint does not bring, are the command's own.

    Raises:
        ValueError: where it lacks a section that something is built from.
    """
    check_sections(config, BUILT, source)
    for key in ("trainer", "seed", "parity"):
        if key not in config:
            config[key] = cfg[key]
    if isinstance(config.trainer, DictConfig):
        config.trainer = OmegaConf.merge(cfg.trainer, config.trainer)


def complete(
    config: DictConfig, choices: dict[str, str], path: Path, sections: Sequence[str] = ("model", "task")
) -> None:
    """Add the settings of model, task or dataset that came after a checkpoint, as the files of its choices have them.

    There a new setting has the value that leaves everything as it was without it.

    Raises:
        ValueError: where it lacks one of the sections.
    """
    check_sections(config, sections, str(path))
    for section in sections:
        for place, node, own in _built(config, section, choices):
            if "_target_" not in own or own["_target_"] != node.get("_target_"):
                continue
            for key in sorted(set(own) - set(node) - {"defaults"}, key=str):  # which is Hydra's word
                log.info("%s is older than %s.%s: taking %s.", path, place, key, own[key])
                OmegaConf.update(config, f"{place}.{key}", own[key], force_add=True)


def _built(config: DictConfig, section: str, choices: dict[str, str]) -> list[tuple[str, DictConfig, dict[str, Any]]]:
    """A section and those inside it: where each stands, what it holds, and what the file of its choice says."""
    node = config.get(section)
    if not isinstance(node, DictConfig):
        return []
    inside = [(f"{section}.{key}", value) for key, value in node.items() if isinstance(value, DictConfig)]
    named = [(section, section, node), *((f"{section}@{place}", place, value) for place, value in inside)]
    return [(place, value, own_section(section, choices.get(name))) for name, place, value in named]


def check_sections(config: DictConfig, sections: Sequence[str], source: str) -> None:
    """Refuse a checkpoint's configuration that lacks a section that something is built from."""
    for section in sections:
        if not isinstance(config.get(section), DictConfig) or "_target_" not in config[section]:
            raise ValueError(f"{source}: its configuration has no {section} to build. Name another checkpoint.")


def overlay(
    saved: dict[str, Any],
    cfg: DictConfig,
    overrides: list[str],
    groups: set[str],
    source: str,
    choices: dict[str, str] | None = None,
) -> DictConfig:
    """The saved configuration with the command line's overrides on top; device and precision are the command's own.

    Args:
        saved: the configuration inside the checkpoint, plain values.
        cfg: the command's composed configuration, overrides included.
        overrides: as typed.
        groups: names of the groups in `cfg`; choosing an option of one replaces the saved section.
        source: the checkpoint, for messages.
        choices: which files the saved sections came from, see `tie`.

    Raises:
        ValueError: when a key is not part of the saved configuration.
    """
    config = OmegaConf.create(saved)
    tie(config, choices or {})
    keep_own(config, choices or {}, source)
    for group in FRESH:
        config[group] = cfg[group]
    for override in parsed(overrides):
        key = override.key_or_group
        if key in PROTOCOLS:
            for section in ("dataset", "task", "parity"):
                config[section] = cfg[section]
        elif key in GLOBAL:
            for name in _settings(own_section(key, str(override.value()))):
                OmegaConf.update(config, name, OmegaConf.select(cfg, name), force_add=True)
        elif key in groups and key != "model":
            config[key] = cfg[key]
        elif key not in groups and ("." not in key or key.partition(".")[0] in saved):
            _lay(config, key, OmegaConf.select(cfg, key), override.is_add(), source)
    return config  # what is left are sections of the command's own, which reads them from `cfg`


def _settings(sections: dict[str, Any]) -> list[str]:
    """The keys that a file of several sections sets, as typed."""
    return [
        name
        for section, values in sections.items()
        for name in ([f"{section}.{key}" for key in values] if isinstance(values, dict) else [section])
    ]


def _lay(config: DictConfig, key: str, value: Any, added: bool, source: str) -> None:
    """Set one key, which must be there unless it is `added` or a whole section."""
    section = key.partition(".")[0]
    OmegaConf.set_struct(config, "." in key and not added)
    try:
        OmegaConf.update(config, key, value, force_add=added)
    except ConfigAttributeError as error:
        raise Misuse(
            f"{key} is not part of the configuration saved in {source}, whose "
            f"{section} has {', '.join(map(str, config.get(section) or ()))}."
        ) from error


def tie(config: DictConfig, choices: dict[str, str]) -> None:
    """Let settings follow each other again that do so in this project's own files, where they still agree.

    A checkpoint holds values; conf/task/lifting3d.yaml says that task.parity is parity.
    """
    for section in BUILT:
        for key, link in own_section(section, choices.get(section)).items():
            if not (isinstance(link, str) and LINK.fullmatch(link) and key in (config.get(section) or {})):
                continue
            stored = config[section][key]
            config[section][key] = link
            if config[section][key] != stored:
                config[section][key] = stored


def keep_own(config: DictConfig, choices: dict[str, str], source: str) -> None:
    """Where files are written, and how large one may be that is read, is said by this machine's own files or command
    line, never by a checkpoint."""
    for section in BUILT:
        for place, node, own in _built(config, section, choices):
            for key in (*WRITTEN, *LIMITS):
                mine = _usual(section, key) if key in LIMITS else own.get(key)
                kept = key in LIMITS and isinstance(node.get(key), (int, float)) and node[key] <= mine
                if node.get(key) and node[key] != mine and not kept:
                    log.info("%s.%s=%s of %s is not taken over: %s.", place, key, node[key], source, mine)
                    node[key] = mine


def _usual(section: str, key: str) -> Any:
    """What the first file of a group says of a key that means the same in all of them."""
    return next((own[key] for option in options(section) if key in (own := own_section(section, option))), None)
