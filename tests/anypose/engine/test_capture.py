"""Step capture: its order of events on a pretended device with graphs, and the real thing where there is one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from anypose.engine import capture
from anypose.engine.capture import WARM_UP, CapturedStep
from anypose.engine.device import Cpu, Cuda, Npu
from tests.anypose.engine.toy import make_trainer


class CpuWithGraphs(Cpu):
    """Its graphs run the recorded function again: what is captured is not executed, as on a real device."""

    graph_class = "Pretended"
    fused_optimizer = True


@pytest.fixture
def graphs(monkeypatch):
    """How often something was recorded, replayed and run aside."""
    count = {"recorded": 0, "replayed": 0, "aside": 0}

    def record(_device, function):
        count["recorded"] += 1
        output = torch.zeros(2)

        def replay():
            count["replayed"] += 1
            output.copy_(function())

        return output, replay

    def run_aside(_device, function):
        count["aside"] += 1
        return function()

    monkeypatch.setattr(capture, "record", record)
    monkeypatch.setattr(capture, "run_aside", run_aside)
    return count


def device() -> CpuWithGraphs:
    return CpuWithGraphs(None, False, False)


def weights(trainer) -> dict[str, torch.Tensor]:
    return trainer.arithmetic.model_state(trainer.model)


def losses(folder: Path) -> list[float]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line["loss"] for line in lines if line["split"] == "train"]


@pytest.mark.parametrize(("level", "scale"), [("fp32", None), ("o2", "dynamic"), ("o1", 128.0)])
def test_a_captured_run_equals_an_eager_one(tmp_path, graphs, level, scale):
    settings = {"level": level, "loss_scale": scale, "device": device(), "grad_clip_norm": 1.0}
    eager = make_trainer(tmp_path / "eager", capture="never", **settings)
    eager.fit()
    captured = make_trainer(tmp_path / "captured", **settings)
    captured.fit()
    assert graphs["aside"] == WARM_UP
    assert graphs["replayed"] == 30 - WARM_UP
    # BatchNorm's momentum is part of the graph and changes with every epoch.
    assert graphs["recorded"] == 3
    # A bias before BatchNorm has no gradient but rounding, which Adam makes large: losses are compared, not weights.
    assert losses(tmp_path / "captured") == pytest.approx(losses(tmp_path / "eager"), rel=1e-3)


def test_a_short_last_batch_runs_eagerly(tmp_path, graphs):
    trainer = make_trainer(tmp_path, device=device(), drop_last=False, epochs=2)
    trainer.fit()
    assert trainer.step == 22  # 84 samples are 10 batches of 8 and one of 4
    assert graphs["replayed"] == 22 - 2 - WARM_UP


def test_a_failed_capture_says_why_once_and_trains_on(tmp_path, graphs, monkeypatch, caplog):
    trainer = make_trainer(tmp_path, device=device(), level="o2", loss_scale="dynamic")
    step = trainer.optimizer.step

    def refuse(*_):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    def fail(_device, function):
        trainer.optimizer.step = refuse  # the loss scaler has begun a step by then
        try:
            function()
        finally:
            trainer.optimizer.step = step

    monkeypatch.setattr(capture, "record", fail)
    trainer.fit()
    message = "trainer.capture: steps run eagerly, they cannot be captured (operation not permitted when stream is"
    assert caplog.text.count(message) == 1
    assert trainer.step == 30


def test_what_stands_in_the_way_is_said(tmp_path, graphs, caplog):
    class Sgd(torch.optim.SGD):
        def __init__(self, parameters, fused):
            super().__init__(parameters, lr=0.1)

    caplog.set_level("INFO")
    trainer = make_trainer(tmp_path, device=device(), optimizer=Sgd, epochs=1)
    assert "trainer.capture: steps run eagerly (Sgd is not capturable)" in caplog.text
    trainer.fit()
    assert graphs["recorded"] == 0


def test_nothing_is_captured_where_it_is_not_wanted_or_not_offered(tmp_path, graphs):
    make_trainer(tmp_path / "a", device=device(), capture="never", epochs=1).fit()
    make_trainer(tmp_path / "b", epochs=1).fit()
    assert graphs == {"recorded": 0, "replayed": 0, "aside": 0}


def test_outputs_of_replays_do_not_alias(graphs):
    step = CapturedStep(lambda batch: batch["x"] * 2, device(), lambda: None)
    outputs = [step({"x": torch.full((2,), float(n))}) for n in range(WARM_UP + 3)]
    assert [float(output[0]) for output in outputs] == [2.0 * n for n in range(WARM_UP + 3)]


def test_an_interrupted_captured_run_goes_on_where_it_was(tmp_path, graphs):
    whole = make_trainer(tmp_path / "whole", device=device())
    whole.fit()
    make_trainer(tmp_path / "parts", device=device(), max_steps=13).fit()
    resumed = make_trainer(tmp_path / "parts", device=device())
    resumed.resume(tmp_path / "parts" / "last.pt")
    resumed.fit()
    assert all(torch.equal(weights(whole)[name], value) for name, value in weights(resumed).items())


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(
            lambda: Cuda(None, False, tf32=False, tf32_evaluation=False, benchmark=False), marks=pytest.mark.cuda
        ),
        pytest.param(lambda: Npu(None, False, False, False, hf32=False, hf32_evaluation=False), marks=pytest.mark.npu),
    ],
    ids=["cuda", "npu"],
)
@pytest.mark.parametrize(("level", "scale"), [("fp32", None), ("o1", "dynamic"), ("o2", "dynamic")])
def test_on_real_hardware_a_captured_run_equals_an_eager_one(tmp_path, make, level, scale):
    for mode in ("never", "auto"):
        trainer = make_trainer(
            tmp_path / mode, device=make(), capture=mode, level=level, loss_scale=scale, grad_clip_norm=1.0
        )
        trainer.fit()
    assert trainer.captured is not None
    assert not trainer.captured.failed
    assert losses(tmp_path / "auto") == pytest.approx(losses(tmp_path / "never"), rel=1e-2)
