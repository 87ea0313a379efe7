"""Loss scaling: gradients too small for fp16 are brought into its range, and a step that overflows is skipped."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim import Optimizer

from engine.device import Device


class LossScaler:
    """Multiplies the loss by S; a step whose gradients hold inf or nan is skipped and counted.

    Dynamic: S starts at 2^16, doubles after 2000 good steps in a row, halves on overflow. Fixed: S never changes, but
    an overflow still skips the step. The original O2 does not look for one there and the weights become infinite.

    Attributes:
        overflows: () steps skipped so far, on the device.
    """

    def __init__(self, device: Device, loss_scale: float | str) -> None:
        self.fixed = None if loss_scale == "dynamic" else float(loss_scale)
        start = 2.0**16 if self.fixed is None else self.fixed
        # Saturating chips leave no infinity behind: the device's own scaler reads the hardware's status as well.
        own = None if device.sees_overflow else device.module.amp.GradScaler
        self.scaler = own(init_scale=start) if own else torch.amp.GradScaler(device.torch.type, init_scale=start)
        self.overflows = torch.zeros((), device=device.torch)

    def scale(self, loss: Tensor) -> Tensor:
        return self.scaler.scale(loss)

    def unscale(self, optimizer: Optimizer) -> None:
        """Divide the gradients by S and look for inf and nan, without waiting for the device."""
        self.scaler.unscale_(optimizer)
        for found in self.scaler._found_inf_per_device(optimizer).values():
            self.overflows += found

    def step(self, optimizer: Optimizer) -> None:
        """Update unless a gradient overflowed. A fused optimiser decides on the device, others wait for it."""
        self.scaler.step(optimizer)
        self.scaler.update(self.fixed)

    def state_dict(self) -> dict[str, float]:
        """By value, without what only one scaler class knows: a run may move between devices."""
        state = self.scaler.state_dict()
        return {
            "scale": float(state["scale"]),
            "good_steps": int(state["_growth_tracker"]),
            "overflows": float(self.overflows),
        }

    def load_state_dict(self, state: dict[str, float]) -> None:
        scale = state["scale"] if self.fixed is None else self.fixed
        own = self.scaler.state_dict()
        self.scaler.load_state_dict(own | {"scale": scale, "_growth_tracker": state["good_steps"]})
        self.overflows.fill_(state["overflows"])
