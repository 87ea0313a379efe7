"""Two processes share a run on two pretended npus over a pretended hccl."""

from __future__ import annotations

import pytest
import torch

from tests.engine.test_distributed import PLAIN, losses, run
from tests.engine.toy import make_trainer


def test_processes_on_npus_share_one_run(repository, tmp_path):
    everyone = run(repository, tmp_path / "shared", 2, net=PLAIN, level="o2", loss_scale="dynamic", npu="fake")
    trainer = make_trainer(tmp_path / "alone", net=PLAIN, level="o2", loss_scale="dynamic")
    trainer.fit()
    for name, value in everyone[0]["state"].items():
        assert torch.equal(value.cpu(), everyone[1]["state"][name].cpu()), f"{name} differs between processes"
    assert losses(tmp_path / "shared") == pytest.approx(losses(tmp_path / "alone"), rel=2e-2)
    assert everyone[0]["scores"]["frames"] == 20
