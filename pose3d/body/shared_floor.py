"""People of one picture stand on one floor: an adult who is far away and a child who is near look alike without it."""

from __future__ import annotations

import numpy as np

from anypose.skeleton import H36M_17
from pose3d.body.fit import Fit
from pose3d.body.keypoint_body import KeypointBody

FEET = [H36M_17.index("left_foot"), H36M_17.index("right_foot")]
LOOKS_DOWN = 0.4  # a camera that is not so far above feet sees no floor [m]
SMALLER = 0.8  # of their stature: those who would be smaller on one floor are told; lifters are 5 % off
SEEN = 0.3  # deviation of feet above which they were not seen [m]


def feet_below(fit: Fit, human: KeypointBody, up: np.ndarray) -> float:
    """How far below the camera somebody stands [m], NaN where no foot was seen.

    Args:
        fit: in camera axes.
        human: with Human3.6M's joints.
        up: (3,) unit, in camera axes.
    """
    if np.median(fit.deviation[:, FEET]) > SEEN:
        return float("nan")
    return float(np.median((-fit.points(human)[:, FEET] @ up).max(-1)))


def small_on_one_floor(below: dict[int, float], statures: dict[int, float]) -> dict[int, tuple[int, float]]:
    """Who would be much smaller on the floor of somebody else: on whose, and their stature there [m].

    Along the rays of a picture places and sizes grow alike. On the floor of whoever seems to stand highest, the others
    are nearer and smaller, and nobody is a giant.

    Args:
        below: how far below the camera people stand [m]; NaN where nobody knows.
        statures: of the same people [m].
    """
    known = {person: depth for person, depth in below.items() if depth > LOOKS_DOWN}
    if not known:
        return {}
    highest = min(known, key=lambda person: known[person])
    share = {person: known[highest] / depth for person, depth in known.items()}
    return {person: (highest, statures[person] * part) for person, part in share.items() if part < SMALLER}
