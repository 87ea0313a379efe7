"""Capture: a whole training step recorded once as a graph of the device and replayed without Python.

A small network's step is a hundred launches of a few microseconds of work each; one replay is one launch. What is
captured: gather, forward, backward, clipping, loss scaling, optimiser. What stays outside: the learning rate, which
lives in a tensor, and the seed, which a replay reads from the generator. A replayed run equals an eager one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor
from torch.optim import Optimizer

from anypose.engine.device import Device
from anypose.engine.distributed import World
from anypose.engine.precision import Arithmetic
from anypose.engine.task import Batch

WARM_UP = 3  # steps that run eagerly first: they create gradients, optimiser state and workspaces

log = logging.getLogger(__name__)

Step = Callable[[Batch], Tensor]


class CapturedStep:
    """Calls `step`, after the first calls as a replayed graph; a batch of another shape always runs eagerly.

    Where the capture fails it says why, once, and runs eagerly from then on.

    Args:
        step: takes a batch on the device and returns one tensor of what to log. No host synchronisation inside.
        device: one that has graphs.
        recover: called after a failed capture, to undo what the step left half done on the host.
    """

    def __init__(self, step: Step, device: Device, recover: Callable[[], None]) -> None:
        self.step, self.device, self.recover = step, device, recover
        self.shapes: dict[str, torch.Size] = {}
        self.warmed_up = 0
        self.failed = False
        self.inputs: Batch = {}
        self.output: Tensor
        self.replay: Callable[[], None] | None = None

    def __call__(self, batch: Batch) -> Tensor:
        shapes = {name: tensor.shape for name, tensor in batch.items()}
        self.shapes = self.shapes or shapes
        if self.failed or shapes != self.shapes:
            return self.step(batch)
        if self.warmed_up < WARM_UP:
            self.warmed_up += 1
            return run_aside(self.device, lambda: self.step(batch))
        if self.replay is None:
            self._capture(batch)
            if self.replay is None:
                return self.step(batch)
        else:
            torch._foreach_copy_(list(self.inputs.values()), [batch[name] for name in self.inputs])
        self.replay()
        return self.output.clone()

    def forget(self) -> None:
        """Capture anew at the next call: a number that is part of the graph has changed."""
        self.replay = None

    def _capture(self, batch: Batch) -> None:
        self.inputs = {name: tensor.clone() for name, tensor in batch.items()}
        try:
            self.output, self.replay = record(self.device, lambda: self.step(self.inputs))
        except RuntimeError as error:
            self.failed = True
            self.recover()
            log.warning("trainer.capture: steps run eagerly, they cannot be captured (%s).", first_line(error))


def capture_step(
    step: Step, optimizer: Optimizer, arithmetic: Arithmetic, device: Device, world: World
) -> CapturedStep | None:
    """The step to be captured where the device has graphs; None, with the reason in the log, where that cannot be."""
    if not device.graph_class:
        return None
    reason = "several processes share the gradients" if world.size > 1 else arithmetic.obstacle
    reason = reason or make_capturable(optimizer, device)
    if reason:
        log.info("trainer.capture: steps run eagerly (%s).", reason)
        return None
    arithmetic.capturing = True
    return CapturedStep(step, device, arithmetic.recover)


def make_capturable(optimizer: Optimizer, device: Device) -> str | None:
    """Let the optimiser keep its step and learning rate on the device; the reason where it cannot."""
    if any("capturable" not in group for group in optimizer.param_groups):
        return f"{type(optimizer).__name__} is not capturable"
    for group in optimizer.param_groups:
        group["capturable"] = True
        group["lr"] = torch.tensor(float(group["lr"]), device=device.torch)
    return None


def run_aside(device: Device, function: Callable[[], Tensor]) -> Tensor:
    """Run on a stream of its own, as a capture will, ordered with what comes before and after."""
    module = device.module
    stream, main = module.Stream(), module.current_stream()
    stream.wait_stream(main)
    with module.stream(stream):
        output = function()
    main.wait_stream(stream)
    return output


def record(device: Device, function: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
    """Record what `function` launches, without running it: the tensor it will fill, and what runs it."""
    graph = getattr(device.module, device.graph_class)()
    with device.module.graph(graph):
        output = function()
    return output, graph.replay


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    return (str(error).strip() or repr(error)).splitlines()[0]
