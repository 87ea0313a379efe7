"""Where things are: world, camera, screen and pixel coordinates, and the lens between them.

World to camera is X_c = R (X_w - T), T the camera's centre. The camera looks along +z, x to the right, y down. The lens
is Human3.6M's: with (x, y) = (X, Y) / Z and r^2 = x^2 + y^2,

    radial = 1 + k1 r^2 + k2 r^4 + k3 r^6        tangential = p1 y + p2 x
    pixel  = f (x, y) (radial + tangential) + f (p2, p1) r^2 + c

OpenCV's tangential terms 2 p1 x y + p2 (r^2 + 2 x^2) have a factor 2 that these have not: coefficients calibrated with
the one model mean something else in the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

# A point at or behind the camera's plane has no image. It is treated as lying this far in front of it ...
NEAREST = 1e-6
# ... and at most this far off the axis, as x / z: 84 degrees, where no lens model holds, so without distortion.
STEEPEST = 10.0


@dataclass(frozen=True, eq=False)
class Camera:
    """One calibrated camera.

    Attributes:
        name: tells the views of a take apart, e.g. "54138969".
        rotation: (3, 3) world to camera.
        position: (3,) the camera's centre in the world [m].
        focal: (2,) [px].
        centre: (2,) principal point [px].
        radial: (3,) k1, k2, k3.
        tangential: (2,) p1, p2, in the order of Human3.6M's metadata.xml and cameras.h5; VideoPose3D's table has them
            the other way round.
        width, height: of the picture [px].

    Raises:
        ValueError: naming what has another shape, is not finite, turns nothing round, or is no length.
    """

    name: str
    rotation: np.ndarray
    position: np.ndarray
    focal: np.ndarray
    centre: np.ndarray
    radial: np.ndarray
    tangential: np.ndarray
    width: int
    height: int

    def __post_init__(self) -> None:
        shapes = {
            "rotation": (3, 3),
            "position": (3,),
            "focal": (2,),
            "centre": (2,),
            "radial": (3,),
            "tangential": (2,),
        }
        for field, shape in shapes.items():
            value = np.asarray(getattr(self, field), dtype=np.float64)
            if value.shape != shape or not np.isfinite(value).all():
                raise ValueError(
                    f"{field} of camera {self.name} must be finite and of shape {shape}, got {value.tolist()}."
                )
            object.__setattr__(self, field, value)
        if not np.allclose(self.rotation @ self.rotation.T, np.eye(3), atol=1e-4) or np.linalg.det(self.rotation) < 0:
            raise ValueError(f"rotation of camera {self.name} must be a rotation, got {self.rotation.tolist()}.")
        if (self.focal <= 0).any() or self.width <= 0 or self.height <= 0:
            raise ValueError(
                f"focal, width and height of camera {self.name} must be positive, "
                f"got {self.focal.tolist()}, {self.width}, {self.height}."
            )

    @property
    def intrinsics(self) -> np.ndarray:
        """(9,) float64: focal (2), centre (2), radial (3), tangential (2), for keypoints in pixels."""
        return np.concatenate([self.focal, self.centre, self.radial, self.tangential])

    @property
    def screen_intrinsics(self) -> np.ndarray:
        """(9,) float64, as `intrinsics`, for keypoints on the screen (`to_screen`)."""
        centre = to_screen(self.centre, self.width, self.height)
        return np.concatenate([self.focal * 2 / self.width, centre, self.radial, self.tangential])


def world_to_camera(points: np.ndarray, camera: Camera) -> np.ndarray:
    """Move points (..., 3) [m] from the world into the camera's frame."""
    moved = (np.asarray(points, dtype=np.float64) - camera.position) @ camera.rotation.T
    return moved.astype(points.dtype, copy=False)


def camera_to_world(points: np.ndarray, camera: Camera) -> np.ndarray:
    """Move points (..., 3) [m] from the camera's frame into the world."""
    moved = np.asarray(points, dtype=np.float64) @ camera.rotation + camera.position
    return moved.astype(points.dtype, copy=False)


