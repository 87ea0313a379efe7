"""The loop: what it promises about resuming, stopping, broken losses and what it writes."""

from __future__ import annotations

import json
import re
import signal
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from anypose.engine import checkpoint
from tests.anypose.engine.toy import ToyTask, cpu, make_trainer


def weights(trainer) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in trainer.arithmetic.model_state(trainer.model).items()}


def records(folder: Path, split: str) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line["split"] == split]


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


LEVELS = [("fp32", None), ("bf16", None), ("o1", "dynamic"), ("o2", "dynamic"), ("o2", 128.0)]


@pytest.mark.parametrize(("level", "scale"), LEVELS)
@pytest.mark.parametrize("stop", [4, 10, 13], ids=["first epoch", "epoch's end", "second epoch"])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path, level, scale, stop):
    whole = make_trainer(tmp_path / "whole", level=level, loss_scale=scale)
    score = whole.fit()
    make_trainer(tmp_path / "parts", level=level, loss_scale=scale, max_steps=stop).fit()
    resumed = make_trainer(tmp_path / "parts", level=level, loss_scale=scale, seed=0)
    resumed.resume(tmp_path / "parts" / "last.pt")
    assert resumed.step == stop
    assert resumed.fit() == score
    assert same(weights(whole), weights(resumed))
    moments = [t.optimizer.state_dict()["state"] for t in (whole, resumed)]
    assert all(same(moments[0][key], moments[1][key]) for key in moments[0])


def test_a_resumed_run_needs_no_luck_with_the_seed_of_its_weights(tmp_path):
    whole = make_trainer(tmp_path / "whole")
    whole.fit()
    make_trainer(tmp_path / "parts", max_steps=13).fit()
    resumed = make_trainer(tmp_path / "parts", net={"width": 16})
    with torch.no_grad():
        for parameter in resumed.model.parameters():
            parameter.fill_(7.0)
    resumed.resume(tmp_path / "parts" / "last.pt")
    resumed.fit()
    assert same(weights(whole), weights(resumed))


def test_the_seed_decides_everything(tmp_path):
    trainers = [make_trainer(tmp_path / str(number), seed=seed) for number, seed in enumerate((0, 0, 1))]
    for trainer in trainers:
        trainer.fit()
    first, second, other = map(weights, trainers)
    assert same(first, second)
    assert not same(first, other)


def test_a_run_can_change_its_precision_when_it_resumes(tmp_path):
    make_trainer(tmp_path, level="o2", loss_scale="dynamic", epochs=1).fit()
    saved = checkpoint.load(tmp_path / "last.pt")["model"]
    assert {value.dtype for value in saved.values()} <= {torch.float32, torch.int64}
    trainer = make_trainer(tmp_path, level="fp32", epochs=2)
    trainer.resume(tmp_path / "last.pt")
    assert same(weights(trainer), saved)
    trainer.fit()
    assert trainer.step == 20


def test_the_learning_rate_of_a_resumed_run_is_the_configurations(tmp_path):
    make_trainer(tmp_path, epochs=1).fit()
    trainer = make_trainer(tmp_path, epochs=2, learning_rate=1e-4)
    trainer.resume(tmp_path / "last.pt")
    trainer.fit()
    assert records(tmp_path, "train")[-1]["lr"] == pytest.approx(1e-4)


def test_resuming_rewrites_the_metrics_after_the_checkpoint_once(tmp_path):
    make_trainer(tmp_path, epochs=1).fit()
    with (tmp_path / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"split": "train", "step": 15, "loss": 9.0}) + "\n")
    trainer = make_trainer(tmp_path, epochs=2)
    trainer.resume(tmp_path / "last.pt")
    trainer.fit()
    assert [line["step"] for line in records(tmp_path, "train")] == [5, 10, 15, 20]


def test_inside_an_epoch_a_run_cannot_resume_with_another_batch_size(tmp_path):
    make_trainer(tmp_path, max_steps=4).fit()
    trainer = make_trainer(tmp_path, batch_size=4)
    message = "at batch 4 of 8 samples; it can only go on with trainer.batch_size=8, got 4"
    with pytest.raises(ValueError, match=message):
        trainer.resume(tmp_path / "last.pt")


def test_training_learns(tmp_path):
    trainer = make_trainer(tmp_path, epochs=40, net={"dropout": 0.0})
    score = trainer.fit()
    scores = [line["error_mm"] for line in records(tmp_path, "validation")]
    assert score == scores[-1]
    assert score < scores[0] / 2


