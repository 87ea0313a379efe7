"""Precision: what is lowered, what stays, and that all levels learn the same curve."""

from __future__ import annotations

import contextlib
import copy
import json
import re
import sys
import types

import pytest
import torch
from torch import nn

from anypose.engine import checkpoint
from anypose.engine.loss_scale import LossScaler
from anypose.engine.lowering import autocast, halve
from anypose.engine.precision import Precision
from tests.anypose.engine.toy import Standardise, ToyNet, ToyTask, cpu, make_trainer


def dtypes_seen(model: nn.Module, inputs: torch.Tensor) -> dict[str, tuple]:
    """For every module: the dtypes of its input and output."""
    seen = {}
    for name, module in model.named_modules():
        module.register_forward_hook(lambda m, i, o, name=name: seen.update({name: (i[0].dtype, o.dtype)}))
    model(inputs)
    return seen


def test_o2_holds_matrices_in_fp16_and_everything_else_in_fp32():
    model = ToyNet()
    masters = halve(model)
    kinds = {name: value.dtype for name, value in model.state_dict().items()}
    halves = {"first.weight", "first.bias", "last.weight", "last.bias"}
    assert {name for name, kind in kinds.items() if kind == torch.float16} == halves == set(masters)
    assert {kinds[name] for name in kinds if name not in halves} == {torch.float32, torch.int64}
    assert all(master.dtype == torch.float32 for _, master in masters.values())


def test_o2_computes_in_fp16_between_a_precise_start_and_an_fp32_end():
    model = ToyNet()
    halve(model)
    seen = dtypes_seen(model, torch.full((8, 4), 500.0))
    half, single = torch.float16, torch.float32
    assert seen["standardise"] == (single, single)
    assert seen["norm"] == (half, half)
    assert seen["first"][1] == seen["last"][1] == half
    assert seen[""][0] == single
    assert model(torch.full((8, 4), 500.0)).dtype == single


def test_a_precise_module_behind_fp16_gets_fp32():
    model = nn.Sequential(nn.Linear(4, 4), Standardise())
    halve(model)
    assert dtypes_seen(model, torch.randn(2, 4))["1"] == (torch.float32, torch.float32)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_ends_at_the_models_border_and_spares_precise_modules(dtype):
    class Precise(nn.Linear):
        precise = True

    model = nn.Sequential(Precise(4, 4), nn.Linear(4, 4), Precise(4, 4), nn.Linear(4, 4))
    autocast(model, "cpu", dtype)
    seen = dtypes_seen(model, torch.randn(2, 4))
    assert [seen[name][1] for name in "0123"] == [torch.float32, dtype, torch.float32, dtype]
    assert model(torch.randn(2, 4)).dtype == torch.float32
    assert not torch.is_autocast_enabled("cpu")
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        model(torch.randn(2, 5))
    assert not torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize("lower", [halve, lambda model: autocast(model, "cpu", torch.bfloat16)])
def test_a_lowered_model_can_be_copied_and_lowers_the_members_of_a_container(lower):
    container = nn.ModuleDict({"pose": ToyNet(), "root": ToyNet()})
    lower(container)
    inputs = torch.full((8, 4), 300.0)
    copied = copy.deepcopy(container).eval()
    container.eval()
    with torch.no_grad():
        container["pose"].last.weight.zero_()
        assert container["pose"](inputs).dtype == torch.float32
        assert torch.equal(copied["root"](inputs), container["root"](inputs))
        assert not torch.equal(copied["pose"](inputs), container["pose"](inputs))


def test_shared_matrices_have_one_master():
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    model[1].weight = model[0].weight
    assert list(halve(model)) == ["0.weight"]


LEVELS = [("fp32", None), ("bf16", None), ("o1", "dynamic"), ("o1", 128.0), ("o2", "dynamic"), ("o2", 128.0)]


@pytest.mark.slow
def test_all_levels_learn_the_same_curve(tmp_path):
    curves = {}
    for level, scale in LEVELS:
        folder = tmp_path / f"{level} {scale}"
        trainer = make_trainer(folder, level=level, loss_scale=scale, epochs=12, log_every=10, net={"dropout": 0.0})
        trainer.fit()
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        curves[level, scale] = [line["loss"] for line in lines if line["split"] == "train"]
    reference = curves["fp32", None]
    assert reference[-1] < reference[0] / 4
    for (level, _), curve in curves.items():
        # fp16 keeps 11 bits and bf16 8: the tolerance is a few roundings of losses of order 0.1 to 1.
        assert curve == pytest.approx(reference, abs=0.02 if level == "bf16" else 0.005)


