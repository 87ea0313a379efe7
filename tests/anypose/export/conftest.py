"""Motion to run on, and Ascend's tools as far as a machine without a chip can have them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pose3d.motion.random_motion import dataset, sequence

FAKE_ASCEND = Path(__file__).parent / "fake_ascend"


@pytest.fixture
def atc_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for atc on the PATH, run by this Python."""
    if os.name == "nt":
        pytest.skip("atc is a program of Linux, and so is what stands in for it")
    path = os.pathsep.join([str(FAKE_ASCEND / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    monkeypatch.setenv("PATH", path)


@pytest.fixture
def ais_bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A stand-in for ais_bench that can be imported."""
    monkeypatch.syspath_prepend(FAKE_ASCEND)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "ais_bench"]:
        del sys.modules[name]


@pytest.fixture
def motion():
    """Three short takes of two actions; the first is longer than a small network's window, the last shorter."""
    takes = [("Walking", "Walking 1", 60), ("Eating", "Eating 2", 35), ("Walking", "Walking 2", 12)]
    return dataset(
        *(
            sequence(frames, subject="S9", action=action, take=take, seed=i)
            for i, (action, take, frames) in enumerate(takes)
        )
    )
