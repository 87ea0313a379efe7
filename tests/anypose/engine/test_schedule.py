"""Learning rates and BatchNorm momentum against torch's own schedulers and the papers' formulas."""

from __future__ import annotations

import math
import re

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from anypose.engine.schedule import Cosine, Exponential, MultiStep, PerEpoch, Schedule

PLAIN = {"warmup_steps": 0, "batchnorm_momentum": None}
STEPS_PER_EPOCH, EPOCHS = 7, 6


def rates(schedule: Schedule) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    steps = range(STEPS_PER_EPOCH * EPOCHS)
    return [schedule.set_rate(optimizer, step, step // STEPS_PER_EPOCH) for step in steps]


def torch_rates(make) -> list[float]:
    """The rate in each step of torch's scheduler, stepped once an epoch."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler, found = make(optimizer), []
    for _ in range(EPOCHS):
        found += [scheduler.get_last_lr()[0]] * STEPS_PER_EPOCH
        optimizer.step()
        scheduler.step()
    return found


def test_per_epoch_equals_torchs_exponential():
    expected = torch_rates(lambda o: lr_scheduler.ExponentialLR(o, 0.95))
    assert rates(PerEpoch(0.95, **PLAIN)) == pytest.approx(expected)


def test_multi_step_equals_torchs():
    expected = torch_rates(lambda o: lr_scheduler.MultiStepLR(o, [2, 5], 0.1))
    assert rates(MultiStep([2, 5], "epoch", 0.1, **PLAIN)) == pytest.approx(expected)


def test_exponential_is_continuous_in_the_step():
    schedule = Exponential(0.96, 100_000, **PLAIN)
    # 3d-pose-baseline after 200 epochs of 24,371 steps ends at a rate of 1.37e-4.
    assert 1e-3 * schedule.factor(200 * 24_371, 199) == pytest.approx(1.37e-4, rel=2e-3)
    assert schedule.factor(100_000, 4) == pytest.approx(0.96)
    assert schedule.factor(50_000, 2) == pytest.approx(math.sqrt(0.96))
    assert schedule.factor(1, 0) < 1.0


def test_warm_up_rises_linearly_and_ends_at_the_rate():
    schedule = Schedule(warmup_steps=4, batchnorm_momentum=None)
    assert [schedule.rate(step, 0) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    decaying = PerEpoch(0.5, warmup_steps=2, batchnorm_momentum=None)
    assert [decaying.rate(step, 1) for step in range(3)] == [0.25, 0.5, 0.5]


def test_every_group_keeps_its_own_rate_also_as_a_tensor():
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (0.1, torch.tensor(0.4))]
    optimizer = torch.optim.Adam(groups, foreach=False, capturable=False)
    kept = optimizer.param_groups[1]["lr"]
    for step in range(3):
        assert PerEpoch(0.5, **PLAIN).set_rate(optimizer, step, epoch=2) == pytest.approx(0.025)
    assert optimizer.param_groups[1]["lr"] is kept
    assert float(kept) == pytest.approx(0.1)


def test_batchnorm_momentum_decays_from_first_to_last():
    schedule = Schedule(0, [0.1, 0.001])
    found = [schedule.momentum(epoch, 80) for epoch in (0, 40, 80)]
    assert found == pytest.approx([0.1, 0.01, 0.001])
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Sequential(nn.BatchNorm2d(2)), nn.LayerNorm(2))
    schedule.set_momentum(model, 40, 80)
    assert [model[0].momentum, model[1][0].momentum] == pytest.approx([0.01, 0.01])
    Schedule(**PLAIN).set_momentum(model, 0, 80)
    assert model[0].momentum == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Schedule(-1, None), "schedule.warmup_steps must be 0 or more, got -1."),
        (
            lambda: Schedule(0, [0.1]),
            "batchnorm_momentum must be null or [first, last], both positive, got [0.1]",
        ),
        (lambda: Schedule(0, [0.1, 0.0]), "both positive, got [0.1, 0.0]"),
        (lambda: MultiStep([5, 2], "step", 0.1, **PLAIN), "schedule.milestones must rise, got [5, 2]."),
        (lambda: MultiStep([2, 5], "hour", 0.1, **PLAIN), "schedule.unit must be epoch or step, got hour."),
    ],
)
def test_wrong_settings_are_named(make, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


def test_at_steps_drops_after_so_many_steps_whatever_the_epoch():
    schedule = MultiStep([3, 5], "step", 0.1, **PLAIN)
    assert [schedule.rate(step, epoch=9) for step in range(6)] == pytest.approx([1, 1, 1, 0.1, 0.1, 0.01])


def test_cosine_equals_torchs_and_stays_at_its_end():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    torchs = lr_scheduler.CosineAnnealingLR(optimizer, 20, eta_min=0.01)
    schedule = Cosine(0.01, 20, **PLAIN)
    for step in range(20):
        assert schedule.factor(step, 0) == pytest.approx(torchs.get_last_lr()[0])
        optimizer.step()
        torchs.step()
    assert schedule.factor(20, 0) == schedule.factor(500, 9) == pytest.approx(0.01)


def test_a_cosine_has_a_length_and_an_end():
    with pytest.raises(
        ValueError, match=r"schedule.decay_steps=0 must be at least 1, and schedule.decay=2 in \[0, 1\]"
    ):
        Cosine(2, 0, **PLAIN)
