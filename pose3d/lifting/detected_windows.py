"""Windows of detected keypoints: a few frames around the one whose pose is asked for, some keypoints of which miss."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anypose.settings import Misuse
from anypose.shapes import IO
from anypose.skeleton import Skeleton
from pose3d.lifting.centred import CentredInput

LONGEST = 100_000  # frames that a window reaches over: half an hour


class DetectedWindows(nn.Module):
    """Which frames make a window, and what a network is told of it.

    Without later frames (`causal`) their keypoints are missing like others, so that a network's weights do not depend
    on it.

    Args:
        skeleton: of the K keypoints.
        frames: how many frames are read, odd.
        spacing: frames between two of them: 3 for 25 to 60 frames a second.
        causal: read none after the one whose pose is given.

    Attributes:
        read: the frames that are, counted from the first.
        receptive_field: R, one more than the last of them.
    """

    def __init__(self, skeleton: Skeleton, frames: int, spacing: int, causal: bool) -> None:
        super().__init__()
        if frames < 1 or frames % 2 == 0 or spacing < 1:
            raise Misuse(f"model.frames={frames} must be odd and model.spacing={spacing} at least 1.")
        if frames * spacing > LONGEST:
            raise Misuse(f"model.frames={frames} of model.spacing={spacing} reach over more than {LONGEST} frames.")
        self.skeleton = skeleton
        self.absent = frames // 2 if causal else 0
        self.read = tuple(range(0, (frames - self.absent) * spacing, spacing))
        self.receptive_field = self.read[-1] + 1
        self.centred = CentredInput(skeleton, scores=True, keep_hip=True)

    def io(self, num_joints: int) -> IO:
        """The named shapes of a network that reads these windows and gives so many joints."""
        return IO(
            inputs={"keypoints": ("B", "T", self.skeleton.num_joints, 3)},
            outputs={"joints": ("B", f"T - {self.receptive_field - 1}", num_joints, 3)},
        )

    def slide(self, lift: Callable[[Tensor], Tensor], keypoints: Tensor) -> Tensor:
        """(B, T, K, 3) rays and scores -> (B, T - R + 1, J, 3), by a network from (N, frames, K, 3) to (N, J, 3)."""
        windows = self.cut(keypoints)
        joints = lift(windows.flatten(0, 1))
        return joints.view(windows.shape[0], windows.shape[1], -1, 3)

    def cut(self, keypoints: Tensor) -> Tensor:
        """(B, T, K, 3) rays and scores -> (B, T - R + 1, frames, K, 3)."""
        self._check(keypoints)
        count = keypoints.shape[1] - self.receptive_field + 1
        windows = torch.stack([keypoints[:, first : first + count] for first in self.read], dim=2)
        return F.pad(windows, (0, 0, 0, 0, 0, self.absent))

    def forward(self, windows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, frames, K, 3) -> (N, frames, K', 3) features, (N, 1) size and (N, 3, 3) turn, see `CentredInput`."""
        return self.centred(windows)

    def _check(self, keypoints: Tensor) -> None:
        K, name = self.skeleton.num_joints, self.skeleton.name
        if keypoints.dim() != 4 or keypoints.shape[2:] != (K, 3):
            raise ValueError(
                f"This lifter reads (B, T, {K}, 3): {K} {name} keypoints as rays with a score, got keypoints of shape "
                f"{tuple(keypoints.shape)}. anypose.skeleton.convert_known gives them from others."
            )
        if keypoints.shape[1] < self.receptive_field:
            raise ValueError(
                f"This lifter needs at least {self.receptive_field} frames, got {keypoints.shape[1]}. Repeat the edge "
                "frames with pose3d.motion.packed.pad, or put frames around them whose scores are 0."
            )
