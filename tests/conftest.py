"""Fixtures for every test: real data or a loud skip, the device under test, a small dataset."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path

# Before torch loads: tests are many and small, and OpenMP workers that spin starve whatever else runs.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest

from anypose.engine.device import import_ascend  # first: it makes `import torch` safe beside torch_npu

import torch  # isort: skip
import hypothesis
from hydra.utils import instantiate
from omegaconf import OmegaConf

from pose3d.motion.sequence import MotionDataset

# A busy machine is no fault of the code. What a change must pass is the same each time, and new each time --at-length.
hypothesis.settings.register_profile("the same", deadline=None, derandomize=True)
hypothesis.settings.register_profile("new", deadline=None, derandomize=False)

REPOSITORY = Path(__file__).resolve().parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--device", default="cpu", help="cpu, cuda or npu: where tests with the `device` fixture run")
    parser.addoption("--at-length", action="store_true", help="damaged files and long videos many times as long")


def pytest_configure(config: pytest.Config) -> None:
    """Before any test is collected, as each takes its settings then."""
    hypothesis.settings.load_profile("new" if config.getoption("--at-length") else "the same")


def pytest_collection_finish() -> None:
    """What was imported and collected stays: looking for garbage among it takes half a second each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def at_length(request: pytest.FixtureRequest) -> bool:
    """Whether what is tried at random, or for long, is tried longer than `make test-all` has time for."""
    return request.config.getoption("--at-length")


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> torch.device:
    """The device named by `--device`; asking for one that is not there is an error, not a skip."""
    name = request.config.getoption("--device")
    problem = import_ascend() if name.startswith("npu") else None
    if problem:
        raise pytest.UsageError(f"--device {name} was asked for, but {problem}.")
    device = torch.device(name)
    torch.zeros(1, device=device)
    return device


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


def find_real_data(name: str) -> Path:
    """The folder `name` of real data, or a skip that says where it was looked for."""
    places = [REPOSITORY.parent / "shared" / "data"]
    if "ANYPOSE_DATA" in os.environ:
        places = [Path(os.environ["ANYPOSE_DATA"])]
    for place in places:
        if (place / name).exists():
            return place / name
    looked = ", ".join(str(place / name) for place in places)
    pytest.skip(f"NO REAL DATA: {looked} does not exist; set ANYPOSE_DATA to the folder that holds '{name}'")


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """`real_data("cmu")` is the folder of that data; the test skips aloud where there is none."""
    return find_real_data


@pytest.fixture(scope="session")
def synthetic() -> MotionDataset:
    """The embedded dataset, small: two actions, one subject to train on and one to score, two cameras, 24 frames."""
    config = OmegaConf.load(REPOSITORY / "conf" / "dataset" / "synthetic.yaml")
    small = {"train_subjects": 1, "validation_subjects": 1, "takes": 1, "frames": 120, "frame_step": 5}
    return instantiate(config, **small, num_cameras=2, actions=["Walking", "Sitting"])
