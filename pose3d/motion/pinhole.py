"""Cameras as other data has them: lenses fitted to points, OpenCV's distortion, quaternions, rotation vectors."""

from __future__ import annotations

import numpy as np

from anypose.camera import Camera

# The camera's frame seen from a world with z up: x stays, y down becomes -z, z away becomes y.
LEVEL = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])


def fit_pinhole(
    name: str,
    joints: np.ndarray,
    keypoints: np.ndarray,
    size: tuple[int, int],
    rotation: np.ndarray = LEVEL,
    position: np.ndarray | None = None,
) -> Camera:
    """A camera without distortion, its focal lengths and principal point by least squares: u = f x / z + c.

    Detections are noisy and some are wild: after a first fit the half that fits worse is left out and the rest fitted
    again.

    Args:
        name: of the camera.
        joints: (N, 3) camera frame [m], in front of the camera.
        keypoints: (N, 2) the same points in the picture [px].
        size: width and height of the picture [px].
        rotation: (3, 3) world to camera; a level camera where the world is not known.
        position: (3,) in the world [m]; the origin where the world is not known.
    """
    if not np.isfinite(joints).all() or not np.isfinite(keypoints).all():
        raise ValueError(f"camera {name}: joints or keypoints hold NaN or infinity.")
    slopes = joints[:, :2].astype(np.float64) / np.where(joints[:, 2:] > 0, joints[:, 2:], 1)
    if len(joints) < 4 or not (joints[:, 2] > 0).all() or np.ptp(slopes, axis=0).min() < 1e-6:
        raise ValueError(
            f"camera {name}: a lens can only be fitted to points in front of the camera and not in a line, found "
            f"{len(joints)} at depths from {joints[:, 2].min(initial=np.inf):.3g} m."
        )
    keep = np.ones(len(joints), dtype=bool)
    for _ in range(2):
        lens = [np.polyfit(slopes[keep, axis], keypoints[keep, axis].astype(np.float64), 1) for axis in range(2)]
        error = np.abs(np.stack([np.polyval(lens[a], slopes[:, a]) - keypoints[:, a] for a in range(2)], -1)).max(-1)
        keep = error <= np.median(error)
    focal, centre = np.transpose(lens)
    if (focal <= 0).any():
        raise ValueError(f"camera {name}: the fitted focal lengths are {focal.round(1).tolist()}; 2D and 3D differ.")
    return Camera(
        name=name,
        rotation=rotation,
        position=np.zeros(3) if position is None else position,
        focal=focal,
        centre=centre,
        radial=np.zeros(3),
        tangential=np.zeros(2),
        width=size[0],
        height=size[1],
    )


def quaternion_rotation(quaternion: np.ndarray) -> np.ndarray:
    """(3, 3) of a unit quaternion (w, x, y, z)."""
    w, x, y, z = np.asarray(quaternion, dtype=np.float64) / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def rodrigues(vector: np.ndarray) -> np.ndarray:
    """(3, 3) rotation about `vector` (3,) by its length [rad]."""
    angle = float(np.linalg.norm(vector))
    x, y, z = vector / angle if angle else vector
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def straightened(keypoints: np.ndarray, camera: Camera, distortion: np.ndarray) -> np.ndarray:
    """Where keypoints (..., 2) [px] would lie without OpenCV's distortion k1, k2, p1, p2, k3 [px].

    Its inverse is found by iterating the fixed point, as OpenCV does.
    """
    k1, k2, p1, p2, k3 = distortion
    bent = (keypoints - camera.centre) / camera.focal
    straight = bent
    for _ in range(20):
        x, y = straight[..., 0], straight[..., 1]
        square = x * x + y * y
        radial = 1 + square * (k1 + square * (k2 + square * k3))
        shift = np.stack([2 * p1 * x * y + p2 * (square + 2 * x * x), p1 * (square + 2 * y * y) + 2 * p2 * x * y], -1)
        straight = (bent - shift) / radial[..., None]
    return straight * camera.focal + camera.centre
