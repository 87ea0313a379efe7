"""Batch norm, ReLU and dropout in one step: half the passes over memory that the three take one after the other.

What is left of the values says everything that the way back needs: where the output is zero, no gradient returns. So
neither the mask nor what was rectified is kept, and the factor of dropout goes into batch norm's own.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from anypose.kernels.dropout import PLACES, Dropout, keep_mask


def norm_relu_dropout(rows: Tensor, norm: nn.BatchNorm1d, dropout: Dropout) -> Tensor:
    """`dropout(relu(norm(rows)))` of (N, C).

    In training on a CPU in one step; elsewhere, where devices have kernels of their own, the three modules.
    """
    training = norm.training and norm.track_running_stats and dropout.training and len(rows) > 1
    packed = 0 < dropout.p < 1 and (dropout.p * 2**PLACES).is_integer()  # `keep_mask` can make the mask
    here = rows.device.type == "cpu" and norm.weight.dtype == torch.float32 and not torch.compiler.is_compiling()
    if not (training and packed and here):
        return dropout(torch.relu_(norm(rows)))
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked.add_(1)
    momentum = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
    statistics = norm.running_mean, norm.running_var
    return _NormReluDropout.apply(rows, norm.weight, norm.bias, *statistics, momentum, norm.eps, dropout.p)


class _NormReluDropout(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        rows: Tensor,
        weight: Tensor,
        bias: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
        momentum: float,
        eps: float,
        p: float,
    ) -> Tensor:
        ctx.factor, ctx.eps = 1 / (1 - p), eps
        scaled = weight * ctx.factor
        outputs, mean, inverse_std = torch.native_batch_norm(
            rows, scaled, bias * ctx.factor, running_mean, running_var, True, momentum, eps
        )
        outputs.clamp_min_(0).mul_(keep_mask(rows.shape, p))
        ctx.save_for_backward(rows, scaled, mean, inverse_std, outputs)
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor):
        rows, scaled, mean, inverse_std, outputs = ctx.saved_tensors
        gradient = torch.ops.aten.threshold_backward(gradient, outputs, 0)
        rows_gradient, weight_gradient, bias_gradient = torch.ops.aten.native_batch_norm_backward(
            gradient, rows, scaled, None, None, mean, inverse_std, True, ctx.eps, [True, True, True]
        )
        gradients = rows_gradient, weight_gradient * ctx.factor, bias_gradient * ctx.factor
        return *gradients, None, None, None, None, None
