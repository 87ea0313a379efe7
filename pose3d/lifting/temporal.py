"""Convolutions over time: over a whole sequence, and over the one window that a sample of training is."""

from __future__ import annotations

import math
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TemporalConv(nn.Conv1d):
    """A convolution of W taps, `spacing` frames apart, without padding.

    Over a sequence it is dilated. In a window that gives one output, the frames between the taps are never needed: once
    the layers before have left them out the taps are neighbours, and the convolution has a stride of W.
    """

    def __init__(self, in_channels: int, out_channels: int, width: int, spacing: int = 1, bias: bool = False) -> None:
        super().__init__(in_channels, out_channels, width, dilation=spacing, bias=bias)
        self.width, self.spacing = width, spacing
        self.reach = (width - 1) * spacing  # frames by which an output over a sequence is shorter than the input

    def reset_parameters(self) -> None:
        """torch's own start of a Conv1d, drawn tap by tap: the order of drawing decides which weights a seed gives."""
        bound = 1 / math.sqrt(self.weight[0].numel())
        drawn = torch.empty_like(self.weight.transpose(1, 2), memory_format=torch.contiguous_format)
        with torch.no_grad():
            self.weight.copy_(drawn.uniform_(-bound, bound).transpose(1, 2))
            if self.bias is not None:
                self.bias.uniform_(-bound, bound)

    def forward(self, features: Tensor, strided: bool) -> Tensor:
        """(B, C_in, T) -> (B, C_out, T / W) strided, (B, C_out, T - reach) dilated."""
        return self.convolve(features, self.width, 1) if strided else self.convolve(features, 1, self.spacing)

    def convolve(self, features: Tensor, stride: int, dilation: int) -> Tensor:
        """Also of (B, C_in, T, 1), as a convolution of images with (W, 1) kernels: see `Dilated`."""
        if features.dim() == 4:
            kernel = self.weight.unsqueeze(-1)
            return F.conv2d(features, kernel, self.bias, (stride, 1), dilation=(dilation, 1))
        return F.conv1d(features, self.weight, self.bias, stride, dilation=dilation)

    def shortcut(self, features: Tensor, strided: bool, causal: bool) -> Tensor:
        """The input frames that the outputs are at: those under the middle tap, or under the last one if causal."""
        tap = self.width - 1 if causal else self.width // 2
        if strided:
            return self.pick(features, slice(tap, None, self.width))
        first, behind = tap * self.spacing, self.reach - tap * self.spacing
        return self.pick(features, slice(first, -behind if behind else None))

    def pick(self, features: Tensor, frames: slice) -> Tensor:
        """Some frames of (B, C, T)."""
        return features[:, :, frames]


class Network(Protocol):
    """A temporal network whose form can be told."""

    def lift(self, keypoints: Tensor, strided: bool, two_dimensional: bool) -> Tensor:
        """(B, T, K, C) -> (B, T', J, 3)."""
        ...


class Dilated(nn.Module):
    """A network over sequences of any length, a window's included: what is exported.

    Args:
        network: with its batch norms folded in.
        two_dimensional: (W, 1) kernels on (B, C, T, 1) in place of Conv1d, the form Ascend's compiler prefers. The same
            products in the same order.
    """

    def __init__(self, network: Network, two_dimensional: bool) -> None:
        super().__init__()
        self.network, self.two_dimensional = network, two_dimensional

    def forward(self, keypoints: Tensor) -> Tensor:
        """(B, T, K, C) screen coordinates -> (B, T - R + 1, J, 3) joints [m]."""
        return self.network.lift(keypoints, strided=False, two_dimensional=self.two_dimensional)
