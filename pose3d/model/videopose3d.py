"""VideoPose3D: a temporal convolutional network from a window of keypoints to the pose in its middle.

Pavllo et al., "3D human pose estimation in video with temporal convolutions and semi-supervised training", CVPR 2019,
figures 1, 2 and 4.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from itertools import accumulate
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from anypose.settings import Misuse, check_range
from anypose.shapes import IO
from anypose.skeleton import Skeleton
from anypose.skeleton_text import skeleton_of
from pose3d.lifter import Lifter
from pose3d.lifting.streaming_form import StreamingForm
from pose3d.lifting.temporal import Dilated, TemporalConv

LONGEST_TEST_SEQUENCE = 5873  # frames of Human3.6M's S9 "Discussion 1"


class VideoPose3D(Lifter):
    """One wide convolution, residual blocks of a dilated convolution and a 1x1, one pose per frame.

    A window of exactly R frames is computed in strided form: only what the one output frame needs. A longer one is
    computed in dilated form, every product shared by all the frames that need it. Both are the same function of the
    same weights. The authors' code has a network for each and copies weights between them.

    Weights are named and laid out as in the published checkpoints.

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
            raise Misuse(f"model.kernel_sizes must be odd numbers, at least one, got {list(kernel_sizes)}.")
        if keypoint_channels not in (2, 3):
            raise Misuse(f"model.keypoint_channels must be 2 (x, y) or 3 (x, y, score), got {keypoint_channels}.")
        check_range("model", 1, math.inf, channels=channels)
        check_range("model", 0, 1, dropout=dropout)
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

        def temporal(in_channels: int, width: int, spacing: int) -> TemporalConv:
            if dense:
                return TemporalConv(in_channels, channels, (width - 1) * spacing + 1)
            return TemporalConv(in_channels, channels, width, spacing)

        # Frames between the taps of a convolution: as many as the convolutions before it have seen together.
        spacings = [1, *accumulate(self.kernel_sizes[:-1], lambda seen, width: seen * width)]
        first, *others = zip(self.kernel_sizes, spacings, strict=True)
        self.expand_conv = temporal(num_keypoints * keypoint_channels, *first)
        self.expand_bn: nn.Module = nn.BatchNorm1d(channels)
        blocks = [(temporal(channels, *other), TemporalConv(channels, channels, 1)) for other in others]
        self.layers_conv = nn.ModuleList(conv for block in blocks for conv in block)
        self.layers_bn = nn.ModuleList(nn.BatchNorm1d(channels) for _ in self.layers_conv)
        self.shrink = TemporalConv(channels, num_joints * 3, 1, bias=True)
        self.dropout = nn.Dropout(dropout)

    def forward(self, keypoints: Tensor) -> Tensor:
        """(B, T, K, C) screen coordinates -> (B, T - R + 1, J, 3) joints [m]."""
        self._check(keypoints)
        return self.lift(keypoints, strided=keypoints.shape[1] == self.receptive_field and not self.dense)

    def lift(self, keypoints: Tensor, strided: bool, two_dimensional: bool = False) -> Tensor:
        """As `forward`, in a form that is told: strided for single windows, dilated for sequences."""
        features = keypoints.reshape(*keypoints.shape[:2], -1).transpose(1, 2)
        if two_dimensional:
            features = features.unsqueeze(-1)
        (conv, norm), *layers = self._layers()
        features = self._layer(features, conv, norm, strided)
        for (wide, wide_norm), (narrow, narrow_norm) in zip(layers[::2], layers[1::2], strict=True):
            inner = self._layer(features, wide, wide_norm, strided)
            inner = self._layer(inner, narrow, narrow_norm, strided)
            features = wide.shortcut(features, strided, self.causal) + inner
        joints = self.shrink(features, strided)
        if two_dimensional:
            joints = joints.squeeze(-1)
        joints = joints.transpose(1, 2)
        return joints.reshape(*joints.shape[:2], -1, 3)

    def _layers(self) -> list[tuple[TemporalConv, nn.Module]]:
        """The convolutions in order, each with the batch norm behind it."""
        convolutions = cast("Sequence[TemporalConv]", [self.expand_conv, *self.layers_conv])
        return list(zip(convolutions, [self.expand_bn, *self.layers_bn], strict=True))

    def _layer(self, features: Tensor, conv: TemporalConv, norm: nn.Module, strided: bool) -> Tensor:
        """Convolution, batch norm over all frames of all windows, ReLU, dropout."""
        return self.dropout(torch.relu(norm(conv(features, strided))))

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
            channels=self.shrink.in_channels,
            dropout=self.dropout.p,
            causal=self.causal,
            dense=self.dense,
            input_skeleton=self.input_skeleton,
            output_skeleton=output_skeleton,
            keypoint_channels=self.keypoint_channels,
        )

    def folded(self) -> VideoPose3D:
        """A copy whose convolutions have their batch norms folded in, computed in float64: the same function in use."""
        network = copy.deepcopy(self).cpu().double().eval()
        convolutions = [fuse_conv_bn_eval(conv, cast("nn.BatchNorm1d", norm)) for conv, norm in network._layers()]
        network.expand_conv, network.layers_conv = convolutions[0], nn.ModuleList(convolutions[1:])
        network.expand_bn = nn.Identity()
        network.layers_bn = nn.ModuleList(nn.Identity() for _ in network.layers_conv)
        return network.float()

    def baked(self, two_dimensional: bool = False) -> Dilated:
        """The same function as plain convolutions over sequences, ready to export."""
        return Dilated(self.folded(), two_dimensional)

    def streaming(self) -> StreamingForm:
        """The same function with its states in the open, for frames that come one by one or in blocks."""
        network = self.folded()
        form = StreamingForm([*(conv for conv, _ in network._layers()), network.shrink], self.io, self.causal)
        form.export_names, form.export_sizes = self.export_names, {"B": 1, "T": 1}
        return form
