"""Dropout from packed random bits: on a CPU the standard one spends a sixth of a small network's step on its mask."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

PLACES = 8  # binary digits of the probability that are worth one random bit each


class Dropout(nn.Dropout):
    """Zero a share `p` of the values in training and scale the others by 1 / (1 - p).

    On a CPU the mask is made of random bits, 64 to a word, where `p` is a multiple of 1/256; elsewhere this is
    `nn.Dropout`. Both draw from torch's generator alone, but not the same numbers.
    """

    def forward(self, inputs: Tensor) -> Tensor:
        if not (self.training and _packs(inputs, self.p)):
            return super().forward(inputs)
        return inputs * scaled_mask(inputs, self.p)


class ReLUDropout(nn.Dropout):
    """ReLU, then `Dropout`, in one: the gradient needs no mask, an output is above 0 where both let it pass."""

    def forward(self, inputs: Tensor) -> Tensor:
        if not (self.training and _packs(inputs, self.p)):
            return super().forward(inputs.relu())
        return _ReLUDropout.apply(inputs, self.p)


class _ReLUDropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, p: float) -> Tensor:
        outputs = inputs.relu().mul_(scaled_mask(inputs, p))
        ctx.save_for_backward(outputs)
        ctx.scale = 1 / (1 - p)
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (outputs,) = ctx.saved_tensors
        return torch.ops.aten.threshold_backward(gradient, outputs, 0).mul_(ctx.scale), None


def scaled_mask(values: Tensor, p: float) -> Tensor:
    """Of the shape and type of `values`: 0 with probability `p`, else 1 / (1 - p)."""
    return (keep_mask(values.shape, p) * (1 / (1 - p))).to(values.dtype)


def keep_mask(shape: torch.Size, p: float) -> Tensor:
    """(*shape) uint8, each 0 with probability `p` and 1 otherwise; `p` is a multiple of 1/256 between 0 and 1.

    The share to keep in binary is 0.b1 b2 ... b8. Its last 1 alone stands for one half: a random bit. Each digit before
    it halves the share so far, by AND with another random bit, or does that and adds one half, by OR.
    """
    digits = round((1 - p) * 2**PLACES)
    last = (digits & -digits).bit_length() - 1
    kept = _random_words(-(-shape.numel() // 64))
    for place in range(last + 1, PLACES):
        bits = _random_words(len(kept))
        kept = bits | kept if digits >> place & 1 else bits & kept
    return torch.from_numpy(np.unpackbits(kept.numpy().view(np.uint8), count=shape.numel())).view(shape)


def _random_words(count: int) -> Tensor:
    return torch.empty(count, dtype=torch.int64).random_(-(2**63), None)


def _packs(inputs: Tensor, p: float) -> bool:
    """Whether packed bits can make this mask."""
    binary = 0 < p < 1 and (p * 2**PLACES).is_integer()
    return binary and inputs.device.type == "cpu" and not torch.compiler.is_compiling()
