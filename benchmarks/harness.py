"""Time two ways of doing the same: results compared first, then interleaved, the order reversed each round."""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from anypose.engine.device import Device
from benchmarks.apart import Peer, Requests

MAX_FOREIGN_LOAD = 0.08  # of all cores; a sample taken while others use more is measured again


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes:
        device: where our side and the peer compute.
        precision: fp32, tf32 or bf16, for both sides.
        threads: of the CPU.
        cpu_time: count the processor time of this process rather than the clock on the wall: one thread, immune to
            other processes, so the ratios can be checked anywhere. On the CPU only.
        quick: fewer rounds and smaller data, to see that everything runs.
        peers: a folder with checkouts of the real peers; None compares with the small references in `naive`.
        partner: the peer's process; in that process, what is asked of it; None times both sides in this one.
    """

    device: Device
    precision: str
    threads: int
    cpu_time: bool
    quick: bool
    peers: Path | None
    partner: Peer | Requests | None = field(default=None, compare=False)

    @property
    def rounds(self) -> int:
        return 3 if self.quick else 9

    @property
    def sample_seconds(self) -> float:
        """A sample repeats its call until it lasts so long."""
        return 0.02 if self.quick else 0.25


@dataclass(frozen=True)
class Spread:
    """The middle and the ends of some samples."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, samples: list[float]) -> Spread:
        return cls(statistics.median(samples), min(samples), max(samples))


@dataclass(frozen=True)
class Row:
    """One printed line. Times in seconds a call; `ratio` is peer / ours, round by round."""

    name: str
    peer_name: str
    ours: Spread
    peer: Spread | None = None
    ratio: Spread | None = None
    floor: float | None = None
    difference: float | None = None
    rounds: int = 0
    disturbed: int = 0


@dataclass(frozen=True)
class Comparison:
    """Two ways to the same result.

    Attributes:
        name: what is done, e.g. "train step, batch 64".
        ours: one unit of our work.
        peer: the same unit done the peer's way.
        peer_name: e.g. "eager step", "VideoPose3D".
        difference: runs both on the same input and says how far apart the results are.
        tolerance: the largest difference that is rounding.
        floor: seconds that the hardware's ceilings allow, where there is a model of it.
        peer_is_ours: the peer is another path of ours, so it runs in our process.
    """

    name: str
    ours: Callable[[], object]
    peer: Callable[[], object]
    peer_name: str
    difference: Callable[[], float]
    tolerance: float
    floor: float | None = None
    peer_is_ours: bool = False


class WrongResult(ValueError):
    """A fast path that computes something else."""


def compare(comparison: Comparison, settings: Settings) -> Row:
    """Check that both sides agree, then time them.

    Raises:
        WrongResult: before anything is timed.
    """
    if isinstance(settings.partner, Requests):
        if not comparison.peer_is_ours:
            settings.partner.serve(comparison.name, lambda: _Sampler(comparison.peer, settings).sample)
        return Row(comparison.name, comparison.peer_name, Spread.of([0.0]))
    difference = comparison.difference()
    if not difference <= comparison.tolerance:
        raise WrongResult(
            f"'{comparison.name}' differs from {comparison.peer_name} by {difference:.3g}, "
            f"more than rounding ({comparison.tolerance:.3g}); its speed means nothing."
        )
    apart = None if comparison.peer_is_ours else settings.partner
    sides = {"ours": _Sampler(comparison.ours, settings).sample}
    if apart:
        apart.start(comparison.name)
        sides["peer"] = apart.sample
    else:
        sides["peer"] = _Sampler(comparison.peer, settings).sample
    samples: dict[str, list[float]] = {side: [] for side in sides}
    disturbed = 0
    while len(samples["ours"]) < settings.rounds:
        load = _ForeignLoad(apart)
        order = list(sides) if len(samples["ours"]) % 2 == 0 else list(reversed(sides))
        times = {side: sides[side]() for side in order}
        # Processor time does not see other processes; the clock does, up to a point where waiting is futile.
        if not settings.cpu_time and load.share() > MAX_FOREIGN_LOAD and disturbed < 2 * settings.rounds:
            disturbed += 1
            continue
        for side, seconds in times.items():
            samples[side].append(seconds)
    if apart:
        apart.finish()
    ratios = [peer / ours for ours, peer in zip(samples["ours"], samples["peer"], strict=True)]
    return Row(
        comparison.name,
        comparison.peer_name,
        Spread.of(samples["ours"]),
        Spread.of(samples["peer"]),
        Spread.of(ratios),
        comparison.floor,
        difference,
        settings.rounds,
        disturbed,
    )


def time_alone(call: Callable[[], object], settings: Settings) -> Spread:
    """Seconds a call."""
    if isinstance(settings.partner, Requests):
        return Spread.of([1.0])  # our process has measured it, and the floors are only printed there
    sampler = _Sampler(call, settings)
    return Spread.of([sampler.sample() for _ in range(settings.rounds)])


class _Sampler:
    """Times one call, repeated as often as fills a sample."""

    def __init__(self, call: Callable[[], object], settings: Settings) -> None:
        self.call, self.device = call, settings.device
        self.clock = time.process_time if settings.cpu_time else time.perf_counter
        self.repeats = 1
        gc.collect()
        self.sample()  # warm: allocations, caches, compiled kernels
        self.repeats = max(1, round(settings.sample_seconds / max(self.sample(), 1e-9)))

    def sample(self) -> float:
        gc.disable()
        self.device.synchronize()
        start = self.clock()
        for _ in range(self.repeats):
            self.call()
        self.device.synchronize()
        seconds = self.clock() - start
        gc.enable()
        return seconds / self.repeats


class _ForeignLoad:
    """What processes other than this one and the peer's used of the machine since this was made."""

    def __init__(self, peer: Peer | None = None) -> None:
        self.peer = peer
        self.busy, self.own, self.start = _busy_seconds(), self._ours(), time.perf_counter()

    def share(self) -> float:
        foreign = (_busy_seconds() - self.busy) - (self._ours() - self.own)
        return foreign / (time.perf_counter() - self.start) / (os.cpu_count() or 1)

    def _ours(self) -> float:
        return _own_seconds() + (self.peer.busy if self.peer else 0.0)


def _own_seconds() -> float:
    times = os.times()
    return times.user + times.system


def _busy_seconds() -> float:
    """Seconds all cores together were busy since the machine started; our own where the system does not tell."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return _own_seconds()
    user, nice, system, _idle, _wait, irq, soft = map(
        int, stat.read_text(encoding="utf-8").split("\n", 1)[0].split()[1:8]
    )
    return (user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK")
