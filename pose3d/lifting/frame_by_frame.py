"""A temporal network on a CPU for frames that come one by one: each weight is read as rarely as can be.

With one frame at a time a matrix product is as fast as its matrix comes from memory. But only the newest tap of a
convolution waits for the frame that has just come. What earlier taps add to an output is known since `spacing` frames
or more, so those products are made for `spacing` frames together, and their matrices are read once for all. At 27
frames three fifths of the weights are read per frame.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pose3d.lifting.temporal import FoldedConv

FEW = 16  # rows
CACHED = 2**17  # weights that stay in a core's own cache


class FrameByFrame:
    """The network with the activations it will need again.

    Args:
        layers: the first convolution, then two for each residual block, then the one that gives the joints.
        causal: where each block's shortcut lies: under the last tap, else under the middle one.
        keypoint_shape: (K, C) of a frame.
    """

    def __init__(self, layers: Sequence[FoldedConv], causal: bool, keypoint_shape: tuple[int, int]) -> None:
        self.layers, self.causal, self.keypoint_shape = layers, causal, keypoint_shape
        self.receptive_field = 1 + sum(layer.reach for layer in layers)
        self.reset(1)

    def reset(self, people: int) -> None:
        """Forget all frames; the next ones are of so many people."""
        first, *blocks, last = (ConvolutionByFrame(layer, people) for layer in self.layers)
        self.first, self.last = first, last
        delays = (0 if self.causal else wide.reach // 2 for wide in self.layers[1:-1:2])
        shortcuts = (Delay(delay, people, first.channels) for delay in delays)
        self.blocks = list(zip(blocks[::2], blocks[1::2], shortcuts, strict=True))

    def step(self, keypoints: np.ndarray) -> np.ndarray:
        """The next frame.

        Args:
            keypoints: (B, K, C) screen coordinates.

        Returns:
            (B, J, 3) joints [m] of the middle frame of the last R, of the last one if causal.
        """
        features = _relu(self.first(keypoints.reshape(len(keypoints), -1)))
        for wide, narrow, shortcut in self.blocks:
            features = shortcut(features) + _relu(narrow(_relu(wide(features))))
        return self.last(features).reshape(len(keypoints), -1, 3)


class ConvolutionByFrame:
    """A convolution of W taps; before the first frame everything was zero."""

    def __init__(self, layer: FoldedConv, people: int) -> None:
        kernel = layer.kernel.numpy()
        self.channels, taps, channels_in = kernel.shape
        self.bias = layer.bias.numpy()
        self.newest = np.ascontiguousarray(kernel[:, -1])
        self.earlier = [np.ascontiguousarray(kernel[:, tap]) for tap in reversed(range(taps - 1))]
        self.inputs = np.zeros((layer.spacing, people, channels_in), np.float32)
        # What earlier frames add to the outputs of this period of `spacing` frames, of the next one, ...
        self.added = np.zeros((taps, layer.spacing, people, self.channels), np.float32)
        self.place = 0

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """(B, C_in) -> (B, C_out) of this frame."""
        outputs = product(features, self.newest) + self.bias
        if self.earlier:
            outputs += self.added[0, self.place]
            self.inputs[self.place] = features
            self.place += 1
            if self.place == len(self.inputs):
                self._next_period()
        return outputs

    def _next_period(self) -> None:
        self.place = 0
        self.added[:-1] = self.added[1:]
        rows = self.inputs.reshape(-1, self.inputs.shape[2])
        for added, matrix in zip(self.added, self.earlier, strict=False):
            added += product(rows, matrix).reshape(added.shape)


class Delay:
    """Gives each frame back `frames` later, zeros before the first."""

    def __init__(self, frames: int, people: int, channels: int) -> None:
        self.kept = np.zeros((frames, people, channels), np.float32)
        self.place = 0

    def __call__(self, features: np.ndarray) -> np.ndarray:
        if not len(self.kept):
            return features
        before = self.kept[self.place].copy()
        self.kept[self.place] = features
        self.place = (self.place + 1) % len(self.kept)
        return before


def product(rows: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """(N, C_in) times the transpose of (C_out, C_in).

    For a few rows BLAS spends more on preparing the matrix than on multiplying. A part of it times one row after the
    other comes from memory once.
    """
    if len(rows) > FEW:
        return rows @ matrix.T
    outputs = np.empty((len(rows), len(matrix)), rows.dtype)
    step = max(1, CACHED // matrix.shape[1]) if len(rows) > 1 else len(matrix)
    for start in range(0, len(matrix), step):
        part = matrix[start : start + step]
        for row, output in zip(rows, outputs, strict=True):
            np.dot(part, row, out=output[start : start + step])
    return outputs


def _relu(features: np.ndarray) -> np.ndarray:
    return np.maximum(features, 0, out=features)
