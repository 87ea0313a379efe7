"""A temporal network on a CPU for frames that come one by one: each weight is read as rarely as can be.

With one frame at a time a matrix product is as fast as its matrix comes from memory. But only the newest tap of a
convolution waits for the frame that has just come. What earlier taps add to an output is known since `spacing` frames
or more, so those products are made for `spacing` frames together, and their matrices are read once for all. At 27
frames three fifths of the weights are read per frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


class FrameByFrame:
    """A network's streaming form, with the activations it will need again.

    Args:
        form: its `convolutions`, Conv1d with a `spacing`: the first, then two for each residual block, then the one
            that gives the joints; and whether it is `causal`, which says where each block's shortcut lies.
    """

    def __init__(self, form: Any) -> None:
        self.convolutions: Sequence[Any] = list(form.convolutions)
        self.causal, self.receptive_field = form.causal, form.receptive_field
        _, _, K, C = form.io.inputs["keypoints"]
        self.keypoint_shape = K, C
        self.reset(1)

    @torch.inference_mode()
    def reset(self, people: int) -> None:
        """Forget all frames; the next ones are of so many people."""
        first, *blocks, last = (ConvolutionByFrame(conv, people) for conv in self.convolutions)
        self.first, self.last = first, last
        delays = (0 if self.causal else wide.reach // 2 for wide in self.convolutions[1:-1:2])
        shortcuts = (Delay(delay, people, first.channels) for delay in delays)
        self.blocks = list(zip(blocks[::2], blocks[1::2], shortcuts, strict=True))

    @torch.inference_mode()
    def step(self, keypoints: np.ndarray) -> np.ndarray:
        """The next frame.

        Args:
            keypoints: (B, K, C) screen coordinates.

        Returns:
            (B, J, 3) joints [m] of the middle frame of the last R, of the last one if causal.
        """
        features = self.first(torch.from_numpy(keypoints).flatten(1)).relu_()
        for wide, narrow, shortcut in self.blocks:
            features = shortcut(features) + narrow(wide(features).relu_()).relu_()
        return self.last(features).reshape(len(keypoints), -1, 3).numpy()


class ConvolutionByFrame:
    """A convolution of W taps; before the first frame everything was zero."""

    def __init__(self, conv: Any, people: int) -> None:
        kernel = conv.weight
        self.channels, channels_in, taps = kernel.shape
        self.bias = conv.bias
        self.newest = kernel[:, :, -1].contiguous()
        self.earlier = [kernel[:, :, tap].contiguous() for tap in reversed(range(taps - 1))]
        self.inputs = torch.zeros(conv.spacing, people, channels_in)
        # What earlier frames add to the outputs of this period of `spacing` frames, of the next one, ...
        self.added = torch.zeros(taps, conv.spacing, people, self.channels)
        self.place = 0

    def __call__(self, features: Tensor) -> Tensor:
        """(B, C_in) -> (B, C_out) of this frame."""
        outputs = F.linear(features, self.newest, self.bias)
        if self.earlier:
            outputs += self.added[0, self.place]
            self.inputs[self.place] = features
            self.place += 1
            if self.place == len(self.inputs):
                self._next_period()
        return outputs

    def _next_period(self) -> None:
        self.place = 0
        self.added = self.added.roll(-1, 0)
        self.added[-1] = 0
        rows = self.inputs.flatten(0, 1)
        for added, matrix in zip(self.added, self.earlier, strict=False):
            added += F.linear(rows, matrix).view_as(added)


class Delay:
    """Gives each frame back `frames` later, zeros before the first."""

    def __init__(self, frames: int, people: int, channels: int) -> None:
        self.kept = torch.zeros(frames, people, channels)
        self.place = 0

    def __call__(self, features: Tensor) -> Tensor:
        if not len(self.kept):
            return features
        before = self.kept[self.place].clone()
        self.kept[self.place] = features
        self.place = (self.place + 1) % len(self.kept)
        return before
