import os
import time
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.apart import Requests, process
from benchmarks.harness import Comparison, Settings, compare
from tests.benchmarks.test_harness import Clock


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "process_time", lambda: clock.now)
    return clock


def settings(partner) -> Settings:
    device = SimpleNamespace(type="cpu", synchronize=lambda: None)
    return Settings(device, "fp32", threads=1, cpu_time=True, quick=True, peers=None, partner=partner)


def comparison(name: str, note: Path, clock: Clock, **changes) -> Comparison:
    """Work that moves the clock of the process it is done in, and notes which process that is."""

    def work(side: str, seconds: float):
        def call() -> None:
            with note.open("a", encoding="utf-8") as file:
                print(side, os.getpid(), file=file)
            clock.now += seconds

        return call

    values = {"name": name, "ours": work("ours", 0.05), "peer": work("peer", 0.2), "peer_name": "a peer"}
    return Comparison(**{**values, "difference": lambda: 0.0, "tolerance": 0.0, **changes})


def other_side(connection: Connection, note: Path, names: list[str]) -> None:
    """In the other process, whose clock is its own."""
    clock = Clock()
    time.process_time = lambda: clock.now
    for name in names:
        compare(comparison(name, note, clock), settings(Requests(connection)))


@pytest.mark.slow
def test_the_peer_works_in_its_own_process_and_its_time_is_counted(tmp_path, clock):
    note = tmp_path / "calls"
    with process(other_side, note, ["first", "second"]) as peer:
        rows = [compare(comparison(name, note, clock), settings(peer)) for name in ("first", "second")]
        assert peer.busy > 0  # its processor time is known, so that it does not count as foreign load
    for row in rows:
        assert row.ours.median == pytest.approx(0.05)
        assert row.peer.median == pytest.approx(0.2)
        assert row.ratio.median == pytest.approx(4)
    workers = {tuple(line.split()) for line in note.read_text(encoding="utf-8").splitlines()}
    ours = {pid for side, pid in workers if side == "ours"}
    theirs = {pid for side, pid in workers if side == "peer"}
    assert ours == {str(os.getpid())}
    assert len(theirs) == 1
    assert not ours & theirs


@pytest.mark.slow
def test_a_peer_of_our_own_shares_our_process(tmp_path, clock):
    note = tmp_path / "calls"
    with process(other_side, note, []) as peer:
        row = compare(comparison("ours, too", note, clock, peer_is_ours=True), settings(peer))
    assert row.ratio.median == pytest.approx(4)
    assert {line.split()[1] for line in note.read_text(encoding="utf-8").splitlines()} == {str(os.getpid())}


@pytest.mark.slow
def test_processes_out_of_step_are_noticed(tmp_path, clock, capfd):
    with (
        process(other_side, tmp_path / "calls", ["another"]) as peer,
        pytest.raises(RuntimeError, match="The peer's process has ended"),
    ):
        compare(comparison("first", tmp_path / "calls", clock), settings(peer))
    assert "is at 'another', but 'first' is being measured" in capfd.readouterr().err
