"""A residual MLP from a few frames around one to its pose, for keypoints of real detectors: some wrong, some missing.

The trunk is 3d-pose-baseline's (Martinez et al., ICCV 2017); what it is given is this project's own.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from anypose.skeleton import H36M_17, get_skeleton
from pose3d.lifter import Lifter
from pose3d.lifting.detected_windows import DetectedWindows
from pose3d.lifting.residual_mlp import ClippedLinear, ResidualMLP, Standardise, bake_weights


class WindowMLP(Lifter):
    """Rays of keypoints with scores, in several frames, to 17 joints in metres in the one at their middle.

    A keypoint whose score is 0 is not there. Frames that are not there have no keypoint that is. The weights do not
    depend on `causal`: without later frames these are missing keypoints like others, which training has shown it.

    Args:
        input_skeleton: name of the skeleton of the K keypoints.
        frames: how many frames are read, odd.
        spacing: frames between two of them: 3 for 25 to 60 frames a second.
        causal: read none after the one whose pose is given.
        linear_size: width of the hidden layers.
        num_blocks: residual blocks of two layers.
        dropout: probability of dropping.
        batch_norm_eps: of the batch norm before each ReLU.
        max_weight_norm: largest Frobenius norm of a weight matrix, None for no clip.
    """

    keypoint_frame = "ray"
    keypoint_channels = 3
    keypoints_may_miss = True
    output_skeleton = H36M_17
    predicted_joints = slice(1, None)

    def __init__(
        self,
        *,
        input_skeleton: str,
        frames: int,
        spacing: int,
        causal: bool,
        linear_size: int,
        num_blocks: int,
        dropout: float,
        batch_norm_eps: float,
        max_weight_norm: float | None,
    ) -> None:
        super().__init__()
        self.input_skeleton = get_skeleton(input_skeleton)
        self.windows = DetectedWindows(self.input_skeleton, frames, spacing, causal)
        self.causal = causal
        self.frames_read, self.receptive_field = self.windows.read, self.windows.receptive_field
        num_joints = self.output_skeleton.num_joints
        self.io = self.windows.io(num_joints)
        self.trunk = ResidualMLP(
            self.windows.centred.num_features * frames + 1,
            linear_size=linear_size,
            num_blocks=num_blocks,
            dropout=dropout,
            batch_norm=True,
            batch_norm_eps=batch_norm_eps,
            residual=True,
            max_weight_norm=max_weight_norm,
        )
        self.head = ClippedLinear(linear_size, (num_joints - 1) * 3, max_weight_norm)
        self.joint_statistics = Standardise(num_joints - 1, 3)

    def fit_statistics(self, keypoints: Tensor, joints: Tensor) -> None:
        self.joint_statistics.fit(joints[:, self.predicted_joints])

    def joint_scale(self) -> Tensor:
        return self.joint_statistics.std

    def forward(self, keypoints: Tensor) -> Tensor:
        """(B, T, K, 3) rays and scores -> (B, T - R + 1, 17, 3) joints relative to the hip [m], camera axes."""
        return self.windows.slide(self.lift, keypoints)

    def lift(self, windows: Tensor) -> Tensor:
        """(N, frames, K, 3) -> (N, 17, 3)."""
        features, size, turn = self.windows(windows)
        features = self.trunk(torch.cat([features.flatten(1), size], dim=1))
        joints = self.joint_statistics.undo(self.head(features).view(-1, len(self.joint_statistics.mean), 3)) @ turn
        return F.pad(joints, (0, 0, 1, 0))

    def baked(self) -> WindowMLP:
        """A copy with the weight clip written into the weights: the same outputs, ready to export."""
        return bake_weights(self)
