"""What `train.py` and `export.py` build, around data made for measuring; and what a step must cost at least."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator
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
from anypose.engine.task import Batch, Batches
from anypose.engine.trainer import Trainer
from anypose.export.network import Network, Options, trace
from anypose.export.onnx_graph import import_onnx, tidy
from anypose.export.onnx_types import quantise
from anypose.export.session import OnnxSession
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


def endless(batches: Batches) -> Iterator[Batch]:
    """The batches of one epoch after another."""
    for epoch in itertools.count():
        yield from batches.epoch(epoch)


def stepping(trainer: Trainer, batches: Iterator[Batch], step: int = 1) -> Callable[[], None]:
    """One training step a call, on the next of the batches, with the learning rate of that step of a run."""

    def train() -> None:
        trainer.schedule.set_rate(trainer.optimizer, step, 0)
        trainer.train_step(next(batches))

    return train


def exported(model: nn.Module, options: Options, settings: Settings) -> OnnxSession:
    """A session of the file that export.py would write, in float32 or int8."""
    onnx = import_onnx()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        trace(Network(model, options), path, options.opset)
        graph = tidy(onnx.load(path))
        onnx.save(quantise(graph, path) if options.dtype == "int8" else graph, path)
        return OnnxSession(path, threads=settings.threads)


def linear_training_flops(network: nn.Module, rows: int) -> float:
    """Multiplications and additions of one step over `rows` rows through every nn.Linear.

    Three products of the same size each: forward, weight gradient and, in all but the first layer, input gradient.
    """
    sizes = [m.in_features * m.out_features for m in network.modules() if isinstance(m, nn.Linear)]
    return 2.0 * rows * (3 * sum(sizes) - sizes[0])


def adam_bytes(network: nn.Module) -> float:
    """Bytes that an Adam step moves at least: weight, gradient and two moments read, three of them written."""
    return 28.0 * sum(p.numel() for p in network.parameters())
