"""A pretended `hccl`: gloo over the host memory behind npu tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist

ToHost = Callable[[torch.Tensor], torch.Tensor]

COLLECTIVES = (
    "allreduce", "broadcast", "allgather", "_allgather_base", "reduce_scatter", "_reduce_scatter_base", "reduce",
    "gather", "scatter", "alltoall", "alltoall_base", "send", "recv", "recv_anysource", "allreduce_coalesced",
    "allgather_into_tensor_coalesced", "reduce_scatter_tensor_coalesced",
)  # fmt: skip


class Hccl(dist.ProcessGroup):
    """Args: gloo: does the work. to_host: a CPU tensor over the bytes of an npu tensor."""

    def __init__(self, gloo: Any, rank: int, size: int, to_host: ToHost) -> None:
        super().__init__(rank, size)
        self.gloo, self.to_host = gloo, to_host

    def down(self, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [self.down(item) for item in value]
        is_npu = isinstance(value, torch.Tensor) and value.device.type == "npu"
        return self.to_host(value) if is_npu else value

    def getBackendName(self) -> str:
        return "hccl"

    def barrier(self, options: Any = None) -> Any:
        return self.gloo.barrier(options) if options is not None else self.gloo.barrier()


def _collective(name: str) -> Any:
    def call(self: Hccl, *arguments: Any) -> Any:
        return getattr(self.gloo, name)(*map(self.down, arguments))

    return call


for _name in COLLECTIVES:
    setattr(Hccl, _name, _collective(_name))


def install(to_host: ToHost) -> None:
    """Let `hccl` mean this, also where torch_npu has registered its own."""

    def create(store: Any, rank: int, size: int, timeout: Any) -> Hccl:
        gloo = dist.ProcessGroupGloo(dist.PrefixStore("hccl", store), rank, size, timeout)
        return Hccl(gloo, rank, size, to_host)

    if "HCCL" in dist.Backend._plugins:
        dist.Backend._plugins["HCCL"] = dist.Backend._BackendPlugin(create, False)
    else:
        dist.Backend.register_backend("hccl", create, devices=["npu"])
