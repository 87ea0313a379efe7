"""What a 2D network gets wrong over time: left and right exchanged, and points lost for a moment."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from anypose.motion import Motion
from anypose.skeleton import Skeleton
from pose3d.predict.smoothing import runs

LIMBS = {
    "legs": ("knee", "foot", "heel", "big_toe", "small_toe"),
    "arms": ("elbow", "wrist", "pinky", "index", "thumb"),
}
STAY = 0.003  # what exchanging costs a frame, in limb sizes of pixels moved: the network is more often right
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
    for words in LIMBS.values():
        left, right = pairs(skeleton, words)
        if not left:
            continue
        both, turned = left + right, right + left
        for person in range(keypoints.shape[1]):
            points = keypoints[:, person]
            for start, end in runs(np.isfinite(points[:, both, :2]).all((1, 2))):
                frames = start + np.flatnonzero(
                    exchanged_frames(points[start:end, left, :2], points[start:end, right, :2], motion.times[start:end])
                )
                here, there = (np.ix_(frames.tolist(), [person], side) for side in (both, turned))
                keypoints[here] = keypoints[there]
                for array in (filled, landmarks):
                    if array is not None:
                        array[here] = array[there]
    return replace(motion, keypoints=keypoints, filled=filled, landmarks=landmarks)


def pairs(skeleton: Skeleton, words: tuple[str, ...]) -> tuple[list[int], list[int]]:
    """Indices of the left points named by `words` and of their counterparts on the right."""
    chosen = [(a, b) for a, b in zip(skeleton.left, skeleton.right, strict=True) if skeleton.joints[a][5:] in words]
    return [a for a, _ in chosen], [b for _, b in chosen]


def exchanged_frames(left: np.ndarray, right: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(T,) whether the two sides are exchanged, of limbs (T, L, 2) each [px].

    The cost of a step is how far the points lie from where the speed before it leads, in sizes of the limbs.
    """
    T = len(times)
    if T < 3:
        return np.zeros(T, bool)
    size = max(float(np.median(np.linalg.norm(np.ptp(np.concatenate([left, right], 1), axis=1), axis=-1))), 1e-6)
    readings = np.stack([np.concatenate([left, right], 1), np.concatenate([right, left], 1)])  # (2, T, 2 L, 2)
    cost = np.array([0.0, STAY])
    came = np.zeros((T, 2), int)
    speed = np.zeros((2, *readings.shape[2:]))  # [px/s] of the best way into each reading
    for t in range(1, T):
        step = times[t] - times[t - 1]
        due = readings[:, t - 1] + speed * step  # (from, 2 L, 2)
        moved = np.linalg.norm(readings[:, None, t] - due[None], axis=-1).mean(-1) / size  # (to, from)
        total = cost[None] + moved + np.array([0.0, STAY])[:, None]
        came[t] = total.argmin(1)
        cost = total[[0, 1], came[t]]
        keep = np.exp(-step / MEMORY)
        now = (readings[:, t] - readings[came[t], t - 1]) / step
        speed = np.where(np.abs(moved[[0, 1], came[t]]) < 0.5, 1.0, 0.0)[:, None, None] * (
            keep * speed[came[t]] + (1 - keep) * now
        )
    state = np.zeros(T, int)
    state[-1] = cost.argmin()
    for t in range(T - 1, 0, -1):
        state[t - 1] = came[t, state[t]]
    if state.mean() > 0.5:
        state = 1 - state
    return state.astype(bool)


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
        for start, end in runs(~seen[:, person, k]):
            if start == 0 or end == len(times) or times[end] - times[start - 1] > longest:
                continue
            before, after = keypoints[start - 1, person, k], keypoints[end, person, k]
            share = ((times[start:end] - times[start - 1]) / (times[end] - times[start - 1]))[:, None]
            keypoints[start:end, person, k] = before + share * (after - before)
            keypoints[start:end, person, k, 2] = min(before[2], after[2]) / 2
            filled[start:end, person, k] = True
    return replace(motion, keypoints=keypoints, filled=filled)
