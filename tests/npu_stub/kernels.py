"""Host computation in place of torch_npu's kernels, which do nothing over the stand-in libraries.

Memory, streams, events, allocator, generator, autocast lists, gradient scaling, DDP patches and the table of operators
that have a kernel are torch_npu's own. Operators without one are left alone: torch_npu sends them to the CPU, or with
TORCH_NPU_FALLBACK_CPU_DISABLE=1 raises, and that names them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from anypose.engine.lowering import cast
from tests.npu_fake.autocast import aten
from tests.npu_fake.tensors import MIXED, RENAMED

# As torch_npu has them: allocation, metadata, copies between host and device.
KEPT = {
    "empty.memory_format", "empty_strided", "as_strided", "view", "_reshape_alias", "alias", "set_.source_Storage",
    "set_.source_Storage_storage_offset", "set_.source_Tensor", "set_", "resize_", "empty_like", "is_pinned",
    "_pin_memory", "record_stream", "empty_with_swapped_memory", "new_empty_strided", "contiguous",
    "_copy_from_and_resize",
}  # fmt: skip
BOOKKEEPING = {"get_storage_size", "npu_change_data_ptr", "get_npu_format"}
_kept: list[Any] = []


def to_host(tensor: Tensor) -> Tensor:
    """A CPU tensor over the same bytes: device memory is host memory here."""
    torch.npu.synchronize()
    size = tensor.untyped_storage().nbytes()
    if not size:
        return torch.empty_strided(tensor.size(), tensor.stride(), dtype=tensor.dtype)
    pointer = tensor.untyped_storage().data_ptr()
    storage = torch._C._construct_storage_from_data_pointer(pointer, torch.device("cpu"), size)
    host = torch.empty(0, dtype=tensor.dtype)
    return host.set_(storage, tensor.storage_offset(), tensor.size(), tensor.stride())


def to_npu(host: Tensor) -> Tensor:
    tensor = torch.empty_strided(host.size(), host.stride(), dtype=host.dtype, device="npu")
    if host.numel():
        to_host(tensor).copy_(host)
    return tensor


def compute(operator: Any, *arguments: Any, **keywords: Any) -> Any:
    """Run an operator on the host."""
    name = operator._schema.name
    pairs: list[tuple[Tensor, Tensor]] = []
    sources: dict[int, Tensor] = {}

    def down(value: Any) -> Any:
        if isinstance(value, Tensor) and value.device.type == "npu":
            host = to_host(value)
            pairs.append((value, host))
            sources[host.untyped_storage()._cdata] = value
            return host
        return torch.device("cpu") if isinstance(value, torch.device) and value.type == "npu" else value

    given = pytree.tree_leaves((arguments, keywords))
    to_cpu = keywords.get("device") is not None and not any(
        isinstance(value, torch.device) and value.type == "npu" for value in given
    )
    arguments, keywords = pytree.tree_map(down, (arguments, keywords))
    from_cpu = any(isinstance(v, Tensor) and v.device.type == "cpu" and v.dim() for v in given)
    if pairs and from_cpu and name not in MIXED:
        raise RuntimeError(f"Expected all tensors to be on the same device, but {name} got npu:0 and cpu")
    if keywords.get("pin_memory"):
        keywords["pin_memory"] = False
    before = [_layout(host) for _, host in pairs]
    output = _products_in_fp32(name, RENAMES.get(name, operator), arguments, keywords)
    known = {id(host): tensor for tensor, host in pairs}
    for (tensor, host), layout in zip(pairs, before, strict=True):  # resized or re-pointed in place
        now = _layout(host)
        if now == layout:
            continue
        if now[3] != layout[3] and host.numel():
            tensor.resize_(host.shape)
            to_host(tensor).copy_(host)
        else:
            torch.ops.aten.set_.source_Storage_storage_offset(tensor, tensor.untyped_storage(), now[2], now[0], now[1])

    def up(value: Any) -> Any:
        if not isinstance(value, Tensor) or value.device.type != "cpu" or to_cpu:
            return value
        if id(value) in known:
            return known[id(value)]
        source = sources.get(value.untyped_storage()._cdata)
        if source is not None:
            return torch.as_strided(source, value.size(), value.stride(), value.storage_offset())
        return to_npu(value)

    return pytree.tree_map(up, output)


# Their sums are fp32 on a chip's matrix unit, too; in fp16 a host takes minutes for a convolution.
PRODUCTS = {
    f"aten::{name}"
    for name in (
        "convolution_overrideable", "convolution_backward_overrideable", "convolution", "convolution_backward",
        "mm", "addmm", "bmm", "baddbmm", "matmul", "matmul_backward", "linear",
    )
}  # fmt: skip


def _products_in_fp32(name: str, function: Callable[..., Any], arguments: Any, keywords: Any) -> Any:
    """fp16 operands of a matrix product are multiplied in fp32, and the result is rounded to fp16."""
    tensors = [leaf for leaf in pytree.tree_leaves((arguments, keywords)) if isinstance(leaf, Tensor)]
    if name not in PRODUCTS or "out" in keywords or not any(tensor.dtype == torch.float16 for tensor in tensors):
        return function(*arguments, **keywords)
    arguments, keywords = cast((arguments, keywords), torch.float32)
    return cast(function(*arguments, **keywords), torch.float16)


def _layout(host: Tensor) -> tuple[tuple, tuple, int, int]:
    return tuple(host.shape), host.stride(), host.storage_offset(), host.untyped_storage().data_ptr()


def _matmul_backward(gradient: Tensor, a: Tensor, b: Tensor, mask: list[bool]) -> tuple[Any, Any]:
    rows, columns = (a.unsqueeze(0) if a.dim() == 1 else a), (b.unsqueeze(1) if b.dim() == 1 else b)
    if a.dim() == 1:
        gradient = gradient.unsqueeze(-2) if b.dim() > 1 else gradient.unsqueeze(-1)
    if b.dim() == 1:
        gradient = gradient.unsqueeze(-1)
    of_a = (gradient @ columns.mT).sum_to_size(rows.shape).reshape(a.shape) if mask[0] else None
    of_b = (rows.mT @ gradient).sum_to_size(columns.shape).reshape(b.shape) if mask[1] else None
    return of_a, of_b


def _softmax(values: Tensor, dim: int, dtype: torch.dtype | None = None) -> Tensor:
    return torch.ops.aten._softmax(values.to(dtype) if dtype else values, dim, False)


def _dropout(values: Tensor, p: float) -> tuple[Tensor, Tensor]:
    mask = torch.rand(values.shape) >= p
    return values * mask.to(values.dtype) / (1 - p), mask.to(torch.uint8)


def _attention(q, k, v, attn_mask=None, dropout_p=0.0, is_causal=False, *, scale=None, enable_gqa=False):
    """torch_npu sends attention to its fused operator; here the core's composite form runs."""
    return torch.ops.aten._scaled_dot_product_attention_math(
        q, k, v, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
    )[0]