def test_small_updates_survive_in_the_masters(tmp_path):
    # Around 1, fp16 has steps of 5e-4 and 1e-3: two updates of 1e-4 leave the half at 1 and must not be lost.
    trainer = make_trainer(tmp_path, level="o2", loss_scale=1024.0, learning_rate=1e-4, net={"dropout": 0.0})
    half, master = trainer.arithmetic.masters["last.weight"]
    with torch.no_grad():
        half.fill_(1.0)
        master.fill_(1.0)
    batch = next(iter(trainer.batches.epoch(0)))
    for _ in range(2):
        trainer.train_step(batch)
    assert (half == 1).all()
    assert (master != 1).sum() > master.numel() / 2
    for _ in range(18):
        trainer.train_step(batch)
    assert (half != 1).any()


class Overflows(ToyTask):
    """The loss of some steps is finite, its gradient is not."""

    def __init__(self, model, steps):
        super().__init__(model)
        self.steps, self.calls = steps, 0

    def loss(self, batch):
        loss, terms = super().loss(batch)
        if self.calls in self.steps:
            loss = loss + (self.model.last.bias.float()[0] * 0).sqrt()
        self.calls += 1
        return loss, terms


@pytest.mark.parametrize("level", ["o1", "o2"])
@pytest.mark.parametrize("scale", ["dynamic", 128.0])
def test_an_overflow_skips_the_step_is_counted_and_logged(tmp_path, level, scale):
    trainer = make_trainer(tmp_path, task=lambda net: Overflows(net, {1}), level=level, loss_scale=scale)
    batches = list(trainer.batches.epoch(0))
    trainer.train_step(batches[0])
    before = trainer.arithmetic.model_state(trainer.model)
    before = {name: value.clone() for name, value in before.items() if "norm" not in name}
    trainer.train_step(batches[1])
    after = trainer.arithmetic.model_state(trainer.model)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert float(trainer.arithmetic.overflows) == 1.0
    assert trainer.arithmetic.scale == (2.0**15 if scale == "dynamic" else 128.0)
    trainer.train_step(batches[2])
    after = trainer.arithmetic.model_state(trainer.model)
    assert not torch.equal(before["last.weight"], after["last.weight"])


def test_overflows_are_in_the_log_and_survive_a_resume(tmp_path):
    settings = {"task": lambda net: Overflows(net, {1, 3}), "level": "o2", "loss_scale": "dynamic"}
    make_trainer(tmp_path, epochs=1, **settings).fit()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(line["overflows"], line["loss_scale"]) for line in lines if line["split"] == "train"] == [
        (2, 2.0**14),
        (2, 2.0**14),
    ]
    resumed = make_trainer(tmp_path, **settings)
    resumed.resume(tmp_path / "last.pt")
    assert float(resumed.arithmetic.overflows) == 2.0
    assert resumed.arithmetic.scale == 2.0**14


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.AdamW])
@pytest.mark.parametrize("overflows", [{0}, {2, 3}, {0, 1, 4}])
def test_a_step_taken_back_on_the_device_equals_one_not_taken(optimizer, overflows):
    """What a captured step does where the optimiser is not fused and the host cannot be asked."""
    ends = []
    for capturing in (False, True):
        torch.manual_seed(0)
        weight = nn.Parameter(torch.randn(4))
        adam, scaler = optimizer([weight], lr=0.1, amsgrad=True), LossScaler(cpu(), "dynamic")
        for step in range(6):
            adam.zero_grad()
            loss = (weight * torch.randn(4)).square().sum() * (float("inf") if step in overflows else 1.0)
            scaler.scale(loss).backward()
            scaler.unscale(adam)
            scaler.step(adam, capturing)
        assert float(scaler.overflows) == len(overflows)
        ends.append([weight.detach(), *adam.state[weight].values()])
    assert len(ends[0]) == 5
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))


def test_a_run_in_which_every_step_overflows_stops(tmp_path):
    trainer = make_trainer(
        tmp_path, task=lambda net: Overflows(net, range(100)), level="o1", loss_scale="dynamic", log_every=25,
        epochs=5, evaluate_every=9, batch_size=2,
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"Each of the last 25 steps overflowed .* 0.001953125 at step 25"):
        trainer.fit()


