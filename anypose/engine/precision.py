"""Precision: fp32, bf16, O1 and O2 with loss scaling, as hooks on the model and a wrapper of the step.

Lowered arithmetic ends at the model's border: its outputs come back in fp32, so every loss is computed in fp32.
Modules with the class attribute `precise = True` (standardisation in pixels, say) stay fp32 under every level.
"""

from __future__ import annotations

import logging
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from anypose.engine.checkpoint import load_weights
from anypose.engine.device import Device
from anypose.engine.loss_scale import LossScaler
from anypose.engine.lowering import Masters, autocast, halve
from anypose.settings import Misuse

log = logging.getLogger(__name__)

Level = Literal["auto", "fp32", "bf16", "o1", "o2"]


class Precision:
    """What the configuration asks for. `resolve` turns it into an Arithmetic for a device.

    Args:
        level: fp32; bf16 and o1 are autocast; o2 is fp16 weights with fp32 masters; auto asks the device.
        loss_scale: "dynamic", a number, or null where nothing is scaled.
        backend: native, or Ascend's apex where it is installed.
    """

    def __init__(self, level: Level, loss_scale: float | str | None, backend: Literal["native", "apex"]) -> None:
        if level not in ("auto", "fp32", "bf16", "o1", "o2"):
            raise Misuse(f"precision.level must be auto, fp32, bf16, o1 or o2, got {level!r}.")
        if backend not in ("native", "apex"):
            raise Misuse(f"precision.backend must be native or apex, got {backend!r}.")
        scaled = level in ("auto", "o1", "o2")
        if not scaled and loss_scale is not None:
            raise Misuse(f"precision.loss_scale={loss_scale} has no effect with precision={level}; leave it null.")
        if not scaled and backend == "apex":
            raise Misuse(f"precision.backend=apex has no effect with precision={level}; use o1 or o2.")
        number = isinstance(loss_scale, (int, float)) and loss_scale > 0
        if scaled and loss_scale != "dynamic" and not number:
            raise Misuse(f"precision.loss_scale must be dynamic or a positive number, got {loss_scale!r}.")
        self.level, self.loss_scale, self.backend = level, loss_scale, backend

    def resolve(self, device: Device) -> Arithmetic:
        level, why = self.level, "asked for"
        if level == "auto":
            level, why = device.default_precision
        if level == "bf16" and not device.supports_bf16:
            raise Misuse(
                f"precision=bf16 needs a device that computes in bf16, and {device} does not. Use precision=o2."
            )
        if level in ("fp32", "bf16") or self.loss_scale is None:
            log.info("precision %s (%s).", level, why)
            return Arithmetic(level, device, None)
        log.info("precision %s, loss scale %s, %s (%s).", level, self.loss_scale, self.backend, why)
        if self.backend == "apex":
            return ApexArithmetic(level, device, self.loss_scale)
        return Arithmetic(level, device, self.loss_scale)


