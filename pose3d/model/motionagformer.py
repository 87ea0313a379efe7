"""MotionAGFormer: attention beside graph convolution over a window of keypoints, a pose for every frame of it.

Mehraban et al., "MotionAGFormer: Enhancing 3D Human Pose Estimation with a Transformer-GCNFormer Network", WACV 2024.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anypose.settings import Misuse, check_range
from anypose.shapes import IO
from anypose.skeleton import Skeleton, get_skeleton
from pose3d.lifter import Lifter
from pose3d.lifting.centred import CentredInput
from pose3d.lifting.graph_attention import AGFormerBlock
from pose3d.lifting.residual_mlp import Standardise

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
        output_skeleton: name of the skeleton of the J joints, as many as keypoints unless input is centred.
        keypoint_channels: 2 for (x, y), 3 where the detector's score comes third.
        input: what the network is given, "screen" coordinates as published, or "centred": rays of detected keypoints,
            some of which miss, of a camera that is turned to look at the person, by the person's size; what it says is
            turned back. Its joints are read off all of a frame's keypoints, and the hip is not computed.
    """

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
        input: Literal["screen", "centred"],
    ) -> None:
        super().__init__()
        if size not in SIZES:
            raise Misuse(f"model.size must be one of {', '.join(SIZES)}, got {size!r}.")
        if keypoint_channels not in (2, 3):
            raise Misuse(f"model.keypoint_channels must be 2 (x, y) or 3 (x, y, score), got {keypoint_channels}.")
        if input not in ("screen", "centred"):
            raise Misuse(f"model.input must be screen or centred, got {input!r}.")
        if input == "centred" and keypoint_channels != 3:
            raise Misuse(
                f"model.input=centred is told by scores which keypoints are there: it needs model.keypoint_channels=3, "
                f"got {keypoint_channels}."
            )
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
        K, J = self.input_skeleton.num_joints, self.output_skeleton.num_joints
        if input == "screen" and K != J:
            raise Misuse(
                f"motionagformer gives a joint for each keypoint, and model.input_skeleton={input_skeleton} has {K}, "
                f"model.output_skeleton={output_skeleton} {J}. With model.input=centred they may be others."
            )
        self.io = IO(inputs={"keypoints": ("B", T, K, keypoint_channels)}, outputs={"joints": ("B", T, J, 3)})
        self.keypoint_frame = "ray" if input == "centred" else "screen"
        self.keypoints_may_miss = input == "centred"
        first = 1 if input == "centred" and self.output_skeleton.root == 0 else 0
        if input == "centred":
            self.predicted_joints = slice(first, None)
            self.centred = CentredInput(self.input_skeleton, scores=True, keep_hip=True)
            self.joint_statistics = Standardise(J - first, 3)
        self.embedding = nn.Linear(keypoint_channels + (input == "centred"), C)  # and the size
        self.position = nn.Parameter(torch.zeros(1, K, C))  # one for each keypoint; none for time
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
        self.head = (
            nn.Linear(representation, 3) if input == "screen" else nn.Linear(K * representation, 3 * (J - first))
        )

    def fit_statistics(self, keypoints: Tensor, joints: Tensor) -> None:
        if self.keypoint_frame == "ray":
            self.joint_statistics.fit(joints[:, self.predicted_joints])

    def forward(self, keypoints: Tensor) -> Tensor:
        """(B, T, K, C) screen coordinates or rays of exactly the window's T frames -> (B, T, J, 3) joints [m]."""
        wanted = self.io.inputs["keypoints"][1:]
        if keypoints.dim() != 4 or tuple(keypoints.shape[1:]) != wanted:
            raise ValueError(
                f"motionagformer reads (B, {', '.join(map(str, wanted))}): windows of {wanted[0]} frames of "
                f"{wanted[1]} {self.input_skeleton.name} keypoints with {wanted[2]} values, got keypoints of shape "
                f"{tuple(keypoints.shape)}. pose3d.lifting.sliding cuts longer sequences into windows."
            )
        if self.keypoint_frame == "ray":
            return self._lift_centred(keypoints)
        return self.head(self._represent(keypoints))

    def _represent(self, tokens: Tensor) -> Tensor:
        """(B, T, K, C) -> (B, T, K, representation)."""
        features = self.blocks(self.embedding(tokens) + self.position)
        return torch.tanh(self.representation(self.norm(features)))

    def _lift_centred(self, keypoints: Tensor) -> Tensor:
        """(B, T, K, 3) rays and scores -> (B, T, J, 3), computed in the virtual camera of the window, turned back."""
        features, size, turn = self.centred(keypoints)
        size = size[:, None, None].expand(*features.shape[:3], 1)
        features = self._represent(torch.cat([features, size], dim=-1))
        joints = self.joint_statistics.undo(self.head(features.flatten(2)).unflatten(2, (-1, 3))) @ turn[:, None]
        return F.pad(joints, (0, 0, self.predicted_joints.start, 0))
