"""The matrix product of the lifting networks, with the weight clip inside and oneDNN where that is the faster library.

PyTorch sends fp32 `addmm` to MKL, which takes its AVX2 path on AMD: oneDNN's AVX-512 path is twice as fast there
forward and backward, and as fast as MKL elsewhere. One operator reaches it. It is private, so it is tried once before
it is used; where it is missing or wrong, on other devices, and under torch.compile and export, the plain form runs.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


def linear(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`inputs` (..., C_in) times the matrix `weight` (C_out, C_in), plus `bias` (C_out,)."""
    if _onednn_type(inputs, weight) is None:
        return F.linear(inputs, weight, bias)
    return clipped_linear(inputs.flatten(0, -2), weight, bias, None).unflatten(0, inputs.shape[:-1])


def clipped_linear(inputs: Tensor, weight: Tensor, bias: Tensor | None, max_norm: float | None) -> Tensor:
    """`inputs` times the matrix, the matrix scaled down to a Frobenius norm of at most `max_norm`, plus `bias`.

    The gradient runs through the norm, as in the source (tf.clip_by_norm inside the graph).

    Args:
        inputs: (N, C_in).
        weight: (C_out, C_in).
        bias: (C_out,).
        max_norm: largest norm over the entire matrix, None for no clip.

    Returns:
        (N, C_out).
    """
    dtype = _onednn_type(inputs, weight)
    if dtype is not None:
        return _Linear.apply(inputs, weight, bias, max_norm, dtype)
    return plain_linear(inputs, weight, bias, max_norm)


def plain_linear(inputs: Tensor, weight: Tensor, bias: Tensor | None, max_norm: float | None) -> Tensor:
    """`clipped_linear` in PyTorch's own operators.

    The product is scaled in place of the matrix: the same number without a second matrix in memory.
    """
    if max_norm is None:
        return F.linear(inputs, weight, bias)
    scale = max_norm / frobenius_norm(weight).clamp(min=max_norm)
    product = F.linear(inputs, weight)
    if bias is None:
        return product * scale.to(product.dtype)
    return torch.addcmul(bias.to(product.dtype), product, scale.to(product.dtype))


def frobenius_norm(weight: Tensor) -> Tensor:
    """() the norm of the entire matrix, in fp32 for a matrix in half precision."""
    return torch.linalg.vector_norm(weight, dtype=torch.promote_types(weight.dtype, torch.float32))


class _Linear(torch.autograd.Function):
    """s x W^T + b with s = min(1, max_norm / |W|), by oneDNN.

    Backward, with G the gradient of the output: dx = s G W and, because s depends on W, dW = s G^T x - c W with
    c = <G, s x W^T> / |W|^2 where the clip is active. That inner product needs the small output, not the matrix.
    """

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None, max_norm: float | None, dtype: torch.dtype
    ) -> Tensor:
        matrix, inputs = weight.to(dtype), inputs.to(dtype)
        ctx.norm = 0.0 if max_norm is None else float(frobenius_norm(weight))
        ctx.scale = 1.0 if max_norm is None else max_norm / max(ctx.norm, max_norm)
        ctx.clipped = ctx.scale < 1
        outputs = _product(
            inputs * ctx.scale if ctx.clipped else inputs, matrix, None if bias is None else bias.to(dtype)
        )
        ctx.save_for_backward(inputs, weight, matrix, bias, outputs if ctx.clipped else None)
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor):
        inputs, weight, matrix, bias, outputs = ctx.saved_tensors
        bias_gradient = None if bias is None else gradient.sum(0, dtype=bias.dtype)
        scaled = gradient * ctx.scale if ctx.clipped else gradient
        inputs_gradient = _product(scaled, matrix.t()) if ctx.needs_input_grad[0] else None
        weight_gradient = _outer(scaled, inputs).to(weight.dtype)
        if ctx.clipped:
            along = torch.dot(gradient.float().flatten(), outputs.float().flatten())
            if bias is not None and bias_gradient is not None:
                along -= torch.dot(bias_gradient, bias)
            weight_gradient.add_(weight, alpha=-float(along) / ctx.norm**2)
        return inputs_gradient, weight_gradient, bias_gradient, None, None


def _product(inputs: Tensor, matrix: Tensor, bias: Tensor | None = None) -> Tensor:
    """inputs @ matrix.T + bias; transposed views are taken as they are."""
    return torch.ops.mkldnn._linear_pointwise(inputs, matrix, bias, "none", [], "")


def _outer(left: Tensor, right: Tensor) -> Tensor:
    """left.T @ right. The first factor of a product is copied when it is transposed: let it be the smaller one."""
    if left.shape[1] <= right.shape[1]:
        return _product(left.t(), right.t())
    return _product(right.t(), left.t()).t()


def _onednn_type(inputs: Tensor, weight: Tensor) -> torch.dtype | None:
    """The type to compute in with oneDNN, None where the plain form must do."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return None
    if inputs.device.type != "cpu" or weight.dtype != torch.float32 or inputs.shape[0] == 0:
        return None
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else inputs.dtype
    return dtype if dtype in (torch.float32, torch.bfloat16) and onednn_is_right(dtype) else None


@cache
@torch.no_grad()
@torch.autocast("cpu", enabled=False)
def onednn_is_right(dtype: torch.dtype) -> bool:
    """Whether this CPU has AVX-512 and the private operator exists and agrees with F.linear, transposed views too."""
    if torch.backends.cpu.get_cpu_capability() != "AVX512" or not torch.backends.mkldnn.is_available():
        return False
    inputs = torch.linspace(-1, 1, 5 * 7).sin().view(5, 7)
    matrix, bias = torch.linspace(-2, 3, 3 * 7).cos().view(3, 7), torch.linspace(0, 1, 3)
    expected = inputs @ matrix.t() + bias
    views = (inputs.to(dtype), inputs.to(dtype).t().contiguous().t())
    matrices = (matrix.to(dtype), matrix.to(dtype).t().contiguous().t())
    try:
        found = [_product(x, w, bias.to(dtype)).float() for x in views for w in matrices]
    except (AttributeError, RuntimeError):  # no such operator, or no such type on this CPU
        return False
    tolerance = 1e-5 if dtype == torch.float32 else 0.05
    return all(torch.allclose(each, expected, rtol=tolerance, atol=tolerance) for each in found)
