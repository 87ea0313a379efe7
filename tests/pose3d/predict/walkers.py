"""Made-up people: walkers in front of a camera, exact in 3D and in pixels."""

from __future__ import annotations

import numpy as np

from anypose.skeleton import H36M_17

SIZE = (1280, 720)
FOCAL = 0.85 * 1280
HEIGHT = 1.4  # of the camera over the floor [m]
# Left half of somebody who stands, feet below the hips: across, ahead, up [m].
STANDING = {
    "hip": (0, 0, 0.95), "hip_": (0.13, 0, 0.95), "knee": (0.13, 0, 0.52), "foot": (0.13, 0, 0.08),
    "spine": (0, 0, 1.2), "thorax": (0, 0, 1.45), "neck": (0, 0.1, 1.55), "head": (0, 0.02, 1.65),
    "shoulder": (0.16, 0, 1.4), "elbow": (0.18, 0, 1.12), "wrist": (0.18, 0.05, 0.87),
}  # fmt: skip


def standing() -> np.ndarray:
    """(17, 3) Human3.6M's joints of somebody who looks along y; x is to their right, z up [m]."""
    points = []
    for joint in H36M_17.joints:
        side, _, part = joint.rpartition("_")
        x, y, z = STANDING["hip_" if side and part == "hip" else part]
        points.append((-x if side == "left" else x, y, z))
    return np.array(points, float)


def walk(times: np.ndarray, start: tuple[float, float], velocity: tuple[float, float]) -> np.ndarray:
    """(T, 17, 3) joints in the world, z up: somebody who walks straight on, each foot standing half of the time [m]."""
    body = np.repeat(standing()[None], len(times), 0)
    speed = float(np.hypot(*velocity))
    ahead = np.array([*velocity, 0]) / max(speed, 1e-9) if speed else np.array([0.0, 1, 0])
    right = np.array([ahead[1], -ahead[0], 0])
    phase = times % 1.0  # a step with each foot a second
    for side, shift in (("left", 0.0), ("right", 0.5)):
        p = (phase + shift) % 1
        stands = p < 0.5
        # It stands while the body passes over it, then swings to where it stands next.
        reach = np.where(stands, 0.25 - p, -0.25 + (p - 0.5)) * 2 * speed * 0.5
        lift = np.where(stands, 0, 0.1 * np.sin(np.pi * (p - 0.5) / 0.5))
        foot, knee, hip = (H36M_17.index(f"{side}_{part}") for part in ("foot", "knee", "hip"))
        body[:, foot, 1] += reach
        body[:, foot, 2] += lift
        body[:, knee] = (body[:, foot] + body[:, hip]) / 2 + [0, 0.05, 0]
        wrist, elbow = (H36M_17.index(f"{side}_{part}") for part in ("wrist", "elbow"))
        body[:, wrist, 1] -= reach * 0.6
        body[:, elbow, 1] -= reach * 0.3
    world = body[..., :1] * right + body[..., 1:2] * ahead + body[..., 2:] * np.array([0, 0, 1])
    path = np.array(start) + times[:, None] * np.array(velocity)
    world[..., :2] += path[:, None]
    return world


def camera_of(tilt: float = 0.0, roll: float = 0.0) -> np.ndarray:
    """(3, 3) world to that camera; its last column is up in its axes."""
    level = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    down = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    rolled = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    return rolled @ down @ level


def seen(world: np.ndarray, tilt: float = 0.0, roll: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """What a camera over the origin sees that looks along y, `tilt` down and rolled [rad].

    Returns:
        (..., 3) the joints in its axes [m], and (..., 3) their pixels with a score of 1.
    """
    camera = (world - [0, 0, HEIGHT]) @ camera_of(tilt, roll).T
    pixels = camera[..., :2] / camera[..., 2:] * FOCAL + np.array(SIZE) / 2
    return camera, np.concatenate([pixels, np.ones((*pixels.shape[:-1], 1))], -1)
