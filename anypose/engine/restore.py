"""From a checkpoint back to a task: the configuration it was trained with, what the command line says on top of it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from anypose.engine import checkpoint
from anypose.engine.finding import RELEASED, RUNS, find_checkpoint, latest, products_folder, read_choices
from anypose.engine.fitting import built_to_fit
from anypose.engine.overlaying import PROTOCOLS, complete, overlay, take_the_rest, used_as_released
from anypose.engine.overrides import parsed
from anypose.engine.settings import check_stored
from anypose.engine.stored import existing, options, own_section
from anypose.engine.task import Task
from anypose.settings import Misuse

log = logging.getLogger(__name__)

SUFFIXES = (".pt", ".safetensors")
ADDED: list[str] = []  # what `choose_model` added to the command line


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
    if OmegaConf.is_dict(config.get("dataset")):  # a run is scored on what it was trained on, also by a later version
        complete(config, choices, path, ("dataset",))
    check_stored(config, str(path))
    return config, state, path


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
