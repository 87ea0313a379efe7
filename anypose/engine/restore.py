"""From a checkpoint back to a task: the configuration it was trained with, what the command line says on top of it."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError

from anypose.engine import checkpoint
from anypose.engine.place import CONF
from anypose.engine.run import RELEASED, find_checkpoint
from anypose.engine.task import Task

log = logging.getLogger(__name__)

FRESH = ("device", "precision")  # belong to where the model runs now, not to where it was trained
PROTOCOLS = ("experiment", "recipe")  # bring a dataset and a task


def restore(cfg: DictConfig) -> tuple[DictConfig, dict[str, Any], Path]:
    """The configuration to work with, the checkpoint, and its path, for a command with model=, run=, checkpoint=."""
    hydra = HydraConfig.get()
    path = find_checkpoint(hydra.runtime.choices["model"], cfg.run, cfg.checkpoint, cfg.parity)
    state = checkpoint.load(path)
    groups = set(hydra.runtime.choices)
    saved = state["config"]
    if path.parent.name == RELEASED:  # outlives the keys of datasets and tasks: all but the model is the command's own
        saved = {**cast("dict[str, Any]", OmegaConf.to_container(cfg)), "model": saved["model"]}
    return overlay(saved, cfg, list(hydra.overrides.task), groups, str(path)), state, path


def build_task(config: DictConfig, state: dict[str, Any], path: Path) -> Task:
    """The task around the trained model, on the CPU."""
    complete(config, state.get("choices", {}), path)
    task = instantiate(config.task, model=instantiate(config.model))
    checkpoint.load_weights(task.model, state["model"], str(path))
    return task


def complete(config: DictConfig, choices: dict[str, str], path: Path) -> None:
    """Add the settings of model and task that came after a checkpoint, as the files of its choices have them.

    There a new setting has the value that leaves everything as it was without it.
    """
    for section in ("model", "task"):
        file = CONF / section / f"{choices.get(section)}.yaml"
        known = OmegaConf.load(file) if file.is_file() else OmegaConf.create({})
        if OmegaConf.select(known, "_target_") != config[section].get("_target_"):
            continue
        for key in sorted(set(known) - set(config[section]), key=str):
            value = known._get_node(key)  # pyright: ignore[reportAttributeAccessIssue]
            log.info("%s is older than %s.%s: taking %s.", path, section, key, value)
            OmegaConf.update(config, f"{section}.{key}", value, force_add=True)


def overlay(saved: dict[str, Any], cfg: DictConfig, overrides: list[str], groups: set[str], source: str) -> DictConfig:
    """The saved configuration with the command line's overrides on top; device and precision are the command's own.

    Args:
        saved: the configuration inside the checkpoint.
        cfg: the command's composed configuration, overrides included.
        overrides: as typed.
        groups: names of the groups in `cfg`; choosing an option of one replaces the saved section.
        source: the checkpoint, for messages.

    Raises:
        ValueError: when a key is not part of the saved configuration.
    """
    config = OmegaConf.create(saved)
    for group in FRESH:
        config[group] = cfg[group]
    parser = OverridesParser.create()
    for override in map(parser.parse_override, overrides):
        key = override.key_or_group
        if key in PROTOCOLS:
            for section in ("dataset", "task", "parity"):
                config[section] = cfg[section]
        elif key in groups and key != "model":
            config[key] = cfg[key]
        elif "." in key and key.partition(".")[0] not in saved:
            continue  # a section of the command's own, which reads it from `cfg`
        elif key not in groups:
            OmegaConf.set_struct(config, "." in key and not override.is_add())
            try:
                OmegaConf.update(config, key, OmegaConf.select(cfg, key), force_add=override.is_add())
            except ConfigAttributeError as error:
                raise ValueError(
                    f"{key} is not part of the configuration saved in {source}, whose "
                    f"{key.partition('.')[0]} has {', '.join(map(str, config.get(key.partition('.')[0]) or ()))}."
                ) from error
    return config


def choose_model(overrides: list[str]) -> list[str]:
    """`model=` for a command line that names a run or a checkpoint but no model, so that its recipe composes."""
    given = dict(override.split("=", 1) for override in overrides)
    if "model" in given:
        return []
    for key in ("run", "checkpoint"):
        folder = Path(given[key]) if key in given else None
        file = folder / "environment.json" if key == "run" and folder else folder and folder.parent / "environment.json"
        if file and file.is_file():
            return [f"model={json.loads(file.read_text())['choices']['model']}"]
    return []
