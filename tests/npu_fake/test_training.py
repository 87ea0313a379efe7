"""The trainer on `device=npu`: the CPU's losses at every level, resuming, capture, chips with and without inf."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from anypose.engine import checkpoint
from anypose.engine.device import Npu
from anypose.engine.precision import Precision
from tests.anypose.engine.toy import ToyTask, make_trainer

LEVELS = [("fp32", None), ("bf16", None), ("o1", "dynamic"), ("o2", "dynamic"), ("o2", 128.0)]
PLAIN = {"width": 16, "dropout": 0.25, "batch_norm": False}


def npu(**settings: Any) -> Npu:
    defaults = {"jit_compile": False, "internal_format": False, "hf32": True, "hf32_evaluation": False}
    return Npu(None, False, **defaults | settings)


def losses(folder: Path) -> list[float]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line["loss"] for line in lines if line["split"] == "train"]


@pytest.mark.parametrize(("level", "scale"), LEVELS)
@pytest.mark.parametrize("capture", ["never", "auto"])
def test_the_npu_learns_what_the_cpu_learns(tmp_path, strict, level, scale, capture):
    settings = {"level": level, "loss_scale": scale, "grad_clip_norm": 1.0, "net": PLAIN}
    make_trainer(tmp_path / "cpu", **settings).fit()
    trainer = make_trainer(tmp_path / "npu", device=npu(), capture=capture, **settings)
    trainer.fit()
    # The CPU's Adam is fused and the npu's is not: the last bits differ.
    assert losses(tmp_path / "npu") == pytest.approx(losses(tmp_path / "cpu"), rel=2e-3)
    assert {parameter.device.type for parameter in trainer.model.parameters()} == {"npu"}
    if capture == "auto":
        assert trainer.captured.replay is not None, "the whole step, loss scaling included, is captured"
        assert not trainer.captured.failed


@pytest.mark.parametrize(("level", "scale"), LEVELS)
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path, level, scale):
    settings = {"level": level, "loss_scale": scale, "capture": "never"}
    whole = make_trainer(tmp_path / "whole", device=npu(), **settings)
    whole.fit()
    make_trainer(tmp_path / "parts", device=npu(), max_steps=13, **settings).fit()
    resumed = make_trainer(tmp_path / "parts", device=npu(), **settings)
    resumed.resume(tmp_path / "parts" / "last.pt")
    resumed.fit()
    for name, value in whole.arithmetic.model_state(whole.model).items():
        assert torch.equal(value.cpu(), resumed.arithmetic.model_state(resumed.model)[name].cpu())


def test_a_run_moves_between_devices_and_precisions(tmp_path):
    make_trainer(tmp_path, device=npu(), level="o2", loss_scale="dynamic", epochs=1).fit()
    saved = checkpoint.load(tmp_path / "last.pt")
    assert {value.device.type for value in saved["model"].values()} == {"cpu"}
    on_cpu = make_trainer(tmp_path, level="o2", loss_scale="dynamic", epochs=2)
    on_cpu.resume(tmp_path / "last.pt")
    assert on_cpu.arithmetic.scale == saved["scaler"]["scale"]
    on_cpu.fit()
    back = make_trainer(tmp_path, device=npu(), level="fp32", epochs=3)
    back.resume(tmp_path / "last.pt")
    back.fit()
    assert back.step == 30


def test_saturating_chips_get_the_scaler_that_sees_overflow(tmp_path, chip, caplog):
    chip("Ascend910A")
    caplog.set_level("INFO")
    trainer = make_trainer(tmp_path, device=npu(), level="o2", loss_scale="dynamic", epochs=1)
    assert type(trainer.arithmetic.scaler.scaler) is torch.npu.amp.GradScaler
    assert "trainer.capture: steps run eagerly (this chip's loss scaler asks the host)" in caplog.text
    trainer.fit()
    chip("Ascend910B3")
    resumed = make_trainer(tmp_path, device=npu(), level="o2", loss_scale="dynamic", epochs=2)
    assert type(resumed.arithmetic.scaler.scaler) is torch.amp.GradScaler
    resumed.resume(tmp_path / "last.pt")  # its state comes from the other class
    resumed.fit()


@pytest.mark.parametrize("name", ["Ascend910A", "Ascend310P3"])
def test_bf16_is_refused_where_the_chip_lacks_it(chip, name):
    chip(name)
    with pytest.raises(ValueError, match=rf"precision=bf16 needs .* npu:0 \({name}\) does not. Use precision=o2"):
        Precision("bf16", None, "native").resolve(npu())


def test_the_default_on_npu_is_o2():
    assert Precision("auto", "dynamic", "native").resolve(npu()).level == "o2"


def test_switches_are_set_and_evaluation_is_exact():
    with npu(jit_compile=False, internal_format=False, hf32=True) as device:
        assert torch.npu.jit_compile is False
        assert torch.npu.config.allow_internal_format is False
        assert torch.npu.conv.allow_hf32
        with device.exact():
            assert not torch.npu.conv.allow_hf32
            assert not torch.npu.matmul.allow_hf32
        assert torch.npu.conv.allow_hf32
    with npu(hf32=False, hf32_evaluation=True) as device:
        assert not torch.npu.conv.allow_hf32
        with device.exact():
            assert torch.npu.conv.allow_hf32


def test_an_index_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"device.index must lie in 0\.\.0 \(1 npu device\(s\) found\), got 3"):
        Npu(3, False, jit_compile=False, internal_format=False, hf32=True, hf32_evaluation=False)


def test_the_npu_keeps_the_weights_of_convolutions_as_torch_makes_them(tmp_path):
    def filtered(model):
        model.filters = nn.Conv2d(3, 4, 3)
        return ToyTask(model)

    assert make_trainer(tmp_path, device=npu(), task=filtered).model.filters.weight.is_contiguous()
