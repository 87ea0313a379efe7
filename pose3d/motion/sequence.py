"""The one record every motion reader gives: a person, an action, a camera, in time order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from anypose.camera import Camera, world_to_camera
from anypose.shapes import check_shape
from anypose.skeleton import Skeleton
from pose3d.motion.missing_joints import MissingJoints

Split = Literal["train", "validation"]


@dataclass(frozen=True, eq=False)
class PoseSequence:
    """One subject performing one take of one action, seen by one camera.

    Attributes:
        subject: e.g. "S9".
        action: the name the table is printed by, e.g. "SittingDown".
        take: the recording, e.g. "SittingDown 1"; unique with `subject`.
        camera: intrinsics and extrinsics; `camera.name` tells the views of one take apart.
        keypoints: (T, K, 2) float32 [px].
        keypoint_skeleton: what the K keypoints are.
        joints: (T, J, 3) float32, world frame [m]. The views of one take share one array.
        skeleton: what the J joints are.
        fps: frames per second.
        scores: (T, K) float32 in 0..1, or None where the source has no confidence.
        scale: (T,) float32, metres that 1 of `joints` is, where they are in another unit; None where they are metres.
        first_frame: what the source calls the first of the T frames.
        frame_stride: frames of the source from one of the T to the next; broken where it was resampled.
    """

    subject: str
    action: str
    take: str
    camera: Camera
    keypoints: np.ndarray
    keypoint_skeleton: Skeleton
    joints: np.ndarray
    skeleton: Skeleton
    fps: float
    scores: np.ndarray | None = None
    scale: np.ndarray | None = None
    first_frame: float = 0
    frame_stride: float = 1

    def __post_init__(self) -> None:
        frames, num_joints, num_keypoints = (
            len(self.joints),
            self.skeleton.num_joints,
            self.keypoint_skeleton.num_joints,
        )
        check_shape(self.joints, ("T", "J", 3), f"joints of {self.name}", J=num_joints)
        check_shape(self.keypoints, ("T", "K", 2), f"keypoints of {self.name}", T=frames, K=num_keypoints)
        if self.scores is not None:
            check_shape(self.scores, ("T", "K"), f"scores of {self.name}", T=frames, K=num_keypoints)
        if self.scale is not None:
            check_shape(self.scale, ("T",), f"scale of {self.name}", T=frames)
        if not frames:
            raise ValueError(f"{self.name} has no frames.")
        if not 0 < self.fps < np.inf:
            raise ValueError(f"fps of {self.name} must be a positive number, got {self.fps}.")
        for what, array in (("joints", self.joints), ("keypoints", self.keypoints), ("scores", self.scores)):
            if array is not None and not np.isfinite(array).all():
                frame = int(np.argwhere(~np.isfinite(array))[0][0])
                raise ValueError(f"{what} of {self.name} hold NaN or infinity, first in frame {frame} of {frames}.")
        if self.scale is not None and not ((self.scale > 0) & (self.scale < np.inf)).all():
            frame = int(np.argmin((self.scale > 0) & (self.scale < np.inf)))
            raise ValueError(f"scale of {self.name} must be positive, found {self.scale[frame]} in frame {frame}.")
        if self.scores is not None and (self.scores.min() < 0 or self.scores.max() > 1):
            frame, joint = np.argwhere((self.scores < 0) | (self.scores > 1))[0]
            raise ValueError(
                f"scores of {self.name} must be in 0..1, found {self.scores[frame, joint]:g} in frame {frame}."
            )

    @property
    def name(self) -> str:
        return f"{self.subject}/{self.take}/{self.camera.name}"

    def __len__(self) -> int:
        return len(self.joints)

    def joints_camera(self) -> np.ndarray:
        """(T, J, 3) float32 joints in the camera frame [m]."""
        return world_to_camera(self.joints, self.camera).astype(np.float32)


def require_motion(dataset: Any, where: str) -> None:
    """Refuse a dataset of people in pictures where motion is needed.

    Args:
        where: who needs it, as the user named it.
    """
    if not hasattr(dataset, "sequences"):
        raise ValueError(
            f"{where} needs motion, sequences of keypoints and joints, and dataset="
            f"{getattr(dataset, 'name', type(dataset).__name__)} holds people in pictures. Motion is in synthetic, "
            "cmu, custom, the h36m_ datasets and others."
        )


class MotionDataset(Protocol):
    """What a `dataset=` choice of pose3d builds. Its constructor checks paths; `sequences` reads.

    Attributes:
        name: e.g. "h36m_cdf".
        keypoint_source: where the 2D comes from, as printed with every number: "ground truth", ...
        actions: the table's rows, in the order they are printed.
        notes: departures a reader of a number must know ("S9 without Greeting"), may be empty.
        missing_joints: keypoints to hide from the model.
    """

    name: str
    keypoint_source: str
    actions: tuple[str, ...]
    notes: tuple[str, ...]
    missing_joints: MissingJoints

    def sequences(self, split: Split) -> list[PoseSequence]: ...
