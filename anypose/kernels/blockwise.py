"""Whole sequences through a network's streaming form: some hundred frames at a time stay in a CPU's cache."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

BLOCK = 486  # frames; activations of 1024 channels are 2 MB


class Blockwise(nn.Module):
    """A streaming form as a network for sequences.

    Args:
        stream: takes (B, T, ...) and its states, gives the outputs that have become computable and the next states; has
            `convolutions` with a `spacing`, the `receptive_field`, and says in `io` what it takes and gives.
    """

    def __init__(self, stream: Any) -> None:
        super().__init__()
        self.stream = stream
        self.receptive_field, self.causal, self.io = stream.receptive_field, stream.causal, stream.network_io
        # A multiple of twice every spacing, so that each layer's outputs come in pairs.
        pair = 2 * max(conv.spacing for conv in stream.convolutions)
        self.block = max(pair, BLOCK // pair * pair)

    def forward(self, keypoints: Tensor) -> Tensor:
        """(B, T, K, C) screen coordinates -> (B, T - R + 1, J, 3) joints [m]."""
        first = self.block + self.receptive_field - 1
        joints, *states = self.stream(keypoints[:, :first])
        blocks = [joints]
        for start in range(first, keypoints.shape[1], self.block):
            joints, *states = self.stream(keypoints[:, start : start + self.block], *states)
            blocks.append(joints)
        return torch.cat(blocks, dim=1)
