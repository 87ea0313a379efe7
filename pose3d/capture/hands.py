"""Hands for the capture network: other datasets' joints in its order, right hands as the left ones it knows.

There is no dataset of hands here to train on; this is what one would be read with, and what a converted network's hands
are given back with.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from torch import Tensor

Points = TypeVar("Points", np.ndarray, Tensor)

# Where the layout's joints (wrist; thumb, index, middle, ring, little, each from its tip) are in other orders.
_ORDERS = {
    "rhd": tuple(range(21)),
    "openpose": (0, 4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17),  # Panoptic's, too
    "stb": (0, *range(20, 0, -1)),
}
_STB_PALM, _STB_MIDDLE_BASE = 0, 9


def hand_joints(points: Points, source: str) -> Points:
    """(..., 21, D) joints of a hand in the order of layout "hand".

    Args:
        points: (..., 21, D) in the order of `source`.
        source: "rhd", "openpose" (and Panoptic), or "stb", which has the palm's middle in place of the wrist: the wrist
            is put as far on the other side of it as the base of the middle finger is on this one.
    """
    if source not in _ORDERS:
        raise ValueError(f"Hands can be read from {', '.join(_ORDERS)}, got {source}.")
    if points.shape[-2] != 21:
        raise ValueError(f"A hand has 21 joints, got points of shape {tuple(points.shape)}.")
    joints: Any = points[..., list(_ORDERS[source]), :]
    if source == "stb":
        joints[..., 0, :] = 2 * points[..., _STB_PALM, :] - points[..., _STB_MIDDLE_BASE, :]
    return joints


def mirrored_hand(keypoints: Points, vectors: Points, width: int) -> tuple[Points, Points]:
    """A right hand as a left one, or what was found of a mirrored image given back: the same both ways.

    Args:
        keypoints: (..., 21, 2) [px].
        vectors: (..., 20, 3) orientations of the limbs, or (..., 21, 3) joints.
        width: of the image [px].

    Returns:
        Both in the mirror: x becomes width - 1 - x, and the x of directions changes sign.
    """
    turned: Any = keypoints * _like(keypoints, [-1.0, 1.0]) + _like(keypoints, [width - 1.0, 0.0])
    flipped: Any = vectors * _like(vectors, [-1.0, 1.0, 1.0])
    return turned, flipped


def _like(points: Any, values: list[float]) -> Any:
    """`values` as an array or tensor of the type of `points`."""
    if isinstance(points, np.ndarray):
        return np.array(values, dtype=points.dtype)
    return points.new_tensor(values)
