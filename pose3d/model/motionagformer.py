"""MotionAGFormer: attention beside graph convolution over a window of keypoints, a pose for every frame of it.

Mehraban et al., "MotionAGFormer: Enhancing 3D Human Pose Estimation with a Transformer-GCNFormer Network", WACV 2024.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from anypose.settings import Misuse, check_range
from anypose.shapes import IO
from anypose.skeleton import Skeleton, get_skeleton
from pose3d.lifter import Lifter
from pose3d.lifting.graph_attention import AGFormerBlock

SIZES = {"xs": (12, 64, 27), "s": (26, 64, 81), "b": (16, 128, 243), "l": (26, 128, 243)}  # table 1


class MotionAGFormer(Lifter):
    """A stack of AGFormer blocks between a linear embedding and a linear head (figure 2).

    Args:
        size: "xs", "s", "b" or "l": blocks, channels and frames as published.
        num_blocks, channels, num_frames: N, C and T, None for the size's own.
        num_heads: of the attention.
        mlp_ratio: width of the MLPs, in channels.
        neighbours: frames that are alike, for the temporal graph.
        representation: channels of the layer before the head.
        input_skeleton: name of the skeleton of the K keypoints; its bones are the spatial graph.
        output_skeleton: name of the skeleton of the J joints, as many as keypoints.
        keypoint_channels: 2 for (x, y), 3 where the detector's score comes third.
    """

    keypoint_frame = "screen"
    whole_window = True

    def __init__(
        self,
        *,
        size: str,
        num_blocks: int | None,
        channels: int | None,
        num_frames: int | None,
        num_heads: int,
        mlp_ratio: int,
        neighbours: int,
        representation: int,
        input_skeleton: str,
        output_skeleton: str,
        keypoint_channels: int,
    ) -> None:
        super().__init__()
        if size not in SIZES:
            raise Misuse(f"model.size must be one of {', '.join(SIZES)}, got {size!r}.")
        if keypoint_channels not in (2, 3):
            raise Misuse(f"model.keypoint_channels must be 2 (x, y) or 3 (x, y, score), got {keypoint_channels}.")
        check_range("model", 1, math.inf, num_heads=num_heads, mlp_ratio=mlp_ratio, representation=representation)
        published: dict[str, int] = dict(zip(("num_blocks", "channels", "num_frames"), SIZES[size], strict=True))
        given = {"num_blocks": num_blocks, "channels": channels, "num_frames": num_frames}
        if wrong := {name: value for name, value in given.items() if value is not None and value < 1}:
            raise Misuse(f"model.{next(iter(wrong))} must be 1 or more, got {next(iter(wrong.values()))}.")
        N, C, T = (published[name] if value is None else value for name, value in given.items())
        if not 0 < neighbours <= T:
            raise Misuse(f"model.neighbours must be from 1 to the {T} frames of the window, got {neighbours}.")
        if C % num_heads:
            raise Misuse(f"model.num_heads must divide the {C} channels, got {num_heads}.")
        self.receptive_field, self.keypoint_channels = T, keypoint_channels
        self.input_skeleton: Skeleton = get_skeleton(input_skeleton)
        self.output_skeleton: Skeleton = get_skeleton(output_skeleton)
        J = self.output_skeleton.num_joints
        if self.input_skeleton.num_joints != J:
            raise Misuse(
                f"motionagformer gives a joint for each keypoint, and model.input_skeleton={input_skeleton} has "
                f"{self.input_skeleton.num_joints}, model.output_skeleton={output_skeleton} {J}."
            )
        self.io = IO(inputs={"keypoints": ("B", T, J, keypoint_channels)}, outputs={"joints": ("B", T, J, 3)})
        self.embedding = nn.Linear(keypoint_channels, C)
        self.position = nn.Parameter(torch.zeros(1, J, C))  # one for each joint; none for time
        self.blocks = nn.Sequential(
            *(
                AGFormerBlock(
                    C,
                    num_frames=T,
                    num_heads=num_heads,
                    mlp_ratio=mlp_ratio,
                    neighbours=neighbours,
                    skeleton=self.input_skeleton,
                )
                for _ in range(N)
            )
        )
        self.norm = nn.LayerNorm(C)
        self.representation = nn.Linear(C, representation)
        self.head = nn.Linear(representation, 3)

    def forward(self, keypoints: Tensor) -> Tensor:
        """(B, T, J, C) screen coordinates of exactly the window's T frames -> (B, T, J, 3) joints [m]."""
        wanted = self.io.inputs["keypoints"][1:]
        if keypoints.dim() != 4 or tuple(keypoints.shape[1:]) != wanted:
            raise ValueError(
                f"motionagformer reads (B, {', '.join(map(str, wanted))}): windows of {wanted[0]} frames of "
                f"{wanted[1]} {self.input_skeleton.name} keypoints with {wanted[2]} values, got keypoints of shape "
                f"{tuple(keypoints.shape)}. pose3d.lifting.sliding cuts longer sequences into windows."
            )
        features = self.blocks(self.embedding(keypoints) + self.position)
        return self.head(torch.tanh(self.representation(self.norm(features))))