# torch_npu's own operators that an ordinary training step reaches.
NPU_OPERATORS: dict[str, Callable[..., Any]] = {
    "_npu_dtype_cast": lambda values, dtype, *_: values.to(dtype),
    "npu_dtype_cast": lambda values, dtype, *_: values.to(dtype),
    "_npu_dtype_cast_backward": lambda gradient, dtype, *_: gradient.to(dtype),
    "npu_dtype_cast_backward": lambda gradient, dtype, *_: gradient.to(dtype),
    "_npu_dropout": _dropout,
    "npu_dropout_backward": lambda gradient, mask, p: gradient * mask.to(gradient.dtype) / (1 - p),
    "npu_format_cast": lambda values, *_, **__: values,
    "npu_format_cast_": lambda values, *_, **__: values,
    "_npu_format_cast": lambda values, *_, **__: values,
    "npu_get_float_status": lambda values: torch.zeros(8),
    "npu_clear_float_status": lambda values: torch.zeros(8),
}
RENAMES: dict[str, Callable[..., Any]] = {
    **RENAMED,
    **{f"npu::{name}": function for name, function in NPU_OPERATORS.items()},
    "aten::matmul_backward": _matmul_backward,
    "aten::softmax": _softmax,
}


def _not_simulated(name: str, *_arguments: Any, **_keywords: Any) -> Any:
    raise RuntimeError(f"{name} has no stand-in on the host; add one to tests/npu_stub/kernels.py")


def install() -> int:
    """Replace every kernel; return how many."""
    has = torch._C._dispatch_has_kernel_for_dispatch_key
    composite = ("CPU", "CompositeExplicitAutograd", "CompositeImplicitAutograd")
    composite += ("CompositeExplicitAutogradNonFunctional",)
    core, own = torch.library.Library("aten", "IMPL"), torch.library.Library("npu", "IMPL")
    replaced = 0
    for full in torch._C._dispatch_get_all_op_names():
        space, _, name = full.partition("::")
        if space not in ("aten", "npu") or not has(full, "PrivateUse1") or name in KEPT:
            continue
        base, _, overload = name.partition(".")
        if space == "npu":
            if base in BOOKKEEPING:
                continue
            if base in NPU_OPERATORS:
                operator = getattr(getattr(torch.ops.npu, base), overload or "default")
                own.impl(name, functools.partial(compute, operator), "PrivateUse1", allow_override=True)
            else:
                own.impl(name, functools.partial(_not_simulated, full), "PrivateUse1", allow_override=True)
            continue
        if full in RENAMES or any(has(full, key) for key in composite):
            if hasattr(torch.ops.aten, base) and (overload or "default") in getattr(torch.ops.aten, base).overloads():
                core.impl(name, functools.partial(compute, aten(name)), "PrivateUse1", allow_override=True)
                replaced += 1
        else:
            core.impl(name, functools.partial(_not_simulated, full), "PrivateUse1", allow_override=True)
    core.impl("scaled_dot_product_attention", _attention, "AutogradPrivateUse1", allow_override=True)
    _kept.extend([core, own])
    return replaced
