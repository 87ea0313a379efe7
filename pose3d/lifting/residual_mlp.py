"""The parts of 3d-pose-baseline's network: standardisation, clipped layers, TensorFlow's batch norm, the trunk.

Martinez et al., "A simple yet effective baseline for 3d human pose estimation", ICCV 2017, figure 2.
"""

from __future__ import annotations

import copy
import math
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anypose.settings import check_range

LARGEST_NORM = 1e30  # float32 holds it
Network = TypeVar("Network", bound=nn.Module)


class Standardise(nn.Module):
    """Subtract the mean and divide by the standard deviation, both buffers: they ship with the weights.

    `precise` keeps the buffers in float32 under every precision: half a pixel is float16's resolution at 600 px.
    """

    precise = True
    mean: Tensor
    std: Tensor

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("std", torch.ones(shape))

    @torch.no_grad()
    def fit(self, samples: Tensor) -> None:
        """Take mean and (population) standard deviation over the first dimension of `samples`.

        A coordinate that never changes says nothing; it keeps a divisor of 1.
        """
        std, mean = torch.std_mean(samples, dim=0, correction=0)
        self.mean.copy_(mean)
        self.std.copy_(torch.where(std > 0, std, torch.ones_like(std)))

    def forward(self, values: Tensor) -> Tensor:
        return (values.float() - self.mean) / self.std

    def undo(self, values: Tensor) -> Tensor:
        """The inverse of `forward`."""
        return values.float() * self.std + self.mean


class ClippedLinear(nn.Linear):
    """A linear layer whose whole matrix has a Frobenius norm of at most `max_weight_norm` in every forward pass.

    This is the source's "max-norm": not per row, not on the bias, active in training and in use, and the stored
    matrix is never projected. Weights *and* biases start from a normal distribution cut at two sigmas, with sigma
    sqrt(2 / fan_in) for the matrix and sqrt(2 / C_out) for the bias, as the source draws them.
    """

    def __init__(self, in_features: int, out_features: int, max_weight_norm: float | None) -> None:
        super().__init__(in_features, out_features)
        self.max_weight_norm = max_weight_norm

    def reset_parameters(self) -> None:
        for parameter, count in ((self.weight, self.in_features), (self.bias, self.out_features)):
            sigma = math.sqrt(2 / count)
            nn.init.trunc_normal_(parameter, std=sigma, a=-2 * sigma, b=2 * sigma)

    def forward(self, inputs: Tensor) -> Tensor:
        inputs = inputs.to(self.weight.dtype)
        if self.max_weight_norm is None:
            return super().forward(inputs)
        # s (x W^T) + b for x (s W)^T + b. The gradient runs through the norm, as in the source (tf.clip_by_norm).
        scale = self.max_weight_norm / self.norm().clamp(min=self.max_weight_norm)
        product = F.linear(inputs, self.weight)
        return torch.addcmul(self.bias.to(product.dtype), product, scale.to(product.dtype))

    def norm(self) -> Tensor:
        """() the norm of the entire matrix, in fp32 for a matrix in half precision."""
        return torch.linalg.vector_norm(self.weight, dtype=torch.promote_types(self.weight.dtype, torch.float32))

    @torch.no_grad()
    def bake(self) -> None:
        """Write the clipped matrix into the stored one and stop clipping: the same outputs, one product less."""
        if self.max_weight_norm is not None:
            self.weight.mul_(self.max_weight_norm / self.norm().clamp(min=self.max_weight_norm))
            self.max_weight_norm = None


class BatchNorm(nn.BatchNorm1d):
    """Batch norm whose running variance is the batch's own (biased) variance, as in TensorFlow.

    PyTorch keeps the unbiased one, larger by N / (N - 1). `momentum` is PyTorch's: 0.01 is TensorFlow's 0.99. It is
    fixed, so batches are not counted (`num_batches_tracked` stays 0).
    """

    num_batches_tracked: Tensor
    running_mean: Tensor
    running_var: Tensor
    momentum: float

    def forward(self, inputs: Tensor) -> Tensor:
        count = inputs.shape[0]
        if not self.training or count == 1:  # a batch of one is PyTorch's to refuse
            return super().forward(inputs)
        # PyTorch does running = (1 - m) running + m variance N / (N - 1): take that factor in before and out after.
        running_var = self.running_var * (count / (count - 1))
        outputs = F.batch_norm(
            inputs, self.running_mean, running_var, self.weight, self.bias, True, self.momentum, self.eps
        )
        with torch.no_grad():
            torch.mul(running_var, (count - 1) / count, out=self.running_var)
        return outputs


class Layer(nn.Sequential):
    """Linear, batch norm, ReLU, dropout. (N, C_in) -> (N, C_out)."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        dropout: float,
        batch_norm: bool,
        batch_norm_eps: float,
        max_weight_norm: float | None,
    ) -> None:
        super().__init__()
        self.linear = ClippedLinear(in_features, out_features, max_weight_norm)
        if batch_norm:
            self.norm = BatchNorm(out_features, eps=batch_norm_eps, momentum=0.01)
        self.activation = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(dropout)


class ResidualMLP(nn.Module):
    """The trunk: one layer up to `linear_size`, then `num_blocks` blocks of two layers with a shortcut.

    The shortcut is added after the second layer's ReLU and dropout; nothing follows the sum. The first layer has
    no shortcut.
    """

    def __init__(
        self,
        in_features: int,
        *,
        linear_size: int,
        num_blocks: int,
        dropout: float,
        batch_norm: bool,
        batch_norm_eps: float,
        residual: bool,
        max_weight_norm: float | None,
    ) -> None:
        super().__init__()
        check_range("model", 1, math.inf, linear_size=linear_size)
        check_range("model", 0, math.inf, num_blocks=num_blocks)
        check_range("model", 0, 1, dropout=dropout)
        check_range("model", 0, math.inf, without_low=True, batch_norm_eps=batch_norm_eps)
        if max_weight_norm is not None:
            check_range("model", 0, LARGEST_NORM, without_low=True, max_weight_norm=max_weight_norm)

        def layer(width: int) -> Layer:
            return Layer(
                width,
                linear_size,
                dropout=dropout,
                batch_norm=batch_norm,
                batch_norm_eps=batch_norm_eps,
                max_weight_norm=max_weight_norm,
            )

        self.residual = residual
        self.stem = layer(in_features)
        self.blocks = nn.ModuleList(nn.Sequential(layer(linear_size), layer(linear_size)) for _ in range(num_blocks))

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, C_in) -> (N, linear_size)."""
        features = self.stem(inputs)
        for block in self.blocks:
            features = features + block(features) if self.residual else block(features)
        return features


def bake_weights(network: Network) -> Network:
    """A copy with every weight clip written into the weights: the same outputs, ready to export."""
    network = copy.deepcopy(network)
    for module in network.modules():
        if isinstance(module, ClippedLinear):
            module.bake()
    return network
