"""A temporal network on frames that keep coming: each layer keeps the inputs that it will need again.

Frame by frame that is the least work and no delay beyond the network's own; block by block it is the fastest way
through a long sequence on a CPU, because a block's activations stay in the cache.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from anypose.kernels import winograd
from anypose.kernels.linear import linear
from anypose.shapes import IO
from pose3d.lifting.temporal import FoldedConv, stack_taps

BLOCK = 486  # frames; activations of 1024 channels are 2 MB


class StreamingForm(nn.Module):
    """The network with its states in the open, so that the same graph runs under other runtimes, too.

    Args:
        layers: the first convolution, then two for each residual block, then the one that gives the joints.
        io: of the network itself.
        causal: where each block's shortcut lies.
        fast: compute kernels of three taps by Winograd's products where the number of frames allows it.
    """

    takes_states = True
    export_names: dict[str, str]
    export_sizes: dict[str, int]

    def __init__(self, layers: Sequence[FoldedConv], io: IO, causal: bool, fast: bool) -> None:
        super().__init__()
        self.causal = causal
        self.receptive_field = 1 + sum(layer.reach for layer in layers)
        self.layers = [(layer.width, layer.spacing, layer.reach) for layer in layers]
        self.state_shapes = [(layer.reach, layer.kernel.shape[2]) for layer in layers if layer.reach]
        self.network_io = io
        states = {f"state_{i}": ("B", *shape) for i, shape in enumerate(self.state_shapes)}
        joints = {name: ("B", "T", *shape[2:]) for name, shape in io.outputs.items()}
        self.io = IO(inputs=io.inputs | states, outputs=joints | {f"next_{name}": states[name] for name in states})
        self.fast = [fast and layer.width == 3 for layer in layers]
        for i, layer in enumerate(layers):
            self.register_buffer(f"matrix{i}", layer.kernel.flatten(1))
            self.register_buffer(f"bias{i}", layer.bias)
            if self.fast[i]:
                self.register_buffer(f"winograd{i}", winograd.transform(layer.kernel))

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

        def recall(features: Tensor, reach: int) -> Tensor:
            """The features behind those that this layer still needs; remember the last of them."""
            if not reach:
                return features
            features = torch.cat([before.pop(0), features], dim=1) if before else features
            after.append(features[:, -reach:])
            return features

        keypoints = keypoints.reshape(*keypoints.shape[:2], -1)
        features = torch.relu_(self._convolve(0, recall(keypoints, self.layers[0][2])))
        for i in range(1, len(self.layers) - 1, 2):
            reach = self.layers[i][2]
            features = recall(features, reach)
            inner = torch.relu_(self._convolve(i, features))
            inner = torch.relu_(self._convolve(i + 1, inner))
            first = reach if self.causal else reach // 2
            features = inner + (features[:, first:] if first == reach else features[:, first : first - reach])
        joints = self._convolve(len(self.layers) - 1, features)
        return joints.reshape(*joints.shape[:2], -1, 3), *after

    def _convolve(self, i: int, features: Tensor) -> Tensor:
        width, spacing, reach = self.layers[i]
        if self.fast[i] and (features.shape[1] - reach) % (2 * spacing) == 0:
            return winograd.convolve(features, getattr(self, f"winograd{i}"), getattr(self, f"bias{i}"), spacing)
        rows = stack_taps(features, width, spacing)
        return linear(rows, getattr(self, f"matrix{i}"), getattr(self, f"bias{i}"))


class ProductForm(nn.Module):
    """Whole sequences at once as plain matrix products, the form that int8 arithmetic is fast for."""

    def __init__(self, stream: StreamingForm) -> None:
        super().__init__()
        self.stream = stream

    def forward(self, keypoints: Tensor) -> Tensor:
        """(B, T, K, C) screen coordinates -> (B, T - R + 1, J, 3) joints [m]."""
        return self.stream(keypoints)[0]


class BlockwiseForm(nn.Module):
    """Whole sequences through a `StreamingForm`, some hundred frames at a time."""

    def __init__(self, stream: StreamingForm) -> None:
        super().__init__()
        self.stream = stream
        self.receptive_field, self.causal = stream.receptive_field, stream.causal
        self.io = stream.network_io
        # A multiple of twice every spacing, so that each layer's outputs come in pairs.
        pair = 2 * max(spacing for _, spacing, _ in stream.layers)
        self.block = max(pair, BLOCK // pair * pair)

    def forward(self, keypoints: Tensor) -> Tensor:
        """(B, T, K, C) screen coordinates -> (B, T - R + 1, J, 3) joints [m]."""
        first = self.block + self.stream.receptive_field - 1
        joints, *states = self.stream(keypoints[:, :first])
        blocks = [joints]
        for start in range(first, keypoints.shape[1], self.block):
            joints, *states = self.stream(keypoints[:, start : start + self.block], *states)
            blocks.append(joints)
        return torch.cat(blocks, dim=1)
