"""VideoPose3D: a temporal convolutional network from a window of keypoints to the pose in its middle.

Pavllo et al., "3D human pose estimation in video with temporal convolutions and semi-supervised training", CVPR 2019,
figures 1, 2 and 4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import cast

from torch import Tensor, nn

from anypose.kernels.dropout import Dropout
from anypose.kernels.rectified import norm_relu_dropout
from anypose.shapes import IO
from anypose.skeleton import Skeleton
from anypose.skeleton_text import skeleton_of
from pose3d.lifter import Lifter
from pose3d.lifting.frame_by_frame import FrameByFrame
from pose3d.lifting.streaming_form import BlockwiseForm, ProductForm, StreamingForm
from pose3d.lifting.temporal import ConvolutionForm, FoldedConv, TapConv, fold

LONGEST_TEST_SEQUENCE = 5873  # frames of Human3.6M's S9 "Discussion 1"


class VideoPose3D(Lifter):
    """One wide convolution, residual blocks of a dilated convolution and a 1x1, one pose per frame.

    A window of exactly R frames is computed in strided form: only what the one output frame needs. A longer one is
    computed in dilated form, every product shared by all the frames that need it. Both are the same function of the
    same weights. The authors' code has a network for each and copies weights between them.

    Features are (B, T, C) throughout, so that a convolution of W taps is one product with a (W * C, C) matrix. Weights
    are named as in the published checkpoints; `from_published` and `to_published` exchange the axes of the kernels.

    Args:
        kernel_sizes: W of each convolution, odd; R is their product. [1, 1, 1] is the paper's single-frame baseline.
        channels: C of the hidden layers.
        dropout: probability of dropping a value.
        causal: end the window at the output frame instead of centring it there.
        dense: the paper's ablation: kernels as wide as the dilated ones reach, and no dilation.
        input_skeleton: the skeleton of the K keypoints, its name, or YAML (`anypose.skeleton_text`).
        output_skeleton: that of the J joints.
        keypoint_channels: 2 for (x, y), 3 where the detector's score comes third.
    """

    keypoint_frame = "screen"

    def __init__(
        self,
        *,
        kernel_sizes: Sequence[int],
        channels: int,
        dropout: float,
        causal: bool,
        dense: bool,
        input_skeleton: str | Skeleton,
        output_skeleton: str | Skeleton,
        keypoint_channels: int,
    ) -> None:
        super().__init__()
        if not kernel_sizes or any(width < 1 or width % 2 == 0 for width in kernel_sizes):
            raise ValueError(f"model.kernel_sizes must be odd numbers, at least one, got {list(kernel_sizes)}.")
        if keypoint_channels not in (2, 3):
            raise ValueError(f"model.keypoint_channels must be 2 (x, y) or 3 (x, y, score), got {keypoint_channels}.")
        self.kernel_sizes = tuple(kernel_sizes)
        self.receptive_field = math.prod(kernel_sizes)
        self.causal, self.dense, self.keypoint_channels = causal, dense, keypoint_channels
        self.input_skeleton = skeleton_of(input_skeleton, "model.input_skeleton")
        self.output_skeleton = skeleton_of(output_skeleton, "model.output_skeleton")
        num_keypoints, num_joints = self.input_skeleton.num_joints, self.output_skeleton.num_joints
        self.io = IO(
            inputs={"keypoints": ("B", "T", num_keypoints, keypoint_channels)},
            outputs={"joints": ("B", f"T - {self.receptive_field - 1}", num_joints, 3)},
        )

        # As the offline protocol has it: a sequence and its mirror image, padded to the longest of the test set.
        self.export_names = {"keypoints": "2d_poses", "joints": "3d_preds"}
        self.export_sizes = {"B": 2, "T": LONGEST_TEST_SEQUENCE + self.receptive_field - 1}

        def temporal(in_channels: int, width: int, spacing: int) -> TapConv:
            if dense:
                return TapConv(in_channels, channels, (width - 1) * spacing + 1)
            return TapConv(in_channels, channels, width, spacing)

        # Frames between the taps of a convolution: as many as the convolutions before it have seen together.
        spacings = [1, *accumulate(self.kernel_sizes[:-1], lambda seen, width: seen * width)]
        first, *others = zip(self.kernel_sizes, spacings, strict=True)
        self.expand_conv = temporal(num_keypoints * keypoint_channels, *first)
        self.expand_bn = nn.BatchNorm1d(channels)
        blocks = [(temporal(channels, *other), TapConv(channels, channels, 1)) for other in others]
        self.layers_conv = nn.ModuleList(conv for block in blocks for conv in block)
        self.layers_bn = nn.ModuleList(nn.BatchNorm1d(channels) for _ in self.layers_conv)
        self.shrink = TapConv(channels, num_joints * 3, 1, bias=True)
        self.dropout = Dropout(dropout)

    def forward(self, keypoints: Tensor) -> Tensor:
        """(B, T, K, C) screen coordinates -> (B, T - R + 1, J, 3) joints [m]."""
        self._check(keypoints)
        strided = keypoints.shape[1] == self.receptive_field and not self.dense
        (conv, norm), *layers = self._layers()
        features = self._layer(keypoints.flatten(2), conv, norm, strided)
        for (wide, wide_norm), (narrow, narrow_norm) in zip(layers[::2], layers[1::2], strict=True):
            inner = self._layer(features, wide, wide_norm, strided)
            inner = self._layer(inner, narrow, narrow_norm, strided)
            features = wide.shortcut(features, strided, self.causal) + inner
        return self.shrink(features, strided).unflatten(2, (-1, 3))

    def _layers(self) -> list[tuple[TapConv, nn.BatchNorm1d]]:
        """The convolutions in order, each with the batch norm behind it."""
        convolutions = cast("Sequence[TapConv]", [self.expand_conv, *self.layers_conv])
        norms = cast("Sequence[nn.BatchNorm1d]", [self.expand_bn, *self.layers_bn])
        return list(zip(convolutions, norms, strict=True))

    def _layer(self, features: Tensor, conv: TapConv, norm: nn.BatchNorm1d, strided: bool) -> Tensor:
        """Convolution, batch norm over all frames of all windows, ReLU, dropout."""
        features = conv(features, strided)
        return norm_relu_dropout(features.flatten(0, 1), norm, self.dropout).view_as(features)

    def _check(self, keypoints: Tensor) -> None:
        wanted = self.input_skeleton.num_joints, self.keypoint_channels
        if keypoints.dim() != 4 or keypoints.shape[2:] != wanted:
            raise ValueError(
                f"videopose3d reads (B, T, {wanted[0]}, {wanted[1]}): {wanted[0]} {self.input_skeleton.name} keypoints "
                f"of {wanted[1]} values, got keypoints of shape {tuple(keypoints.shape)}. Convert them with "
                "anypose.skeleton.convert, or train a model for this layout with model.input_skeleton."
            )
        if keypoints.shape[1] < self.receptive_field:
            raise ValueError(
                f"videopose3d needs at least {self.receptive_field} frames per window, got keypoints of shape "
                f"{tuple(keypoints.shape)}. Repeat the edge frames with pose3d.motion.packed.pad, or choose fewer "
                "model.kernel_sizes."
            )

    def sibling(self, output_skeleton: Skeleton) -> VideoPose3D:
        """A new network of the same shape for the same keypoints that gives other joints."""
        return VideoPose3D(
            kernel_sizes=self.kernel_sizes,
            channels=self.shrink.weight.shape[2],
            dropout=self.dropout.p,
            causal=self.causal,
            dense=self.dense,
            input_skeleton=self.input_skeleton,
            output_skeleton=output_skeleton,
            keypoint_channels=self.keypoint_channels,
        )

    def folded(self) -> list[FoldedConv]:
        """Every convolution in order with its batch norm folded in: the weights in use."""
        return [*(fold(conv, norm) for conv, norm in self._layers()), fold(self.shrink)]

    def baked(self, two_dimensional: bool = False) -> ConvolutionForm:
        """The same function as plain convolutions with batch norm folded in, ready to export."""
        return ConvolutionForm(self.folded(), self.causal, two_dimensional)

    def quantisable(self) -> ProductForm:
        """The same function as matrix products: runtimes have int8 kernels for those, not for dilated convolutions."""
        return ProductForm(self.streaming())

    def streaming(self, fast: bool = False) -> StreamingForm:
        """The same function with its states in the open, for frames that come one by one or in blocks."""
        form = StreamingForm(self.folded(), self.io, self.causal, fast)
        form.export_names, form.export_sizes = self.export_names, {"B": 1, "T": 1}
        return form

    def whole_sequences(self, fast: bool = False) -> BlockwiseForm:
        """The same function for whole sequences, some hundred frames at a time."""
        return BlockwiseForm(self.streaming(fast))

    def frame_by_frame(self) -> FrameByFrame:
        """The same function for frames that come one by one, on the CPU."""
        return FrameByFrame(self.folded(), self.causal, (self.input_skeleton.num_joints, self.keypoint_channels))
