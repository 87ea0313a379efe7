"""Going on with a run: which one `resume=` means, and whether its configuration still fits."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from anypose.engine import checkpoint
from anypose.engine.finding import LAST, RUNS, read_choices, runs_of
from anypose.plain_yaml import read_yaml

log = logging.getLogger(__name__)
AUTO = "auto"
CONFIG = "config.yaml"
# How far, where and how often written: a run with other values of these is the same run.
FREE = (
    "resume", "init", "pictures", "kernels", "device", "precision", "dataset.root", "dataset.cache", "task.cache",
    "task.results", "task.keep_images", "task.weights",
    *(
        f"trainer.{name}"
        for name in (
            "epochs", "max_steps", "evaluation_batch_size", "workers", "evaluate_every", "save_every", "log_every",
            "sync_batchnorm", "capture", "tensorboard",
        )
    ),
)  # fmt: skip
# What was learned would be worth nothing, or could not be loaded.
FIXED = ("seed", "parity", "model", "task._target_", "dataset._target_", "optimizer._target_")


def find_resume(
    resume: str | None, model: str, config: dict[str, Any] | None = None, choices: dict[str, str] | None = None
) -> Path | None:
    """The checkpoint that `resume=` names: a file, a run's folder, or auto.

    Args:
        resume: as typed. auto takes the latest run with the same configuration (`FREE` aside), or none.
        model: its name.
        config: plain values, to compare; None compares nothing.
        choices: which option each group took.

    Raises:
        FileNotFoundError: when a named one is not there, with those that are.
    """
    if resume is None:
        return None
    if resume == AUTO:
        for folder in runs_of(model):
            if config is None or _is_same(folder, config, choices or {}):
                return folder / LAST
        return None
    file = Path(resume).expanduser()
    file = file / LAST if file.is_dir() else file
    if not file.is_file():
        there = ", ".join(map(str, runs_of(model)[:5])) or f"none under {RUNS}/{model}/"
        raise FileNotFoundError(
            f"resume={resume}: there is no checkpoint {file}. resume=auto takes the latest run. Runs of {model}: "
            f"{there}."
        )
    return file


def _is_same(folder: Path, config: dict[str, Any], choices: dict[str, str]) -> bool:
    """Whether a run's configuration is this one but for what is `FREE`; one that cannot be read is not."""
    file = folder / CONFIG
    try:
        old = read_yaml(file.read_text(encoding="utf-8"), str(file)) if file.is_file() else None
    except ValueError:
        old = None
    if not isinstance(old, dict):
        log.info("resume=auto passes by %s: its %s cannot be read.", folder, CONFIG)
        return False
    differing = [key for key, _, _ in differences(old, config) if not _among(key, FREE)]
    if read_choices(folder).get("debug") != choices.get("debug"):
        differing.append("debug")
    if differing:
        log.info("resume=auto passes by %s: it differs in %s.", folder, ", ".join(differing[:5]))
    return not differing


def check_change(path: Path, config: dict[str, Any]) -> list[str]:
    """Compare a checkpoint's configuration with this one; return what changed, in words.

    Raises:
        ValueError: where something changed with which no run can go on.
    """
    changed = list(differences(checkpoint.load(path, mapped=True)["config"], config))
    lines = [f"{key} {old} -> {new}" for key, old, new in changed if _among(key, FIXED)]
    if lines:
        raise ValueError(
            f"resume={path} was trained with other settings: {'; '.join(lines)}. A run cannot change them. Leave them "
            f"as they were, or begin a new run with its weights: init={path}."
        )
    return [
        f"resume: {key} was {old} and is {new} from here on."
        for key, old, new in changed
        if key not in ("resume", "init")
    ]


def differences(old: Any, new: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(dotted key, old value, new value) of what differs; keys that only one side knows, another version's, do not."""
    if isinstance(old, dict) and isinstance(new, dict):
        if "_target_" in old and old.get("_target_") != new.get("_target_"):
            yield f"{key}._target_", old.get("_target_"), new.get("_target_")
            return
        for name in old:
            if name in new:
                yield from differences(old[name], new[name], f"{key}.{name}" if key else str(name))
    elif old != new and _words(old) != _words(new):
        yield key, old, new


def _words(value: Any) -> list[str]:
    """A single word stands for a list of one, and a number for its name, before settings are judged as after."""
    return [str(item) for item in (value if isinstance(value, list) else [value])]


def _among(key: str, names: tuple[str, ...]) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in names)


def run_folder(
    model: str,
    time: str,
    resume: str | None,
    config: dict[str, Any] | None = None,
    choices: dict[str, str] | None = None,
) -> str:
    """Where a run writes: what it resumes, or runs/<model>/<time>, -2, -3, ... if one began in the same second."""
    resumed = find_resume(resume, model, config, choices)
    if resumed:
        return str(resumed.parent)
    folder, number = RUNS / model / time, 1
    while folder.exists():
        number += 1
        folder = RUNS / model / f"{time}-{number}"
    return str(folder)


def plain(cfg: DictConfig) -> dict[str, Any]:
    """A composed configuration as plain values, without Hydra's own part."""
    values = OmegaConf.to_container(
        OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"]), resolve=True
    )
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def _run_folder(model: str, time: str, resume: str | None, *, _root_: DictConfig) -> str:
    """`run_folder` for hydra.run.dir. Cached, or the folder that Hydra has just made would be taken."""
    cache = OmegaConf.get_cache(_root_)["run_folder"]
    if time not in cache:
        compared = resume == AUTO
        choices = dict(_root_.hydra.runtime.choices) if compared else {}
        cache[time] = run_folder(model, time, resume, plain(_root_) if compared else None, choices)
    return cache[time]


OmegaConf.register_new_resolver("run_folder", _run_folder, replace=True)
