"""Every recipe on `device=npu`: the CPU's losses, an evaluation, a checkpoint that opens on the CPU, captured steps."""

from __future__ import annotations

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import nn

from engine import checkpoint
from engine.evaluation import evaluate
from engine.restore import build_task
from engine.task import Loading
from engine.trainer import Trainer
from tests.test_recipes import RECIPES, make_trainer, small

STEPS = 6  # three run eagerly before the step is captured


def of_images(recipe: str) -> bool:
    return "train_images" in small(recipe).dataset


def losses(trainer: Trainer) -> list[float]:
    """Of the first steps, each on the same batch, without dropout: its random numbers are the device's own."""
    trainer.model.train()
    for module in trainer.model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    batch = next(iter(trainer.batches.epoch(0)))
    found = []
    for step in range(STEPS):
        trainer.schedule.set_rate(trainer.optimizer, step, 0)
        found.append(float((trainer.captured or trainer.train_step)(batch)[0]))
    return found


# fp16 convolutions of images take minutes on a CPU.
CASES = [
    pytest.param(recipe, precision, marks=[pytest.mark.slow] if precision != "fp32" and of_images(recipe) else [])
    for recipe in RECIPES
    for precision in ("fp32", "o1", "o2")
]


@pytest.mark.parametrize(("recipe", "precision"), CASES)
def test_a_recipe_learns_on_the_npu_what_it_learns_on_the_cpu(recipe, precision, tmp_path, strict):
    on_cpu = losses(make_trainer(small(recipe, f"precision={precision}"), tmp_path / "cpu"))
    trainer = make_trainer(small(recipe, f"precision={precision}", "device=npu"), tmp_path / "npu")
    on_npu = losses(trainer)
    assert on_npu == pytest.approx(on_cpu, rel=5e-3 if precision == "fp32" else 3e-2)
    assert trainer.captured is not None
    assert trainer.captured.replay is not None, "the step waits for the host somewhere"


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_trains_and_scores_on_the_npu_and_its_checkpoint_opens_on_the_cpu(recipe, tmp_path, strict):
    cfg = small(recipe, "device=npu")
    trainer = make_trainer(cfg, tmp_path)
    best = trainer.fit()
    state = checkpoint.load(tmp_path / "best.pt")
    config = OmegaConf.create(state["config"])
    task = build_task(config, state, tmp_path / "best.pt")  # pyright: ignore[reportArgumentType]
    loading = Loading(cfg.trainer.batch_size, cfg.seed, drop_last=False)
    batches = task.batches(instantiate(config.dataset), False, loading, torch.device("cpu"))
    device = make_trainer(small(recipe), tmp_path / "cpu").device
    _, scores = evaluate(task, batches, device, trainer.world)
    assert scores[task.monitor] == pytest.approx(best, rel=1e-3)
