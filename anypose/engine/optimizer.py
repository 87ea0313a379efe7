"""The state of any of torch's optimisers taken back from a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

Shapes = Mapping[str, tuple[int, ...] | None]  # by name; None is a plain value
PROBED = {"lr": 0.0, "fused": False, "foreach": False, "capturable": False}  # on the CPU, whatever the device


def load_state(optimizer: Optimizer, state: Mapping[int, Any]) -> list[int]:
    """Take a checkpoint's state, the groups' settings as they are; return the parameters that it holds nothing of.

    Fused kernels take for granted that each tensor has its parameter's shape and lies in memory as that does. Another
    shape would be written beyond its end, another order gives wrong results; neither is said.

    Raises:
        ValueError: for what is not what this optimiser keeps of its parameters.
    """
    groups = optimizer.state_dict()["param_groups"]
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    kept = _kept(optimizer)
    for place, values in state.items():
        if type(place) is not int or not 0 <= place < len(parameters):
            raise ValueError(f"it has parameters 0 to {len(parameters) - 1}, and the file something for {place!r:.40}")
        _check(values, parameters[place], kept, f"parameter {place}")
    optimizer.load_state_dict({"state": dict(state), "param_groups": groups})
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                values[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
    return [] if kept == {} else [place for place in range(len(parameters)) if place not in state]


def _kept(optimizer: Optimizer) -> Shapes | None:
    """What one of torch's own keeps of a parameter of shape (1, 2, 1); None of others, which cannot be asked."""
    if not type(optimizer).__module__.startswith("torch.optim."):
        return None
    probe = nn.Parameter(torch.zeros(1, 2, 1))
    probe.grad = torch.zeros_like(probe)
    group = {name: PROBED.get(name, value) for name, value in optimizer.param_groups[0].items()}
    one = type(optimizer)([{**group, "params": [probe]}])  # pyright: ignore
    one.step()
    return {name: tuple(value.shape) if isinstance(value, Tensor) else None for name, value in one.state[probe].items()}


def _check(values: Any, parameter: Tensor, kept: Shapes | None, where: str) -> None:
    if not isinstance(values, Mapping) or (kept is not None and values.keys() != kept.keys()):
        found = ", ".join(map(str, values))[:80] if isinstance(values, Mapping) else type(values).__name__
        raise ValueError(f"it keeps {', '.join(kept or ['values by name'])} of {where}, found {found or 'nothing'}")
    whole = tuple(parameter.shape)
    for name, value in values.items():
        if isinstance(value, Tensor):
            sizes = [whole, ()] if kept is None else [whole if kept[name] else ()]
            fits = tuple(value.shape) in sizes and value.is_floating_point()
        else:
            fits = value is None or type(value) in (int, float, bool)
            fits = fits and not (kept and kept[name])
        if not fits:
            found = f"{tuple(value.shape)} of {value.dtype}" if isinstance(value, Tensor) else f"{value!r:.40}"
            raise ValueError(f"{name} of {where} must have its shape {whole}, or be one number; found {found}")
