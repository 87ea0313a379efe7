import os
import time
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.apart import Requests, process
from benchmarks.harness import Comparison, Settings, compare


def settings(partner, cpu_time: bool = True) -> Settings:
    device = SimpleNamespace(type="cpu", synchronize=lambda: None)
    return Settings(device, "fp32", threads=1, cpu_time=cpu_time, quick=True, peers=None, partner=partner)


def spin(seconds: float) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def comparison(name: str, note: Path, **changes) -> Comparison:
    def work(side: str, seconds: float):
        def call() -> None:
            with note.open("a") as file:
                print(side, os.getpid(), file=file)
            spin(seconds)

        return call

    values = {"name": name, "ours": work("ours", 0.01), "peer": work("peer", 0.04), "peer_name": "a peer"}
    return Comparison(**{**values, "difference": lambda: 0.0, "tolerance": 0.0, **changes})


def other_side(connection: Connection, note: Path, names: list[str]) -> None:
    for name in names:
        compare(comparison(name, note), settings(Requests(connection)))


def test_the_peer_works_in_its_own_process_and_its_time_is_counted(tmp_path):
    note = tmp_path / "calls"
    with process(other_side, note, ["first", "second"]) as peer:
        rows = [compare(comparison(name, note), settings(peer)) for name in ("first", "second")]
        assert peer.busy > 0.2  # its processor time is known, so that it does not count as foreign load
    for row in rows:
        assert row.peer.median == pytest.approx(0.04, rel=0.5)
        assert row.ratio.median == pytest.approx(4, rel=0.5)
    workers = {tuple(line.split()) for line in note.read_text().splitlines()}
    ours = {pid for side, pid in workers if side == "ours"}
    theirs = {pid for side, pid in workers if side == "peer"}
    assert ours == {str(os.getpid())}
    assert len(theirs) == 1
    assert not ours & theirs


def test_a_peer_of_our_own_shares_our_process(tmp_path):
    note = tmp_path / "calls"
    with process(other_side, note, []) as peer:
        row = compare(comparison("ours, too", note, peer_is_ours=True), settings(peer))
    assert row.ratio.median == pytest.approx(4, rel=0.5)
    assert {line.split()[1] for line in note.read_text().splitlines()} == {str(os.getpid())}


def test_processes_out_of_step_are_noticed(tmp_path, capfd):
    with (
        process(other_side, tmp_path / "calls", ["another"]) as peer,
        pytest.raises(RuntimeError, match="The peer's process has ended"),
    ):
        compare(comparison("first", tmp_path / "calls"), settings(peer))
    assert "is at 'another', but 'first' is being measured" in capfd.readouterr().err
