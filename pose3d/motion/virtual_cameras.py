"""Cameras for motion that was recorded without any: drawn from Human3.6M's ranges, one set a take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anypose.camera import Camera
from anypose.shapes import check_shape

Range = tuple[float, float]


@dataclass(frozen=True)
class CameraRanges:
    """Uniform ranges (low, high) that cameras are drawn from; the defaults span Human3.6M's four cameras.

    Human3.6M's cameras stand 4 to 5.5 m from the room's middle, near 1.5 m high, level in roll and some ten
    degrees down in pitch: they look at a point below the hips, so people appear above the picture's centre.

    Attributes:
        distance: horizontal, from the person's path to the camera [m].
        height: of the camera above the floor, z = 0 [m].
        sideways: how far from the middle of the path the camera looks, along x and along y [m].
        below_root: how far below the path's mean height the camera looks [m].
        roll: about the viewing direction [rad].
        tilt: how far the camera looks above where it would look otherwise [rad].
        focal: [px].
        centre: principal point, x and y [px].
        radial: of the three coefficients.
        tangential: of the two coefficients.
        size: width and height [px].
        margin: no joint comes nearer to the border than this [px].
        nearest: no joint comes nearer to the camera than this along its axis [m].
    """

    distance: Range = (3.8, 6.0)
    height: Range = (1.3, 1.8)
    sideways: Range = (-0.6, 0.6)
    below_root: Range = (0.15, 0.5)
    roll: Range = (-0.03, 0.03)
    tilt: Range = (0.0, 0.0)
    focal: Range = (1130.0, 1165.0)
    centre: Range = (500.0, 520.0)
    radial: tuple[Range, Range, Range] = ((-0.208, -0.194), (0.218, 0.255), (-0.009, 0.007))
    tangential: tuple[Range, Range] = ((-0.0027, -0.0008), (-0.0016, 0.0015))
    size: tuple[int, int] = (1000, 1000)
    margin: float = 20.0
    nearest: float = 2.0


H36M_RANGES = CameraRanges()


def sample_cameras(
    rng: np.random.Generator,
    joints_world: np.ndarray,
    num_cameras: int,
    ranges: CameraRanges = H36M_RANGES,
) -> list[Camera]:
    """Draw cameras that stand still around one take and see all of it.

    The azimuths are spread: a random start, equal sectors, a random place in the sector. Distance, height and aim
    are drawn, and where the take would leave the picture or come too near, the camera steps back along its own
    axis just far enough; long walks are therefore seen from farther away than Human3.6M's room allows.

    Args:
        rng: all randomness comes from here.
        joints_world: (T, J, 3), z up, floor near z = 0, joint 0 the root [m].
        num_cameras: how many.
        ranges: what to draw from.

    Returns:
        Cameras "virtual1", "virtual2", ... Before lens distortion every joint lies inside the picture, `margin`
        away from its border, and at least `nearest` in front of the camera.
    """
    check_shape(joints_world, ("T", "J", 3), "joints_world")
    if num_cameras < 1 or not joints_world.size:
        raise ValueError(f"num_cameras={num_cameras} and {len(joints_world)} frames: both must be at least 1.")
    root = joints_world[:, 0].astype(np.float64)
    middle = (root.min(0) + root.max(0)) / 2
    points = np.ascontiguousarray(joints_world.reshape(-1, 3).T, dtype=np.float64)
    tilts = rng.spawn(1)[0].uniform(*ranges.tilt, size=num_cameras)  # of their own, so that they move nothing else
    start = rng.uniform(0, 2 * np.pi)
    cameras = []
    for number in range(num_cameras):
        azimuth = start + 2 * np.pi * (number + rng.uniform()) / num_cameras
        focal = np.full(2, rng.uniform(*ranges.focal))
        centre = rng.uniform(*ranges.centre, size=2)
        aim = middle + np.append(rng.uniform(*ranges.sideways, size=2), -rng.uniform(*ranges.below_root))
        away = np.array([np.cos(azimuth), np.sin(azimuth), 0.0]) * rng.uniform(*ranges.distance)
        position = np.array([aim[0] + away[0], aim[1] + away[1], rng.uniform(*ranges.height)])
        rotation = tilted(look_at(position, aim, rng.uniform(*ranges.roll)), tilts[number])
        back = _step_back(points, rotation, position, focal[0], centre, ranges)
        cameras.append(
            Camera(
                name=f"virtual{number + 1}",
                rotation=rotation,
                position=position - back * rotation[2],
                focal=focal,
                centre=centre,
                radial=np.array([rng.uniform(*bounds) for bounds in ranges.radial]),
                tangential=np.array([rng.uniform(*bounds) for bounds in ranges.tangential]),
                width=ranges.size[0],
                height=ranges.size[1],
            )
        )
    return cameras


def look_at(position: np.ndarray, target: np.ndarray, roll: float = 0.0) -> np.ndarray:
    """(3, 3) world-to-camera rotation: x right, y down, z from `position` (3,) to `target` (3,), z of the world up.

    `roll` turns the camera about its viewing direction [rad].
    """
    forward = target - position
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right = right / np.linalg.norm(right)
    down = np.cross(forward, right)
    cos, sin = np.cos(roll), np.sin(roll)
    return np.stack([cos * right + sin * down, cos * down - sin * right, forward])


def tilted(rotation: np.ndarray, angle: float) -> np.ndarray:
    """(3, 3) world-to-camera `rotation` of a camera turned up about its own x by `angle` [rad]."""
    right, down, forward = rotation
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([right, cos * down + sin * forward, cos * forward - sin * down])


def _step_back(
    points: np.ndarray,
    rotation: np.ndarray,
    position: np.ndarray,
    focal: float,
    centre: np.ndarray,
    ranges: CameraRanges,
) -> float:
    """How far the camera must move against its axis until every point (3, N) is in the picture and not too near [m].

    A point at (x, y, z) is left of the right border once f x / (z + back) <= border, so every bound on `back` is
    linear in the point and its maximum over points is exact.
    """
    low = centre - ranges.margin
    high = np.array(ranges.size) - ranges.margin - centre
    x, y, z = rotation
    bounds = np.stack([focal / high[0] * x, -focal / low[0] * x, focal / high[1] * y, -focal / low[1] * y, 0 * z]) - z
    # einsum, because BLAS would wake its threads for so thin a product.
    worst = np.einsum("bi,in->bn", bounds, points).max(1) - bounds @ position
    worst[4] += ranges.nearest
    return float(max(worst.max(), 0.0))
