"""The peer in a process of its own, as its users run it.

`device.keep_memory` changes how a whole process gets its memory, so a peer timed in ours would be faster than its users
have it. Its process runs the same case as ours, in step with it, and times the peer's side when asked to.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any


class Peer:
    """Our end of the connection."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.busy = 0.0  # processor seconds that the other process has used so far

    def start(self, name: str) -> None:
        """Let the other process go on to the comparison of this name and warm up."""
        self._ask(name)

    def sample(self) -> float:
        """Seconds a call."""
        return self._ask("sample")

    def finish(self) -> None:
        """The comparison is over."""
        self._ask("finish")

    def _ask(self, word: str) -> float:
        try:
            self.connection.send(word)
            seconds, self.busy = self.connection.recv()
        except (EOFError, BrokenPipeError) as error:
            raise RuntimeError("The peer's process has ended; what it printed above says why.") from error
        return seconds


class Requests:
    """The other end."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def serve(self, name: str, make_sample: Callable[[], Callable[[], float]]) -> None:
        """Wait for this comparison's turn, then time the peer until the comparison is over."""
        asked = self.connection.recv()
        if asked != name:
            raise RuntimeError(f"The peer's process is at '{name}', but '{asked}' is being measured.")
        sample = make_sample()
        self._answer(0.0)
        while self.connection.recv() == "sample":
            self._answer(sample())
        self._answer(0.0)

    def _answer(self, seconds: float) -> None:
        times = os.times()
        self.connection.send((seconds, times.user + times.system))


@contextmanager
def process(target: Callable[..., None], *arguments: Any) -> Iterator[Peer]:
    """A `Peer`, whose other end is `target(connection, *arguments)` in a fresh interpreter."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=target, args=(theirs, *arguments), daemon=True)
    child.start()
    theirs.close()  # or its death would go unnoticed
    try:
        yield Peer(ours)
    finally:
        ours.close()
        child.join(10)
        if child.is_alive():
            child.kill()
