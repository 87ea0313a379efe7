"""Stages that work at the same time: each runs ahead of the next in a thread, and is timed."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Generic, TypeVar

Item = TypeVar("Item")
WAIT = 0.1  # how often a waiting thread looks whether it should stop [s]


class Stopwatch:
    """Seconds of work in each stage, by the clock and of the processor.

    On a busy machine the clock says how long a stage waited, too; what its own threads compute counts for neither.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.cpu_seconds: dict[str, float] = {}
        self._lock = threading.Lock()

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Times what runs inside."""
        start, start_cpu = time.perf_counter(), time.thread_time()
        try:
            yield
        finally:
            spent, spent_cpu = time.perf_counter() - start, time.thread_time() - start_cpu
            with self._lock:
                self.seconds[stage] = self.seconds.get(stage, 0.0) + spent
                self.cpu_seconds[stage] = self.cpu_seconds.get(stage, 0.0) + spent_cpu

    def timed(self, stage: str, items: Iterable[Item]) -> Iterator[Item]:
        """`items`, the time that each takes to come counted as the stage's."""
        iterator = iter(items)
        while True:
            with self(stage):
                item = next(iterator, None)
            if item is None:
                return
            yield item


class Ahead(Generic[Item]):
    """An iterator whose items are made in a thread, at most `size` of them ahead.

    An error there is raised here, after the items before it. Leaving the `with` block stops the thread.

    Args:
        make: gives the items; called in the thread.
        size: how many may wait.
        newest: when there is no room, let go of the oldest instead of waiting: a live source must not lag behind.

    Attributes:
        dropped: how many items were let go.
    """

    def __init__(self, make: Callable[[], Iterable[Item]], size: int, newest: bool = False) -> None:
        self.make, self.newest = make, newest
        self.dropped = 0
        self._queue: queue.Queue[Item | _End] = queue.Queue(max(size, 1))
        self._stop = threading.Event()
        self._worker = ThreadPoolExecutor(1)

    def __enter__(self) -> Ahead[Item]:
        self._work = self._worker.submit(self._run)
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._worker.shutdown()

    def __iter__(self) -> Iterator[Item]:
        while True:
            item = self._queue.get()
            if isinstance(item, _End):
                self._work.result()  # raises what ended the thread
                return
            yield item

    def _run(self) -> None:
        items: Iterator[Item] = iter(())
        try:
            items = iter(self.make())
            for item in items:
                self._put(item, self.newest)
                if self._stop.is_set():
                    break
        finally:
            if isinstance(items, Generator):
                items.close()
            self._put(_End(), False)

    def _put(self, item: Item | _End, drop: bool) -> None:
        while not self._stop.is_set():
            with suppress(queue.Full):
                self._queue.put(item, timeout=0.001 if drop else WAIT)
                return
            if drop:
                with suppress(queue.Empty):
                    self._queue.get_nowait()
                    self.dropped += 1


class _End:
    """Follows the last item."""
