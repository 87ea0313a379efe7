"""Settings of the loop, judged before the first step: what must be a count, what must be a number of something."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from hydra.errors import InstantiationException
from torch.optim import Optimizer

from anypose.bounds import check_made
from anypose.settings import Misuse

log = logging.getLogger(__name__)
SEEDS = 2**32  # what every random generator takes
MOST_EACH = 4  # processes for each core
MOST_WORKERS = 32  # on few cores
LARGE_RATE = 1.0  # no optimiser here learns at a higher rate
NOTHING_TO_SCORE = (
    "trainer.epochs must be a whole number of at least 1, got 0. With init=FILE 0 scores what that holds."
)
CAPTURES = ("auto", "never")
SIZES = ("batch_size", "evaluation_batch_size", "evaluation_batches")


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
    cores = os.cpu_count() or 1
    if workers > (most := max(MOST_WORKERS, MOST_EACH * cores)):
        raise Misuse(f"trainer.workers={workers} processes are more than {most}. This machine has {cores} cores.")


def check_trainer(trainer: Any) -> None:
    """Judge the numbers of a `trainer` section that cost memory and processes, before anything is built."""
    if not isinstance(trainer, Mapping):
        raise Misuse(f"trainer must be a mapping {{key: value}}, got {trainer!r}.")
    check_loading(trainer.get("workers", 0), **{name: trainer.get(name) for name in SIZES})


def check_beginning(values: Mapping[str, Any]) -> None:
    """Refuse to train for no epoch where there is nothing to score either."""
    if values["trainer"].get("epochs") == 0 and values.get("init") is None and values.get("resume") is None:
        raise Misuse(NOTHING_TO_SCORE)


def check_batch(network: Any, batch_size: int, training: bool) -> None:
    """Refuse batches that are larger than memory should be.

    Args:
        network: with `io`, and `receptive_field` where it reads windows.
        batch_size: samples.
        training: names the setting.
    """
    key = "batch_size" if training else "evaluation_batch_size (null: batch_size)"
    numbers = numbers_of(network)
    check_made(4.0 * numbers * batch_size, f"trainer.{key}, {batch_size} samples of {numbers} numbers,")


def numbers_of(network: Any) -> int:
    """How many numbers one sample has that a network reads; sizes that it leaves open count as 1."""
    frames = getattr(network, "receptive_field", 1)
    inputs = getattr(getattr(network, "io", None), "inputs", {})
    return max((_numbers(shape, frames) for shape in inputs.values()), default=0)


def _numbers(shape: tuple[int | str, ...], frames: int) -> int:
    return math.prod(size for size in shape if isinstance(size, int)) * (frames if "T" in shape else 1)


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
