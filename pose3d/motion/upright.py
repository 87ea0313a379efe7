"""Which way is up in a recording: most people stand most of the time, so files whose world is another are told."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np

from anypose.skeleton import H36M_17

log = logging.getLogger(__name__)
# A world with z up in one with y up: x stays, z becomes y.
Y_FROM_Z = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
CLEAR = 0.7  # of a body's direction in the median frame; in CMU's takes upright is 0.95 and more


def lies_along(joints: np.ndarray) -> str | None:
    """The axis of the file's world, "z" or "-x", along which somebody is stretched in most frames; None for upright.

    Args:
        joints: (T, 17, 3) of `H36M_17`, z up, which was the file's y.
    """
    feet = joints[:, [H36M_17.index("left_foot"), H36M_17.index("right_foot")]].mean(1)
    body = joints[:, H36M_17.index("thorax")] - feet
    body = body / np.maximum(np.linalg.norm(body, axis=-1, keepdims=True), 1e-9)
    x, minus_z, y = np.median(body, axis=0) if len(body) else np.zeros(3)
    along = {"x": x, "-x": -x, "z": -minus_z, "-z": minus_z, "-y": -y}
    most = max(along, key=lambda axis: along[axis])
    return most if along[most] >= CLEAR else None


def check_upright(lying: Mapping[str, str], takes: int) -> None:
    """Tell of takes in which somebody lies; refuse where most are.

    Args:
        lying: {file: axis} of `lies_along`.
        takes: how many there are.

    Raises:
        ValueError: naming the key that settles it.
    """
    if not lying:
        return
    first, axis = next(iter(lying.items()))
    told = f"{first}: in {len(lying)} of {takes} takes people lie along {axis} from beginning to end"
    if 2 * len(lying) <= takes:
        log.warning("%s.", told)
        return
    turned = "dataset.up=z where z is up in the files, " if axis == "z" else ""
    raise ValueError(
        f"{told}, and y is up in CMU's files. Say {turned}dataset.up=y where they do lie, as swimmers, or turn the "
        "files."
    )


def from_z_up(positions: np.ndarray, turns: np.ndarray, rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions (T, N, 3) and turns (T, N, 3, 3) of a world with z up in one with y up.

    Args:
        positions: of joints.
        turns: joint to world.
        rest: (3,) from the hips to the neck in the rest pose. Where that is upright, too, the joints' own axes have z
            up; otherwise the root alone is turned, and theirs stay.
    """
    turns = Y_FROM_Z @ turns
    if np.argmax(np.abs(rest)) == 2:
        turns = turns @ Y_FROM_Z.T
    return positions @ Y_FROM_Z.T, turns
