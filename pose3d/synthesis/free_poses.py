"""Poses of no action: trunk, limbs and attitude drawn anew for each, within what joints allow."""

from __future__ import annotations

import numpy as np

from pose3d.synthesis.body import LIMITS, Body
from pose3d.synthesis.kinematics import Controls, pose_body, rotation


def draw_poses(rng: np.random.Generator, body: Body, count: int) -> np.ndarray:
    """(count, 17, 3) joints of skeleton h36m_17, hips near the origin, z up [m].

    Most stand, crouch or stride; about one in five lies, leaps or hangs head down. Hands reach anywhere in front of
    or beside the chest, feet anywhere under, before or behind the hips.
    """

    def within(joint: str, spread: float) -> np.ndarray:
        low, high = LIMITS[joint]
        return np.radians(np.clip(rng.normal(scale=spread * (high - low) / 2, size=count), low, high))

    thrown = rng.random(count) < 0.2
    pitch = np.where(thrown, rng.uniform(-np.pi, np.pi, count), rng.normal(0.1, 0.25, count))
    roll = np.where(thrown, rng.uniform(-np.pi, np.pi, count), rng.normal(0, 0.1, count))
    trunk = [
        np.stack([within("trunk_flexion", s), within("trunk_side", s), within("trunk_twist", s)], axis=1)
        for s in (0.4, 0.4)
    ]
    neck = np.stack([within("neck_flexion", 0.35), within("neck_side", 0.35), within("neck_twist", 0.5)], axis=1)
    pelvis = np.zeros((count, 3))
    turn = np.stack([pitch, roll, np.zeros(count)], axis=1)
    # Legs: down and forward of the hips in the pelvis's own frame, then turned with it.
    straight = (
        np.where(rng.random((count, 2)) < 0.5, rng.uniform(0.9, 1.0), rng.uniform(0.35, 1.0, (count, 2))) * body.leg
    )
    forward = rng.normal(0.15, 0.5, (count, 2)).clip(-0.7, 1.7)
    outward = rng.normal(0.1, 0.2, (count, 2)).clip(-0.25, 1.0)
    sign = np.array([-1.0, 1.0])
    feet = np.stack(
        [
            straight * np.sin(forward) * np.cos(outward),
            sign * (body.hip + straight * np.sin(outward)),
            -straight * np.cos(forward) * np.cos(outward),
        ],
        axis=2,
    )
    controls = Controls(
        pelvis=pelvis,
        orientation=turn,
        lumbar=trunk[0],
        thoracic=trunk[1],
        neck=neck,
        feet=np.einsum("tij,tsj->tsi", rotation(turn), feet),
        knees=rng.normal(0.1, 0.25, (count, 2)),
        hands=_hands(rng, count),
        elbows=rng.normal(0.1, 0.4, (count, 2)),
    )
    return pose_body(controls, body)


def _hands(rng: np.random.Generator, count: int) -> np.ndarray:
    """(count, 2, 3) wrists from the thorax, in arm lengths, y outward: hanging, or in reach but behind the back."""
    direction = rng.normal([0.4, 0.5, 0.0], size=(count, 2, 3))
    hanging = rng.random((count, 2)) < 0.3
    direction[hanging] = rng.normal([0.1, 0.2, -1.0], 0.2, (int(hanging.sum()), 3))
    behind = (direction[..., 0] < -0.2) & (direction[..., 2] > -0.5)
    direction[..., 0] = np.where(behind, -direction[..., 0], direction[..., 0])
    direction /= np.linalg.norm(direction, axis=2, keepdims=True)
    reach = rng.choice([0.45, 0.7, 0.97], (count, 2), p=[0.25, 0.3, 0.45]) * rng.uniform(0.9, 1.02, (count, 2))
    return direction * reach[..., None] + np.array([0.0, 0.27, -0.02])
