"""Tensors of a pretended `npu` over host memory: storage, one fallback for all operators, recording of graphs.

Every tensor is a genuine PrivateUse1 tensor with its own device type, dispatch, autograd and autocast keys, whose
bytes lie in ordinary memory. One boxed fallback runs each operator on CPU tensors that alias those bytes, so results
equal the CPU's bit for bit. What it shows: misplaced tensors, host synchronisation, missing operators (by a list),
wrong calls of torch.npu. What it cannot show: accuracy, speed and memory of a chip.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

DEVICE = "npu"

operators: Counter[str] = Counter()  # how often each ran
refused_operators: set[str] = set()  # aten::name, to imitate missing kernels
refused_dtypes: set[torch.dtype] = set()


class Refused(RuntimeError):
    """What a chip would not do."""


class Graph:
    """Operators recorded while `recording`, run again by `replay`. As on a chip, recording does not execute.

    The operators do run once to learn shapes; everything they wrote is put back when the recording ends.
    """

    recording: Graph | None = None

    def __init__(self) -> None:
        self.calls: list[tuple[Callable[..., Any], tuple, dict, list[Tensor]]] = []
        self.written: dict[int, tuple[Tensor, Tensor]] = {}

    def remember(self, tensor: Tensor) -> None:
        """Keep what the storage of a host tensor holds before something writes to it for the first time."""
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self.written and storage.nbytes():
            flat = torch.empty(0, dtype=torch.uint8).set_(storage)
            self.written[storage.data_ptr()] = flat, flat.clone()

    def __enter__(self) -> Graph:
        if Graph.recording:
            raise RuntimeError("a graph is being recorded already")
        Graph.recording = self
        self.generator = torch.get_rng_state()
        return self

    def __exit__(self, *_error: object) -> None:
        Graph.recording = None
        torch.set_rng_state(self.generator)
        for tensor, before in self.written.values():
            tensor.copy_(before)

    def replay(self) -> None:
        for operator, arguments, keywords, outputs in self.calls:
            found = operator(*arguments, **keywords)
            fresh = [leaf for leaf in pytree.tree_leaves(found) if isinstance(leaf, Tensor)]
            for output, value in zip(outputs, fresh, strict=True):
                if output.data_ptr() != value.data_ptr():
                    output.copy_(value)


def is_npu(value: Any) -> bool:
    return isinstance(value, Tensor) and value.device.type == DEVICE


_CPU_KEYS = torch._C.DispatchKeySet(torch._C.DispatchKey.CPU)
_SET = torch.ops.aten.set_.source_Storage_storage_offset


def npu_storage(host: torch.UntypedStorage) -> torch.UntypedStorage:
    storage = torch._C._construct_storage_from_data_pointer(host.data_ptr(), torch.device(DEVICE, 0), host.nbytes())
    storage._host = host  # keeps the bytes as long as the storage
    return storage


def point(tensor: Tensor, storage: torch.UntypedStorage, offset: int, size: Any, stride: Any) -> Tensor:
    """Make the tensor a view of the storage."""
    _SET.redispatch(_CPU_KEYS, tensor, storage, offset, size, stride)
    return tensor


def wrap(host: Tensor, storage: torch.UntypedStorage | None = None) -> Tensor:
    """An npu tensor over the bytes of a host tensor."""
    if host.dtype in refused_dtypes and host.dim():  # torch's own loss scaler takes 1 / scale in float64
        raise Refused(f"{host.dtype} is refused by the strict stand-in")
    storage = npu_storage(host.untyped_storage()) if storage is None else storage
    empty = torch._C._acc.create_empty_tensor((0,), host.dtype)
    return point(empty, storage, host.storage_offset(), host.size(), host.stride())


def to_host(tensor: Tensor) -> Tensor:
    """A CPU tensor over the same bytes, without a copy."""
    storage = getattr(tensor.untyped_storage(), "_host", None)
    if storage is None:  # made without bytes behind it
        return torch.empty_strided(tensor.size(), tensor.stride(), dtype=tensor.dtype)
    host = torch.empty(0, dtype=tensor.dtype)
    host.set_(storage, tensor.storage_offset(), tensor.size(), tensor.stride())
    host = torch._conj(host) if tensor.is_conj() else host
    return torch._neg_view(host) if tensor.is_neg() else host


def _convolution_backward(grad, inputs, weight, stride, padding, dilation, transposed, output_padding, groups, mask):
    channels = weight.shape[1] * groups if transposed else weight.shape[0]
    return torch.ops.aten.convolution_backward.default(
        grad, inputs, weight, [channels], stride, padding, dilation, transposed, output_padding, groups, mask
    )


# Operators that the core routes to names only PrivateUse1 has.
RENAMED = {
    "aten::convolution_overrideable": torch.ops.aten.convolution.default,
    "aten::convolution_backward_overrideable": _convolution_backward,
}
# Operators for which a CPU tensor beside an npu tensor is legal.
MIXED = {
    "aten::_copy_from", "aten::_copy_from_and_resize", "aten::copy_", "aten::index", "aten::index_put_",
    "aten::_index_put_impl_", "aten::index_put", "aten::_foreach_add_", "aten::set_",
}  # fmt: skip


def fallback(operator: Any, *arguments: Any, **keywords: Any) -> Any:
    """Run any operator on CPU tensors over the same bytes."""
    name = operator._schema.name
    operators[name] += 1
    if name in refused_operators:
        raise Refused(f"{name} is refused by the strict stand-in")
    storages: dict[int, torch.UntypedStorage] = {}  # of the host, to that of the npu
    pairs: list[tuple[Tensor, Tensor]] = []

    def down(value: Any) -> Any:
        if is_npu(value):
            host = to_host(value)
            if value.untyped_storage().nbytes():
                storages[host.untyped_storage()._cdata] = value.untyped_storage()
            pairs.append((value, host))
            return host
        if isinstance(value, Tensor) and value.device.type == "cpu" and value.dim() > 0 and name not in MIXED:
            raise RuntimeError(f"Expected all tensors to be on the same device, but {name} got {DEVICE}:0 and cpu")
        return torch.device("cpu") if isinstance(value, torch.device) and value.type == DEVICE else value

    arguments, keywords = pytree.tree_map(down, (arguments, keywords))
    arguments = tuple(  # the dispatcher hands a number that was wrapped in a tensor over as a number
        torch.tensor(value) if isinstance(value, (bool, int, float)) and str(schema.type) == "Tensor" else value
        for value, schema in zip(arguments, operator._schema.arguments, strict=False)
    )
    if keywords.get("pin_memory"):
        keywords["pin_memory"] = False
    before = [_layout(host) for _, host in pairs]
    graph = Graph.recording
    if graph:
        if name == "aten::_local_scalar_dense":
            raise RuntimeError("operation not permitted when stream is capturing (a value is read by the host)")
        for schema, value in zip(operator._schema.arguments, arguments, strict=False):
            if schema.alias_info is not None and schema.alias_info.is_write:
                for leaf in pytree.tree_leaves(value):
                    if isinstance(leaf, Tensor):
                        graph.remember(leaf)
        for value in keywords.values():  # out=
            for leaf in pytree.tree_leaves(value):
                if isinstance(leaf, Tensor):
                    graph.remember(leaf)
    run = RENAMED.get(name, operator)
    output = run(*arguments, **keywords)
    if graph:
        fresh = [leaf for leaf in pytree.tree_leaves(output) if isinstance(leaf, Tensor)]
        graph.calls.append((run, arguments, keywords, fresh))
    if name == "aten::_local_scalar_dense":
        return output

    for (tensor, host), layout in zip(pairs, before, strict=True):  # resized or re-pointed in place
        now = _layout(host)
        if now != layout or host.untyped_storage().nbytes() != tensor.untyped_storage().nbytes():
            storage = storages.get(now[0])
            moved = storage is None or storage.data_ptr() != host.untyped_storage().data_ptr()
            if moved or storage.nbytes() != host.untyped_storage().nbytes():
                storage = npu_storage(host.untyped_storage())
            point(tensor, storage, *now[1:])
    known = {id(host): tensor for tensor, host in pairs}

    def up(value: Any) -> Any:
        if isinstance(value, Tensor) and value.device.type == "cpu":
            same = known.get(id(value))
            return wrap(value, storages.get(value.untyped_storage()._cdata)) if same is None else same
        return value

    return pytree.tree_map(up, output)


def _layout(host: Tensor) -> tuple[int, int, tuple, tuple]:
    return host.untyped_storage()._cdata, host.storage_offset(), tuple(host.size()), tuple(host.stride())


def set_storage(tensor: Tensor, source: Any, offset: int = 0, size: Any = None, stride: Any = ()) -> Tensor:
    if size is None:
        size = (source.nbytes() // tensor.element_size(),)
    stride = stride or torch.empty(tuple(size), device="meta").stride()
    return point(tensor, source, offset, tuple(size), tuple(stride))


def set_tensor(tensor: Tensor, source: Tensor) -> Tensor:
    return point(tensor, source.untyped_storage(), source.storage_offset(), source.size(), source.stride())


def copy_from(source: Tensor, target: Tensor, non_blocking: bool = False) -> Tensor:
    """Between the host and the device, or on the device."""
    graph, here, there = Graph.recording, *(to_host(t) if is_npu(t) else t for t in (source, target))
    if graph:
        if not is_npu(target):
            raise RuntimeError("operation not permitted when stream is capturing (a copy to the host)")
        graph.remember(there)
        graph.calls.append((torch.Tensor.copy_, (there, here), {}, [there]))
    there.copy_(here)
    return target


def copy_from_and_resize(source: Tensor, target: Tensor) -> Tensor:
    host = to_host(source) if is_npu(source) else source
    if not is_npu(target):
        return target.resize_(host.shape).copy_(host)
    there = to_host(target)
    if there.shape != host.shape:
        there = torch.empty_like(host, dtype=there.dtype)
        point(target, npu_storage(there.untyped_storage()), 0, there.size(), there.stride())
    there.copy_(host)
    return target
