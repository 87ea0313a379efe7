"""The trainer as `train.py` builds it, around data made for measuring; and what its step must cost at least."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import hydra
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import nn

from anypose.engine.command import CONF
from anypose.engine.distributed import World
from anypose.engine.run import Run
from anypose.engine.trainer import Trainer
from anypose.kernels.swap import Kernels
from benchmarks.harness import Settings


def compose(overrides: list[str]) -> DictConfig:
    """The configuration of `train.py` with these overrides."""
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        return hydra.compose("train", overrides)


def build_trainer(overrides: list[str], dataset: Any, settings: Settings) -> Trainer:
    """What `train.py` would run, writing nothing."""
    level = "bf16" if settings.precision == "bf16" else "fp32"
    cfg = compose([f"precision={level}", *overrides])
    settings.device.seed(cfg.seed)
    return Trainer(
        task=instantiate(cfg.task, model=instantiate(cfg.model)),
        dataset=dataset,
        optimizer=instantiate(cfg.optimizer),
        schedule=instantiate(cfg.schedule),
        precision=instantiate(cfg.precision),
        device=settings.device,
        world=World(settings.device),
        run=Run(Path(), {}, {}, [], writes=False),
        kernels=partial(Kernels, cfg.kernels),
        seed=cfg.seed,
        **cfg.trainer,
    )


def linear_training_flops(network: nn.Module, rows: int) -> float:
    """Multiplications and additions of one step over `rows` rows through every nn.Linear.

    Three products of the same size each: forward, weight gradient and, in all but the first layer, input gradient.
    """
    sizes = [m.in_features * m.out_features for m in network.modules() if isinstance(m, nn.Linear)]
    return 2.0 * rows * (3 * sum(sizes) - sizes[0])


def adam_bytes(network: nn.Module) -> float:
    """Bytes that an Adam step moves at least: weight, gradient and two moments read, three of them written."""
    return 28.0 * sum(p.numel() for p in network.parameters())
