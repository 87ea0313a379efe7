"""Which layers of a network are replaced by quicker equal ones, decided by a measurement where they run.

    kernels = Kernels("auto", network)
    network(batch)               # the first call is looked at, and then decided on; the next one is quicker
    kernels.choice               # {"dropout": "packed", "temporal": "products"}

A replaced layer gets another class, made of its own and of the quicker way, as torch's parametrisations do. So its
parameters, names, hooks and methods are what they were, and neither checkpoints nor optimisers notice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from anypose.kernels.convolution import PlainConvByProducts, PointwiseByProducts, UpsamplingByProducts
from anypose.kernels.dropout import PackedDropout
from anypose.kernels.linear import LinearByHand, LinearByRows, onednn_product
from anypose.kernels.measurement import Call, ratios
from anypose.kernels.temporal import ConvByProducts, NormOfRows
from anypose.kernels.winograd import ConvByWinograd
from anypose.settings import Misuse

MODES = ("auto", "plain", "fast")
GAIN = 0.9  # of the plain layers' time: what is no quicker than that is not worth another rounding

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Way:
    """One way to compute a kind of layers.

    Attributes:
        layers: what replaces which layers; each says by `suits` whether it can and by `takes` what for.
        product: what multiplies matrices.
        beside: replaces layers that nothing is decided for, because they follow those above.
    """

    layers: tuple[type, ...]
    product: Callable[..., Any] = F.linear
    beside: tuple[tuple[type, type], ...] = ()

    def quicker(self, module: nn.Module) -> type | None:
        """The class that takes the place of the module's own, None for a module that stays or was replaced before."""
        for layer in () if replaced(module) else self.layers:
            made = combined(layer, type(module), self.product)
            if made.suits(module):
                return made
        return None


ROWS = ((nn.BatchNorm1d, NormOfRows),)
# Each kind's ways, the one that `fast` takes first.
KINDS: dict[str, dict[str, Way]] = {
    "dropout": {"packed": Way((PackedDropout,))},
    "linear": {
        "onednn": Way((LinearByHand,), onednn_product),
        "onednn_rows": Way((LinearByRows,), onednn_product),
        "by_hand": Way((LinearByHand,)),
    },
    "temporal": {
        "winograd_onednn": Way((ConvByWinograd,), onednn_product, ROWS),
        "winograd": Way((ConvByWinograd,), beside=ROWS),
        "products_onednn": Way((ConvByProducts,), onednn_product, ROWS),
        "products": Way((ConvByProducts,), beside=ROWS),
    },
    "image": {"products": Way((PointwiseByProducts, PlainConvByProducts, UpsamplingByProducts))},
}


@cache
def combined(layer: type, own: type, product: Callable[..., Any]) -> Any:
    """A class that computes as `layer` does and is an `own` in all else."""
    return type(f"{layer.__name__}Of{own.__name__}", (layer, own), {"product": staticmethod(product), "own": own})


def replaced(module: nn.Module) -> bool:
    """Whether the module's class is one of `combined`'s: two that look at one network do not replace it twice."""
    return "own" in vars(type(module))


def swap(network: nn.Module, choice: Mapping[str, str]) -> None:
    """Replace layers in place: {"dropout": "packed"} is a kind and the way it goes.

    Raises:
        ValueError: for a kind or a way that there is none of.
    """
    for kind, name in choice.items():
        if name not in KINDS.get(kind, {}):
            known = "; ".join(f"{kind}: {', '.join(ways)}" for kind, ways in KINDS.items())
            raise ValueError(f"There is no kernel {name!r} of kind {kind!r}. There are {known}.")
        way = KINDS[kind][name]
        for module in list(network.modules()):
            made = way.quicker(module)
            for own, layer in way.beside if made is None and not replaced(module) else ():
                if isinstance(module, own):
                    made = combined(layer, type(module), way.product)
            if made is not None:
                module.__class__ = made


