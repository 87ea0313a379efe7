"""Every recipe on `device=npu`: the CPU's losses, an evaluation, a checkpoint that opens on the CPU, captured steps."""

from __future__ import annotations

import pytest

from anypose.engine import checkpoint
from tests.test_recipes import RECIPES, by_precision, first_losses, make_trainer, score, small

STEPS = 6  # three run eagerly before the step is captured


@pytest.mark.parametrize(("recipe", "precision"), by_precision("fp32", "o1", "o2"))
def test_a_recipe_learns_on_the_npu_what_it_learns_on_the_cpu(recipe, precision, tmp_path, strict):
    on_cpu = first_losses(make_trainer(small(recipe, f"precision={precision}"), tmp_path / "cpu"), STEPS)
    trainer = make_trainer(small(recipe, f"precision={precision}", "device=npu"), tmp_path / "npu")
    on_npu = first_losses(trainer, STEPS)
    # The first step is arithmetic alone; where a gradient is next to nothing Adam makes a whole step of its rounding.
    assert on_npu[0] == pytest.approx(on_cpu[0], rel=1e-4 if precision == "fp32" else 1e-2)
    share = 0.01 if precision == "fp32" else 0.03
    assert on_npu == pytest.approx(on_cpu, rel=0, abs=share * max(map(abs, on_cpu)))
    assert trainer.captured is not None
    assert trainer.captured.replay is not None, "the step waits for the host somewhere"


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_trains_scores_and_resumes_on_the_npu_and_its_checkpoint_opens_on_the_cpu(recipe, tmp_path, strict):
    cfg = small(recipe, "device=npu")
    trainer = make_trainer(cfg, tmp_path)
    best = trainer.fit()
    state = checkpoint.load(tmp_path / "best.pt")
    assert score(state, cfg.trainer.batch_size)[trainer.task.monitor] == pytest.approx(best, rel=1e-3)
    resumed = make_trainer(cfg, tmp_path)
    resumed.resume(tmp_path / "last.pt")
    resumed.max_steps = 3
    resumed.fit()
    assert resumed.step == 3
    assert {parameter.device.type for parameter in resumed.model.parameters()} == {"npu"}
