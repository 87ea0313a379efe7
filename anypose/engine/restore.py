"""From a checkpoint back to a task: the configuration it was trained with, what the command line says on top of it."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError

from anypose.engine import checkpoint
from anypose.engine.finding import RELEASED, RUNS, find_checkpoint, latest, products_folder, read_choices
from anypose.engine.fitting import built_to_fit
from anypose.engine.overrides import parsed
from anypose.engine.settings import check_stored
from anypose.engine.stored import BUILT, existing, options, own_section
from anypose.engine.task import Task
from anypose.settings import Misuse

log = logging.getLogger(__name__)

FRESH = ("device", "precision")  # belong to where the model runs now, not to where it was trained
PROTOCOLS = ("experiment", "recipe")  # bring a dataset and a task
GLOBAL = ("debug",)  # sets single keys of other sections
SUFFIXES = (".pt", ".safetensors")
ADDED: list[str] = []  # what `choose_model` added to the command line
LINK = re.compile(r"\$\{[.\w]+\}")  # to another key; what looks things up elsewhere is not tied again
LIMITS = ("max_megapixels", "max_megabytes")  # of what is read from the disk
WRITTEN = ("cache", "results")  # settings that say where files are written
USE = ("flip_test", "bones")  # settings of a task that say how released weights are used, on whatever they are scored


def restore(cfg: DictConfig) -> tuple[DictConfig, dict[str, Any], Path]:
    """The configuration to work with, the checkpoint, and its path, for a command with model=, run=, checkpoint=."""
    hydra = HydraConfig.get()
    if "init" in cfg and cfg.init is not None:
        return _from_elsewhere(cfg, hydra.runtime.choices)
    path = find_checkpoint(hydra.runtime.choices["model"], cfg.run, cfg.checkpoint, cfg.parity)
    state = checkpoint.load(path)
    state["choices"].setdefault("model", hydra.runtime.choices["model"])
    existing("model", state["choices"]["model"], str(path))  # names folders and files from here on
    groups = set(hydra.runtime.choices)
    saved, choices = state["config"], state["choices"]
    if path.parent.name == RELEASED:  # outlives the keys of datasets and tasks: all but the model is the command's own
        own = {**cast("dict[str, Any]", OmegaConf.to_container(cfg)), "model": saved["model"]}
        saved, choices = used_as_released(own, saved, path), {**hydra.runtime.choices, "model": choices["model"]}
    typed = [override for override in hydra.overrides.task if override not in ADDED]
    config = overlay(saved, cfg, typed, groups, str(path), choices)
    take_the_rest(config, cfg, str(path))
    check_stored(config, str(path))
    return config, state, path


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


def _from_elsewhere(cfg: DictConfig, chosen: Any) -> tuple[DictConfig, dict[str, Any], Path]:
    """The command's own configuration, for weights that bring none; what can only be of a run is refused."""
    for key in ("run", "checkpoint", "network"):
        if cfg.get(key) is not None:
            raise Misuse(f"init={cfg.init} and {key}={cfg[key]} both name weights. Leave one of them out.")
    if cfg.runtime != "torch":
        raise Misuse(f"init={cfg.init} runs with runtime=torch; got runtime={cfg.runtime}. Export a run instead.")
    path = find_checkpoint(chosen["model"], file=cfg.init, key="init", exists=False)
    choices = {str(key): str(value) for key, value in chosen.items() if value and not str(key).startswith("hydra/")}
    return cfg, {"choices": choices, "elsewhere": True}, path


def typed_keys() -> set[str]:
    """The keys that were said on the command line."""
    return {override.key_or_group for override in parsed(HydraConfig.get().overrides.task)}


def build_task(config: DictConfig, state: dict[str, Any], path: Path) -> Task:
    """The task around the trained model, on the CPU.

    Args:
        config: what `restore` gave, or the "config" of `checkpoint.load`: both have been looked through.
        state: from `checkpoint.load`.
        path: its file.
    """
    complete(config, state.get("choices", {}), path)
    check_stored(config, str(path))
    return built_to_fit(
        lambda: instantiate(config.task, model=instantiate(config.model)),
        lambda task: task.model,
        state["model"],
        str(path),
    )


def check_sections(config: DictConfig, sections: Sequence[str], source: str) -> None:
    """Refuse a checkpoint's configuration that lacks a section that something is built from."""
    for section in sections:
        if not isinstance(config.get(section), DictConfig) or "_target_" not in config[section]:
            raise ValueError(f"{source}: its configuration has no {section} to build. Name another checkpoint.")


