"""Windows cover every frame once; stages run ahead, stop, and hand their errors on."""

from __future__ import annotations

import threading
import time

import pytest

from pose3d.predict.stages import Ahead, Stopwatch
from pose3d.predict.windows import LONGEST, Seen, windows


def frames(count: int, rate: float = 30.0):
    return (Seen(t / rate, {}) for t in range(count))


@pytest.mark.parametrize("count", [1, 2, 9, 10, 11, 40, 57, 200])
@pytest.mark.parametrize(("chunk", "context", "future"), [(10, 0.2, 1), (1, 0.5, 0), (7, 1.0, 13)])
def test_every_frame_is_new_in_exactly_one_window(count, chunk, context, future):
    cut = windows(frames(count), chunk, context, future)
    new = [frame.time for window in cut for frame in window.seen[window.keep]]
    assert new == [t / 30 for t in range(count)]


def test_a_window_has_its_context_and_no_more():
    all_windows = list(windows(frames(100), 20, 0.5, 4))
    for window in all_windows[1:-1]:
        kept = window.seen[window.keep]
        assert kept[0].time - window.seen[0].time == pytest.approx(0.5, abs=0.05)
        assert 0.5 <= window.seen[-1].time - kept[-1].time + 1e-9 < 0.6
    assert [window.last for window in all_windows] == [False] * (len(all_windows) - 1) + [True]


def test_the_first_window_is_long_enough_to_settle_the_floor():
    cut = list(windows(frames(400, rate=60), 30, 0.5, 1, settle=2.0))
    assert [len(window.seen[window.keep]) for window in cut][:3] == [121, 30, 30]
    assert sum(len(window.seen[window.keep]) for window in cut) == 400


def test_time_that_stands_still_does_not_fill_the_memory():
    cut = windows(frames(3 * LONGEST, rate=1e9), 30, 1.0, 1, settle=3.0)
    assert max(len(window.seen) for window in cut) <= 2 * LONGEST + 30


def test_a_live_source_waits_for_nothing():
    given = []

    def watched():
        for frame in frames(20):
            given.append(frame)
            yield frame

    for number, window in enumerate(windows(watched(), 1, 0.3, 0), start=1):
        assert len(given) == number
        assert window.seen[window.keep] == [given[-1]]


def test_what_was_seen_before_an_error_is_not_lost():
    def broken():
        yield from frames(50)
        raise ValueError("the file ends here")

    def collect():
        for window in windows(broken(), 20, 0.2, 1):
            seen.extend(window.seen[window.keep])

    seen = []
    with pytest.raises(ValueError, match="the file ends here"):
        collect()
    assert len(seen) == 50


def test_items_come_in_order_and_an_error_after_those_before_it():
    def make():
        yield from range(5)
        raise OSError("gone")

    with Ahead(make, 2) as ahead:
        items = iter(ahead)
        got = [next(items) for _ in range(5)]
        with pytest.raises(OSError, match="gone"):
            next(items)
    assert got == [0, 1, 2, 3, 4]


def test_leaving_early_stops_the_thread_and_closes_what_it_reads():
    closed = threading.Event()

    def make():
        try:
            number = 0
            while True:
                yield number
                number += 1
        finally:
            closed.set()

    before = threading.active_count()
    with Ahead(make, 3) as ahead:
        assert next(iter(ahead)) == 0
    assert closed.is_set()
    assert threading.active_count() == before


def test_a_live_source_lets_go_of_old_frames():
    go = threading.Event()

    def make():
        yield from range(30)
        go.set()

    with Ahead(make, 1, newest=True) as ahead:
        assert go.wait(5)
        time.sleep(0.02)
        got = list(ahead)
    assert got[-1] == 29
    assert len(got) < 30
    assert len(got) + ahead.dropped == 30


def test_the_stopwatch_adds_up():
    watch = Stopwatch()
    assert list(watch.timed("decode", [1, 2, 3])) == [1, 2, 3]
    with watch("write"):
        time.sleep(0.01)
    assert watch.seconds["write"] >= 0.01
    assert watch.cpu_seconds["decode"] < 0.01
