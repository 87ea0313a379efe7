"""How far a run has come: steps, epochs, scores. What a checkpoint says beside tensors."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

log = logging.getLogger(__name__)
FEW, ENOUGH = 500, 1000  # steps of a whole training; what the embedded datasets are trained with is more


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


def _is_score(value: Any) -> bool:
    return value is None or type(value) in (int, float)


def _is_random(state: Any) -> bool:
    """Whether it is what `Device.rng_state` gives, of this version of torch; None before the first step."""
    if state is None:
        return True
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        return False
    try:
        torch.Generator().set_state(state["cpu"])
    except (RuntimeError, TypeError, LookupError):
        return False
    return True


def _by_name(values: Any, fits: Callable[[Any], bool]) -> bool:
    return isinstance(values, dict) and all(isinstance(name, str) and fits(value) for name, value in values.items())


_COUNT = ("a whole number from 0", _is_count)
_COUNT_OR_NONE = ("a whole number from 0, or none", lambda value: value is None or _is_count(value))
# What a run writes beside the weights: in words, and how it is told.
_WRITTEN: dict[str, tuple[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(("step", "epoch", "batch", "batch_size"), _COUNT),
    **dict.fromkeys(("scored", "batches"), _COUNT_OR_NONE),
    "best": ("a number, or none", _is_score),
    "metrics": ("scores by name", lambda scores: _by_name(scores, _is_score)),
    "rng": ("states of random generators", lambda states: isinstance(states, list) and all(map(_is_random, states))),
    "kernels": (
        "ways by kinds of layers, or none",
        lambda ways: ways is None or _by_name(ways, lambda way: isinstance(way, str)),
    ),
}


@dataclass
class Progress:
    """Counts of what is done, and the scores of it.

    Attributes:
        step: of the run.
        epoch: whole ones.
        batch: within the epoch.
        best: the best finite value of what is monitored so far; None before there is one.
        scores: of the last evaluation.
        scored: the step of the last evaluation; None before there was one.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    best: float | None = None
    scores: dict[str, float] = field(default_factory=dict)
    scored: int | None = None

    def finished(self, epochs: int, max_steps: int | None) -> bool:
        """Whether nothing is left to train."""
        return self.epoch >= epochs or (max_steps is not None and self.step >= max_steps)

    def steps(self, epochs: int, max_steps: int | None, batches: int) -> int:
        """Steps at the end of the run, if an epoch has so many batches."""
        end = self.step + max(0, (epochs - self.epoch) * batches - self.batch)
        return end if max_steps is None else min(end, max(max_steps, self.step))

    @staticmethod
    def tell_few(epochs: int, max_steps: int | None, batches: int) -> None:
        """A recipe's epochs come out short on a small dataset; `max_steps` was meant as it stands."""
        if max_steps is None and (steps := epochs * batches) < FEW:
            log.info(
                "trainer.epochs=%d of %d steps each: %d in all, few for most networks; trainer.epochs=%d has 1,000.",
                *(epochs, batches, steps, math.ceil(ENOUGH / batches)),
            )

    def due(self, every: int, finished: bool) -> bool:
        """Whether these weights want an evaluation that they have not had."""
        at_the_end = self.batch == 0 and self.epoch > 0 and self.epoch % every == 0
        return self.scored != self.step and (finished or at_the_end)

    def take(self, scores: dict[str, float], value: float, higher_is_better: bool) -> bool:
        """Note an evaluation; true where it is the best so far. What is not finite is never the best."""
        self.scores, self.scored = scores, self.step
        if not math.isfinite(value):
            return False
        best = math.nan if self.best is None else self.best
        better = not math.isfinite(best) or (value > best if higher_is_better else value < best)
        if better:
            self.best = value
        return better

    def check_within(self, state: dict[str, Any], batch_size: int, batches: int, source: str) -> None:
        """Inside an epoch a run goes on with the same batches alone: refuse others.

        Args:
            state: the checkpoint that this progress came from.
            batch_size, batches: of the run now; of one epoch.
            source: the checkpoint's file.
        """
        if not self.batch:
            return
        within = f"{source} was written inside an epoch, at batch {self.batch}"
        if state["batch_size"] != batch_size:
            raise ValueError(
                f"{within} of {state['batch_size']} samples; it can only go on with "
                f"trainer.batch_size={state['batch_size']}, got {batch_size}."
            )
        if state.get("batches", batches) != batches:
            raise ValueError(
                f"{within} of {state['batches']}, and an epoch of the training set has {batches} now. Go on with the "
                "data it was trained on, or begin a new run with its weights: init=FILE."
            )

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        values = asdict(self)
        return values | {"metrics": values.pop("scores")}

    @classmethod
    def of(cls, state: dict[str, Any], source: str) -> Progress:
        """From a checkpoint.

        Raises:
            ValueError: where it says nothing of the kind: weights alone, or somebody else's.
        """
        wanted = ("step", "epoch", "batch", "best", "metrics", "optimizer", "scaler", "rng", "batch_size")
        if missing := [name for name in wanted if name not in state]:
            raise ValueError(
                f"{source} holds weights but no {', '.join(missing)}: no run can go on from it. Resume from last.pt, "
                "or begin a new run with these weights: init=FILE."
            )
        for name, (what, fits) in _WRITTEN.items():
            if not fits(state.get(name)):
                raise ValueError(f"{source}: its {name} must be {what}, found {state.get(name)!r:.80}.")
        if (batches := state.get("batches")) is not None and state["batch"] >= batches:
            raise ValueError(f"{source}: its batch {state['batch']} must be below the {batches} of an epoch.")
        step, epoch, batch = (state[name] for name in ("step", "epoch", "batch"))
        return cls(step, epoch, batch, state["best"], state["metrics"], state.get("scored"))
