"""Convolutions over time as products: the features of all taps side by side, times a (C_out, W C_in) matrix.

In memory features then lie as (B, T, C), seen as (B, C, T). A layer here is a Conv1d without padding with a method
`convolve(features, stride, dilation)`, and one to `pick` frames.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anypose.kernels.linear import Product, Products, onednn_is_right


class ConvByProducts(nn.Conv1d):
    """The convolution as one product."""

    product: Product = staticmethod(F.linear)

    @classmethod
    def suits(cls, module: nn.Module) -> bool:
        """Such convolutions, where the library's product is right."""
        known = isinstance(module, nn.Conv1d) and hasattr(module, "convolve")
        return known and (cls.product is F.linear or onednn_is_right(torch.float32))

    def takes(self, features: Tensor, *_others: Any) -> bool:
        """All but those of four dimensions, (B, C, T, 1), which ask for another form."""
        return features.dim() == 3

    @staticmethod
    def arrange(features: Tensor) -> Tensor:
        """(B, C, T) features as the layers before leave them, once they are replaced, too."""
        return features.transpose(1, 2).contiguous().transpose(1, 2)

    def convolve(self, features: Tensor, stride: int, dilation: int) -> Tensor:
        """(B, C_in, T) -> (B, C_out, T')."""
        if features.dim() != 3:
            return super().convolve(features, stride, dilation)  # pyright: ignore[reportAttributeAccessIssue]
        rows = stack_taps(features.transpose(1, 2), self.kernel_size[0], stride, dilation)
        if torch.is_grad_enabled() or torch.jit.is_tracing():
            matrix = self.weight.transpose(1, 2).flatten(1)
        else:
            matrix = kept(self, "_matrix", lambda: self.weight.transpose(1, 2).flatten(1).contiguous())
        return self.multiply(rows, matrix, self.bias).transpose(1, 2)

    def pick(self, features: Tensor, frames: slice) -> Tensor:
        """Some frames of (B, C, T). The way back fills memory in the order of what was sliced: let that be rows."""
        return features.transpose(1, 2)[:, frames].transpose(1, 2)

    def multiply(self, rows: Tensor, matrix: Tensor, bias: Tensor | None) -> Tensor:
        """(B, T, C) times the transpose of (C_out, C), by the library of this way where it takes the type."""
        here = rows.device.type == "cpu" and rows.dtype == matrix.dtype == torch.float32 and rows.numel() > 0
        seen = torch.compiler.is_compiling() or torch.jit.is_tracing() or torch.is_autocast_enabled("cpu")
        if self.product is F.linear or seen or not here:
            return F.linear(rows, matrix, bias)
        outputs: Any = Products.apply(rows.flatten(0, -2), matrix, bias, self.product)
        return outputs.unflatten(0, rows.shape[:-1])


class NormOfRows(nn.BatchNorm1d):
    """Batch norm of features that lie in memory as the products leave them: torch's kernel for rows."""

    def forward(self, input: Tensor) -> Tensor:
        if input.dim() != 3 or input.is_contiguous() or not input.transpose(1, 2).is_contiguous():
            return super().forward(input)
        B, C, T = input.shape
        return super().forward(input.transpose(1, 2).reshape(B * T, C)).view(B, T, C).transpose(1, 2)


def stack_taps(features: Tensor, width: int, stride: int, dilation: int) -> Tensor:
    """The rows that a convolution of `width` taps multiplies with its matrix.

    Args:
        features: (B, T, C).
        width: W, the number of taps.
        stride: 1, or W for windows that do not overlap: then nothing is copied.
        dilation: frames between two taps.

    Returns:
        (B, T', W * C).
    """
    if width == 1:
        return features
    B, T, C = features.shape
    if (stride, dilation) == (width, 1) and T % width == 0:
        return features.reshape(B, T // width, width * C)
    last = T - (width - 1) * dilation
    return torch.cat([features[:, tap * dilation : tap * dilation + last : stride] for tap in range(width)], dim=-1)


def kept(module: nn.Module, name: str, make: Any) -> Tensor:
    """What `make` gave at the first call, until the module's weight has changed."""
    weight: Any = module.weight
    key = weight.data_ptr(), None if weight.is_inference() else weight._version
    found = module.__dict__.get(name)
    if found is None or found[0] != key:
        found = module.__dict__[name] = key, make()
    return found[1]
