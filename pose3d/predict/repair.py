"""What a 2D network gets wrong over time: left and right exchanged, and points lost for a moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from anypose.motion import Motion, stretches
from anypose.skeleton import Skeleton

LIMBS = {
    "legs": ("knee", "foot", "heel", "big_toe", "small_toe"),
    "arms": ("elbow", "wrist", "pinky", "index", "thumb"),
}
STAY = 0.003  # what exchanging costs a frame, in limb sizes of pixels moved: the network is more often right
STAYS = np.array([0.0, STAY])
MEMORY = 0.05  # time over which a limb's speed is remembered [s]


def undo_swaps(motion: Motion) -> Motion:
    """Turn exchanged legs and arms back, person by person.

    A limb pair that jumps onto its own mirror image and back has been exchanged: of the two readings of every frame
    the sequence is taken that moves least, found by dynamic programming. Most frames decide which of the two is left.
    """
    assert motion.keypoints is not None
    assert motion.keypoint_skeleton is not None
    keypoints, skeleton = motion.keypoints.copy(), motion.keypoint_skeleton
    filled, landmarks = (None if array is None else array.copy() for array in (motion.filled, motion.landmarks))
    limbs, places = [], []
    for words in LIMBS.values():
        left, right = pairs(skeleton, words)
        for person in range(keypoints.shape[1] if left else 0):
            points = keypoints[:, person, :, :2]
            for start, end in stretches(np.isfinite(points[:, left + right]).all((1, 2))):
                limbs.append(Limbs(points[start:end, left], points[start:end, right], motion.times[start:end]))
                places.append((start, person, left + right, right + left))
    for exchanged, (start, person, both, turned) in zip(exchanged_frames(limbs), places, strict=True):
        frames = (start + np.flatnonzero(exchanged)).tolist()
        here, there = (np.ix_(frames, [person], side) for side in (both, turned))
        keypoints[here] = keypoints[there]
        for array in (filled, landmarks):
            if array is not None:
                array[here] = array[there]
    return replace(motion, keypoints=keypoints, filled=filled, landmarks=landmarks)


def pairs(skeleton: Skeleton, words: tuple[str, ...]) -> tuple[list[int], list[int]]:
    """Indices of the left points named by `words` and of their counterparts on the right."""
    chosen = [(a, b) for a, b in zip(skeleton.left, skeleton.right, strict=True) if skeleton.joints[a][5:] in words]
    return [a for a, _ in chosen], [b for _, b in chosen]


@dataclass(frozen=True, eq=False)
class Limbs:
    """A left and a right limb over time: (T, L, 2) points each [px], none missing, at (T,) times [s]."""

    left: np.ndarray
    right: np.ndarray
    times: np.ndarray


def exchanged_frames(limbs: Sequence[Limbs]) -> list[np.ndarray]:
    """For each pair of limbs (T,) whether the two sides are exchanged.

    The cost of a step is how far the points lie from where the speed before it leads, in sizes of the limbs. All pairs
    go through time together: one by one they would take longer than everything else that follows the 2D network.
    """
    order = sorted(range(len(limbs)), key=lambda i: -len(limbs[i].times))
    lengths = [len(limbs[i].times) for i in order]
    readings, steps, weights = _packed([limbs[i] for i in order])
    changes = readings[1:, :, :, None] - readings[:-1, :, None]  # (T - 1, N, to, from, 2 L)
    keeps = np.exp(-steps / MEMORY)
    speeds = changes * (1 - keeps) / steps
    came = np.zeros(readings.shape[:3], bool)
    cost = np.tile(STAYS, (len(order), 1))
    speed = np.zeros(readings.shape[1:], complex)  # [px/s] of the best way into each reading
    going_on = (np.array(lengths) > np.arange(len(readings))[:, None]).sum(1).tolist()
    for t, n in enumerate(going_on[1:]):
        speed = speed[:n, None]
        moved = np.matmul(np.abs(changes[t, :n] - speed * steps[t, :n]), weights[:n])[..., 0]  # (n, to, from)
        total = cost[:n, None] + moved + STAYS[:, None]
        came[t + 1, :n] = other = total[..., 1] < total[..., 0]
        cost[:n] = np.where(other, total[..., 1], total[..., 0])
        near = np.where(other, moved[..., 1], moved[..., 0]) < 0.5
        ways = keeps[t, :n] * speed + speeds[t, :n]
        speed = np.where(other[..., None], ways[..., 1, :], ways[..., 0, :]) * near[..., None]
    found = [np.zeros(0, bool)] * len(limbs)
    for g, i in enumerate(order):
        found[i] = _way_back(came[: lengths[g], g], int(cost[g].argmin()))
    return found


def _packed(limbs: Sequence[Limbs]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both readings of N pairs of limbs in every frame (T, N, 2, 2 L), x + i y [px], the steps between frames
    (T - 1, N, 1, 1, 1) [s], and what a point counts in the mean over points in limb sizes (N, 1, 2 L, 1).

    What a shorter or smaller pair lacks counts for nothing.
    """
    T = max((len(one.times) for one in limbs), default=0)
    width = max((2 * one.left.shape[1] for one in limbs), default=0)
    readings = np.zeros((T, len(limbs), 2, width), complex)
    steps, weights = np.ones((max(T - 1, 0), len(limbs), 1, 1, 1)), np.zeros((len(limbs), 1, width, 1))
    for g, one in enumerate(limbs):
        end, both = len(one.times), 2 * one.left.shape[1]
        left, right = (side[..., 0] + 1j * side[..., 1] for side in (one.left, one.right))
        readings[:end, g, 0, :both] = np.concatenate([left, right], 1)
        readings[:end, g, 1, :both] = np.concatenate([right, left], 1)
        extent = np.linalg.norm(np.ptp(np.concatenate([one.left, one.right], 1), axis=1), axis=-1)
        weights[g, 0, :both] = 1 / (both * max(float(np.median(extent)), 1e-6))
        steps[: end - 1, g, 0, 0, 0] = np.diff(one.times)
    return readings, steps, weights


