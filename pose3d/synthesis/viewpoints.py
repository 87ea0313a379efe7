"""A new camera for every sample, turned to look at the hips: only what such a camera can tell apart is drawn.

Where in the picture the person stands is not: a lifter with a centred input turns that away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from anypose.settings import Misuse

Range = tuple[float, float]


@dataclass(frozen=True)
class Viewpoints:
    """Uniform ranges of cameras around a person, any azimuth. Two kinds: on tripods in a room, and held by hand.

    Attributes:
        handheld: share of the samples that are seen by a camera of the second kind.
        pitch: how far a handheld camera looks down [degrees]; negative looks up.
        roll: largest roll of a handheld camera [degrees].
        distance: from a handheld camera to the hips [m]; drawn on a logarithmic scale.
        focal_error: standard deviation of the logarithm of the focal length that a handheld camera is taken to have.
    """

    handheld: float
    pitch: Range
    roll: float
    distance: Range
    focal_error: float

    # Human3.6M's: 1.3 to 1.8 m high, 3.8 to 6 m away, level.
    ROOM_PITCH = (-2.0, 18.0)
    ROOM_ROLL = 4.0
    ROOM_DISTANCE = (3.5, 6.5)

    def __post_init__(self) -> None:
        if not 0 <= self.handheld <= 1:
            raise Misuse(f"dataset.handheld={self.handheld} must lie in [0, 1].")
        if not -90 < self.pitch[0] <= self.pitch[1] < 90:
            raise Misuse(f"dataset.camera_pitch={list(self.pitch)} must be [low, high] within -90 to 90 degrees.")
        if not 0 <= self.roll <= 180:
            raise Misuse(f"dataset.camera_roll={self.roll} must lie in [0, 180] degrees.")
        if not 1.5 <= self.distance[0] <= self.distance[1]:
            raise Misuse(f"dataset.camera_distance={list(self.distance)} must be [low, high] from 1.5 m on.")
        if not 0 <= self.focal_error <= 0.5:
            raise Misuse(f"dataset.focal_error={self.focal_error} must lie in [0, 0.5].")

    def __call__(self, count: int, like: Tensor, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draw `count` cameras.

        Returns:
            (count, 3, 3) rotations from the world (z up) to the camera (x right, y down, z away), (count,) distances
            to the hips [m], and (count,) factors on what is seen, from a focal length taken wrongly.
        """

        def uniform(low: float, high: float) -> Tensor:
            return low + (high - low) * torch.rand(count, generator=generator, device=like.device)

        held = uniform(0, 1) < self.handheld
        pitch = torch.where(held, uniform(*self.pitch), uniform(*self.ROOM_PITCH))
        roll = torch.where(held, uniform(-self.roll, self.roll), uniform(-self.ROOM_ROLL, self.ROOM_ROLL))
        near, far = (math.log(distance) for distance in self.distance)
        distance = torch.where(held, uniform(near, far).exp(), uniform(*self.ROOM_DISTANCE))
        error = self.focal_error * torch.randn(count, generator=generator, device=like.device)
        factor = torch.where(held, error.exp(), torch.ones_like(error))
        rotation = camera_rotation(uniform(0, 360), pitch, roll)
        return rotation.to(like), distance.to(like), factor.to(like)


def camera_rotation(azimuth: Tensor, pitch: Tensor, roll: Tensor) -> Tensor:
    """(N, 3, 3) world to camera, of cameras that look along `azimuth`, down by `pitch`, turned by `roll` [degrees]."""
    azimuth, pitch, roll = (angle.deg2rad() for angle in (azimuth, pitch, roll))
    zero, one = torch.zeros_like(azimuth), torch.ones_like(azimuth)
    sa, ca, sp, cp, sr, cr = azimuth.sin(), azimuth.cos(), pitch.sin(), pitch.cos(), roll.sin(), roll.cos()
    # Rows: right, down and forward of a level camera that looks along (cos a, sin a, 0).
    level = torch.stack([sa, -ca, zero, zero, zero, -one, ca, sa, zero], -1).view(-1, 3, 3)
    tilt = torch.stack([one, zero, zero, zero, cp, -sp, zero, sp, cp], -1).view(-1, 3, 3)
    turn = torch.stack([cr, sr, zero, -sr, cr, zero, zero, zero, one], -1).view(-1, 3, 3)
    return turn @ tilt @ level


def rays(joints: Tensor, distance: Tensor) -> Tensor:
    """Slopes (x / z, y / z) of joints, as a camera sees them that looks at the hips of the sample's middle frame.

    Args:
        joints: (B, T, J, 3) in camera axes, relative to that place [m].
        distance: (B,) to that place [m].

    Returns:
        (B, T, J, 2).
    """
    depth = (joints[..., 2:] + distance[:, None, None, None]).clamp(min=0.3)
    return joints[..., :2] / depth
