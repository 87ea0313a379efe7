"""The trainer and every recipe on the real torch_npu; its CPU fallback is off: an operator without a kernel raises."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch

from anypose.engine import checkpoint
from anypose.engine.device import Npu
from tests.anypose.engine.toy import make_trainer
from tests.npu_fake.test_training import losses
from tests.test_recipes import RECIPES, first_losses, small
from tests.test_recipes import make_trainer as make_recipe_trainer

CHIP = os.environ["ANYPOSE_CHIP"]
HAS_BF16 = CHIP.startswith("Ascend910B")
LEVELS = [("fp32", None), ("o1", "dynamic"), ("o2", "dynamic"), ("o2", 128.0), *([("bf16", None)] * HAS_BF16)]
PLAIN = {"dropout": 0.0}


def npu() -> Npu:
    return Npu(None, False, jit_compile=False, internal_format=False, hf32=True, hf32_evaluation=False)


def make(folder: Path, **settings: Any) -> Any:
    # Over the stand-in libraries a graph records nothing.
    return make_trainer(folder, capture="never", net=PLAIN, grad_clip_norm=1.0, **settings)


@pytest.mark.parametrize(("level", "scale"), LEVELS)
def test_the_npu_learns_what_the_cpu_learns(tmp_path, level, scale):
    make(tmp_path / "cpu", level=level, loss_scale=scale).fit()
    make(tmp_path / "npu", level=level, loss_scale=scale, device=npu()).fit()
    assert losses(tmp_path / "npu") == pytest.approx(losses(tmp_path / "cpu"), rel=5e-3)


@pytest.mark.parametrize(("level", "scale"), LEVELS)
def test_a_resumed_run_equals_an_uninterrupted_one_and_its_checkpoint_is_the_cpus(tmp_path, level, scale):
    whole = make(tmp_path / "whole", level=level, loss_scale=scale, device=npu())
    whole.fit()
    make(tmp_path / "parts", level=level, loss_scale=scale, device=npu(), max_steps=13).fit()
    saved = checkpoint.load(tmp_path / "parts" / "last.pt")
    assert {value.device.type for value in saved["model"].values()} == {"cpu"}
    resumed = make(tmp_path / "parts", level=level, loss_scale=scale, device=npu())
    resumed.resume(tmp_path / "parts" / "last.pt")
    resumed.fit()
    for name, value in whole.arithmetic.model_state(whole.model).items():
        assert torch.equal(value.cpu(), resumed.arithmetic.model_state(resumed.model)[name].cpu())


def test_the_scaler_is_the_one_that_sees_overflow_on_this_chip(tmp_path):
    trainer = make(tmp_path, level="o2", loss_scale="dynamic", device=npu())
    own = type(trainer.arithmetic.scaler.scaler) is torch.npu.amp.GradScaler
    assert own is not torch.npu.utils.is_support_inf_nan()
    parameter = trainer.arithmetic.masters["last.weight"][0]
    before = parameter.detach().cpu().clone()
    trainer.model.last.weight.register_hook(lambda gradient: gradient * float("inf"))
    trainer.train_step(next(iter(trainer.batches.epoch(0))))
    assert torch.equal(parameter.detach().cpu(), before)
    assert float(trainer.arithmetic.overflows) == 1.0
    assert trainer.arithmetic.scale == 2.0**15


@pytest.mark.skipif(HAS_BF16, reason="this chip has bf16")
def test_bf16_is_refused_on_this_chip(tmp_path):
    with pytest.raises(ValueError, match=f"precision=bf16 needs .*{CHIP}.* does not. Use precision=o2"):
        make(tmp_path, level="bf16", device=npu())


@functools.cache
def loss_on_cpu(recipe: str) -> float:
    """Of the first step, in fp32."""
    with tempfile.TemporaryDirectory() as folder:
        cfg = small(recipe, "device=cpu")
        cfg.trainer.batch_size = 4
        return first_losses(make_recipe_trainer(cfg, Path(folder)), 1)[0]


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("precision", ["fp32", "o1", "o2"])
def test_a_recipe_trains_scores_and_is_saved_without_leaving_the_npu(recipe, precision, tmp_path):
    cfg = small(recipe, f"precision={precision}", "device=npu", "trainer.capture=never")
    cfg.trainer.batch_size = 4
    cfg.trainer.ema = None  # what is saved is the average where there is one
    trainer = make_recipe_trainer(cfg, tmp_path)
    (first,) = first_losses(trainer, 1)
    assert first == pytest.approx(loss_on_cpu(recipe), rel=1e-3 if precision == "fp32" else 3e-2)
    trainer.fit()
    assert trainer.step == 2
    saved = checkpoint.load(tmp_path / "last.pt")["model"]
    assert {(value.device.type, value.dtype) for value in saved.values() if value.is_floating_point()} == {
        ("cpu", torch.float32)
    }
    trainer.resume(tmp_path / "last.pt")
    for name, value in trainer.arithmetic.model_state(trainer.model).items():
        assert torch.equal(value.cpu(), saved[name])


def test_processes_share_one_run(repository, tmp_path):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
            *("-m", "tests.npu_stub.worker", str(tmp_path)),
            '{"net": {"dropout": 0.0, "batch_norm": false}, "level": "o2", "loss_scale": 128.0, "npu": "stub", '
            '"capture": "never"}',
        ],
        cwd=repository,
        env=os.environ | {"TORCH_DEVICE_BACKEND_AUTOLOAD": "0"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    everyone = torch.load(tmp_path / "everyone.pt", weights_only=True)
    for name, value in everyone[0]["state"].items():
        assert torch.equal(value.cpu(), everyone[1]["state"][name].cpu()), f"{name} differs between processes"
    assert everyone[0]["scores"]["frames"] == 20
