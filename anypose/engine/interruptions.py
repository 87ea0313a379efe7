"""Being asked to stop: by Ctrl-C, by a cluster that ends the job."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

log = logging.getLogger(__name__)


@contextmanager
def interruptions() -> Iterator[list[int]]:
    """The first SIGINT or SIGTERM is noted, to stop after the step; the second acts at once."""
    caught: list[int] = []
    before = {}

    def note(number: int, _frame: object) -> None:
        caught.append(number)
        signal.signal(number, before[number])

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, note)
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def leave(number: int, message: str) -> NoReturn:
    """End the process as the signal would have."""
    log.info("%s: %s", signal.Signals(number).name, message)
    raise SystemExit(128 + number)
