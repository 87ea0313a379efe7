"""Loss scaling: gradients too small for fp16 are brought into its range, and a step that overflows is skipped."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim import Optimizer

from anypose.engine.device import Device


class LossScaler:
    """Multiplies the loss by S; a step whose gradients hold inf or nan is skipped and counted.

    Dynamic: S starts at 2^16, doubles after 2000 good steps in a row, halves on overflow. Fixed: S never changes, but
    an overflow still skips the step. The original O2 does not look for one there and the weights become infinite.

    Attributes:
        overflows: () steps skipped so far, on the device.
        asks_host: whether each step waits for the host; such a step cannot be captured.
    """

    def __init__(self, device: Device, loss_scale: float | str) -> None:
        self.fixed = None if loss_scale == "dynamic" else float(loss_scale)
        start = 2.0**16 if self.fixed is None else self.fixed
        # Saturating chips leave no infinity behind: the device's own scaler reads the hardware's status as well.
        self.asks_host = not device.sees_overflow
        own = device.module.amp.GradScaler if self.asks_host else None
        self.scaler = own(init_scale=start) if own else torch.amp.GradScaler(device.torch.type, init_scale=start)
        self.overflows = torch.zeros((), device=device.torch)

    def scale(self, loss: Tensor) -> Tensor:
        return self.scaler.scale(loss)

    def unscale(self, optimizer: Optimizer) -> None:
        """Divide the gradients by S and look for inf and nan, without waiting for the device."""
        self.scaler.unscale_(optimizer)
        for found in self.scaler._found_inf_per_device(optimizer).values():
            self.overflows += found > 0

    def step(self, optimizer: Optimizer, capturing: bool) -> None:
        """Update unless a gradient overflowed.

        A fused optimiser decides on the device. Others wait for the host to decide, or where the step is to be
        captured, update always and take it back on the device.
        """
        if capturing and not getattr(optimizer, "_step_supports_amp_scaling", False):
            self._step_or_undo(optimizer)
        else:
            self.scaler.step(optimizer)
        self.scaler.update(self.fixed)

    def _step_or_undo(self, optimizer: Optimizer) -> None:
        """Step in any case; where a gradient overflowed, put back what was there before. State begins at zero."""
        found = self.scaler._found_inf_per_device(optimizer)
        overflowed = torch.stack(list(found.values())).sum() > 0
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]

        def touched() -> list[Tensor]:
            state = [value for p in parameters for value in optimizer.state[p].values()]
            return [*(p.detach() for p in parameters), *(value for value in state if isinstance(value, Tensor))]

        before = [tensor.clone() for tensor in touched()]
        optimizer.step()
        after = touched()
        before += [torch.zeros_like(tensor) for tensor in after[len(before) :]]
        for tensor, value in zip(after, before, strict=True):
            tensor.copy_(torch.where(overflowed, value, tensor))

    def recover(self) -> None:
        """Forget a step that was begun and not finished."""
        self.scaler._per_optimizer_states.clear()

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
