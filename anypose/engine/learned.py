"""What training changes: the weights, their average, the optimiser's moments, the scale of the loss."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer

from anypose.engine import checkpoint
from anypose.engine.averaging import Average
from anypose.engine.divergence import check_weights
from anypose.engine.optimizer import load_state
from anypose.engine.precision import Arithmetic

log = logging.getLogger(__name__)


class Learned:
    """Taken out for a checkpoint, put back from one; always in fp32, so that a run can change its precision.

    Args:
        model: what is trained.
        arithmetic: knows its weights in fp32.
        optimizer: with its state.
        ema: decay of the weights' moving average; None has none.
    """

    def __init__(self, model: nn.Module, arithmetic: Arithmetic, optimizer: Optimizer, ema: float | None) -> None:
        self.model, self.arithmetic, self.optimizer = model, arithmetic, optimizer
        self.average = Average(ema, model, arithmetic) if ema is not None else None

    def state(self, step: int, last: Path) -> dict[str, Any]:
        """For a checkpoint; never weights that are not finite.

        Args:
            step: steps done.
            last: the checkpoint that is kept where they are not.
        """
        weights = self.arithmetic.model_state(self.model)
        check_weights(weights, step, last)
        # "model" is what was scored and gets used; the weights behind an average serve to go on training.
        models = {"model": self.average.weights, "trained": weights} if self.average else {"model": weights}
        return models | {"optimizer": self.optimizer.state_dict()["state"], "scaler": self.arithmetic.state_dict()}

    def begin_with(self, state: dict[str, Any], source: str) -> None:
        """Take the weights and what they standardise by; everything else begins anew."""
        self.arithmetic.load_model_state(self.model, state["model"], source)
        if self.average:
            self.average.load(state["model"])

    def load(self, state: dict[str, Any], source: str) -> None:
        """Take everything; learning rate and so on are the configuration's."""
        self.arithmetic.load_model_state(self.model, state.get("trained", state["model"]), source)
        if self.average:
            checkpoint.check_fit(self.model, state["model"], source)
            checkpoint.check_finite(state["model"], source)
            self.average.load(state["model"])
        try:
            fresh = load_state(self.optimizer, state["optimizer"])
            self.arithmetic.load_state_dict(state["scaler"])
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{source}: the state of its optimizer does not fit optimizer={type(self.optimizer).__name__} "
                f"({error}). Go on with the one it was trained with, or begin a new run: init=FILE."
            ) from error
        if fresh and state["step"]:
            names = [name for name, parameter in self.model.named_parameters() if parameter.requires_grad]
            log.warning(
                "%s holds no state of its optimizer for %d of %d parameters (%s, ...): for them it begins anew.",
                *(source, len(fresh), len(names), ", ".join(names[place] for place in fresh[:3])),
            )
