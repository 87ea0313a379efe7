"""Install the pretended `npu`: once per process, before the first tensor on it."""

from __future__ import annotations

import functools
import sys
from typing import Any

import torch

from tests.npu_fake import api, autocast, tensors
from tests.npu_fake.tensors import DEVICE

_kept: list[Any] = []  # libraries end with their object


def install(chip: str = "Ascend910B3") -> Any:
    """Turn PrivateUse1 into a working `npu`; return its torch.npu."""
    if _kept:
        return sys.modules["torch.npu"]
    from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

    module = api.make_module(chip)
    _setup_privateuseone_for_python_backend(DEVICE, backend_module=module)
    sys.modules["torch.npu"], sys.modules["torch.npu.amp"] = module, module.amp

    everything = torch.library.Library("_", "IMPL")
    everything.fallback(tensors.fallback, "PrivateUse1")
    everything.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    aten = torch.library.Library("aten", "IMPL")
    aten.impl("_copy_from", tensors.copy_from, "PrivateUse1")
    aten.impl("_copy_from_and_resize", tensors.copy_from_and_resize, "PrivateUse1")
    aten.impl("set_.source_Storage", tensors.set_storage, "PrivateUse1")
    aten.impl("set_.source_Storage_storage_offset", tensors.set_storage, "PrivateUse1")
    aten.impl("set_.source_Tensor", tensors.set_tensor, "PrivateUse1")
    # The core has kernels of its own for these, which would come before the fallback.
    for name in ("convolution_overrideable", "convolution_backward_overrideable", "_fused_dropout", "native_dropout"):
        aten.impl(name, functools.partial(tensors.fallback, autocast.aten(name)), "PrivateUse1")
    autocast.install(aten)
    _kept.extend([everything, aten])
    _patch_torch()
    return module


def _patch_torch() -> None:
    """What the core expects of a back-end written in C++."""
    make_storage = torch.UntypedStorage.__new__

    def new(cls, *arguments, **keywords):  # asked for by size and device when a checkpoint is read or a buffer copied
        device = keywords.get("device")
        if device is not None and torch.device(device).type == DEVICE:
            keywords = {key: value for key, value in keywords.items() if key != "device"}
            return tensors.npu_storage(make_storage(cls, *arguments, **keywords))
        return make_storage(cls, *arguments, **keywords)

    torch.UntypedStorage.__new__ = staticmethod(new)

    pin, is_pinned, show = torch.Tensor.pin_memory, torch.Tensor.is_pinned, torch.Tensor.__repr__

    def pin_memory(self, device=None):
        if self.device.type != "cpu":
            return pin(self)
        pinned = self.clone()
        pinned._pretends_to_be_pinned = True
        return pinned

    def shown(self, *, tensor_contents=None):
        plain = type(self) in (torch.Tensor, torch.nn.Parameter)
        if plain and tensors.is_npu(self):
            host = show(tensors.to_host(self.detach()), tensor_contents=tensor_contents)
            return f"{host[:-1]}, device='{DEVICE}:0')"
        return show(self, tensor_contents=tensor_contents)

    torch.Tensor.pin_memory = pin_memory
    torch.Tensor.is_pinned = lambda self, device=None: getattr(self, "_pretends_to_be_pinned", False)
    torch.Tensor.__repr__ = shown
    assert is_pinned is not None