def test_best_pt_holds_the_weights_of_the_best_evaluation(tmp_path):
    trainer = make_trainer(tmp_path, epochs=8, learning_rate=0.3)
    score = trainer.fit()
    scores = {line["step"]: line["error_mm"] for line in records(tmp_path, "validation")}
    kept = checkpoint.load(tmp_path / "best.pt")
    assert scores[kept["step"]] == min(scores.values()) < score
    # What a sweep compares, and `fit` returns, is the last: the best was chosen on the samples it is scored on.
    assert (
        json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))["error_mm"]
        == score
        == list(scores.values())[-1]
    )


@pytest.mark.parametrize(
    ("epochs", "max_steps", "every", "expected"), [(5, None, 2, [20, 40, 50]), (5, 13, 1, [10, 13])]
)
def test_evaluations_come_every_so_many_epochs_and_at_the_end(tmp_path, epochs, max_steps, every, expected):
    make_trainer(tmp_path, epochs=epochs, max_steps=max_steps, evaluate_every=every).fit()
    assert [line["step"] for line in records(tmp_path, "validation")] == expected


def test_the_logged_loss_is_the_mean_since_the_last_line(tmp_path):
    losses = []

    class Recording(ToyTask):
        def loss(self, batch):
            loss, terms = super().loss(batch)
            losses.append(float(loss.detach()))
            return loss, terms

    make_trainer(tmp_path, task=Recording, epochs=1, log_every=4).fit()
    logged = records(tmp_path, "train")
    assert [line["step"] for line in logged] == [4, 8, 10]
    means = [sum(losses[a:b]) / (b - a) for a, b in ((0, 4), (4, 8), (8, 10))]
    assert [line["loss"] for line in logged] == pytest.approx(means, rel=1e-5)
    assert [line["squared"] for line in logged] == pytest.approx(means, rel=1e-5)
    assert all(line["samples_per_s"] > 0 for line in logged)


class BreaksAt(ToyTask):
    """The loss of one batch of one epoch is not a number."""

    def __init__(self, model, step: int) -> None:
        super().__init__(model)
        self.calls, self.step = 0, step

    def loss(self, batch):
        loss, terms = super().loss(batch)
        broken = self.calls == self.step
        self.calls += 1
        return loss * (float("nan") if broken else 1.0), terms


def test_a_loss_that_is_not_finite_stops_with_step_epoch_batch_and_rows(tmp_path):
    trainer = make_trainer(tmp_path, task=partial(BreaksAt, step=13))
    batch = list(trainer.batches.epoch(1))[3]
    rows = ", ".join(map(str, batch["index"][:4].tolist()))
    path = tmp_path / "last.pt"
    expected = f"became nan in step 13 (epoch 1, batch 3 of 10, rows {rows}, ...). {path} is from before."
    with pytest.raises(ValueError, match=re.escape(expected)):
        trainer.fit()
    kept = checkpoint.load(path)
    assert kept["step"] == 10
    assert all(value.isfinite().all() for value in kept["model"].values())


def test_a_loss_that_is_not_finite_before_the_first_checkpoint_says_so(tmp_path):
    with pytest.raises(ValueError, match=r"in step 0 .*There is no checkpoint yet\. Lower optimizer\.lr"):
        make_trainer(tmp_path, task=partial(BreaksAt, step=0)).fit()


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    class LastGradientExplodes(BreaksAt):
        def loss(self, batch):
            loss, terms = ToyTask.loss(self, batch)
            self.calls += 1
            if self.calls == self.step:  # a finite loss with an infinite gradient
                loss = loss + (self.model.last.weight.flatten()[0] * 0).sqrt()
            return loss, terms

    trainer = make_trainer(tmp_path, task=partial(LastGradientExplodes, step=20), epochs=2)
    with pytest.raises(ValueError, match=r"last\.weight is no longer finite after step 20\..*last\.pt is from before"):
        trainer.fit()
    assert checkpoint.load(tmp_path / "last.pt")["step"] == 10


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_exits_and_the_run_goes_on_as_if_nothing_had_happened(tmp_path, number, caplog):
    class Interrupted(BreaksAt):
        def loss(self, batch):
            self.calls += 1
            if self.calls == self.step:
                signal.raise_signal(number)
            return ToyTask.loss(self, batch)

    before = signal.getsignal(number)
    caplog.set_level("INFO")
    with pytest.raises(SystemExit) as stop:
        make_trainer(tmp_path / "parts", task=partial(Interrupted, step=17)).fit()
    assert stop.value.code == 128 + number
    assert signal.getsignal(number) == before
    assert f"{number.name}: saved step 17; go on with resume={tmp_path / 'parts'}" in caplog.text
    resumed = make_trainer(tmp_path / "parts")
    resumed.resume(tmp_path / "parts" / "last.pt")
    resumed.fit()
    whole = make_trainer(tmp_path / "whole")
    whole.fit()
    assert same(weights(whole), weights(resumed))
    assert records(tmp_path / "whole", "validation") == records(tmp_path / "parts", "validation")