def _way_back(came: np.ndarray, last: int) -> np.ndarray:
    """(T,) whether the sides are exchanged, by (T, 2) which reading each was best come to from, and the last one."""
    T = len(came)
    if T < 3:
        return np.zeros(T, bool)
    state = [last]
    for step in came[:0:-1].tolist():
        state.append(step[state[-1]])
    exchanged = np.array(state[::-1], bool)
    return ~exchanged if exchanged.mean() > 0.5 else exchanged


def drop_unsure(motion: Motion, least: float) -> Motion:
    """Keypoints whose score is not above `least` become missing (NaN, score 0)."""
    assert motion.keypoints is not None
    keypoints = motion.keypoints.copy()
    lost = ~(keypoints[..., 2] > least) | ~np.isfinite(keypoints[..., :2]).all(-1)
    there = np.isfinite(keypoints[..., 2])
    keypoints[..., :2][lost] = np.nan
    keypoints[..., 2][lost & there] = 0
    return replace(motion, keypoints=keypoints)


def fill_gaps(motion: Motion, longest: float) -> Motion:
    """Fill keypoints that are missing for at most `longest` seconds between two sightings, and mark them.

    Straight in time from the last sighting to the next, with the lower of their scores halved. Longer gaps, and those
    before the first sighting and after the last, stay open.
    """
    assert motion.keypoints is not None
    keypoints, times = motion.keypoints.copy(), motion.times
    filled = np.zeros(keypoints.shape[:3], bool) if motion.filled is None else motion.filled.copy()
    seen = np.isfinite(keypoints[..., :2]).all(-1)
    for person, k in zip(*np.nonzero(seen.any(0) & ~seen.all(0)), strict=True):
        for start, end in stretches(~seen[:, person, k]):
            if start == 0 or end == len(times) or times[end] - times[start - 1] > longest:
                continue
            before, after = keypoints[start - 1, person, k], keypoints[end, person, k]
            share = ((times[start:end] - times[start - 1]) / (times[end] - times[start - 1]))[:, None]
            keypoints[start:end, person, k] = before + share * (after - before)
            keypoints[start:end, person, k, 2] = min(before[2], after[2]) / 2
            filled[start:end, person, k] = True
    return replace(motion, keypoints=keypoints, filled=filled)
