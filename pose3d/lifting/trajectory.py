"""Pose and place: a second network that says where the root is, and what two networks need to be trained and scored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn

from anypose.shapes import IO
from anypose.skeleton import Skeleton
from pose3d.lifter import KeypointFrame, Lifter
from pose3d.lifting.errors import FrameErrors, pose_scores, velocity_scores
from pose3d.motion.windows import WindowBatches

Batch = dict[str, Tensor]
ROOT = Skeleton("root", ("hip",), (-1,), (), ())


class PoseAndTrajectory(nn.ModuleDict):
    """Two networks on the same keypoints: "pose" gives the joints, "trajectory" the root's place.

    The same attributes as a `Lifter`, so that it exports and evaluates like one.
    """

    def __init__(self, pose: Lifter, trajectory: Lifter) -> None:
        super().__init__({"pose": pose, "trajectory": trajectory})
        self.receptive_field, self.causal = pose.receptive_field, pose.causal
        self.keypoint_frame: KeypointFrame = pose.keypoint_frame
        self.keypoint_channels = pose.keypoint_channels
        self.input_skeleton, self.output_skeleton = pose.input_skeleton, pose.output_skeleton
        outputs = {"joints": pose.io.outputs["joints"], "trajectory": trajectory.io.outputs["joints"]}
        self.io = IO(inputs=pose.io.inputs, outputs=outputs)
        self.export_names = getattr(pose, "export_names", {})
        self.export_sizes = getattr(pose, "export_sizes", {})

    def forward(self, keypoints: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, K, C) -> (B, T - R + 1, J, 3) joints relative to the root, and (B, T - R + 1, 1, 3) the root [m]."""
        return self["pose"](keypoints), self["trajectory"](keypoints)

    def baked(self, two_dimensional: bool = False) -> nn.Module:
        """Both networks in their form for export."""
        pose, trajectory = (cast("Any", network).baked(two_dimensional) for network in self.values())
        return _Both(pose, trajectory)


class _Both(nn.Module):
    def __init__(self, pose: nn.Module, trajectory: nn.Module) -> None:
        super().__init__()
        self.pose, self.trajectory = pose, trajectory

    def forward(self, keypoints: Tensor) -> tuple[Tensor, Tensor]:
        return self.pose(keypoints), self.trajectory(keypoints)


class LabelledAndUnlabelled:
    """Batches with labels, joined after `warmup_epochs` by as many windows without.

    The labelled batches are the epoch. The others are a stream without end: epoch n begins where n - 1 left off. Where
    it stands follows from the number of batches since the warm-up, so a resumed run needs no state to go on with it.
    Such a batch also holds "unlabelled_keypoints" and "unlabelled_intrinsics".
    """

    def __init__(self, labelled: WindowBatches, unlabelled: WindowBatches, warmup_epochs: int) -> None:
        self.labelled, self.unlabelled, self.warmup_epochs = labelled, unlabelled, warmup_epochs

    def __len__(self) -> int:
        return len(self.labelled)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """The batches of epoch `number`, from batch `start` on."""
        batches = self.labelled.epoch(number, start)
        if number < self.warmup_epochs:
            yield from batches
            return
        stream = self.stream((number - self.warmup_epochs) * len(self) + start)
        for batch, other in zip(batches, stream, strict=False):
            yield batch | {f"unlabelled_{name}": other[name] for name in ("keypoints", "intrinsics")}

    def stream(self, position: int) -> Iterator[Batch]:
        """The unlabelled batches from number `position` on, without end."""
        number, start = divmod(position, len(self.unlabelled))
        while True:
            yield from self.unlabelled.epoch(number, start)
            number, start = number + 1, 0


class TrajectoryErrors(FrameErrors):
    """The scores of a pose, and of where it was put: "trajectory_error" and "reprojection_error" of each frame."""

    def frame_scores(self, predicted: Batch, truth: Tensor) -> Batch:
        """Pose in mm; trajectory in mm; reprojection in thousandths of half a picture's width."""
        return {
            **pose_scores(predicted["joints"], truth),
            "trajectory_mm": predicted["trajectory_error"] * 1000,
            "reprojection_permille": predicted["reprojection_error"] * 1000,
        }

    def motion_scores(self, predicted: Batch, truth: Tensor) -> Batch:
        """Velocity of the joints relative to the root."""
        return velocity_scores(predicted["joints"], truth)


def bone_lengths(joints: Tensor, skeleton: Skeleton) -> Tensor:
    """(..., J, 3) -> (..., L) [m]."""
    child, parent = torch.tensor(skeleton.bones, device=joints.device).T
    return (joints[..., child, :] - joints[..., parent, :]).norm(dim=-1)
