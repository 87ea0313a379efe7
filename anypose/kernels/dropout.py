"""Dropout from packed random bits: on a CPU the standard one spends a sixth of a small network's step on its mask."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

PLACES = 8  # binary digits of the probability that are worth one random bit each


class PackedDropout(nn.Dropout):
    """Zero a share `p` of the values in training and scale the others by 1 / (1 - p).

    The mask is made of random bits, 64 to a word; `p` must be a multiple of 1/256. It comes from torch's generator
    alone, as that of `nn.Dropout` does, but not with the same numbers.
    """

    @classmethod
    def suits(cls, module: nn.Module) -> bool:
        """Whether packed bits can make this module's mask."""
        return type(module) is nn.Dropout and 0 < module.p < 1 and (module.p * 2**PLACES).is_integer()

    def takes(self, inputs: Tensor) -> bool:
        """Whether these values are dropped this way."""
        return self.training and inputs.device.type == "cpu" and not torch.compiler.is_compiling()

    def forward(self, input: Tensor) -> Tensor:
        return input * scaled_mask(input, self.p) if self.takes(input) else super().forward(input)


def scaled_mask(values: Tensor, p: float) -> Tensor:
    """Of the shape, type and order in memory of `values`: 0 with probability `p`, else 1 / (1 - p)."""
    mask = (keep_mask(values.shape, p) * (1 / (1 - p))).to(values.dtype)
    dense = torch.empty_like(values, device="meta").stride()  # those of `values`, where no memory lies between them
    return mask if values.is_contiguous() else mask.flatten().as_strided(values.shape, dense)


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
