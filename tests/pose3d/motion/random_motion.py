"""Random sequences for tests: any lengths, subjects and actions, joints that move a little from frame to frame."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from anypose.camera import Camera, world_to_camera
from anypose.skeleton import H36M_17, Skeleton
from pose3d.motion.missing_joints import NONE, MissingJoints
from pose3d.motion.sequence import PoseSequence


def camera(name: str = "cam", width: int = 1000, height: int = 900, seed: int = 0) -> Camera:
    """A camera somewhere, turned somehow, with lens distortion."""
    rng = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    rotation *= np.sign(np.linalg.det(rotation))
    return Camera(
        name,
        rotation,
        rng.normal(size=3),
        np.array([1145.0, 1143.8]),
        np.array([512.5, 515.4]),
        np.array([-0.2, 0.24, -0.003]),
        np.array([-0.0014, -0.00097]),
        width,
        height,
    )


def sequence(
    frames: int,
    subject: str = "S1",
    action: str = "Walking",
    take: str = "Walking 1",
    seed: int = 0,
    keypoint_skeleton: Skeleton = H36M_17,
    scores: bool = False,
    view: Camera | None = None,
    learnable: bool = False,
) -> PoseSequence:
    """Random keypoints, or with `learnable` the joints seen from afar, so that depth can be guessed from them."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(0, 0.01, (frames, 17, 3)), axis=0)
    joints = (rng.normal(0, 0.3, (1, 17, 3)) + walk).astype(np.float32)
    keypoints = rng.normal(500, 120, (frames, keypoint_skeleton.num_joints, 2)).astype(np.float32)
    view = view or camera(seed=seed)
    if learnable:
        keypoints = 500 + 400 * world_to_camera(joints, view)[..., :2]
    return PoseSequence(
        subject,
        action,
        take,
        view,
        keypoints,
        keypoint_skeleton,
        joints,
        H36M_17,
        50.0,
        rng.random(keypoints.shape[:2], dtype=np.float32) if scores else None,
    )


def dataset(
    *sequences: PoseSequence, actions: tuple[str, ...] | None = None, missing_joints: MissingJoints = NONE
) -> SimpleNamespace:
    """A MotionDataset that gives the same sequences for both splits."""
    return SimpleNamespace(
        name="random",
        keypoint_source="ground truth",
        actions=actions or tuple(dict.fromkeys(s.action for s in sequences)),
        notes=("made up",),
        missing_joints=missing_joints,
        sequences=lambda split: list(sequences),
    )
