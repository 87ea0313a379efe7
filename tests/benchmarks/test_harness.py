import time
from types import SimpleNamespace

import pytest

from benchmarks import harness
from benchmarks.harness import Comparison, Settings, Spread, WrongResult, compare, time_alone


class Clock:
    """A clock that only work moves, and a record of who worked."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[str] = []

    def work(self, name: str, seconds: float):
        def call() -> None:
            self.calls.append(name)
            self.now += seconds

        return call


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "process_time", lambda: clock.now)
    monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
    return clock


def settings(cpu_time: bool = True) -> Settings:
    device = SimpleNamespace(type="cpu", synchronize=lambda: None)
    return Settings(device, "fp32", threads=1, cpu_time=cpu_time, quick=True, peers=None)


def comparison(clock: Clock, ours: float, peer: float, **changes) -> Comparison:
    values = {
        "name": "work",
        "ours": clock.work("ours", ours),
        "peer": clock.work("peer", peer),
        "peer_name": "a peer",
        "difference": lambda: 1e-9,
        "tolerance": 1e-6,
        "floor": 0.001,
    }
    return Comparison(**{**values, **changes})


@pytest.mark.slow
def test_the_ratio_says_how_much_longer_the_peer_takes(clock):
    row = compare(comparison(clock, ours=0.05, peer=0.2), settings())
    assert row.ours.median == pytest.approx(0.05)
    assert row.peer.median == pytest.approx(0.2)
    assert row.ratio.median == pytest.approx(4)
    assert (row.name, row.peer_name, row.difference, row.floor) == ("work", "a peer", 1e-9, 0.001)
    assert (row.rounds, row.disturbed) == (3, 0)


def test_the_order_is_reversed_every_round(clock):
    compare(comparison(clock, ours=0.05, peer=0.05), settings())
    assert clock.calls[-6:] == ["ours", "peer", "peer", "ours", "ours", "peer"]


def test_short_calls_are_repeated_until_a_sample_is_long_enough(clock):
    spread = time_alone(clock.work("ours", 0.001), settings())
    assert spread.median == pytest.approx(0.001)
    assert len(clock.calls) == 2 + 3 * 20  # 20 ms a sample, 3 samples after two to warm up


@pytest.mark.parametrize("difference", [0.1, float("nan")])
def test_a_wrong_result_is_never_timed(clock, difference):
    wrong = comparison(clock, 0.1, 0.1, difference=lambda: difference)
    with pytest.raises(WrongResult, match=rf"'work' differs from a peer by {difference:.3g}, .*\(1e-06\)"):
        compare(wrong, settings())
    assert clock.calls == []


@pytest.mark.slow
def test_rounds_beside_other_processes_are_measured_again(clock, monkeypatch):
    busy = iter([0.0, 0.5, 0.0, 0.9, 0.0])
    monkeypatch.setattr(harness._ForeignLoad, "share", lambda self: next(busy))
    row = compare(comparison(clock, ours=0.05, peer=0.1), settings(cpu_time=False))
    assert (row.rounds, row.disturbed) == (3, 2)


def test_a_machine_that_never_rests_is_measured_all_the_same(clock, monkeypatch):
    monkeypatch.setattr(harness._ForeignLoad, "share", lambda self: 1.0)
    row = compare(comparison(clock, ours=0.05, peer=0.1), settings(cpu_time=False))
    assert (row.rounds, row.disturbed) == (3, 6)


def test_processor_time_takes_no_notice_of_others(clock, monkeypatch):
    monkeypatch.setattr(harness._ForeignLoad, "share", lambda self: 1.0)
    assert compare(comparison(clock, ours=0.05, peer=0.1), settings()).disturbed == 0


def test_our_own_work_is_not_foreign():
    load = harness._ForeignLoad()
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass
    assert load.share() < 1.0  # one of the cores was ours
    assert harness._busy_seconds() >= harness._own_seconds()


def test_a_spread_is_the_middle_and_the_ends():
    assert Spread.of([3.0, 1.0, 10.0]) == Spread(3.0, 1.0, 10.0)
