"""A temporal convolutional network from a few frames around one to its pose, for keypoints of real detectors: some
wrong, some missing.

The layers are VideoPose3D's in the form that its trainings have (Pavllo et al., CVPR 2019, section 3): one window,
three frames into one at each step. What they are given is this project's own, as `window_mlp`'s.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anypose.settings import Misuse, check_range
from anypose.skeleton import H36M_17, get_skeleton
from pose3d.lifter import Lifter
from pose3d.lifting.detected_windows import DetectedWindows
from pose3d.lifting.residual_mlp import Standardise

TAPS = 3  # frames that a step makes one of


class WindowTCN(Lifter):
    """Rays of keypoints with scores, in several frames, to 17 joints in metres in the one at their middle.

    A keypoint whose score is 0 is not there. Frames that are not there have no keypoint that is. The weights do not
    depend on `causal`: without later frames these are missing keypoints like others, which training has shown it.

    Args:
        input_skeleton: name of the skeleton of the K keypoints.
        frames: how many frames are read, a power of 3.
        spacing: frames between two of them: 3 for 25 to 60 frames a second.
        causal: read none after the one whose pose is given.
        channels: width of the hidden layers.
        batch_norm_eps: of the batch norm before each ReLU.
    """

    keypoint_frame = "ray"
    keypoint_channels = 3
    keypoints_may_miss = True
    output_skeleton = H36M_17
    predicted_joints = slice(1, None)

    def __init__(
        self, *, input_skeleton: str, frames: int, spacing: int, causal: bool, channels: int, batch_norm_eps: float
    ) -> None:
        super().__init__()
        check_range("model", 1, float("inf"), channels=channels)
        self.input_skeleton = get_skeleton(input_skeleton)
        self.windows = DetectedWindows(self.input_skeleton, frames, spacing, causal)
        self.causal = causal
        self.frames_read, self.receptive_field = self.windows.read, self.windows.receptive_field
        num_joints = self.output_skeleton.num_joints
        self.io = self.windows.io(num_joints)
        steps = powers(frames)
        self.expand = Layer(TAPS * (self.windows.centred.num_features + 1), channels, batch_norm_eps)
        self.blocks = nn.ModuleList(
            nn.Sequential(Layer(TAPS * channels, channels, batch_norm_eps), Layer(channels, channels, batch_norm_eps))
            for _ in range(steps - 1)
        )
        self.head = nn.Linear(channels, (num_joints - 1) * 3)
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
        features = torch.cat([features.flatten(2), torch.stack([size] * windows.shape[1], dim=1)], dim=2)
        features = self.expand(joined(features))
        for block in self.blocks:
            features = features[:, TAPS // 2 :: TAPS] + block(joined(features))
        joints = (
            self.joint_statistics.undo(self.head(features[:, 0]).view(-1, len(self.joint_statistics.mean), 3)) @ turn
        )
        return F.pad(joints, (0, 0, 1, 0))


class Layer(nn.Module):
    """A convolution that is a matrix, batch norm, ReLU."""

    def __init__(self, in_features: int, channels: int, eps: float) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, channels, bias=False)
        self.norm = nn.BatchNorm1d(channels, eps=eps)

    def forward(self, features: Tensor) -> Tensor:
        """(N, T, C_in) -> (N, T, C)."""
        products = self.linear(features)
        return F.relu(self.norm(products.flatten(0, 1))).view(products.shape)


def joined(features: Tensor) -> Tensor:
    """(N, T, C) -> (N, T / 3, 3 C): a convolution of three taps and a stride of three is a product with these."""
    return features.reshape(-1, features.shape[1] // TAPS, TAPS * features.shape[2])


def powers(frames: int) -> int:
    """How many steps make one frame of so many."""
    steps = 0
    while TAPS**steps < frames:
        steps += 1
    if steps < 1 or TAPS**steps != frames:
        raise Misuse(f"model.frames={frames} must be a power of {TAPS}: {TAPS}, {TAPS**2}, {TAPS**3}.")
    return steps
