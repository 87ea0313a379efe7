"""Whose body it is: six words found on a few frames at once, each free in its pose."""

from __future__ import annotations

import numpy as np

from anypose.skeleton import H36M_17
from pose3d.body import terms
from pose3d.body.anny import WORDS
from pose3d.body.objective import WORDS_LOWEST, Objective
from pose3d.body.people import with_stature
from pose3d.body.seen import Noise, Seen, human, take

# What words of people nobody has seen are: mean and deviation. An age of 1/3 is a child, 2/3 young, 1 old.
WORDS_MEAN = np.array([0.5, 0.7, 0.5, 0.5, 0.4, 0.5])
WORDS_DEVIATION = np.array([0.3, 0.15, 0.15, 0.15, 0.12, 0.25])
SHAPE_FRAMES, SHAPE_ITERATIONS, MEASURED = 24, 15, (5, 9, 12)


def first_words(objective: Objective, seen: Seen) -> np.ndarray:
    """Words of somebody average whose bones are as long, all in all, as those that are seen."""
    words = WORDS_MEAN.copy()
    _, rest = objective.poser.rest(words)
    joints, ratios = human(seen), []
    for child, parent in H36M_17.bones:
        if H36M_17.joints[child] in ("left_hip", "right_hip", "neck", "head"):
            continue
        length = np.linalg.norm(joints[:, child] - joints[:, parent], axis=-1)
        if np.isfinite(length).any():
            ratios.append(np.nanmedian(length) / np.linalg.norm(rest[child] - rest[parent]))
    stature = objective.body.shape(words).stature * float(np.median(ratios)) if ratios else 1.7
    stature = stature if seen.stature is None else seen.stature
    if stature < 1.35:
        words[1] = 0.4  # a child has other proportions
    return with_stature(words, stature)


def find_shape(
    objective: Objective, seen: Seen, words: np.ndarray, turns: np.ndarray, root: np.ndarray
) -> tuple[np.ndarray, Noise]:
    """(6,) words, and the noise of what is seen: Gauss-Newton steps with the poses eliminated."""
    good = np.flatnonzero(np.isfinite(seen.joints).all(-1).mean(-1) > 0.5)  # type: ignore[arg-type]
    good = good if len(good) else np.arange(len(seen))
    rows = good[np.unique(np.linspace(0, len(good) - 1, SHAPE_FRAMES).astype(int))]
    few = take(seen, rows)
    turns, root = turns[rows], root[rows]
    height = WORDS.index("height")
    mean, deviation = WORDS_MEAN.copy(), WORDS_DEVIATION.copy()
    mean[1] = words[1]
    if seen.stature is not None:
        deviation[height] = 1e-3
        mean[height] = words[height]
    best, damping, noise = (np.inf, words, turns, root), 1e-2, objective.noise(few)
    for iteration in range(SHAPE_ITERATIONS):
        if iteration in MEASURED:  # what is exact may outweigh what people are like
            _, words, turns, root = best
            noise, best = objective.measured_noise(few, objective.body.shape(words), turns, root), (np.inf, *best[1:])
        now = objective.equations(few, objective.body.shape(words), turns, root, whole=False, words=words, noise=noise)
        cost = now.cost + 0.5 * float((((words - mean) / deviation) ** 2).sum())
        if cost < best[0]:
            best, damping = (cost, words, turns, root), damping / 5
            kept = now
        else:
            damping *= 10
        _, words, turns, root = best
        pose, shape = _eliminate(kept, (words - mean) / deviation**2, deviation**-2, damping)
        turns, root = objective.move(objective.body.shape(words), turns, root, pose)
        words = np.clip(words + shape * min(1, 0.2 / max(np.abs(shape).max(), 1e-9)), WORDS_LOWEST, 1)
        if seen.stature is not None:  # age and proportions change it, too
            words = with_stature(words, seen.stature)
            mean[height] = words[height]
    _, words, turns, root = best
    return words, objective.measured_noise(few, objective.body.shape(words), turns, root)


def _eliminate(
    equations: terms.Equations, pull: np.ndarray, stiffness: np.ndarray, damping: float
) -> tuple[np.ndarray, np.ndarray]:
    """(T, D) and (6,) Gauss-Newton steps of poses and of the words they share; `pull`, `stiffness` of the prior."""
    same, slope = equations.same.astype(np.float64), equations.slope
    D = same.shape[1] - len(pull)
    scale = 1 + damping * np.eye(D)
    inverse = np.linalg.inv(same[:, :D, :D] * scale + 1e-3 * np.eye(D))
    mixed = same[:, :D, D:]
    follow = np.swapaxes(mixed, -1, -2) @ inverse
    normal = same[:, D:, D:].sum(0) - (follow @ mixed).sum(0)
    right = slope[:, D:].sum(0) - (follow @ slope[:, :D, None])[..., 0].sum(0)
    normal = normal + np.diag(stiffness)
    words = -np.linalg.solve(normal + damping * np.diag(np.diag(normal)), right + pull)
    return -(inverse @ (slope[:, :D] + mixed @ words)[..., None])[..., 0], words
