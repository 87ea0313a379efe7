"""Linear layers, also with a clip of the weight's norm: the way back by hand, the products by torch or by oneDNN.

PyTorch sends fp32 `addmm` to MKL, which takes its AVX2 path on AMD: oneDNN's AVX-512 path is twice as fast there. One
operator reaches it. It is private, so it is tried once before it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Product = Callable[..., Tensor]  # inputs @ matrix.T + bias; transposed views are taken as they are


class LinearByHand(nn.Linear):
    """A layer whose way back is written out: that of a weight clip (`max_weight_norm`) needs no second matrix then."""

    product: Product = staticmethod(F.linear)
    own_outer = False  # whether the weight's gradient is left to torch

    @classmethod
    def suits(cls, module: nn.Module) -> bool:
        """Layers whose `forward` is known; with torch's own products only those with a clip have something to gain."""
        clipped = isinstance(module, nn.Linear) and getattr(module, "max_weight_norm", None) is not None
        if cls.product is F.linear:
            return clipped
        return (clipped or type(module) is nn.Linear) and onednn_is_right(torch.float32)

    def takes(self, input: Tensor) -> bool:
        """Whether these inputs are multiplied this way."""
        if torch.compiler.is_compiling() or torch.jit.is_tracing() or input.device.type != "cpu" or not len(input):
            return False
        dtype = computes_in(input)
        known = self.weight.dtype == torch.float32 and dtype in (torch.float32, torch.bfloat16)
        return known and (self.product is F.linear or onednn_is_right(dtype))

    def forward(self, input: Tensor) -> Tensor:
        if not self.takes(input):
            return super().forward(input)
        limit, rows = getattr(self, "max_weight_norm", None), input.flatten(0, -2)
        products = self.product, F.linear if self.own_outer else self.product
        outputs: Any = _Linear.apply(rows, self.weight, self.bias, limit, computes_in(input), products)
        return outputs.unflatten(0, input.shape[:-1])


class LinearByRows(LinearByHand):
    """With the gradient of the weight left to torch.

    Thousands of rows are summed up in it for a small matrix, which oneDNN is slow at: on AVX2 it takes twice MKL's time
    for 7344 rows of 64 channels.
    """

    own_outer = True


def computes_in(input: Tensor) -> torch.dtype:
    """The type that a product of `input` on a CPU is made in."""
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else input.dtype


def onednn_product(inputs: Tensor, matrix: Tensor, bias: Tensor | None = None) -> Tensor:
    """inputs @ matrix.T + bias by oneDNN."""
    return torch.ops.mkldnn._linear_pointwise(inputs, matrix, bias, "none", [], "")


class Products(torch.autograd.Function):
    """x W^T + b of (N, C_in) by any way to multiply matrices, which also makes the way back."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None, product: Product) -> Tensor:
        ctx.product = product
        ctx.save_for_backward(inputs, weight)
        return product(inputs, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor):
        inputs, weight = ctx.saved_tensors
        of_inputs = ctx.product(gradient, weight.t()) if ctx.needs_input_grad[0] else None
        of_weight = outer(ctx.product, gradient, inputs) if ctx.needs_input_grad[1] else None
        return of_inputs, of_weight, gradient.sum(0) if ctx.needs_input_grad[2] else None, None


class _Linear(torch.autograd.Function):
    """s x W^T + b with s = min(1, max_norm / |W|).

    Backward, with G the gradient of the output: dx = s G W and, because s depends on W, dW = s G^T x - c W with
    c = <G, s x W^T> / |W|^2 where the clip is active. That inner product needs the small output, not the matrix.
    """

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        max_norm: float | None,
        dtype: torch.dtype,
        products: tuple[Product, Product],
    ) -> Tensor:
        matrix, inputs = weight.to(dtype), inputs.to(dtype)
        ctx.products = products
        ctx.norm = 0.0 if max_norm is None else float(torch.linalg.vector_norm(weight))
        ctx.scale = 1.0 if max_norm is None else max_norm / max(ctx.norm, max_norm)
        ctx.clipped = ctx.scale < 1
        outputs = products[0](
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
        product, of_outer = ctx.products
        inputs_gradient = product(scaled, matrix.t()) if ctx.needs_input_grad[0] else None
        weight_gradient = outer(of_outer, scaled, inputs).to(weight.dtype)
        if ctx.clipped:
            along = torch.dot(gradient.float().flatten(), outputs.float().flatten())
            if bias is not None and bias_gradient is not None:
                along -= torch.dot(bias_gradient, bias)
            weight_gradient.add_(weight, alpha=-float(along) / ctx.norm**2)
        return inputs_gradient, weight_gradient, bias_gradient, None, None, None


def outer(product: Product, left: Tensor, right: Tensor) -> Tensor:
    """left.T @ right. The first factor of a product is copied when it is transposed: let it be the smaller one."""
    if left.shape[1] <= right.shape[1]:
        return product(left.t(), right.t())
    return product(right.t(), left.t()).t()


@cache
@torch.no_grad()
@torch.autocast("cpu", enabled=False)
def onednn_is_right(dtype: torch.dtype) -> bool:
    """Whether the private operator exists and agrees with F.linear, transposed views too."""
    if not torch.backends.mkldnn.is_available():
        return False
    inputs = torch.linspace(-1, 1, 5 * 7).sin().view(5, 7)
    matrix, bias = torch.linspace(-2, 3, 3 * 7).cos().view(3, 7), torch.linspace(0, 1, 3)
    expected = inputs @ matrix.t() + bias
    views = (inputs.to(dtype), inputs.to(dtype).t().contiguous().t())
    matrices = (matrix.to(dtype), matrix.to(dtype).t().contiguous().t())
    try:
        found = [onednn_product(x, w, bias.to(dtype)).float() for x in views for w in matrices]
    except (AttributeError, RuntimeError):  # no such operator, or no such type on this CPU
        return False
    tolerance = 1e-5 if dtype == torch.float32 else 0.05
    return all(torch.allclose(each, expected, rtol=tolerance, atol=tolerance) for each in found)
