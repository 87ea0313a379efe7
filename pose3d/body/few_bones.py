"""Which four bones carry a vertex in a file, and how much, where Anny's skin hangs on up to seven.

glTF lets a program read one set of four (2.0, 3.7.3.1), and three.js, Windows' viewer and most engines read no more:
a second set would be lost there, and the vertex drawn to the middle by what it held. So a vertex that hangs on more
first loses bones that turn with another of its own, which changes nothing; what is then still more than four is fitted:
the four that, with weights found by least squares over random poses, put it nearest to where all of them do.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from scipy.optimize import nnls
from scipy.spatial.transform import Rotation

from pose3d.body.anny import WORDS
from pose3d.body.keypoint_body import FREE, KeypointBody

MOST = 4
POSES, SPREAD = 100, 0.6  # random poses, and how far each bone turns in them along an axis (deviation) [rad]
SUM = 1e3  # how much the weights' sum counts beside the places [m]


def few_bones(body: KeypointBody) -> tuple[np.ndarray, np.ndarray]:
    """(V, 4) rows of the rig's bones and (V, 4) their weights, of sum 1."""
    anny = body.anny
    weights, bones = anny.skin_weights.copy(), anny.skin_bones
    carriers = np.array(body.carriers)[bones]
    crowded = np.flatnonzero((weights > 0).sum(1) > MOST)
    for vertex in crowded:
        _merge(weights[vertex], carriers[vertex])
    order = np.argsort(-weights, axis=1, kind="stable")
    few, kept = order[:, :MOST], np.take_along_axis(weights, order[:, :MOST], 1)
    kept = kept / kept.sum(1, keepdims=True)
    left = crowded[(weights[crowded] > 0).sum(1) > MOST]
    for vertex, there in zip(left, _places(body, left), strict=True):
        slots = np.flatnonzero(weights[vertex])
        few[vertex], kept[vertex] = _nearest(there[:, carriers[vertex, slots]], weights[vertex, slots], slots)
    return np.take_along_axis(bones, few, 1), kept


def _merge(weights: np.ndarray, carriers: np.ndarray) -> None:
    """Of the bones of one vertex (S,) that go with the same free bone, the heaviest takes all; in place."""
    for carrier in np.unique(carriers[weights > 0]):
        same = np.flatnonzero((carriers == carrier) & (weights > 0))
        heaviest = same[weights[same].argmax()]
        total = weights[same].sum()
        weights[same] = 0
        weights[heaviest] = total


def _places(body: KeypointBody, vertices: np.ndarray) -> np.ndarray:
    """(N, P, F, 3) where each free bone alone would put vertices (N,) of an average adult in P random poses [m]."""
    anny, rng = body.anny, np.random.default_rng(0)
    words = np.full(len(WORDS), 0.5)
    shape, rest = body.shape(words), anny.rest(words)[vertices]
    turns = Rotation.from_rotvec(rng.normal(0, SPREAD, (POSES * len(FREE), 3))).as_matrix()
    world, heads = body.place(shape, turns.reshape(POSES, len(FREE), 3, 3), np.zeros((POSES, 3)))
    return np.einsum("pfij,nfj->npfi", world, rest[:, None] - shape.heads) + heads


def _nearest(places: np.ndarray, weights: np.ndarray, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Four of the slots (S,) and their weights: of all fours the best; places (P, S, 3), weights (S,)."""
    columns = np.concatenate([np.swapaxes(places, 0, 1).reshape(len(slots), -1), np.full((len(slots), 1), SUM)], 1)
    # The triangle of a QR factorisation has the same least squares in a few rows.
    small = np.asarray(np.linalg.qr(np.vstack([columns, weights @ columns]).T, mode="r"))
    heaviest = np.argsort(-weights)[: MOST + 2]
    found = [(four, *nnls(small[:, four], small[:, -1])) for four in combinations(heaviest, MOST)]
    four, best, _ = min(found, key=lambda one: one[2])
    return slots[list(four)], best / best.sum()