class Kernels:
    """Decides for a network at its first call, and replaces its layers after it.

    Args:
        mode: "plain" replaces nothing; "fast" whatever can be, at once; "auto" what a measurement of the layers' own
            inputs says, on a CPU.
        network: replaced in place. A container without a forward of its own is decided on by its first member.
        agree: makes several processes take one choice.

    Attributes:
        choice: {kind: way}; None before the first call.
    """

    def __init__(
        self, mode: str, network: nn.Module, agree: Callable[[dict[str, str]], dict[str, str]] | None = None
    ) -> None:
        if mode not in MODES:
            raise Misuse(f"kernels must be {', '.join(MODES)}, got {mode!r}.")
        self.mode, self.network, self.agree = mode, network, agree or (lambda choice: choice)
        self.choice: dict[str, str] | None = None
        self._calls: dict[nn.Module, Call] = {}
        self._hooks: list[Any] = []
        if mode == "plain" or any(parameter.device.type != "cpu" for parameter in network.parameters()):
            self.choice = {}
        elif mode == "fast":
            choice = {kind: name for kind, ways in possible(network).items() for name in list(ways)[:1]}
            self._replace(choice, "asked for")
        else:
            self._watch()

    def take(self, choice: Mapping[str, str] | None, why: str) -> None:
        """A choice that was made before, where none is made yet; None, where none is known, changes nothing."""
        if choice is None or self.choice is not None:
            return
        there = possible(self.network)
        if missing := [f"{kind} {name}" for kind, name in choice.items() if name not in there.get(kind, {})]:
            log.info("kernels: %s cannot be had here; decided anew.", ", ".join(missing))
            return
        self._replace(choice, why)

    def _replace(self, choice: Mapping[str, str], why: str) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks, self._calls, self.choice = [], {}, dict(choice)
        swap(self.network, choice)
        log.info("kernels: %s (%s).", describe(choice), why)

    def _watch(self) -> None:
        """Remember what the first call gives to each layer."""
        kinds = possible(self.network)
        watched = {module for ways in kinds.values() for modules in ways.values() for module in modules}

        def remember(module: nn.Module, inputs: Any, keywords: Any) -> None:
            if module in watched:  # and not in a copy of the network, to which hooks are copied, too
                self._calls.setdefault(module, Call.of(inputs, keywords))

        def decide(root: nn.Module, *_: Any) -> None:
            if root is roots[-1]:
                self._decide()

        self._hooks = [module.register_forward_pre_hook(remember, with_kwargs=True) for module in watched]
        container = isinstance(self.network, (nn.ModuleDict, nn.ModuleList))
        roots = list(self.network.children()) if container else [self.network]
        self._hooks += [root.register_forward_hook(decide) for root in roots[-1:]]

    def _decide(self) -> None:
        """Measure, and take what is quicker."""
        choice, gains = {}, []
        for kind, ways in possible(self.network).items():
            modules = dict.fromkeys(module for found in ways.values() for module in found)
            measured = ratios(modules, self._calls, {name: KINDS[kind][name].quicker for name in ways})
            best = min(measured, key=lambda name: measured[name], default=None)
            if best is not None and measured[best] < GAIN:
                choice[kind] = best
                gains.append(f"{kind} {1 / measured[best]:.1f} times as quick")
        # All processes take part in training; in scoring some may have nothing to do.
        agreed = self.agree(choice) if torch.is_grad_enabled() else choice
        self._replace(agreed, f"measured: {', '.join(gains) or 'nothing quicker'}")


def possible(network: nn.Module) -> dict[str, dict[str, list[nn.Module]]]:
    """{kind: {way: the modules that it can replace}}, where there are any."""
    found = {
        kind: {name: [m for m in network.modules() if way.quicker(m) is not None] for name, way in ways.items()}
        for kind, ways in KINDS.items()
    }
    found = {kind: {name: modules for name, modules in ways.items() if modules} for kind, ways in found.items()}
    return {kind: ways for kind, ways in found.items() if ways}


def describe(choice: Mapping[str, str]) -> str:
    """In words, for the log."""
    return ", ".join(f"{kind} {name}" for kind, name in choice.items()) or "plain"
