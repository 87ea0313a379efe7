"""Trained networks and tasks in Python, without a command line: what `load_lifter` and its sisters stand on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn

from anypose.engine import checkpoint
from anypose.engine.finding import BEST, LAST, RELEASED, in_run, released_files
from anypose.engine.fitting import built_to_fit
from anypose.engine.overlaying import complete
from anypose.engine.place import typed
from anypose.engine.restore import build_task
from anypose.engine.settings import check_stored
from anypose.engine.task import Task

FIRST = "baseline3d"  # whose weights "released" means, where none have that name


def find(source: str | Path) -> Path:
    """The checkpoint file that a path, a run's folder or the name of released weights means.

    Raises:
        FileNotFoundError: saying what was looked for and which names there are.
        TypeError: for what is no path at all.
    """
    if not isinstance(source, (str, Path)):
        raise TypeError(f"A checkpoint is named by a path or a word, got {type(source).__name__}.")
    released = released_files()
    if (name := FIRST if str(source) == RELEASED else str(source)) in released:
        return released[name]
    path = Path(source).expanduser()
    if path.is_dir():
        if found := in_run(path):
            return found
        names = sorted(file.name for file in path.iterdir())
        there = ", ".join(names[:5] + ["..."] * (len(names) > 5)) or "nothing"
        raise FileNotFoundError(f"{path} holds neither {LAST} nor {BEST} (found: {there}). Name a run's folder.")
    if not path.is_file():
        raise FileNotFoundError(
            f"{source} does not exist. Name a checkpoint, a run's folder, which `{typed('train')}` makes under runs/, "
            f"or released weights: {', '.join(dict.fromkeys([RELEASED, *released]))}."
        )
    return path


def _opened(source: str | Path) -> tuple[Path, dict[str, Any], DictConfig]:
    """The file, what it holds, and the configuration in it."""
    path = find(source)
    state = checkpoint.load(path)
    return path, state, cast("DictConfig", OmegaConf.create(state["config"]))


def load_network(source: str | Path) -> nn.Module:
    """The trained network of a checkpoint, on the CPU, ready to predict.

    Args:
        source: a checkpoint's path, a run's folder, or the name of released weights.

    Raises:
        FileNotFoundError: saying what was looked for and which names there are.
        ValueError: for a file that is damaged, no checkpoint, or of settings that this version does not know.
    """
    path, state, config = _opened(source)
    complete(config, state.get("choices", {}), path, ("model",))
    check_stored(config, str(path))
    return built_to_fit(lambda: instantiate(config.model), lambda model: model, state["model"], str(path)).eval()


def load_task(source: str | Path) -> Any:
    """The whole trained task of a checkpoint, network, loss and metrics, on the CPU: see `anypose.engine.task.Task`.

    Args:
        source: a checkpoint's path, a run's folder, or the name of released weights.

    Raises:
        FileNotFoundError: saying what was looked for and which names there are.
        ValueError: for a file that is damaged, no checkpoint, or of settings that this version does not know.
    """
    path, state, config = _opened(source)
    task: Task = build_task(config, state, path)
    task.model.eval()
    return task
