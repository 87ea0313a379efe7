"""Devices: found, or refused with the cause; seeds; what is undone for the next job."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate

from anypose.engine import device as device_module
from anypose.engine.device import Absence, Cpu, Cuda, Npu, auto
from anypose.engine.memory import keep_freed_memory
from tests.anypose.engine.toy import cpu

NPU = {"jit_compile": False, "internal_format": False, "hf32": True, "hf32_evaluation": False}
WITHOUT_CANN = Absence("torch_npu cannot be loaded (libhccl.so not found)", "source CANN's set_env.sh")
CUDA = {"tf32": True, "tf32_evaluation": False, "benchmark": True}


@pytest.fixture
def without_npu(monkeypatch):
    """Also on a machine that has one."""
    monkeypatch.setattr(device_module, "ASCEND_PROBLEM", WITHOUT_CANN)
    if hasattr(torch, "npu"):
        monkeypatch.delattr(torch, "npu")


def test_an_absent_npu_is_an_error_with_the_cause(without_npu):
    expected = (
        "device=npu was asked for, but torch_npu cannot be loaded (libhccl.so not found): source CANN's set_env.sh, "
        "or run with device=cpu."
    )
    with pytest.raises(ValueError, match=re.escape(expected)):
        Npu(None, False, **NPU)


@pytest.mark.skipif(importlib.util.find_spec("torch_npu") is not None, reason="torch_npu is installed")
def test_where_torch_npu_is_not_installed_the_error_says_how_to_get_it_and_nothing_of_cann():
    expected = (
        "device=npu was asked for, but torch_npu is not installed: pip install 'anypose[npu]', or run with device=cpu."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        Npu(None, False, **NPU)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is there")
def test_an_absent_cuda_device_is_an_error_with_the_cause():
    causes = r"(is built without CUDA: install a CUDA build of torch|finds no CUDA device: check `nvidia-smi`)"
    with pytest.raises(ValueError, match=f"^device=cuda was asked for, but .*{causes}, or run with device=cpu.$"):
        Cuda(None, False, **CUDA)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is there")
def test_auto_says_what_it_takes_and_why_not_the_others(without_npu, caplog):
    caplog.set_level("INFO")
    device = auto(None, False, npu=NPU, cuda=CUDA, cpu={"index": None, "deterministic": False, "keep_memory": False})
    assert isinstance(device, Cpu)
    expected = r"device=auto takes cpu \(no npu: torch_npu cannot be loaded \(libhccl.so not found\); no cuda: .*\)"
    assert re.search(expected, caplog.text)


def test_auto_prefers_npu_then_cuda(monkeypatch):
    built = []

    def pretend(kind, problem):
        monkeypatch.setattr(kind, "problem", classmethod(lambda cls: problem))
        monkeypatch.setattr(kind, "__init__", lambda self, **settings: built.append((kind, settings)))
        monkeypatch.setattr(kind, "__str__", lambda self: "it")

    for kind, problem in ((Npu, None), (Cuda, None), (Cpu, None)):
        pretend(kind, problem)
    auto(None, False, npu={"_target_": "x", "hf32": True}, cuda={"tf32": True}, cpu={})
    monkeypatch.setattr(Npu, "problem", classmethod(lambda cls: Absence("none", "buy one")))
    auto(None, False, npu={"hf32": True}, cuda={"tf32": True}, cpu={})
    assert built == [(Npu, {"hf32": True}), (Cuda, {"tf32": True})]


def test_the_configured_devices_build(repository, without_npu):
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(version_base="1.3", config_dir=str(repository / "conf")):
        cfg = compose("train", ["device.deterministic=true"])
        device = instantiate(cfg.device)
        assert device.deterministic
        device.close()
        assert instantiate(compose("train", ["device=cpu"]).device).torch == torch.device("cpu")
    assert not torch.are_deterministic_algorithms_enabled()


def test_seeds_mix_all_their_numbers():
    device = cpu()

    def draw(*numbers: int) -> float:
        device.seed(*numbers)
        return float(torch.rand(()))

    values = {numbers: draw(*numbers) for numbers in [(0,), (1,), (0, 1), (1, 0), (0, 1, 0), (0, 1, 1)]}
    assert len(set(values.values())) == len(values)
    assert draw(0, 1) == values[0, 1]


def test_generator_states_are_tensors_and_bring_the_stream_back():
    device = cpu()
    device.seed(3)
    torch.rand(5)
    state = device.rng_state()
    assert all(isinstance(value, torch.Tensor) and value.device.type == "cpu" for value in state.values())
    expected = torch.rand(5)
    device.set_rng_state(state)
    assert torch.equal(torch.rand(5), expected)


def test_deterministic_ends_with_the_device():
    with Cpu(None, True, False):
        assert torch.are_deterministic_algorithms_enabled()
    assert not torch.are_deterministic_algorithms_enabled()


def test_without_glibc_memory_is_as_the_system_keeps_it(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())  # macOS
    assert not keep_freed_memory()
    monkeypatch.setattr("ctypes.CDLL", lambda name: pytest.fail("Windows loads no library without a name"))
    monkeypatch.setattr("sys.platform", "win32")
    assert not keep_freed_memory()


def test_memory_is_kept_where_the_c_library_can(caplog):
    caplog.set_level("INFO")
    Cpu(None, False, keep_memory=True)
    assert ("has no effect" in caplog.text) == (not sys.platform.startswith("linux"))


GUARD = """
import os, sys
import anypose.engine
from anypose.engine import device
import torch
print(device.ASCEND_PROBLEM, os.environ.get("TORCH_DEVICE_BACKEND_AUTOLOAD"), torch.ones(2).sum().item())
"""


def fake_package(folder: Path, body: str) -> None:
    """A torch_npu with the entry point by which torch loads back-ends itself."""
    (folder / "torch_npu").mkdir()
    (folder / "torch_npu" / "__init__.py").write_text(body, encoding="utf-8")
    info = folder / "torch_npu-2.13.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: torch_npu\nVersion: 2.13.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[torch.backends]\ntorch_npu = torch_npu:_autoload\n", encoding="utf-8")


def run(folder: Path, repository: Path, **environment: str) -> str:
    path = os.pathsep.join([str(folder), str(repository)])
    done = subprocess.run(
        [sys.executable, "-c", GUARD],
        env={k: v for k, v in os.environ.items() if k != "TORCH_DEVICE_BACKEND_AUTOLOAD"}
        | {"PYTHONPATH": path}
        | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
def test_torch_imports_beside_a_torch_npu_without_cann(tmp_path, repository):
    fake_package(
        tmp_path,
        "raise ImportError('libhccl.so: cannot open shared object file: No such file or directory')\n",
    )
    broken = subprocess.run(
        [sys.executable, "-c", "import torch"], env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True
    )
    assert broken.returncode != 0, "without the guard a plain import raises"
    assert run(tmp_path, repository) == f"{WITHOUT_CANN} None 2.0"


@pytest.mark.slow
def test_a_torch_npu_for_another_torch_is_named(tmp_path, repository):
    fake_package(tmp_path, "raise RuntimeError('torch 2.7.1 is needed\\nmore lines')\n")
    expected = f"torch_npu cannot be loaded (torch 2.7.1 is needed): it must be the one for torch {torch.__version__}"
    assert run(tmp_path, repository) == f"{expected} None 2.0"


@pytest.mark.slow
def test_autoload_switched_off_by_the_user_is_honoured(tmp_path, repository):
    fake_package(tmp_path, "raise AssertionError('must not be imported')\n")
    found = run(tmp_path, repository, TORCH_DEVICE_BACKEND_AUTOLOAD="0")
    assert found == "TORCH_DEVICE_BACKEND_AUTOLOAD=0 is set: unset it 0 2.0"


@pytest.mark.cuda
def test_cuda_computes_evaluations_without_tf32():
    with Cuda(None, False, **CUDA) as device:
        assert torch.backends.cuda.matmul.allow_tf32
        with device.exact():
            assert not torch.backends.cuda.matmul.allow_tf32
            assert not torch.backends.cudnn.allow_tf32
        assert torch.backends.cuda.matmul.allow_tf32


@pytest.mark.cuda
def test_a_cuda_index_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"device.index must lie in 0\.\.\d+ \(\d+ cuda device\(s\) found\), got 99"):
        Cuda(99, False, **CUDA)
