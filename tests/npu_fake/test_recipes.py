"""Every recipe on `device=npu`: the CPU's losses, an evaluation, a checkpoint that opens on the CPU, captured steps."""

from __future__ import annotations

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from engine import checkpoint
from engine.evaluation import evaluate
from engine.restore import build_task
from engine.task import Loading
from tests.test_recipes import RECIPES, by_precision, first_losses, make_trainer, small

STEPS = 6  # three run eagerly before the step is captured


@pytest.mark.parametrize(("recipe", "precision"), by_precision("fp32", "o1", "o2"))
def test_a_recipe_learns_on_the_npu_what_it_learns_on_the_cpu(recipe, precision, tmp_path, strict):
    on_cpu = first_losses(make_trainer(small(recipe, f"precision={precision}"), tmp_path / "cpu"), STEPS)
    trainer = make_trainer(small(recipe, f"precision={precision}", "device=npu"), tmp_path / "npu")
    on_npu = first_losses(trainer, STEPS)
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
