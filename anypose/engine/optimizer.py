"""The state of any of torch's optimisers taken back from a checkpoint."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


def load_state(optimizer: Optimizer, state: dict[int, Any]) -> None:
    """Take a checkpoint's state, the groups' settings as they are.

    Each tensor comes to lie in memory as its parameter does, which fused kernels take for granted: where the orders
    differ they give wrong results and say nothing.
    """
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                values[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
