"""Temporal convolutions: as matrix products for training, folded with their batch norm for use."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from anypose.kernels.linear import linear


class TapConv(nn.Module):
    """A temporal convolution without padding, as one matrix product over rows of frames.

    `weight` is (C_out, W, C_in), the last two exchanged against torch's Conv1d: the matrix of the product is a view of
    it. (A permuted view of Conv1d's shape will not do: fused optimisers pair memory, not indices.)
    """

    def __init__(self, in_channels: int, out_channels: int, width: int, spacing: int = 1, bias: bool = False) -> None:
        super().__init__()
        self.width, self.spacing = width, spacing
        bound = 1 / math.sqrt(width * in_channels)  # torch's own start of a Conv1d
        self.weight = nn.Parameter(torch.empty(out_channels, width, in_channels).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(out_channels).uniform_(-bound, bound)) if bias else None

    def forward(self, features: Tensor, strided: bool) -> Tensor:
        """(B, T, C_in) -> (B, T / W, C_out) in strided form, (B, T - (W - 1) * spacing, C_out) in dilated form."""
        rows = stack_taps(features, self.width, None if strided else self.spacing)
        return linear(rows, self.weight.flatten(1), self.bias)

    def shortcut(self, features: Tensor, strided: bool, causal: bool) -> Tensor:
        """The input frames that the outputs are at: those under the middle tap, or under the last one if causal."""
        tap = self.width - 1 if causal else self.width // 2
        if strided:
            return features[:, tap :: self.width]
        behind = (self.width - 1 - tap) * self.spacing
        return features[:, tap * self.spacing : features.shape[1] - behind]


def stack_taps(features: Tensor, width: int, spacing: int | None) -> Tensor:
    """The rows a convolution of `width` taps multiplies with its matrix.

    Args:
        features: (B, T, C).
        width: W, the number of taps.
        spacing: frames between two taps of the dilated form; None for the strided form, whose windows do not overlap.

    Returns:
        (B, T / W, W * C) in strided form, (B, T - (W - 1) * spacing, W * C) in dilated form.
    """
    if width == 1:
        return features
    B, T, C = features.shape
    if spacing is None:
        return features.reshape(B, T // width, width * C)
    length = T - (width - 1) * spacing
    return torch.cat([features[:, tap * spacing : tap * spacing + length] for tap in range(width)], dim=-1)


@dataclass(frozen=True, eq=False)
class FoldedConv:
    """A convolution in use: its batch norm is part of it.

    Attributes:
        kernel: (C_out, W, C_in).
        bias: (C_out,).
        spacing: frames between two taps.
    """

    kernel: Tensor
    bias: Tensor
    spacing: int

    @property
    def width(self) -> int:
        return self.kernel.shape[1]

    @property
    def reach(self) -> int:
        """How many frames shorter the output is than the input."""
        return (self.width - 1) * self.spacing


@torch.no_grad()
def fold(conv: TapConv, norm: nn.BatchNorm1d | None = None) -> FoldedConv:
    """Make one convolution of a convolution and the batch norm behind it, computed in float64."""
    kernel = conv.weight.double().cpu()
    bias = kernel.new_zeros(len(kernel)) if conv.bias is None else conv.bias.double().cpu()
    if norm is not None:
        state = {name: tensor.double().cpu() for name, tensor in norm.state_dict().items()}
        scale = state["weight"] / torch.sqrt(state["running_var"] + norm.eps)
        kernel = kernel * scale[:, None, None]
        bias = (bias - state["running_mean"]) * scale + state["bias"]
    return FoldedConv(kernel.float(), bias.float(), conv.spacing)


class ConvolutionForm(nn.Module):
    """The network as the layers that graph compilers know: Conv, Relu, Slice and Add. For export.

    Args:
        layers: the first convolution, then two for each residual block, then the one that gives the joints.
        causal: where each block's shortcut lies.
        two_dimensional: (k, 1) kernels on (B, C, T, 1) in place of Conv1d, the form Ascend's compiler prefers.
            The same products in the same order.
    """

    def __init__(self, layers: Sequence[FoldedConv], causal: bool, two_dimensional: bool) -> None:
        super().__init__()
        self.causal, self.two_dimensional = causal, two_dimensional
        self.convolutions = nn.ModuleList(self._convolution(layer) for layer in layers)
        self.reaches = [layer.reach for layer in layers]

    def _convolution(self, layer: FoldedConv) -> nn.Module:
        C_out, width, C_in = layer.kernel.shape
        kernel = layer.kernel.permute(0, 2, 1)
        if self.two_dimensional:
            conv = nn.Conv2d(C_in, C_out, (width, 1), dilation=(layer.spacing, 1))
            kernel = kernel.unsqueeze(-1)
        else:
            conv = nn.Conv1d(C_in, C_out, width, dilation=layer.spacing)
        assert conv.bias is not None
        conv.weight.data.copy_(kernel)
        conv.bias.data.copy_(layer.bias)
        return conv

    def forward(self, keypoints: Tensor) -> Tensor:
        """(B, T, K, C) screen coordinates -> (B, T - R + 1, J, 3) joints [m]."""
        features = keypoints.reshape(*keypoints.shape[:2], -1).permute(0, 2, 1)
        if self.two_dimensional:
            features = features.unsqueeze(-1)
        features = torch.relu(self.convolutions[0](features))
        for i in range(1, len(self.convolutions) - 1, 2):
            reach = self.reaches[i]
            first = reach if self.causal else reach // 2
            shortcut = features[:, :, first:] if first == reach else features[:, :, first : first - reach]
            inner = torch.relu(self.convolutions[i](features))
            features = shortcut + torch.relu(self.convolutions[i + 1](inner))
        joints = self.convolutions[-1](features)
        if self.two_dimensional:
            joints = joints.squeeze(-1)
        joints = joints.permute(0, 2, 1)
        return joints.reshape(*joints.shape[:2], -1, 3)