def project(points: np.ndarray, camera: Camera) -> np.ndarray:
    """Image of points (..., 3) in the camera frame: (..., 2) [px], lens distortion included.

    What lies at or behind the camera's plane is given a finite place far outside the picture, on its own side
    (`NEAREST`, `STEEPEST`). Only straight behind the lens is the principal point: look at the depth to tell.
    """
    exact = np.asarray(points, dtype=np.float64)
    slopes = exact[..., :2] / np.maximum(exact[..., 2:], NEAREST)
    inside = (np.abs(slopes) <= STEEPEST).all(-1, keepdims=True)
    slopes = np.clip(slopes, -STEEPEST, STEEPEST)
    scale, shift = _lens(slopes, camera)
    seen = np.where(inside, slopes * scale + shift, slopes)
    return (camera.focal * seen + camera.centre).astype(points.dtype, copy=False)


def undistort(keypoints: np.ndarray, camera: Camera) -> np.ndarray:
    """Where (..., 2) [px] would be seen through the same lens without distortion [px].

    The inverse of the distortion has no closed form: its fixed point is iterated to 1e-12.

    Raises:
        ValueError: where a keypoint is so far outside the picture that the lens model has no inverse.
    """
    seen = (np.asarray(keypoints, dtype=np.float64) - camera.centre) / camera.focal
    slopes = seen
    change = np.zeros(seen.shape[:-1])
    for _ in range(100):
        scale, shift = _lens(slopes, camera)
        better = (seen - shift) / scale
        change = np.abs(better - slopes).max(-1)
        slopes = better
        if (change < 1e-12).all():
            break
    lost = ~(change < 1e-9)
    if lost.any():
        first = np.asarray(keypoints)[lost][0].tolist()
        raise ValueError(
            f"{int(lost.sum())} keypoints cannot be undistorted, the first at {first} px: they lie too far outside the "
            f"{camera.width} x {camera.height} picture of camera {camera.name}. Drop or clip them."
        )
    return (slopes * camera.focal + camera.centre).astype(keypoints.dtype, copy=False)


def to_rays(keypoints: np.ndarray, camera: Camera) -> np.ndarray:
    """Pixels (..., 2) to slopes (x / z, y / z) of the rays they lie on, the lens undone: nothing of the camera stays.

    Raises:
        ValueError: as `undistort`.
    """
    straight = undistort(np.asarray(keypoints, dtype=np.float64), camera)
    return ((straight - camera.centre) / camera.focal).astype(keypoints.dtype, copy=False)


def _lens(slopes: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """The lens as (..., 1) scale and (..., 2) shift of (x, y) / z."""
    square = (slopes**2).sum(-1, keepdims=True)
    k1, k2, k3 = camera.radial
    scale = 1 + square * (k1 + square * (k2 + square * k3)) + slopes @ camera.tangential[::-1, None]
    return scale, camera.tangential[::-1] * square


def to_screen(keypoints: np.ndarray, width: int, height: int) -> np.ndarray:
    """Pixels (..., 2) to the screen: x in [-1, 1] from edge to edge, y on the same scale, so the aspect is kept."""
    screen = np.asarray(keypoints, dtype=np.float64) * (2 / width) - np.array([1, height / width])
    return screen.astype(keypoints.dtype, copy=False)


def project_points(points: Tensor, intrinsics: Tensor) -> Tensor:
    """Differentiable image of points through one lens per batch item, for reprojection losses.

    x / z and y / z are limited to [-1, 1] (45 degrees) as in VideoPose3D, so that an early, wild prediction costs a
    bounded error and no gradient. Unlike there a point behind the camera stays on its own side.

    Args:
        points: (B, ..., 3) camera frame [m].
        intrinsics: (B, 9) `Camera.intrinsics` or `Camera.screen_intrinsics`.

    Returns:
        (B, ..., 2) in the frame of the intrinsics.
    """
    lens = intrinsics.reshape(len(intrinsics), *[1] * (points.ndim - 2), 9)
    focal, centre, radial, tangential = lens.split((2, 2, 3, 2), dim=-1)
    slopes = (points[..., :2] / points[..., 2:].clamp(min=NEAREST)).clamp(-1, 1)
    square = (slopes**2).sum(-1, keepdim=True)
    k1, k2, k3 = radial.split(1, dim=-1)
    reverse = tangential.flip(-1)
    scale = 1 + square * (k1 + square * (k2 + square * k3)) + (slopes * reverse).sum(-1, keepdim=True)
    return focal * (slopes * scale + reverse * square) + centre


def mirror_intrinsics(intrinsics: Tensor) -> Tensor:
    """(..., 9) screen intrinsics of the mirrored picture: for a batch whose joints and keypoints are mirrored."""
    sign = intrinsics.new_tensor([1, 1, -1, 1, 1, 1, 1, 1, -1])
    return intrinsics * sign
