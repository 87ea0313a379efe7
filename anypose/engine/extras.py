"""Optional packages, asked for before the work that ends in them, not after it."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

# What a setting ends in: (key, its value, other settings that it needs, modules, extra).
NEEDS: tuple[tuple[str, Any, dict[str, Any], tuple[str, ...], str], ...] = (
    ("pictures", True, {}, ("matplotlib",), "draw"),
    ("trainer.tensorboard", True, {}, ("tensorboard",), "log"),
    ("task.evaluator", "pycocotools", {"task.metric": "ap"}, ("pycocotools",), "image"),
    ("runtime", "onnx", {}, ("onnxruntime",), "export"),
    ("format", "onnx", {}, ("onnx", "onnxruntime"), "export"),
)
LAUNCHERS = {"joblib": ("joblib", "hydra_plugins.hydra_joblib_launcher")}
SUBMITIT = ("submitit", "hydra_plugins.hydra_submitit_launcher")


def check_extras(cfg: DictConfig) -> None:
    """Raise unless every optional package is there that the configuration will come to need.

    Raises:
        ImportError: naming the setting, the package and the line that installs it.
    """
    for key, value, also, modules, extra in NEEDS:
        if OmegaConf.select(cfg, key) == value and all(OmegaConf.select(cfg, k) == v for k, v in also.items()):
            require(f"{key}={str(value).lower()}", modules, extra)


def check_launcher(overrides: Sequence[str]) -> None:
    """The same for `hydra/launcher=`, whose packages Hydra itself looks for.

    Args:
        overrides: as typed.
    """
    for override in overrides:
        key, _, name = override.partition("=")
        if key == "hydra/launcher" and name != "basic":
            require(override, LAUNCHERS.get(name, SUBMITIT), "sweep")


def require(setting: str, modules: Sequence[str], extra: str) -> None:
    """Raise unless the modules are installed; nothing is imported."""
    missing = [name.rpartition(".")[2].replace("_", "-") for name in modules if not _installed(name)]
    if missing:
        raise ImportError(
            f"{setting} needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed: "
            f"pip install 'anypose[{extra}]'."
        )


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # what it lies in
        return False
