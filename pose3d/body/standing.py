"""Which parts of the feet stand in a fitted clip: slow and low, as the fit itself has them.

A lifter's feet tremble, and who is asked from them whether a foot stands misses a third to a half of it. The body's
ankles and toes move as a person's do after a few steps of the fit, so they are asked again after each.
"""

from __future__ import annotations

import numpy as np

from anypose.motion import stretches

ARRIVES, LEAVES = 0.35, 0.6  # a part that is slower stands, and one that stands is let go only when it is faster [m/s]
LOW = 0.12  # above the lowest of its kind, over the clip or now [m]
SHORTEST = 0.06  # it stands at least so long [s]
LEANING = 0.6  # cosine between hips over feet and up, above which somebody may stand


def find_standing(feet: np.ndarray, hips: np.ndarray, times: np.ndarray, up: np.ndarray | None) -> np.ndarray:
    """(T, 4) whether left ankle, left toes, right ankle and right toes stand.

    Args:
        feet: (T, 4, 3) where they are [m].
        hips: (T, 3) the middle of the hips.
        times: (T,) [s].
        up: (3,) what is up in the same axes; None takes the mean direction from feet to hips.
    """
    stands = np.zeros(feet.shape[:2], bool)
    if len(feet) < 3:
        return stands
    height = feet @ (upwards(hips - feet.mean(1)) if up is None else up)
    low = np.empty_like(stands)
    for part in range(2):  # ankles, toes
        both = height[:, part::2]
        low[:, part::2] = both < np.maximum(np.percentile(both, 5), both.min(1, keepdims=True)) + LOW
    speed = np.linalg.norm(np.gradient(feet, times, axis=0), axis=-1)
    may, sure = (speed < LEAVES) & low, (speed < ARRIVES) & low
    for part in range(feet.shape[1]):
        for start, end in stretches(may[:, part]):
            stands[start:end, part] = sure[start:end, part].any() and times[end - 1] - times[start] >= SHORTEST
    return stands


def upwards(legs: np.ndarray) -> np.ndarray:
    """(3,) unit, the direction that most of (T, 3), hips over feet, agree on."""
    mean = np.median(legs, axis=0)
    for _ in range(2):
        mean = mean / max(float(np.linalg.norm(mean)), 1e-9)
        near = legs[(legs @ mean) > LEANING * np.linalg.norm(legs, axis=-1)]
        mean = near.mean(0) if len(near) else mean
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-9))
