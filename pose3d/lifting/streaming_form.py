"""A temporal network on frames that keep coming: each layer keeps the inputs that it will need again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from anypose.shapes import IO
from pose3d.lifting.temporal import TemporalConv


class StreamingForm(nn.Module):
    """The network with its states in the open, so that the same graph runs under other runtimes, too.

    Args:
        convolutions: the first, then two for each residual block, then the one that gives the joints.
        io: of the network itself.
        causal: where each block's shortcut lies.
    """

    takes_states = True
    export_names: dict[str, str]
    export_sizes: dict[str, int]

    def __init__(self, convolutions: Sequence[TemporalConv], io: IO, causal: bool) -> None:
        super().__init__()
        self.causal = causal
        self.convolutions = nn.ModuleList(convolutions)
        self.receptive_field = 1 + sum(conv.reach for conv in convolutions)
        self.state_shapes = [(conv.reach, conv.in_channels) for conv in convolutions if conv.reach]
        self.network_io = io
        states = {f"state_{i}": ("B", *shape) for i, shape in enumerate(self.state_shapes)}
        joints = {name: ("B", "T", *shape[2:]) for name, shape in io.outputs.items()}
        self.io = IO(inputs=io.inputs | states, outputs=joints | {f"next_{name}": states[name] for name in states})

    def forward(self, keypoints: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """One block of frames, or a single one.

        Args:
            keypoints: (B, T, K, C) screen coordinates of the next T frames.
            states: (B, reach, C_in) for each of `state_shapes`, oldest frame first; none before the first frame.

        Returns:
            (B, T, J, 3) joints [m] of the frames that have just become computable; without states R - 1 fewer. Then the
            states to pass with the next block.
        """
        before, after = list(states), []

        def recall(features: Tensor, conv: TemporalConv) -> Tensor:
            """The features behind those that this layer still needs; remember the last of them."""
            if not conv.reach:
                return features
            features = torch.cat([before.pop(0), features], dim=1) if before else features
            after.append(features[:, -conv.reach :])
            return features

        def convolve(features: Tensor, conv: TemporalConv) -> Tensor:
            return conv(features.transpose(1, 2), strided=False).transpose(1, 2)

        first, *blocks, last = cast("Sequence[TemporalConv]", list(self.convolutions))
        features = torch.relu(convolve(recall(keypoints.reshape(*keypoints.shape[:2], -1), first), first))
        for wide, narrow in zip(blocks[::2], blocks[1::2], strict=True):
            features = recall(features, wide)
            inner = torch.relu(convolve(torch.relu(convolve(features, wide)), narrow))
            features = inner + wide.shortcut(features.transpose(1, 2), False, self.causal).transpose(1, 2)
        joints = convolve(features, last)
        return joints.reshape(*joints.shape[:2], -1, 3), *after