def test_a_fixed_scale_stays_fixed_whatever_the_checkpoint_says():
    scaler = LossScaler(cpu(), 128.0)
    scaler.load_state_dict({"scale": 65536.0, "good_steps": 7, "overflows": 3.0})
    assert scaler.state_dict() == {"scale": 128.0, "good_steps": 7, "overflows": 3.0}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fp8", None, "native"), "precision.level must be auto, fp32, bf16, o1 or o2, got 'fp8'."),
        (("o2", None, "native"), "precision.loss_scale must be dynamic or a positive number, got None."),
        (("o2", "static", "native"), "precision.loss_scale must be dynamic or a positive number, got 'static'."),
        (("o2", 0, "native"), "got 0."),
        (("fp32", 128, "native"), "precision.loss_scale=128 has no effect with precision=fp32"),
        (("bf16", None, "apex"), "precision.backend=apex has no effect with precision=bf16"),
        (("o2", 128, "nvidia"), "precision.backend must be native or apex, got 'nvidia'."),
    ],
)
def test_wrong_settings_are_named(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Precision(*arguments)


def test_bf16_is_refused_where_the_device_lacks_it():
    device = cpu()
    type(device).supports_bf16, before = False, type(device).supports_bf16
    try:
        with pytest.raises(ValueError, match=r"precision=bf16 needs a device that computes in bf16, and cpu does not"):
            Precision("bf16", None, "native").resolve(device)
    finally:
        type(device).supports_bf16 = before


def test_auto_takes_what_the_device_names_and_says_why(caplog):
    caplog.set_level("INFO")
    assert Precision("auto", "dynamic", "native").resolve(cpu()).level == "fp32"
    assert "precision fp32 (the reference on every device)" in caplog.text


def test_apex_from_the_package_index_is_not_apex(monkeypatch):
    monkeypatch.setitem(sys.modules, "apex", types.ModuleType("apex"))  # no apex.amp: another project
    with pytest.raises(ImportError, match=r"needs Ascend's apex with apex.amp.initialize; the import failed \(cannot"):
        Precision("o2", 128, "apex").resolve(cpu())


class PretendedApex(types.ModuleType):
    """apex.amp as far as its documentation tells: the model and the optimiser together, a context for the loss."""

    def __init__(self) -> None:
        super().__init__("apex.amp")
        self.asked: dict = {}
        self.scale = 128.0

    def initialize(self, models, optimizers=None, *, opt_level=None, loss_scale=None, combine_grad=None):
        self.asked = {"opt_level": opt_level, "loss_scale": loss_scale, "combine_grad": combine_grad}
        return models, optimizers

    @contextlib.contextmanager
    def scale_loss(self, loss, optimizers):
        yield loss * self.scale
        for parameter in self.master_params(optimizers):
            if parameter.grad is not None:
                parameter.grad /= self.scale

    def master_params(self, optimizer):
        return (parameter for group in optimizer.param_groups for parameter in group["params"])

    def state_dict(self, destination=None):
        return {"loss_scaler0": {"loss_scale": self.scale, "unskipped": 7}}

    def load_state_dict(self, state_dict):
        self.scale = state_dict["loss_scaler0"]["loss_scale"]


def test_apex_is_used_where_it_is_asked_for_and_present(tmp_path, monkeypatch):
    apex, amp = types.ModuleType("apex"), PretendedApex()
    apex.amp = amp  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "apex", apex)
    monkeypatch.setitem(sys.modules, "apex.amp", amp)
    settings = {"level": "o2", "loss_scale": 128.0, "backend": "apex", "grad_clip_norm": 1.0}
    trainer = make_trainer(tmp_path / "apex", **settings)
    trainer.fit()
    assert amp.asked == {"opt_level": "O2", "loss_scale": 128.0, "combine_grad": True}
    assert checkpoint.load(tmp_path / "apex" / "last.pt")["scaler"] == amp.state_dict()
    reference = make_trainer(tmp_path / "fp32", grad_clip_norm=1.0)
    reference.fit()
    assert trainer.best == pytest.approx(reference.best, rel=1e-3)
    amp.scale = 1.0
    resumed = make_trainer(tmp_path / "apex", epochs=4, **settings)
    resumed.resume(tmp_path / "apex" / "last.pt")
    assert amp.scale == 128.0
    resumed.fit()
