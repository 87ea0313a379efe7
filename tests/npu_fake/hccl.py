"""A pretended `hccl`: gloo over the host memory behind npu tensors."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist

from tests.npu_fake.tensors import is_npu, to_host

COLLECTIVES = (
    "allreduce", "broadcast", "allgather", "_allgather_base", "reduce_scatter", "_reduce_scatter_base", "reduce",
    "gather", "scatter", "alltoall", "alltoall_base", "send", "recv", "recv_anysource", "allreduce_coalesced",
    "allgather_into_tensor_coalesced", "reduce_scatter_tensor_coalesced",
)  # fmt: skip


def _host(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_host(item) for item in value]
    return to_host(value) if is_npu(value) else value


class Hccl(dist.ProcessGroup):
    def __init__(self, gloo: Any, rank: int, size: int) -> None:
        super().__init__(rank, size)
        self.gloo = gloo

    def getBackendName(self) -> str:
        return "hccl"

    def barrier(self, options: Any = None) -> Any:
        return self.gloo.barrier(options) if options is not None else self.gloo.barrier()


def _collective(name: str) -> Any:
    def call(self: Hccl, *arguments: Any) -> Any:
        return getattr(self.gloo, name)(*map(_host, arguments))

    return call


for _name in COLLECTIVES:
    setattr(Hccl, _name, _collective(_name))


def _create(store: Any, rank: int, size: int, timeout: Any) -> Hccl:
    return Hccl(dist.ProcessGroupGloo(dist.PrefixStore("hccl", store), rank, size, timeout), rank, size)


def install() -> None:
    dist.Backend.register_backend("hccl", _create, devices=["npu"])


assert torch.distributed.is_available()
