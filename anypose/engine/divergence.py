"""Training that has gone wrong, said with the step, the batch and what to do."""

from __future__ import annotations

import math
from pathlib import Path

from torch import Tensor

from anypose.engine.task import Batches

PATIENCE = 20  # overflows in a row that a loss scale falling from 2^16 may need to settle


class Divergence(ValueError):
    """The loss, the gradients or the weights are no longer numbers. The last good checkpoint is kept."""

    def __init__(self, what: str, last: Path) -> None:
        kept = f"{last} is from before" if last.exists() else "There is no checkpoint yet"
        advice = "Lower optimizer.lr, set trainer.grad_clip_norm, or use precision=fp32."
        super().__init__(f"{what} {kept}. {advice}")


def check_losses(losses: Tensor, step: int, epoch: int, batch: int, batches: Batches, last: Path) -> None:
    """Raise Divergence where one of the last losses is not finite, naming its batch.

    Args:
        losses: (N,) of the last N steps, on the CPU.
        step: steps done.
        epoch: the current one.
        batch: batches of the epoch done; the N steps all belong to this epoch.
        batches: to look the batch up again.
        last: the checkpoint that is kept.
    """
    finite = losses.isfinite()
    if finite.all():
        return
    first = int((~finite).nonzero()[0])
    ago = len(losses) - first
    rows = next(iter(batches.epoch(epoch, start=batch - ago))).get("index")
    which = "" if rows is None else f", rows {', '.join(map(str, rows.flatten()[:4].tolist()))}, ..."
    raise Divergence(
        f"The loss became {float(losses[first])} in step {step - ago} (epoch {epoch}, batch {batch - ago} of "
        f"{len(batches)}{which}).",
        last,
    )


def check_weights(weights: dict[str, Tensor], step: int, last: Path) -> None:
    """Raise Divergence where a weight is not finite: such weights are never saved."""
    for name, value in weights.items():
        if not value.isfinite().all():
            raise Divergence(f"{name} is no longer finite after step {step}.", last)


def check_overflows(in_a_row: int, scale: float | None, step: int, last: Path) -> None:
    """Raise Divergence where the last steps, `in_a_row` of them, were all skipped: nothing is learned any more."""
    if in_a_row >= PATIENCE:
        raise Divergence(
            f"Each of the last {in_a_row} steps overflowed fp16 and was skipped; "
            f"the loss scale is {scale} at step {step}.",
            last,
        )


def check_score(name: str, value: float, step: int, last: Path) -> None:
    """Raise Divergence where the last score of a run is no number."""
    if not math.isfinite(value):
        raise Divergence(f"{name} after the last step, {step}, is {value}: predictions are not finite.", last)
