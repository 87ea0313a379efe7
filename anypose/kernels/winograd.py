"""A convolution of three taps by four products for two outputs, where six would be done tap by tap: Winograd's F(2, 3).

With inputs x0 ... x3 one tap apart and a kernel (g0, g1, g2), the two outputs are

    y0 = m1 + m2 + m3      m1 = (x0 - x2) g0      m2 = (x1 + x2) (g0 + g1 + g2) / 2
    y1 = m2 - m3 - m4      m4 = (x1 - x3) g2      m3 = (x2 - x1) (g0 - g1 + g2) / 2

(Lavin and Gray, "Fast algorithms for convolutional neural networks", 2016.) Each product is a matrix product over all
frames, so a third of the time of a wide layer goes, and the rounding stays that of float32.
"""

from __future__ import annotations

import torch
from torch import Tensor

from anypose.kernels.linear import linear


def transform(kernel: Tensor) -> Tensor:
    """(C_out, 3, C_in) kernel -> (4, C_out, C_in) matrices, computed in float64."""
    first, middle, last = kernel.double().unbind(1)
    even, odd = (first + last) / 2, middle / 2
    return torch.stack([first, even + odd, even - odd, last]).to(kernel.dtype)


def convolve(features: Tensor, matrices: Tensor, bias: Tensor, spacing: int) -> Tensor:
    """The convolution without padding.

    Args:
        features: (B, T, C_in); T - 2 * spacing must be a multiple of 2 * spacing, so that every output has its twin.
        matrices: (4, C_out, C_in) from `transform`.
        bias: (C_out,).
        spacing: frames between two taps, and between the two outputs that share products.

    Returns:
        (B, T - 2 * spacing, C_out).
    """
    length = features.shape[1] - 2 * spacing
    pairs = (length // (2 * spacing), 2, spacing)
    x0, x1 = features[:, :length].unflatten(1, pairs).unbind(2)  # (B, pairs, spacing, C_in) each
    x2, x3 = features[:, 2 * spacing :].unflatten(1, pairs).unbind(2)
    m1 = linear(x0 - x2, matrices[0], bias)
    m2 = linear(x1 + x2, matrices[1])
    m3 = linear(x2 - x1, matrices[2])
    m4 = linear(x1 - x3, matrices[3])
    outputs = torch.empty(*m1.shape[:2], 2, *m1.shape[2:], dtype=m1.dtype, device=m1.device)
    torch.add(m1.add_(m2), m3, out=outputs[:, :, 0])
    torch.sub(m2.sub_(m3).add_(bias), m4, out=outputs[:, :, 1])
    return outputs.flatten(1, 3)
