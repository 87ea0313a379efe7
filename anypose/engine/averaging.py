"""The exponential moving average of a model's weights: what is scored and saved, while training goes on beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from anypose.engine.precision import Arithmetic
from anypose.settings import Misuse


class Average:
    """average = d * average + (1 - d) * weights after every step, BatchNorm's statistics included.

    In step t (from 1) d is at most t / (t + 10), so that the first, random weights are soon forgotten.

    Args:
        decay: d in the long run: about the last 1 / (1 - d) steps count.
        model: what is trained.
        arithmetic: knows the weights in fp32.
    """

    def __init__(self, decay: float, model: nn.Module, arithmetic: Arithmetic) -> None:
        if not 0 < decay < 1:
            raise Misuse(f"trainer.ema must lie between 0 and 1, or be null for none; got {decay}.")
        self.decay, self.model, self.arithmetic = decay, model, arithmetic
        self.weights = self._current()

    def _current(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.arithmetic.model_state(self.model).items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after `step` steps."""
        weight = 1 - min(self.decay, step / (step + 10))
        state = self.arithmetic.model_state(self.model)
        names = [name for name, value in self.weights.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.weights[name] for name in names], [state[name] for name in names], weight)
        for name in self.weights.keys() - set(names):  # counters
            self.weights[name].copy_(state[name])

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model holds the average inside, its own weights again outside."""
        own = self._current()
        self.arithmetic.load_model_state(self.model, self.weights, "the average")
        try:
            yield
        finally:
            self.arithmetic.load_model_state(self.model, own, "the trained weights")

    def load(self, weights: dict[str, Tensor]) -> None:
        """Go on from an average that was saved, or begin from weights."""
        for name, value in self.weights.items():
            value.copy_(weights[name])