class Arithmetic:
    """Lowers a model in place and runs the backward and optimiser half of a step.

    Order: `prepare(model)`, `parameters(model)` for the optimiser, `bind(model, optimizer)`; then in each step
    `backward(loss)`, `unscale()`, clipping of `gradients`, `step()`.
    """

    def __init__(self, level: str, device: Device, loss_scale: float | str | None) -> None:
        self.level, self.device = level, device
        self.masters: Masters = {}
        self.scaler = LossScaler(device, loss_scale) if loss_scale is not None else None
        self.optimizer: Optimizer
        self.capturing = False  # true: decide everything on the device
        asks = self.scaler is not None and self.scaler.asks_host
        self.obstacle = "this chip's loss scaler asks the host" if asks else None  # why a step cannot be captured

    # Before training

    def prepare(self, model: nn.Module) -> None:
        """Lower the model in place. It stays a module with the same parameter names."""
        if self.level == "o2":
            self.masters = halve(model)
        elif self.level != "fp32":
            dtype = torch.bfloat16 if self.level == "bf16" else torch.float16
            autocast(model, self.device.torch.type, dtype)

    def parameters(self, model: nn.Module) -> list[nn.Parameter]:
        """What the optimiser updates: fp32 masters in place of fp16 parameters."""
        trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        return [self.masters[name][1] if name in self.masters else p for name, p in trained]

    def bind(self, model: nn.Module, optimizer: Optimizer) -> None:
        self.optimizer = optimizer

    # In a step

    def backward(self, loss: Tensor) -> None:
        (self.scaler.scale(loss) if self.scaler else loss).backward()

    def unscale(self) -> None:
        """Bring the gradients of the optimiser's parameters to fp32 and to their true size."""
        into, out_of = [], []
        for parameter, master in self.masters.values():
            if parameter.grad is not None:
                if master.grad is None:
                    master.grad = torch.empty_like(master)
                into.append(master.grad)
                out_of.append(parameter.grad)
        if into:
            torch._foreach_copy_(into, out_of)
        if self.scaler:
            self.scaler.unscale(self.optimizer)

    def step(self) -> None:
        """Update the parameters unless a gradient overflowed, then copy masters back to fp16."""
        if self.scaler:
            self.scaler.step(self.optimizer, self.capturing)
        else:
            self.optimizer.step()
        if self.masters:
            with torch.no_grad():
                halves, masters = zip(*self.masters.values(), strict=True)
                torch._foreach_copy_(halves, masters)

    def zero_grad(self) -> None:
        """Also the fp16 gradients, which the optimiser does not know."""
        self.optimizer.zero_grad(set_to_none=True)
        for parameter, _ in self.masters.values():
            parameter.grad = None

    @property
    def trained(self) -> list[Tensor]:
        """What `clip_grad_norm_` clips, after `unscale`."""
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    @property
    def overflows(self) -> Tensor | None:
        """() steps skipped so far, on the device; None where no loss is scaled."""
        return self.scaler.overflows if self.scaler else None

    @property
    def scale(self) -> float | None:
        """The loss scale in use. Waits for the device."""
        return self.scaler.scaler.get_scale() if self.scaler else None

    # Checkpoints: fp32 whatever the level, so that a run can go on with another one

    def model_state(self, model: nn.Module) -> dict[str, Tensor]:
        """The model's state dict in fp32, taken from the masters where there are any."""
        state = {key: _to_fp32(value.detach()) for key, value in model.state_dict().items()}
        return state | {name: master.detach() for name, (_, master) in self.masters.items()}

    def load_model_state(self, model: nn.Module, state: dict[str, Tensor], source: str) -> None:
        load_weights(model, state, source)
        with torch.no_grad():
            for name, (_, master) in self.masters.items():
                master.copy_(state[name])

    def recover(self) -> None:
        """Forget a step that was begun and not finished."""
        if self.scaler:
            self.scaler.recover()

    def state_dict(self) -> dict[str, float]:
        return self.scaler.state_dict() if self.scaler else {}

    def load_state_dict(self, state: dict[str, float]) -> None:
        if self.scaler and state:
            self.scaler.load_state_dict(state)


class ApexArithmetic(Arithmetic):
    """The same through Ascend's apex, which patches the model and the optimiser itself."""

    def __init__(self, level: str, device: Device, loss_scale: float | str) -> None:
        super().__init__(level, device, None)
        self.loss_scale = loss_scale
        self.obstacle = "precision.backend=apex decides on the host"
        try:
            from apex import amp  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise ImportError(
                "precision.backend=apex needs Ascend's apex with apex.amp.initialize; "
                f"the import failed ({error}). The package called apex on the package index is another project. "
                "Build Ascend's from its repository, or use precision.backend=native."
            ) from error
        self.amp: Any = amp

    def prepare(self, model: nn.Module) -> None:
        """Nothing yet: apex wants the model and the optimiser together."""

    def bind(self, model: nn.Module, optimizer: Optimizer) -> None:
        _, self.optimizer = self.amp.initialize(
            model, optimizer, opt_level=self.level.upper(), loss_scale=self.loss_scale, combine_grad=True
        )

    def backward(self, loss: Tensor) -> None:
        with self.amp.scale_loss(loss, self.optimizer) as scaled:
            scaled.backward()

    @property
    def trained(self) -> list[Tensor]:
        return list(self.amp.master_params(self.optimizer))

    def zero_grad(self) -> None:
        # Combined gradients are one flat tensor that must stay where it is.
        self.optimizer.zero_grad()

    def state_dict(self) -> dict[str, Any]:
        return self.amp.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if state:
            self.amp.load_state_dict(state)


def _to_fp32(value: Tensor) -> Tensor:
    return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value
