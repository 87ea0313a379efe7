"""Settings of the loop, judged before the first step: what must be a count, what must be a number of something."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hydra.errors import InstantiationException
from torch.optim import Optimizer

from anypose.settings import Misuse

log = logging.getLogger(__name__)
SEEDS = 2**32  # what every random generator takes
MOST_WORKERS = 1024  # processes
LARGE_RATE = 1.0  # no optimiser here learns at a higher rate
CAPTURES = ("auto", "never")


def check_counts(or_null: bool = False, least: int = 1, **counts: Any) -> None:
    """Refuse what is no whole number of at least `least`.

    Args:
        or_null: null passes, too.
        least: the smallest that is meant.
        counts: settings of conf/trainer/ by name.

    Raises:
        Misuse: naming the setting and what it was.
    """
    for name, count in counts.items():
        if not (or_null and count is None) and (type(count) is not int or count < least):
            raise Misuse(f"trainer.{name} must be a whole number of at least {least}, got {count!r}.")


def check_seed(seed: Any) -> None:
    """Refuse what not every random generator takes."""
    if type(seed) is not int or not 0 <= seed < SEEDS:
        raise Misuse(f"seed must be a whole number from 0 to {SEEDS - 1}, got {seed!r}.")


def check_loading(workers: Any, **sizes: Any) -> None:
    """Refuse numbers of samples and of processes that are none."""
    check_counts(or_null=True, **sizes)
    check_counts(least=0, workers=workers)
    if workers > MOST_WORKERS:
        raise Misuse(f"trainer.workers={workers} processes are more than {MOST_WORKERS}. Set as many as cores.")


def check_loop(seed: Any, grad_clip_norm: Any, capture: Any, epochs: Any, or_null: dict, **counts: Any) -> None:
    """Refuse settings of the loop that would train nothing, uphill, or nobody knows what.

    Args:
        seed, grad_clip_norm, capture, epochs: as the trainer takes them.
        or_null: counts that may be null.
        counts: the others.
    """
    check_seed(seed)
    if epochs != 0 or type(epochs) is not int:  # 0 scores what init= holds
        check_counts(epochs=epochs)
    check_counts(**counts)
    check_counts(or_null=True, **or_null)
    if grad_clip_norm is not None and not _positive(grad_clip_norm):
        raise Misuse(
            f"trainer.grad_clip_norm must be a positive number, or null to clip nothing; got {grad_clip_norm!r}."
        )
    if capture not in CAPTURES:
        raise Misuse(f"trainer.capture must be {' or '.join(CAPTURES)}, got {capture!r}.")


def check_rates(optimizer: Optimizer) -> None:
    """Refuse learning rates that are no positive numbers, and warn of those that no optimiser here learns at."""
    for group in optimizer.param_groups:
        rate = float(group["lr"])
        if not _positive(rate):
            raise Misuse(f"optimizer.lr must be a positive number, got {rate}.")
        if rate > LARGE_RATE:
            log.warning("optimizer.lr=%g is far above what learns (1e-5 to 1e-2 do); expect a divergence.", rate)


@contextmanager
def refused_by(section: str) -> Iterator[None]:
    """What a library says of its settings, said of the section that they stand in."""
    try:
        yield
    except (ValueError, TypeError, InstantiationException) as error:
        cause = error.__cause__ or error
        raise Misuse(f"{section} refuses its settings: {cause}. They stand in conf/{section}/.") from error


def _positive(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and value > 0