def complete(
    config: DictConfig, choices: dict[str, str], path: Path, sections: Sequence[str] = ("model", "task")
) -> None:
    """Add the settings of model and task that came after a checkpoint, as the files of its choices have them.

    There a new setting has the value that leaves everything as it was without it.

    Raises:
        ValueError: where it lacks one of the sections.
    """
    check_sections(config, sections, str(path))
    for section in sections:
        known = own_section(section, choices.get(section))
        if known.get("_target_") != config[section].get("_target_"):
            continue
        for key in sorted(set(known) - set(config[section]), key=str):
            log.info("%s is older than %s.%s: taking %s.", path, section, key, known[key])
            OmegaConf.update(config, f"{section}.{key}", known[key], force_add=True)


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
        node = config.get(section)
        inner = node.items() if isinstance(node, DictConfig) else ()
        for name, parent in ((section, node), *((f"{section}.{key}", value) for key, value in inner)):
            if not isinstance(parent, DictConfig):
                continue
            own = own_section(section, choices.get(section if parent is node else f"{section}@{name}"))
            for key in (*WRITTEN, *LIMITS):
                mine = _usual(section, key) if key in LIMITS else own.get(key)
                kept = key in LIMITS and isinstance(parent.get(key), (int, float)) and parent[key] <= mine
                if parent.get(key) and parent[key] != mine and not kept:
                    log.info("%s.%s=%s of %s is not taken over: %s.", name, key, parent[key], source, mine)
                    parent[key] = mine


def _usual(section: str, key: str) -> Any:
    """What the first file of a group says of a key that means the same in all of them."""
    return next((own[key] for option in options(section) if key in (own := own_section(section, option))), None)


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
            for section, values in own_section(key, str(override.value())).items():
                named = [f"{section}.{name}" for name in values] if isinstance(values, dict) else [section]
                for name in named:
                    OmegaConf.update(config, name, OmegaConf.select(cfg, name), force_add=True)
        elif key in groups and key != "model":
            config[key] = cfg[key]
        elif "." in key and key.partition(".")[0] not in saved:
            continue  # a section of the command's own, which reads it from `cfg`
        elif key not in groups:
            OmegaConf.set_struct(config, "." in key and not override.is_add())
            try:
                OmegaConf.update(config, key, OmegaConf.select(cfg, key), force_add=override.is_add())
            except ConfigAttributeError as error:
                raise Misuse(
                    f"{key} is not part of the configuration saved in {source}, whose "
                    f"{key.partition('.')[0]} has {', '.join(map(str, config.get(key.partition('.')[0]) or ()))}."
                ) from error
    return config


def choose_model(overrides: list[str]) -> list[str]:
    """The options of a trained model's groups, so that what it was trained on can be said on the command line.

    `model=` where none is named, and the dataset and task of the run or file, so that `dataset.root=` is a key of what
    the weights were trained on.

    Returns:
        More overrides; `overlay` knows that nobody typed them.
    """
    single = [override for override in parsed(overrides) if not override.is_sweep_override()]
    given = {o.key_or_group: str(o.value()) for o in single if o.value() is not None}
    ADDED.clear()
    choices, model = {}, given.get("model", _default_model())
    if RELEASED in (given.get("checkpoint"), given.get("init")):
        return []
    if file := given.get("checkpoint"):
        path = Path(file).expanduser()
        choices = read_choices(path.parent) or (_choices_inside(path) if path.suffix in SUFFIXES else {})
    elif folder := given.get("run"):
        choices = read_choices(Path(folder).expanduser())
    elif "init" not in given and (found := latest(model)) is not None:
        choices = read_choices(found)
    if "model" not in given and choices.get("model") in options("model"):
        ADDED.append(f"model={choices['model']}")
    if not given.keys() & set(PROTOCOLS):
        for group in ("dataset", "task"):
            if group not in given and choices.get(group) in options(group):
                ADDED.append(f"{group}={choices[group]}")
    return list(ADDED)


def results_folder(path: Path, state: dict[str, Any]) -> Path:
    """Where the scores of a checkpoint go: beside it; on another dataset than its own, into a folder of that name."""
    model = state["choices"]["model"]
    if "elsewhere" in state:
        return RUNS / model / path.stem / state["choices"].get("dataset", "")
    folder = products_folder(path, model)
    dataset = HydraConfig.get().runtime.choices.get("dataset")
    return folder if dataset in (None, state["choices"].get("dataset")) else folder / str(dataset)


def _choices_inside(path: Path) -> dict[str, str]:
    return checkpoint.load(path, mapped=True)["choices"] if path.is_file() else {}


def _default_model() -> str:
    listed = own_section("", "evaluate")["defaults"]
    return next(str(entry["model"]) for entry in listed if isinstance(entry, dict) and "model" in entry)
