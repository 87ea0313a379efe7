"""Being asked to stop: by Ctrl-C, by a cluster that ends the job."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from anypose.engine.place import PACKAGE, SCRIPTS

log = logging.getLogger(__name__)
INTERRUPTED, TERMINATED = 130, 143  # exit codes
NAMES = ("train", "evaluate", "predict", "export")


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


def leave_at_once() -> None:
    """Until `told` takes over, Ctrl-C just ends a command of ours: it still imports and has begun nothing.

    Whoever imports this project into a program of their own keeps Python's way.
    """
    script = Path(getattr(sys.modules["__main__"], "__file__", None) or "none").resolve()
    ours = script.stem == "anypose" or script in [SCRIPTS / f"{name}.py" for name in NAMES] or script.parent == PACKAGE
    first = threading.current_thread() is threading.main_thread()
    if ours and first and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _left)


def _left(_number: int, _frame: object) -> None:
    os.write(2, b"Interrupted.\n")
    os._exit(INTERRUPTED)


def begin() -> None:
    """From here on Ctrl-C raises `KeyboardInterrupt`: there may be something to put away."""
    if signal.getsignal(signal.SIGINT) is _left:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class Terminated(BaseException):
    """SIGTERM came: what was begun is put away on the way out, as with Ctrl-C."""


@contextmanager
def terminated() -> Iterator[None]:
    """SIGTERM raises `Terminated` where this process is; children that it forks end by it as processes do."""
    own = os.getpid()
    several = int(os.environ.get("WORLD_SIZE", 1)) > 1  # one that waits for the others would never hear of it
    if several or threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        if os.getpid() != own:
            os.kill(os.getpid(), number)
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def leave(number: int, message: str) -> NoReturn:
    """End the process as the signal would have."""
    log.info("%s: %s", signal.Signals(number).name, message)
    raise SystemExit(128 + number)
