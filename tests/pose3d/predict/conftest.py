"""A 2D network that knows where everybody is, and clips for it to look at."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from anypose.skeleton import H36M_17
from pose3d.predict import pipeline
from pose3d.predict.lifters import open_lifter
from pose3d.predict.people import Found, Frame
from tests.pose3d.predict.clips import write_clip
from tests.pose3d.predict.walkers import SIZE, seen, walk

_LIFTERS = lru_cache(open_lifter)
SMALL = (SIZE[0] // 8, SIZE[1] // 8)


class Knowing:
    """Implements `KeypointNetwork` for walkers (start, velocity); nobody is in the frames of `away`."""

    skeleton, name = H36M_17, "a network that knows"

    def __init__(self) -> None:
        self.paths: list[tuple] = [((-1.0, 5.0), (0.5, 0.0))]
        self.away: set[int] = set()
        self.frames: list[int] = []

    def find(self, frame: Frame) -> list[Found]:
        self.frames.append(frame.index)
        if frame.index in self.away:
            return []
        times = np.array([frame.time])
        points = [seen(walk(times, *path))[1][0] * [1 / 8, 1 / 8, 1] for path in self.paths]
        return [Found(one.astype(np.float32), 1.0) for one in points]


@pytest.fixture(autouse=True)
def _one_lifter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights are read once for all tests."""
    monkeypatch.setattr(pipeline, "open_lifter", _LIFTERS)


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Knowing:
    """Takes BlazePose's place."""
    knowing = Knowing()
    monkeypatch.setattr(pipeline, "open_network", lambda settings, stills: knowing)
    return knowing


@pytest.fixture
def clip(tmp_path: Path) -> Callable[..., Path]:
    """`clip(frames, name)` is a grey video of that many frames at 30 a second."""

    def made(frames: int = 60, name: str = "walk.mp4") -> Path:
        images = [np.full((SMALL[1] // 2 * 2, SMALL[0], 3), 90 + t % 60, np.uint8) for t in range(frames)]
        return write_clip(tmp_path / name, images)

    return made
