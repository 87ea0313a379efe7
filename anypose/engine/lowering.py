"""Lowering a model in place: autocast or fp16 weights inside, fp32 at its border.

Hooks do it, not patched methods: a lowered model keeps its parameter names and can be copied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

Masters = dict[str, tuple[nn.Parameter, nn.Parameter]]


def autocast(model: nn.Module, device_type: str, dtype: torch.dtype) -> None:
    """Run the model under autocast; its outputs, and all of a `precise` module, are fp32."""
    for entry in _entries(model):
        _under_autocast(entry, device_type, dtype)
        entry.register_forward_hook(_outputs_to_fp32)
    for module in _precise(model):
        module.register_forward_pre_hook(_inputs_to(torch.float32), with_kwargs=True)
        _under_autocast(module, device_type, None)


def halve(model: nn.Module) -> Masters:
    """O2: modules that own a matrix hold it in fp16 and cast their inputs; all others stay fp32.

    BatchNorm and LayerNorm own vectors only, so they keep fp32 parameters and statistics and take fp16 inputs.

    Returns:
        For the name of every fp16 parameter, the parameter and its fp32 master.
    """
    masters: Masters = {}
    inside_precise = {id(part) for module in _precise(model) for part in module.modules()}
    for name, module in model.named_modules():
        own = dict(module.named_parameters(recurse=False))
        is_leaf = next(module.children(), None) is None
        if id(module) in inside_precise or not is_leaf or not any(p.dim() >= 2 for p in own.values()):
            continue
        for key, parameter in own.items():
            if parameter.dtype == torch.float16:  # shared with a module seen before
                continue
            master = nn.Parameter(parameter.detach().clone(), requires_grad=parameter.requires_grad)
            parameter.data = parameter.data.half()
            masters[f"{name}.{key}" if name else key] = (parameter, master)
        module.register_forward_pre_hook(_inputs_to(torch.float16), with_kwargs=True)
    for module in _precise(model):
        module.register_forward_pre_hook(_inputs_to(torch.float32), with_kwargs=True)
    for entry in _entries(model):
        entry.register_forward_hook(_outputs_to_fp32)
    return masters


def cast(tree: Any, dtype: torch.dtype) -> Any:
    """Every floating tensor in a nest of tuples, lists and dicts to `dtype`; float64 stays."""

    def one(leaf: Any) -> Any:
        lowerable = isinstance(leaf, Tensor) and leaf.is_floating_point() and leaf.dtype != torch.float64
        return leaf.to(dtype) if lowerable else leaf

    return pytree.tree_map(one, tree)


def _entries(model: nn.Module) -> Iterator[nn.Module]:
    """The modules a task calls: the model, or the members of a container, which has no forward of its own."""
    if isinstance(model, nn.ModuleDict):
        yield from model.values()
    elif isinstance(model, nn.ModuleList):
        yield from model
    else:
        yield model


def _precise(model: nn.Module) -> Iterator[nn.Module]:
    return (module for module in model.modules() if getattr(module, "precise", False))


def _inputs_to(dtype: torch.dtype) -> Callable[..., Any]:
    def hook(_module: nn.Module, inputs: Iterable[Any], keywords: dict[str, Any]) -> Any:
        return cast(tuple(inputs), dtype), cast(keywords, dtype)

    return hook


def _outputs_to_fp32(_module: nn.Module, _inputs: Any, output: Any) -> Any:
    return cast(output, torch.float32)


def _under_autocast(module: nn.Module, device_type: str, dtype: torch.dtype | None) -> None:
    """Enter autocast before the module's forward and leave it after, also when forward raises; None: switched off."""
    regions: list[torch.autocast] = []

    def enter(_module: nn.Module, _inputs: Any) -> None:
        regions.append(torch.autocast(device_type, dtype=dtype, enabled=dtype is not None))
        regions[-1].__enter__()

    def leave(_module: nn.Module, _inputs: Any, _output: Any) -> None:
        regions.pop().__exit__(None, None, None)

    module.register_forward_pre_hook(enter)
    module.register_forward_hook(leave, always_call=True)
