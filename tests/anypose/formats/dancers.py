"""People who dance with bones of constant length, made by turning a rest pose: every number is known."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from anypose.motion import Motion
from anypose.skeleton import COCO_17, H36M_17


def dancers(frames: int = 12, people: int = 1, seed: int = 0, fps: float = 25.0, **fields: Any) -> Motion:
    """Joints in the world and the camera, keypoints, rotations and rest pose that agree with one another."""
    rng = np.random.default_rng(seed)
    skeleton = H36M_17
    rest = rng.normal(0, 0.2, (people, 17, 3))
    rest -= rest[:, :1]
    start = Rotation.random(people * 17, rng=rng)
    speed = rng.normal(0, 0.05, (people * 17, 3))
    turns = [(Rotation.from_rotvec(t * speed) * start) for t in range(frames)]
    rotations = np.stack([turn.as_quat(scalar_first=True) for turn in turns]).reshape(frames, people, 17, 4)
    world = np.zeros((frames, people, 17, 3))
    world[:, :, 0] = np.cumsum(rng.normal(0, 0.02, (frames, people, 3)), 0)
    world[:, :, 0, 2] += 1
    for joint, parent in skeleton.bones:
        bone = np.broadcast_to(rest[:, joint] - rest[:, parent], (frames, people, 3)).reshape(-1, 3).copy()
        turn = Rotation.from_quat(rotations[:, :, joint].reshape(-1, 4), scalar_first=True)
        world[:, :, joint] = world[:, :, parent] + turn.apply(bone).reshape(frames, people, 3)
    keypoints = rng.uniform(0, 400, (frames, people, 17, 3))
    keypoints[..., 2] = rng.uniform(0, 1, keypoints.shape[:3])
    values: dict[str, Any] = {
        "times": np.arange(frames) / fps,
        "ids": np.arange(1, people + 1),
        "keypoints": keypoints.astype(np.float32),
        "keypoint_skeleton": COCO_17,
        "joints": (np.stack([world[..., 0], -world[..., 2], world[..., 1] + 4], -1)).astype(np.float32),
        "world": world.astype(np.float32),
        "skeleton": skeleton,
        "rotations": rotations.astype(np.float32),
        "rest": rest.astype(np.float32),
        "size": (640, 480),
        "facts": {"lifter": "none"},
    }
    return Motion("dance", **(values | fields))


def part(motion: Motion, frames: slice, people: list[int] | None = None) -> Motion:
    """Some frames, and the people in these places."""
    kept = list(range(len(motion.ids))) if people is None else people
    fields: dict[str, Any] = {}
    for name in ("keypoints", "joints", "world", "rotations", "filled", "contacts", "hypotheses"):
        array = getattr(motion, name)
        fields[name] = None if array is None else array[frames][:, kept]
    for name in ("keypoint_skeleton", "skeleton", "camera", "size", "facts"):
        fields[name] = getattr(motion, name)
    fields["rest"] = None if motion.rest is None else motion.rest[kept]
    return Motion(motion.name, motion.times[frames], motion.ids[kept], **fields)
