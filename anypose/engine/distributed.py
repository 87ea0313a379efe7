"""Several processes training one model: joining, sharing gradients, gathering metrics. One process is a group of 1."""

from __future__ import annotations

import functools
import itertools
import logging
import os
import sys
import time
import traceback
import warnings
import weakref
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from anypose.engine.device import Device
from anypose.settings import Misuse

# gloo beside the device's own back-end carries objects and CPU tensors.
BACKENDS = {"cpu": "gloo", "cuda": "cpu:gloo,cuda:nccl", "npu": "cpu:gloo,npu:hccl"}
TIMEOUT = timedelta(minutes=30)  # rank 0 may score alone for that long

log = logging.getLogger(__name__)
_runs = itertools.count()  # in this process


class World:
    """The processes of one run. Use as a context; leaving it takes the group down.

    Attributes:
        rank: this process, 0 writes.
        size: how many there are.
    """

    def __init__(self, device: Device) -> None:
        """Join the group that torchrun's environment describes; without it be alone."""
        self.device = device
        self.size = int(os.environ.get("WORLD_SIZE", 1))
        self.rank = int(os.environ.get("RANK", 0))
        if self.size > 1:
            # Under a name of its own, or the second run of a sweep would find the addresses of the first.
            store = dist.PrefixStore(f"run {next(_runs)}", _meeting_place())
            backends = BACKENDS[device.torch.type]
            dist.init_process_group(backends, store=store, rank=self.rank, world_size=self.size, timeout=TIMEOUT)
            log.info("%d processes share the gradients.", self.size)

    def __enter__(self) -> World:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *_traceback: object) -> None:
        if self.size == 1 or not dist.is_initialized():
            return
        if kind is None or kind is SystemExit:
            _let_go()
            dist.destroy_process_group()
            return
        # The others may be waiting for this process in a collective, and so may its own threads: an ordinary end would
        # wait for them. The launcher sees this one end and ends the others.
        traceback.print_exception(error)
        logging.shutdown()
        sys.stderr.flush()
        os._exit(1)

    @property
    def no_bar(self) -> bool | None:
        """What tqdm takes as `disable`: no bar on ranks other than 0; None hides it where there is no terminal."""
        return True if self.rank else None

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module with its gradients averaged over the processes; parameters start as rank 0's."""
        if self.size == 1:
            return module
        # The weights of a 1x1 convolution lie as their gradient does; only the strides of their axes of one differ.
        warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
        index = None if self.device.torch.type == "cpu" else [self.device.torch.index]
        return DistributedDataParallel(module, device_ids=index)

    def share_batchnorm(self, model: nn.Module) -> nn.Module:
        """The model with BatchNorm statistics over the batches of all processes."""
        if self.size == 1:
            return model
        if self.device.torch.type == "cpu":
            raise Misuse("trainer.sync_batchnorm=true needs device=cuda or device=npu; torch has no form for cpu.")
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)

    def share_buffers(self, module: nn.Module) -> None:
        """Rank 0's buffers everywhere: each process has BatchNorm statistics with its own last batch in them."""
        if self.size > 1:
            for buffer in module.buffers():
                dist.broadcast(buffer, src=0)

    def mean(self, values: Tensor) -> Tensor:
        """The mean over processes of a CPU tensor."""
        if self.size > 1:
            dist.all_reduce(values)
            values /= self.size
        return values

    def largest(self, number: int) -> int:
        """The largest of the processes' numbers."""
        if self.size == 1:
            return number
        numbers = torch.tensor(number)
        dist.all_reduce(numbers, dist.ReduceOp.MAX)
        return int(numbers)

    def broadcast(self, value: Any) -> Any:
        """Rank 0's value, everywhere."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
        return box[0]

    def collect(self, value: Any) -> list[Any]:
        """Every process's value in the order of ranks, on rank 0; elsewhere nothing. Tensors must be on the CPU."""
        if self.size == 1:
            return [value]
        boxes: list[Any] | None = [None] * self.size if self.rank == 0 else None
        dist.gather_object(value, boxes, dst=0)
        return boxes or []


def adopt_submitit() -> None:
    """Where submitit started this process as one of several tasks, describe them as torchrun would."""
    if "SUBMITIT_EXECUTOR" not in os.environ or "RANK" in os.environ:
        return
    from submitit.helpers import TorchDistributedEnvironment

    # Devices are chosen by LOCAL_RANK among all of the host's.
    TorchDistributedEnvironment().export(set_cuda_visible_devices=False)


@functools.cache
def _meeting_place() -> dist.Store:
    """Where the processes find each other, as torchrun's environment says."""
    store, _, _ = next(dist.rendezvous("env://", timeout=TIMEOUT))
    return store


def _let_go(count: int = 8, patience: float = 10.0) -> None:
    """Wait until gloo's threads have let go of every tensor.

    They need Python's lock for it, and the end of the group waits for the threads while it holds that lock: without
    this, one process in a few dozen runs never ends. A thread that takes one of these tensors has let go of all before.
    """
    tensors = [torch.zeros(1) for _ in range(count)]
    for work in [dist.all_reduce(tensor, async_op=True) for tensor in tensors]:
        work.wait()  # pyright: ignore[reportOptionalMemberAccess]
    held = [weakref.ref(tensor) for tensor in tensors]
    del tensors, work
    end = time.monotonic() + patience
    while any(tensor() is not None for tensor in held) and time.monotonic() < end:
        time.sleep(0.01)
