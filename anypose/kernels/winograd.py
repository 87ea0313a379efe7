"""A convolution of three taps by four products for two outputs, where six would be done tap by tap: Winograd's F(2, 3).

With inputs x0 ... x3 one tap apart and a kernel (g0, g1, g2), the two outputs are

    y0 = m1 + m2 + m3      m1 = (x0 - x2) g0      m2 = (x1 + x2) (g0 + g1 + g2) / 2
    y1 = m2 - m3 - m4      m4 = (x1 - x3) g2      m3 = (x2 - x1) (g0 - g1 + g2) / 2

(Lavin and Gray, "Fast algorithms for convolutional neural networks", 2016.) Each product is a matrix product over all
frames, so a third of the time of a wide layer goes, and the rounding stays that of float32.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from anypose.kernels.temporal import ConvByProducts, kept


class ConvByWinograd(ConvByProducts):
    """In use, over as many frames as make pairs; otherwise one product."""

    def takes(self, features: Tensor, *_others: Any) -> bool:
        """Nothing in training."""
        return not torch.is_grad_enabled() and super().takes(features)

    def pairs(self, features: Tensor, stride: int, dilation: int) -> bool:
        """Whether every output has its twin."""
        length = features.shape[2] - 2 * dilation
        whole = length > 0 and length % (2 * dilation) == 0
        plain = features.dtype == self.weight.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
        quiet = not torch.is_grad_enabled() and not torch.jit.is_tracing() and not torch.compiler.is_compiling()
        return self.kernel_size == (3,) and stride == 1 and whole and plain and quiet

    def convolve(self, features: Tensor, stride: int, dilation: int) -> Tensor:
        """(B, C_in, T) -> (B, C_out, T')."""
        if features.dim() != 3 or not self.pairs(features, stride, dilation):
            return super().convolve(features, stride, dilation)
        matrices = kept(self, "_winograd", lambda: transform(self.weight))
        rows = features.transpose(1, 2)
        return convolve(rows, matrices, self.bias, dilation, self.multiply).transpose(1, 2)


def transform(kernel: Tensor) -> Tensor:
    """(C_out, C_in, 3) kernel -> (4, C_out, C_in) matrices, computed in float64."""
    first, middle, last = kernel.double().unbind(2)
    even, odd = (first + last) / 2, middle / 2
    return torch.stack([first, even + odd, even - odd, last]).to(kernel.dtype)


def convolve(features: Tensor, matrices: Tensor, bias: Tensor | None, spacing: int, multiply: Any) -> Tensor:
    """The convolution without padding.

    Args:
        features: (B, T, C_in); T - 2 * spacing must be a multiple of 2 * spacing, so that every output has its twin.
        matrices: (4, C_out, C_in) from `transform`.
        bias: (C_out,) or None.
        spacing: frames between two taps, and between the two outputs that share products.
        multiply: makes products of rows and a matrix, plus a bias.

    Returns:
        (B, T - 2 * spacing, C_out).
    """
    length = features.shape[1] - 2 * spacing
    pairs = (length // (2 * spacing), 2, spacing)
    x0, x1 = features[:, :length].unflatten(1, pairs).unbind(2)  # (B, pairs, spacing, C_in) each
    x2, x3 = features[:, 2 * spacing :].unflatten(1, pairs).unbind(2)
    m1, m2 = multiply(x0 - x2, matrices[0], None), multiply(x1 + x2, matrices[1], bias)
    m3, m4 = multiply(x2 - x1, matrices[2], None), multiply(x1 - x3, matrices[3], None)
    outputs = torch.empty(*m1.shape[:2], 2, *m1.shape[2:], dtype=m1.dtype, device=m1.device)
    torch.add(m1.add_(m2), m3, out=outputs[:, :, 0])
    torch.sub(m2.sub_(m3), m4, out=outputs[:, :, 1])
    return outputs.flatten(1, 3)
