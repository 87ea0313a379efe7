"""The plain way with a temporal network: Conv1d on (B, C, T), batch norm, ReLU and dropout one by one, plain Adam."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class TemporalNetwork(nn.Module):
    """VideoPose3D's network from torch's own layers, with its weights' names; one class for its two.

    Args:
        kernel_sizes: of the convolutions.
        strided: one pose from one window, as it is trained; else dilated, one pose per frame, as it is used.
        dropout: probability of dropping.
    """

    def __init__(self, kernel_sizes: list[int], strided: bool, dropout: float = 0.25) -> None:
        super().__init__()
        self.kernel_sizes, self.strided = kernel_sizes, strided
        self.expand_conv = self.convolution(34, kernel_sizes[0], 1)
        self.expand_bn = nn.BatchNorm1d(1024)
        self.layers_conv, self.layers_bn = nn.ModuleList(), nn.ModuleList()
        for i, width in enumerate(kernel_sizes[1:], start=1):
            self.layers_conv.append(self.convolution(1024, width, math.prod(kernel_sizes[:i])))
            self.layers_conv.append(nn.Conv1d(1024, 1024, 1, bias=False))
            self.layers_bn.extend([nn.BatchNorm1d(1024), nn.BatchNorm1d(1024)])
        self.shrink = nn.Conv1d(1024, 51, 1)
        self.relu, self.dropout = nn.ReLU(inplace=True), nn.Dropout(dropout)

    def convolution(self, channels: int, width: int, dilation: int) -> nn.Conv1d:
        """Strided or dilated."""
        if self.strided:
            return nn.Conv1d(channels, 1024, width, stride=width, bias=False)
        return nn.Conv1d(channels, 1024, width, dilation=dilation, bias=False)

    def forward(self, keypoints: Tensor) -> Tensor:
        """(B, T, 17, 2) -> (B, 1 or T - R + 1, 17, 3)."""
        features = keypoints.flatten(2).permute(0, 2, 1)
        features = self.dropout(self.relu(self.expand_bn(self.expand_conv(features))))
        for i, width in enumerate(self.kernel_sizes[1:]):
            inner = features
            for layer in (2 * i, 2 * i + 1):
                inner = self.dropout(self.relu(self.layers_bn[layer](self.layers_conv[layer](inner))))
            if self.strided:
                shortcut = features[:, :, width // 2 :: width]
            else:
                cut = (features.shape[2] - inner.shape[2]) // 2
                shortcut = features[:, :, cut : features.shape[2] - cut]
            features = shortcut + inner
        return self.shrink(features).permute(0, 2, 1).unflatten(2, (17, 3))


class TemporalStep:
    """Forward, `.item()`, backward, Adam with amsgrad; the loss is the mean distance."""

    def __init__(self, network: nn.Module, bf16: bool) -> None:
        self.network, self.bf16 = network.train(), bf16
        self.optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, amsgrad=True)
        self.device_type = next(network.parameters()).device.type
        self.total = 0.0

    def loss(self, keypoints: Tensor, joints: Tensor) -> Tensor:
        """The mean distance over joints and frames."""
        with torch.autocast(self.device_type, torch.bfloat16, enabled=self.bf16):
            predicted = self.network(keypoints)
        return (predicted.float() - joints).norm(dim=-1).mean()

    def __call__(self, keypoints: Tensor, joints: Tensor) -> None:
        self.optimizer.zero_grad()
        loss = self.loss(keypoints, joints)
        self.total += loss.item() * len(keypoints)
        loss.backward()
        self.optimizer.step()


def multiplications(kernel_sizes: list[int], strided: bool) -> float:
    """Multiply-adds for one pose: of one window alone, or of a long sequence that shares them."""
    frames = math.prod(kernel_sizes)
    total = 0.0
    channels = 34
    for i, width in enumerate(kernel_sizes):
        frames //= width
        total += (frames if strided else 1) * 1024 * (width * channels + (1024 if i else 0))
        channels = 1024
    return total + 1024 * 51
