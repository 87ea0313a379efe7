"""Schedules: the learning rate of a step and the BatchNorm momentum of an epoch, as functions without state.

Without state a resumed run needs nothing but its step number, and a factor can be plotted or tested by calling it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn
from torch.optim import Optimizer

from anypose.settings import Misuse


class Schedule:
    """Constant learning rate; the others override `factor`.

    Args:
        warmup_steps: over so many steps the rate rises linearly from 0, reaching its value at the last of them.
        batchnorm_momentum: null, or [first, last]: exponential decay from epoch to epoch,
            first * exp(-(e / E) * ln(first / last)) after epoch e of E (VideoPose3D's released code).
    """

    def __init__(self, warmup_steps: int, batchnorm_momentum: Sequence[float] | None) -> None:
        if warmup_steps < 0:
            raise Misuse(f"schedule.warmup_steps must be 0 or more, got {warmup_steps}.")
        if batchnorm_momentum is not None and (len(batchnorm_momentum) != 2 or min(batchnorm_momentum) <= 0):
            raise Misuse(
                f"schedule.batchnorm_momentum must be null or [first, last], both positive, got {batchnorm_momentum}."
            )
        self.warmup_steps = warmup_steps
        self.batchnorm_momentum = batchnorm_momentum

    def factor(self, step: int, epoch: int) -> float:
        """What multiplies the learning rate in step `step` (from 0) of the run, in epoch `epoch` (from 0)."""
        return 1.0

    def rate(self, step: int, epoch: int) -> float:
        """`factor` with warm-up."""
        warm = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        return warm * self.factor(step, epoch)

    def momentum(self, epoch: int, epochs: int) -> float | None:
        """BatchNorm's momentum in epoch `epoch` of `epochs`; null leaves the model's own."""
        if self.batchnorm_momentum is None:
            return None
        first, last = self.batchnorm_momentum
        return first * math.exp(-(epoch / epochs) * math.log(first / last))

    def set_rate(self, optimizer: Optimizer, step: int, epoch: int) -> float:
        """Set the learning rate of every parameter group; return that of the first."""
        rate = self.rate(step, epoch)
        for group in optimizer.param_groups:
            value = group.setdefault("initial_lr", float(group["lr"])) * rate
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(value)
            else:
                group["lr"] = value
        return optimizer.param_groups[0]["initial_lr"] * rate

    def set_momentum(self, model: nn.Module, epoch: int, epochs: int) -> bool:
        """Set the momentum of every BatchNorm; true where that changed one."""
        momentum, changed = self.momentum(epoch, epochs), False
        if momentum is not None:
            for module in model.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    changed |= module.momentum != momentum
                    module.momentum = momentum
        return changed


class Exponential(Schedule):
    """decay ** (step / decay_steps) with a real exponent: TensorFlow's exponential_decay without staircase."""

    def __init__(
        self, decay: float, decay_steps: int, warmup_steps: int, batchnorm_momentum: Sequence[float] | None
    ) -> None:
        super().__init__(warmup_steps, batchnorm_momentum)
        _check_decay(decay)
        if decay_steps <= 0:
            raise Misuse(f"schedule.decay_steps must be positive, got {decay_steps}.")
        self.decay, self.decay_steps = decay, decay_steps

    def factor(self, step: int, epoch: int) -> float:
        return self.decay ** (step / self.decay_steps)


class Cosine(Schedule):
    """Half a cosine from 1 to `decay` over the first `decay_steps` steps, and `decay` from there on."""

    def __init__(
        self, decay: float, decay_steps: int, warmup_steps: int, batchnorm_momentum: Sequence[float] | None
    ) -> None:
        super().__init__(warmup_steps, batchnorm_momentum)
        if decay_steps < 1 or not 0 <= decay <= 1:
            raise Misuse(
                f"schedule.decay_steps={decay_steps} must be at least 1, and schedule.decay={decay} in [0, 1]."
            )
        self.decay, self.decay_steps = decay, decay_steps

    def factor(self, step: int, epoch: int) -> float:
        done = min(step / self.decay_steps, 1.0)
        return self.decay + (1 - self.decay) * 0.5 * (1 + math.cos(math.pi * done))


class PerEpoch(Schedule):
    """decay ** epoch: multiplied after each epoch."""

    def __init__(self, decay: float, warmup_steps: int, batchnorm_momentum: Sequence[float] | None) -> None:
        super().__init__(warmup_steps, batchnorm_momentum)
        _check_decay(decay)
        self.decay = decay

    def factor(self, step: int, epoch: int) -> float:
        return self.decay**epoch


class MultiStep(Schedule):
    """Multiplied by `decay` at each of `milestones`.

    Args:
        unit: what milestones count: "epoch" (when that one begins) or "step" (when so many are done), for training that
            counts iterations.
    """

    def __init__(
        self,
        milestones: Sequence[int],
        unit: Literal["epoch", "step"],
        decay: float,
        warmup_steps: int,
        batchnorm_momentum: Sequence[float] | None,
    ) -> None:
        super().__init__(warmup_steps, batchnorm_momentum)
        if list(milestones) != sorted(set(milestones)):
            raise Misuse(f"schedule.milestones must rise, got {list(milestones)}.")
        if any(milestone < 0 for milestone in milestones):
            raise Misuse(f"schedule.milestones must not be negative, got {list(milestones)}.")
        if unit not in ("epoch", "step"):
            raise Misuse(f"schedule.unit must be epoch or step, got {unit}.")
        _check_decay(decay)
        self.milestones, self.unit, self.decay = milestones, unit, decay

    def factor(self, step: int, epoch: int) -> float:
        done = epoch if self.unit == "epoch" else step
        return self.decay ** sum(done >= milestone for milestone in self.milestones)


def _check_decay(decay: float) -> None:
    """A factor: 0 would end all learning, and more than 1 would let the rate grow without end."""
    if not 0 < decay <= 1:
        raise Misuse(f"schedule.decay must lie above 0 and be at most 1, got {decay}.")
