"""The `torch.npu` module of the stand-in: the names that torch_npu offers, with their arguments."""

from __future__ import annotations

import types
from collections import Counter
from typing import Any

import torch

from tests.npu_fake.tensors import DEVICE, Graph

CHIPS = {  # by name: has bf16, keeps inf and nan
    "Ascend910B3": (True, True),
    "Ascend910A": (False, False),
    "Ascend310P3": (False, False),
}


class Stream:
    """Everything is in order already."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.device = torch.device(DEVICE, 0)

    def wait_stream(self, _stream: Stream) -> None: ...
    def synchronize(self) -> None: ...
    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_error: object) -> None: ...


class DeviceIndex:
    """`with torch.npu.device(i):` there is one."""

    def __init__(self, _device: Any) -> None: ...
    def __enter__(self) -> None: ...
    def __exit__(self, *_error: object) -> None: ...


def make_module(chip: str) -> types.ModuleType:
    """A fresh torch.npu. `calls` counts; `chip` may be changed later."""
    module: Any = types.ModuleType("torch.npu")
    module.calls, module.chip = Counter(), chip

    def offer(function: Any) -> Any:
        def counted(*arguments: Any, **keywords: Any) -> Any:
            module.calls[function.__name__] += 1
            return function(*arguments, **keywords)

        setattr(module, function.__name__, counted)
        return counted

    plain = {
        "is_available": True, "is_initialized": True, "init": None, "device_count": 1, "current_device": 0,
        "_is_in_bad_fork": False, "empty_cache": None,
    }  # fmt: skip
    for name, value in plain.items():
        setattr(module, name, lambda value=value: value)

    @offer
    def set_device(device): ...
    @offer
    def synchronize(device=None): ...
    @offer
    def get_device_name(device=None):
        return module.chip

    @offer
    def manual_seed(seed):
        torch.default_generator.manual_seed(seed)

    @offer
    def manual_seed_all(seed): ...
    @offer
    def get_rng_state(device=DEVICE):
        return torch.random.get_rng_state()

    @offer
    def set_rng_state(new_state, device=DEVICE):
        torch.random.set_rng_state(new_state)

    @offer
    def get_amp_supported_dtype():
        return [torch.float16, torch.bfloat16] if CHIPS[module.chip][0] else [torch.float16]

    @offer
    def is_bf16_supported():
        return CHIPS[module.chip][0]

    @offer
    def current_stream(device=None):
        return Stream()

    @offer
    def stream(stream):
        return stream

    @offer
    def graph(npu_graph, pool=None, stream=None):
        return npu_graph

    @offer
    def set_compile_mode(jit_compile=False):
        module.jit_compile = jit_compile

    module.Stream, module.NPUGraph, module.device = Stream, Graph, DeviceIndex
    module.utils = types.SimpleNamespace(is_support_inf_nan=lambda: CHIPS[module.chip][1])
    module.matmul = types.SimpleNamespace(allow_hf32=False)
    module.conv = types.SimpleNamespace(allow_hf32=True)
    module.config = types.SimpleNamespace(allow_internal_format=True)
    module.amp = types.ModuleType("torch.npu.amp")
    module.amp.GradScaler = GradScaler
    return module


class GradScaler(torch.amp.GradScaler):
    """torch_npu's own: another signature, another state."""

    def __init__(
        self, init_scale=2.0**16, growth_factor=2.0, backoff_factor=0.5, growth_interval=2000, dynamic=True,
        enabled=True,
    ) -> None:  # fmt: skip
        super().__init__(DEVICE, init_scale, growth_factor, backoff_factor, growth_interval, enabled)
        self._dynamic = dynamic

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"dynamic": self._dynamic}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._dynamic = state_dict["dynamic"]
        super().load_state_dict({key: value for key, value in state_dict.items() if key != "dynamic"})
