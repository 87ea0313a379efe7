"""The matrix product of the lifting networks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def clipped_linear(inputs: Tensor, weight: Tensor, bias: Tensor, max_norm: float | None) -> Tensor:
    """`inputs` times the matrix, the matrix scaled down to a Frobenius norm of at most `max_norm`, plus `bias`.

    The product is scaled in place of the matrix: the same number without a second matrix in memory. The gradient
    runs through the norm, as in the source (tf.clip_by_norm inside the graph).

    Args:
        inputs: (N, C_in).
        weight: (C_out, C_in).
        bias: (C_out,).
        max_norm: largest norm over the entire matrix, None for no clip.

    Returns:
        (N, C_out).
    """
    if max_norm is None:
        return F.linear(inputs, weight, bias)
    norm = torch.linalg.vector_norm(weight, dtype=torch.float32)
    scale = max_norm / norm.clamp(min=max_norm)
    product = F.linear(inputs, weight)
    return torch.addcmul(bias.to(product.dtype), product, scale.to(product.dtype))
