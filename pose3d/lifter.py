"""What every lifting model promises: keypoints of a window in, root-relative joints out."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from anypose.shapes import IO
from anypose.skeleton import Skeleton

KeypointFrame = Literal["pixel", "screen", "ray"]


class Lifter(nn.Module):
    """A network from 2D keypoints to 3D joints. The one level of inheritance of the lifting models.

    `forward(keypoints)` takes (B, T, K, C) with T >= R and gives (B, T - R + 1, J, 3) joints relative to the root,
    in the camera frame [m].

    Attributes:
        receptive_field: R, the input frames one output frame depends on.
        causal: whether an output frame sees no later input frame.
        whole_window: the network reads windows of exactly R frames and gives a pose for each of them: (B, R, J, 3).
            `pose3d.lifting.sliding` makes one of the above out of it.
        keypoint_frame: the coordinates it reads, "pixel" [px], "screen" (x in [-1, 1], aspect kept) or "ray" (slopes
            x / z and y / z in the camera's frame: pixels less the principal point, by the focal length).
        keypoint_channels: 2 for (x, y), 3 where the detector's score comes third.
        keypoints_may_miss: a keypoint whose score is 0 is not there, and its place is not read.
        frames_read: which frames of a window are read, None for all R.
        input_skeleton: what the K keypoints are.
        output_skeleton: what the J joints are.
        predicted_joints: which rows of the output the network computes; any other row is zero by definition.
        io: the named shapes, for export and tests.
    """

    receptive_field: int
    causal: bool = False
    whole_window: bool = False
    keypoint_frame: KeypointFrame
    keypoint_channels: int = 2
    keypoints_may_miss: bool = False
    frames_read: tuple[int, ...] | None = None
    input_skeleton: Skeleton
    output_skeleton: Skeleton
    predicted_joints: slice = slice(None)
    io: IO

    def fit_statistics(self, keypoints: Tensor, joints: Tensor) -> None:
        """Learn mean and standard deviation from the training split; a model that uses neither ignores it.

        Args:
            keypoints: (N, K, C) every training frame, in the model's `keypoint_frame`.
            joints: (N, J, 3) root-relative joints [m].
        """

    def keypoint_mean(self) -> Tensor | None:
        """(K, C) mean of the training keypoints, None for a model that does not standardise."""
        return None

    def joint_scale(self) -> Tensor | None:
        """(J', 3) standard deviation of the `predicted_joints` [m], None for a model that does not standardise."""
        return None
