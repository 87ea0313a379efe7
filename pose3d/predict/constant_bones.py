"""Joints put where bones of constant length reach, with the feet where they were: a foot that stands stays standing."""

from __future__ import annotations

import numpy as np

from anypose.skeleton import Skeleton

# The last share of a leg's length is given up gradually, or knees would snap straight.
SOFTNESS = 0.01


def keep_lengths(joints: np.ndarray, lengths: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Bones keep their directions and get their lengths, apart from legs.

    A leg's foot goes to where it was, or as near as the leg reaches, and the knee bends to the side it did.

    Args:
        joints: (T, P, J, 3) in the world [m]; NaN stays NaN.
        lengths: (P, J) of the bone that ends in each joint [m]; the root's is not used.
        skeleton: what the joints are; parents stand before their children, wherever they are in the list.

    Returns:
        (T, P, J, 3) float64.
    """
    points = np.asarray(joints, dtype=np.float64)
    placed = points.copy()
    legs = {}
    for side in ("left", "right"):
        knee, foot = f"{side}_knee", f"{side}_foot"
        if {knee, foot} <= set(skeleton.joints) and skeleton.parents[skeleton.index(foot)] == skeleton.index(knee):
            legs[skeleton.index(knee)] = skeleton.index(foot)

    def put(points: np.ndarray, joint: int, place: np.ndarray) -> None:
        """There, where that is known."""
        points[..., joint, :] = np.where(np.isfinite(place), place, points[..., joint, :])

    order = [skeleton.parents.index(-1)]
    for joint in order:
        for child in (child for child, parent in skeleton.bones if parent == joint):
            order.append(child)
            if child in legs.values():
                continue  # placed with its knee
            along = points[..., child, :] - points[..., joint, :]
            if child in legs:
                foot = legs[child]
                thigh, shank = lengths[:, child, None], lengths[:, foot, None]
                knee, end = reach(placed[..., joint, :], points[..., foot, :], along, thigh, shank)
                put(placed, child, knee)
                put(placed, foot, end)
            else:
                put(placed, child, placed[..., joint, :] + along * lengths[:, child, None] / _length(along))
    return placed


def reach(
    hip: np.ndarray, foot: np.ndarray, bend: np.ndarray, thigh: np.ndarray, shank: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where knee and foot of a leg of these lengths are.

    Args:
        hip: (..., 3) where it hangs [m].
        foot: (..., 3) where the foot should be.
        bend: (..., 3) the way from the hip to about where the knee is.
        thigh: (..., 1) length [m].
        shank: (..., 1) length [m].

    Returns:
        (..., 3) knee and (..., 3) foot, which falls short of where it should be when that is too far or too near.
    """
    line = foot - hip
    wanted = _length(line)
    line = line / wanted
    longest, soft = thigh + shank, SOFTNESS * (thigh + shank)
    over = np.maximum(wanted - (longest - soft), 0)
    length = np.where(over > 0, longest - soft * np.exp(-over / soft), wanted)
    length = np.maximum(length, np.abs(thigh - shank) + 1e-6)
    across = bend - (bend * line).sum(-1, keepdims=True) * line
    straight = (across * across).sum(-1, keepdims=True) < (1e-6 * thigh) ** 2
    length = np.where(straight, longest, length)  # no bend says where the knee would go
    across = np.where(straight, 0, across / _length(across))
    along = (thigh**2 + length**2 - shank**2) / (2 * length)
    side = np.sqrt(np.maximum(thigh**2 - along**2, 0))
    return hip + along * line + side * across, hip + length * line


def _length(vectors: np.ndarray) -> np.ndarray:
    """(..., 1) lengths, NaN instead of none."""
    length = np.sqrt((vectors * vectors).sum(-1, keepdims=True))
    return np.where(length > 1e-9, length, np.nan)