def test_gradients_are_clipped_to_the_norm(tmp_path):
    trainer = make_trainer(tmp_path, grad_clip_norm=1e-3)
    seen = []
    trainer.optimizer.register_step_pre_hook(
        lambda *_: seen.append(torch.cat([p.grad.flatten() for p in trainer.model.parameters()]).norm().item())
    )
    trainer.train_step(next(iter(trainer.batches.epoch(0))))
    assert seen == [pytest.approx(1e-3, rel=1e-4)]


def test_no_step_waits_for_the_device(tmp_path, monkeypatch):
    trainer = make_trainer(tmp_path, grad_clip_norm=1.0)

    def refuse(*_):
        raise AssertionError("a step read a value back")

    for name in ("item", "tolist", "__float__", "__bool__", "cpu", "numpy"):
        monkeypatch.setattr(torch.Tensor, name, refuse)
    trainer.train_step(next(iter(trainer.batches.epoch(0))))


def test_a_batch_larger_than_the_training_set_is_refused(tmp_path):
    with pytest.raises(ValueError, match="batch_size=100 is larger than the training set"):
        make_trainer(tmp_path, batch_size=100)


def test_tensorboard_gets_the_same_numbers(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    make_trainer(tmp_path, epochs=1, tensorboard=True).fit()
    events = accumulator.EventAccumulator(str(tmp_path)).Reload()
    assert events.Scalars("train/loss")[-1].value == pytest.approx(records(tmp_path, "train")[-1]["loss"])
    assert [e.step for e in events.Scalars("validation/error_mm")] == [10]


def test_a_checkpoint_inside_an_epoch_is_written_every_so_many_steps_and_resumes_bit_for_bit(tmp_path):
    whole = make_trainer(tmp_path / "whole")
    whole.fit()
    saved: list[int] = []
    trainer = make_trainer(tmp_path / "parts", save_every=4)
    write, copy = trainer.save, tmp_path / "copy.pt"

    def save(best: bool) -> None:
        write(best)
        saved.append(trainer.step)
        if trainer.step == 4:
            copy.write_bytes((tmp_path / "parts" / "last.pt").read_bytes())

    trainer.save = save
    trainer.fit()
    steps = len(trainer.batches)
    assert sorted(set(saved)) == sorted({*range(4, trainer.steps + 1, 4), *range(steps, trainer.steps + 1, steps)})
    assert same(weights(whole), weights(trainer))
    resumed = make_trainer(tmp_path / "resumed")
    resumed.resume(copy)
    resumed.fit()
    assert same(weights(whole), weights(resumed))


@pytest.mark.parametrize(
    ("setting", "value"), [("epochs", "abc"), ("epochs", 0), ("batch_size", 0), ("log_every", 1.5), ("max_steps", -1)]
)
def test_counts_must_be_counts(tmp_path, setting, value):
    with pytest.raises(ValueError, match=rf"trainer.{setting} must be a whole number of at least 1, got {value!r}"):
        make_trainer(tmp_path, **{setting: value}).fit()


@pytest.mark.parametrize(("level", "scale"), [("fp32", None), ("o2", 128.0)])
def test_a_run_can_begin_with_the_weights_of_another_and_nothing_else_of_it(tmp_path, level, scale):
    first = make_trainer(tmp_path / "first", level=level, loss_scale=scale)
    first.fit()
    second = make_trainer(tmp_path / "second", level=level, loss_scale=scale, seed=1, ema=0.9)
    second.start_from(tmp_path / "first" / "last.pt")
    saved = checkpoint.load(tmp_path / "first" / "last.pt")["model"]
    for found in (second.arithmetic.model_state(second.model), second.average.weights):
        assert all(torch.equal(found[name].float(), saved[name].float()) for name in saved)
    assert (second.step, second.done.epoch, second.best) == (0, 0, None)
    assert not second.optimizer.state_dict()["state"]
    second.fit()
    assert not same(weights(first), weights(second))


def test_the_weights_of_convolutions_lie_as_the_device_wants_them(tmp_path):
    def filtered(model):
        model.filters = nn.Conv2d(3, 4, 3)
        return ToyTask(model)

    assert make_trainer(tmp_path / "plain", task=filtered).model.filters.weight.is_contiguous()
    device = cpu()
    device.memory_format = torch.channels_last
    filters = make_trainer(tmp_path / "last", task=filtered, device=device).model.filters.weight
    assert filters.is_contiguous(memory_format=torch.channels_last)
    assert not filters.is_contiguous()
