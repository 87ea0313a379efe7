"""Devices: find one or say why not, seed it, and hold the switches that change numbers.

Importing this module imports torch safely, so entry scripts and tests import it (or anything of `engine`) first.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

# Read when torch loads its OpenMP runtime. Spinning barriers beside another busy process turn a 40 ms step into 600 ms.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

AUTOLOAD = "TORCH_DEVICE_BACKEND_AUTOLOAD"


class Absence(NamedTuple):
    """Why a device cannot be used, and what to do about it."""

    cause: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.cause}: {self.remedy}"


def import_ascend() -> Absence | None:
    """Import torch, then torch_npu where it is installed; return why torch_npu cannot be used, None if it can.

    Where torch_npu is installed without CANN, a plain `import torch` raises, because torch loads its back-ends
    by itself. That is switched off for the moment torch is imported, and torch_npu is imported by name.
    """
    if "torch_npu" in sys.modules:
        return None
    if importlib.util.find_spec("torch_npu") is None:
        import torch

        # The tests' stand-in registers itself without the package.
        return None if hasattr(torch, "npu") else Absence("torch_npu is not installed", "pip install 'anypose[npu]'")
    before = os.environ.get(AUTOLOAD)
    os.environ[AUTOLOAD] = "0"
    try:
        import torch

        if before == "0":
            return Absence(f"{AUTOLOAD}=0 is set", "unset it")
        import torch_npu  # noqa: F401  # pyright: ignore[reportMissingImports]
    except (ImportError, RuntimeError) as error:
        if "torch" not in sys.modules:
            raise
        library, _, trouble = str(error).partition(": ")
        if trouble.startswith("cannot open shared object"):
            return Absence(f"torch_npu cannot be loaded ({library} not found)", "source CANN's set_env.sh")
        remedy = f"it must be the one for torch {torch.__version__}"
        return Absence(f"torch_npu cannot be loaded ({str(error).splitlines()[0]})", remedy)
    finally:
        # torch_npu changes the variable itself and restores it only on success.
        if before is None:
            os.environ.pop(AUTOLOAD, None)
        else:
            os.environ[AUTOLOAD] = before
    return None


ASCEND_PROBLEM = import_ascend()

import numpy as np  # noqa: E402
import torch  # noqa: E402

from anypose.engine.memory import keep_freed_memory  # noqa: E402
from anypose.settings import Misuse  # noqa: E402

log = logging.getLogger(__name__)


class Device:
    """One compute device. `torch` is the torch.device, `reason` says why it was chosen.

    Args:
        index: which one; null takes LOCAL_RANK under torchrun, else 0.
        deterministic: bit-equal repeats, slower; operators without a deterministic form raise.

    Raises:
        ValueError: when the device is not there, with the cause.
    """

    type = "cpu"
    default_precision = ("fp32", "the reference on every device")
    fused_optimizer = True
    memory_format = torch.contiguous_format  # of the weights of convolutions of images while they are trained
    graph_class = ""  # in `module`; empty where the device has no graphs
    rounded = (False, False)  # whether training, and evaluation, may compute products in TF32 or HF32

    def __init__(self, index: int | None, deterministic: bool) -> None:
        if problem := self.problem():
            raise ValueError(f"device={self.type} was asked for, but {problem}, or run with device=cpu.")
        count = self.module.device_count()
        self.index = int(os.environ.get("LOCAL_RANK", 0)) if index is None else index
        if self.type == "cpu":
            if index not in (None, 0):
                raise Misuse(f"device.index={index} names no device: device=cpu is one. Leave it null.")
            self.index = 0
        elif not 0 <= self.index < count:
            raise Misuse(
                f"device.index must lie in 0..{count - 1} ({count} {self.type} device(s) found), got {self.index}."
            )
        else:
            self.module.set_device(self.index)
        self.torch = torch.device(self.type, self.index) if self.type != "cpu" else torch.device("cpu")
        self.reason = "asked for"
        self.deterministic = deterministic
        if deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.set_deterministic_debug_mode(2 if deterministic else 0)  # the other way imports a compiler: a second

    @classmethod
    def problem(cls) -> Absence | None:
        """Why this device cannot be used here; None if it can."""
        return None

    @property
    def module(self):
        """torch.cuda, torch.npu or torch.cpu."""
        return torch.get_device_module(self.type)

    @property
    def supports_bf16(self) -> bool:
        return True

    @property
    def sees_overflow(self) -> bool:
        """False on chips that saturate: there an overflow leaves no infinity behind."""
        return True

    def seed(self, *numbers: int) -> None:
        """Seed every generator of torch from a tuple such as (seed, epoch, rank)."""
        sequence = np.random.SeedSequence((len(numbers), *numbers))  # alone, (1,) and (1, 0) would be the same
        torch.manual_seed(int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1)))

    def rng_state(self) -> dict[str, torch.Tensor]:
        """The generators' states as CPU tensors, for a checkpoint."""
        state = {"cpu": torch.get_rng_state()}
        if self.type != "cpu":
            state[self.type] = self.module.get_rng_state(self.index)
        return state

    def set_rng_state(self, state: dict[str, torch.Tensor]) -> None:
        torch.set_rng_state(state["cpu"])
        if self.type in state and self.type != "cpu":
            self.module.set_rng_state(state[self.type], self.index)

    def synchronize(self) -> None:
        self.module.synchronize()

    @contextmanager
    def exact(self) -> Iterator[None]:
        """Evaluation runs in here: without TF32 or HF32 unless the settings ask for it, whatever training uses."""
        training, evaluation = self.rounded
        self.allow_rounding(evaluation)
        try:
            yield
        finally:
            self.allow_rounding(training)

    def allow_rounding(self, on: bool) -> None:
        """Let the device compute products in TF32 or HF32, where it has them."""

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave nothing to the next job of a multirun."""
        torch.set_deterministic_debug_mode(0)
        if self.type != "cpu":
            self.module.empty_cache()

    def __str__(self) -> str:
        return str(self.torch)


class Cpu(Device):
    """Args: see Device, and
    keep_memory: keep freed blocks inside the process instead of giving them back to the system each step.
    """

    def __init__(self, index: int | None, deterministic: bool, keep_memory: bool) -> None:
        super().__init__(index, deterministic)
        if keep_memory and not keep_freed_memory():
            log.info("device.keep_memory has no effect: this C library has no mallopt.")


class Cuda(Device):
    """Args: see Device, and
    tf32: TF32 in training. tf32_evaluation: also where figures are computed.
    benchmark: let cuDNN time its convolution algorithms for each new shape.
    """

    type = "cuda"
    default_precision = ("fp32", "with TF32 in training; precision=bf16 is faster on convolutional models")
    graph_class = "CUDAGraph"
    memory_format = torch.channels_last  # as its convolutions want them

    def __init__(
        self, index: int | None, deterministic: bool, tf32: bool, tf32_evaluation: bool, benchmark: bool
    ) -> None:
        super().__init__(index, deterministic)
        self.rounded = (tf32, tf32_evaluation)
        self._before = (torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32)
        torch.backends.cudnn.benchmark = benchmark and not deterministic
        self.allow_rounding(tf32)

    @classmethod
    def problem(cls) -> Absence | None:
        if torch.version.cuda is None and torch.version.hip is None:
            return Absence(f"this torch ({torch.__version__}) is built without CUDA", "install a CUDA build of torch")
        return None if torch.cuda.is_available() else Absence("torch finds no CUDA device", "check `nvidia-smi`")

    @property
    def supports_bf16(self) -> bool:
        return torch.cuda.is_bf16_supported(including_emulation=False)

    def allow_rounding(self, on: bool) -> None:
        torch.backends.cuda.matmul.allow_tf32 = on
        torch.backends.cudnn.allow_tf32 = on

    def close(self) -> None:
        torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32 = self._before
        torch.backends.cuda.matmul.allow_tf32 = False
        super().close()

    def __str__(self) -> str:
        return f"{self.torch} ({torch.cuda.get_device_name(self.index)})"


class Npu(Device):
    """A Huawei Ascend chip through torch_npu. Args: see Device, and
    jit_compile: compile operators for each shape instead of taking the prebuilt ones.
    internal_format: let the chip keep weights in its private layouts.
    hf32: HF32 in training. hf32_evaluation: also where figures are computed.
    """

    type = "npu"
    default_precision = ("o2", "the chip's matrix unit computes in fp16; pose networks lack bf16 kernels for conv1d")
    # torch_npu warns that the fused Adam may run on the host with some CANN releases.
    fused_optimizer = False
    graph_class = "NPUGraph"

    def __init__(
        self,
        index: int | None,
        deterministic: bool,
        jit_compile: bool,
        internal_format: bool,
        hf32: bool,
        hf32_evaluation: bool,
    ) -> None:
        super().__init__(index, deterministic)
        self.rounded = (hf32, hf32_evaluation)
        self.module.set_compile_mode(jit_compile=jit_compile)
        self.module.config.allow_internal_format = internal_format
        self.allow_rounding(hf32)

    @classmethod
    def problem(cls) -> Absence | None:
        if ASCEND_PROBLEM and not hasattr(torch, "npu"):
            return ASCEND_PROBLEM
        found = torch.get_device_module("npu").is_available()
        return None if found else Absence("torch_npu finds no Ascend device", "check `npu-smi info`")

    @property
    def supports_bf16(self) -> bool:
        return self.module.is_bf16_supported()

    @property
    def sees_overflow(self) -> bool:
        return self.module.utils.is_support_inf_nan()

    def allow_rounding(self, on: bool) -> None:
        self.module.matmul.allow_hf32 = on
        self.module.conv.allow_hf32 = on

    def __str__(self) -> str:
        return f"{self.torch} ({self.module.get_device_name(self.index)})"


def auto(index: int | None, deterministic: bool, **choices: dict) -> Device:
    """The first of npu, cuda, cpu that is there; the log says which, and why not the ones before it.

    Args:
        index: already inside each choice.
        deterministic: likewise.
        **choices: the settings of each device, as its own file in conf/device has them.
    """
    problems = []
    for kind in (Npu, Cuda, Cpu):
        problem = kind.problem()
        if problem is None:
            settings = {key: value for key, value in choices[kind.type].items() if key != "_target_"}
            device = kind(**settings)
            device.reason = "; ".join(problems) or "the first choice"
            log.info("device=auto takes %s (%s).", device, device.reason)
            return device
        problems.append(f"no {kind.type}: {problem.cause}")
    raise AssertionError("the CPU is always there")
