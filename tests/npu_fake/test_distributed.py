"""Two processes share a run on two pretended npus over a pretended hccl."""

from __future__ import annotations

import pytest
import torch

from anypose.engine import checkpoint
from tests.anypose.engine.test_distributed import PLAIN, losses, run, torchrun
from tests.anypose.engine.toy import make_trainer
from tests.test_recipes import RECIPES
from tests.test_recipes import score as score_recipe


def test_processes_on_npus_share_one_run(repository, tmp_path):
    everyone = run(repository, tmp_path / "shared", 2, net=PLAIN, level="o2", loss_scale="dynamic", npu="fake")
    trainer = make_trainer(tmp_path / "alone", net=PLAIN, level="o2", loss_scale="dynamic")
    trainer.fit()
    for name, value in everyone[0]["state"].items():
        assert torch.equal(value.cpu(), everyone[1]["state"][name].cpu()), f"{name} differs between processes"
    assert losses(tmp_path / "shared") == pytest.approx(losses(tmp_path / "alone"), rel=2e-2)
    assert everyone[0]["scores"]["frames"] == 20


def test_every_recipe_shares_a_run_and_its_checkpoint_scores_the_same_on_the_cpu(repository, tmp_path):
    done = torchrun(repository, tmp_path, 2, "tests.recipe_worker", "fake")
    assert done.returncode == 0, done.stdout + done.stderr
    for recipe in RECIPES:
        one, other = torch.load(tmp_path / f"{recipe}.pt", weights_only=True)
        for name, value in one["state"].items():
            assert torch.equal(value, other["state"][name]), f"{name} of {recipe} differs between processes"
        assert one["scores"] == other["scores"]
        state = checkpoint.load(tmp_path / recipe / "last.pt")
        # Warped images differ by up to half a grey level, which BatchNorms that have seen two batches enlarge.
        assert score_recipe(state) == pytest.approx(one["scores"], rel=5e-3), recipe
