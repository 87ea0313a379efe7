"""The time of a few layers on inputs like those they were given, in one way or another."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

HEAVIEST = 2  # layers of different shape that are measured; the others are like them or do not count
LIGHT = 0.1  # of the work of the heaviest: what has less does not count either
WORK = 4e8  # multiplications of a layer that is measured, at most: the batch is cut to that
ENOUGH = 0.03  # seconds of all ways of a layer; once they have been spent no way is run again
ROUNDS = 4
BEHIND = 1.25  # of the time of the quickest: a way that needs more is not run again


@dataclass(frozen=True)
class Call:
    """What a layer was given: shapes and strides in place of tensors, and how it was to compute.

    Attributes:
        inputs: (shape, strides, dtype, whether a gradient returns) or another value, each.
        keywords: other arguments.
        training: whether gradients were wanted.
        autocast: the type that CPUs compute in, None for that of the inputs.
    """

    inputs: tuple[Any, ...]
    keywords: tuple[tuple[str, Any], ...]
    training: bool
    autocast: torch.dtype | None

    @classmethod
    def of(cls, inputs: Iterable[Any], keywords: Mapping[str, Any]) -> Call:
        described = tuple(_Like.of(value) if isinstance(value, Tensor) else value for value in inputs)
        lowered = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None
        return cls(described, tuple(sorted(keywords.items())), torch.is_grad_enabled(), lowered)

    @property
    def size(self) -> int:
        """Numbers in the first input."""
        return self.inputs[0].shape.numel()


@dataclass(frozen=True)
class _Like:
    shape: torch.Size
    order: tuple[int, ...]
    dtype: torch.dtype
    returns: bool

    @classmethod
    def of(cls, tensor: Tensor) -> _Like:
        order = sorted(range(tensor.dim()), key=lambda axis: tensor.stride(axis), reverse=True)
        return cls(tensor.shape, tuple(order), tensor.dtype, tensor.requires_grad)

    def make(self, shape: list[int]) -> Tensor:
        """Random numbers in the same order in memory."""
        return self._ordered(torch.randn([shape[axis] for axis in self.order])).to(self.dtype)

    def empty(self) -> Tensor:
        """No numbers yet."""
        return self._ordered(torch.empty([self.shape[axis] for axis in self.order], dtype=self.dtype))

    def _ordered(self, tensor: Tensor) -> Tensor:
        return tensor.permute([self.order.index(axis) for axis in range(tensor.dim())])


def ratios(
    modules: Iterable[nn.Module], calls: Mapping[nn.Module, Call], ways: Mapping[str, Callable[[nn.Module], Any]]
) -> dict[str, float]:
    """{way: its time over that of the layers as they are}; layers that were never called do not count.

    Args:
        modules: the layers; each is of the class that it has by itself.
        calls: what they were given.
        ways: the class that replaces a layer's own, or None.
    """
    groups: dict[Any, list[nn.Module]] = {}
    for module in modules:
        if module in calls:
            groups.setdefault((type(module), str(module), calls[module]), []).append(module)
    quicker = {key: _quicker(group[0], key[2], ways) for key, group in groups.items()}
    heaviest = sorted(
        (key for key in groups if quicker[key]),
        key=lambda key: len(groups[key]) * work(groups[key][0], key[2]),
        reverse=True,
    )
    share = {key: len(groups[key]) * work(groups[key][0], key[2]) for key in heaviest[:HEAVIEST]}
    plain, taken = 0.0, dict.fromkeys(ways, 0.0)
    with torch.random.fork_rng(devices=[]):
        for key in share:
            module, count = groups[key][0], len(groups[key])
            if share[key] < LIGHT * share[heaviest[0]]:
                continue
            times = _times(module, key[2], quicker[key])
            plain += count * times[""]
            for name in ways:
                taken[name] += count * times.get(name, times[""])
    return {name: seconds / plain for name, seconds in taken.items()} if plain else {}


def work(module: nn.Module, call: Call) -> float:
    """Multiplications, roughly."""
    weight = getattr(module, "weight", None)
    return float(call.size * (1 if weight is None else weight.numel() / max(1, weight.shape[1])))


def _quicker(module: nn.Module, call: Call, ways: Mapping[str, Callable[[nn.Module], Any]]) -> dict[str, type]:
    """The ways that would do something else than the layer's own with such a call."""
    with _as_called(call):
        found = {name: way(module) for name, way in ways.items()}
        return {name: kind for name, kind in found.items() if kind and _takes(module, kind, call.inputs[0])}


def _takes(module: nn.Module, kind: type, like: _Like) -> bool:
    with _in_class(module, kind):
        return cast("Any", module).takes(like.empty())


def _times(module: nn.Module, call: Call, quicker: Mapping[str, type]) -> dict[str, float]:
    """Seconds of a call, forward and back where gradients were wanted: the least of some, the ways in turn."""
    kinds = {"": type(module), **quicker}
    like = call.inputs[0]
    inputs = like.make(_cut(module, like.shape, min(1.0, WORK / work(module, call))))
    least: dict[str, float] = {}
    spent = 0.0
    for turn in range(ROUNDS):
        for name, kind in kinds.items():
            if turn > 1 and least[name] > BEHIND * min(least.values()):
                continue
            with _in_class(module, kind):
                seconds = _once(module, call, inputs)
            spent += seconds
            if turn:  # the first does not count: something is made that is kept
                least[name] = min(seconds, least.get(name, seconds))
        if turn and spent > ENOUGH:
            break
    return least


def _once(module: nn.Module, call: Call, inputs: Tensor) -> float:
    if hasattr(module, "arrange"):
        inputs = cast("Any", module).arrange(inputs)
    inputs = inputs.detach().requires_grad_(call.inputs[0].returns)
    with _as_called(call):
        clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter  # immune to other processes
        start = clock()
        outputs = module(inputs, *call.inputs[1:], **dict(call.keywords))
        if outputs.requires_grad:
            wanted = [tensor for tensor in (inputs, *module.parameters()) if tensor.requires_grad]
            # A number's gradient: for that of a tensor torch first imports what it compiles with, a second of work. The
            # factor makes gradients that lie in memory as those of a loss do.
            torch.autograd.grad((outputs * torch.ones_like(outputs)).sum(), wanted)
        return clock() - start


@contextmanager
def _as_called(call: Call) -> Iterator[None]:
    with (
        torch.set_grad_enabled(call.training),
        torch.autocast("cpu", dtype=call.autocast, enabled=call.autocast is not None),
    ):
        yield


@contextmanager
def _in_class(module: nn.Module, kind: type) -> Iterator[None]:
    own = type(module)
    module.__class__ = kind
    try:
        yield
    finally:
        module.__class__ = own


def _cut(module: nn.Module, shape: torch.Size, share: float) -> list[int]:
    """A share of the batch; of long sequences also fewer frames, by a number that leaves pairs of outputs pairs."""
    B, *rest = shape
    if isinstance(module, nn.Conv1d) and B * share < 1:
        reach, pair = (module.kernel_size[0] - 1) * module.dilation[0], 2 * module.dilation[0]
        spare = int(rest[1] * (1 - B * share)) - reach
        rest[1] -= max(0, spare // pair) * pair
    return [max(1, round(B * share)), *rest]
