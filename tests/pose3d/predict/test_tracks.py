"""Ids that stay: gaps, crossings, newcomers."""

from __future__ import annotations

import numpy as np

from pose3d.predict.people import Found, iou, similarity
from pose3d.predict.tracks import Tracker, dense
from tests.pose3d.predict.walkers import seen, walk

TIMES = np.arange(120) / 30


def people(paths, noise: float = 2.0) -> np.ndarray:
    """(T, P, 17, 3) keypoints of walkers (start, velocity)."""
    pixels = np.stack([seen(walk(TIMES, *path))[1] for path in paths], 1)
    pixels[..., :2] += np.random.default_rng(0).normal(0, noise, pixels[..., :2].shape)
    return pixels


def follow(keypoints: np.ndarray, shuffle: bool = True) -> np.ndarray:
    """(T, P) the id that each person gets, 0 where they are not seen."""
    tracker, rng = Tracker(), np.random.default_rng(1)
    ids = np.zeros(keypoints.shape[:2], int)
    for t, frame in enumerate(keypoints):
        there = [p for p in range(len(frame)) if np.isfinite(frame[p, 0, 0])]
        if shuffle:
            rng.shuffle(there)
        found = {id(one): p for p, one in zip(there, [Found(frame[p], 1.0) for p in there], strict=True)}
        chosen = tracker([Found(frame[p], 1.0) for p in there], TIMES[t])
        for number, person in chosen.items():
            p = next(p for p in there if np.array_equal(person.keypoints, frame[p]))
            ids[t, p] = number
        assert len(found) == len(there)
    return ids


def test_two_who_cross_keep_their_ids():
    ids = follow(people([((-2.0, 5.0), (1.0, 0.0)), ((2.0, 5.6), (-1.0, 0.0))]))
    assert (ids == ids[0]).all()


def test_who_is_hidden_behind_another_keeps_the_id():
    keypoints = people([((-2.0, 4.5), (1.0, 0.0)), ((2.0, 6.0), (-1.0, 0.0))])
    middle = np.abs(np.median(keypoints[:, 0, :, 0] - keypoints[:, 1, :, 0], axis=1)) < 90
    keypoints[middle, 1] = np.nan  # the farther is not seen
    assert 4 < middle.sum() < 30
    ids = follow(keypoints)
    assert (ids[~middle] == ids[0]).all()


def test_a_crowd_that_walks_together_is_not_mixed():
    ids = follow(people([((x, 6.0 + 0.3 * x), (0.6, 0.1)) for x in np.arange(-2.0, 1.0, 0.6)]))
    assert (ids == ids[0]).all()
    assert len(set(ids[0])) == 5


def test_a_newcomer_gets_a_new_id_and_who_was_away_for_long_too():
    keypoints = people([((-2.0, 5.0), (0.5, 0.0)), ((1.0, 6.0), (0.0, 0.0))])
    keypoints[:30, 1] = np.nan
    keypoints[40:80, 0] = np.nan
    ids = follow(keypoints)
    assert set(ids[:30, 1]) == {0}
    assert set(ids[30:, 1]) == {2}
    assert set(ids[:40, 0]) == {1}
    assert set(ids[80:, 0]) == {3}


def test_nobody_and_nothing_found():
    tracker = Tracker()
    assert tracker([], 0.0) == {}
    assert tracker([Found(np.full((17, 3), np.nan), 0.0)], 0.1) == {}


def test_dense_has_a_column_for_everyone():
    one, two = Found(np.ones((17, 3)), 1.0), Found(np.full((17, 3), 2.0), 1.0, np.full((17, 3), 0.5))
    ids, keypoints, landmarks = dense([{3: one}, {}, {3: two, 1: one}], 17)
    assert landmarks is not None
    assert landmarks[2, 1, 0].tolist() == [0.5] * 3
    assert np.isnan(landmarks[2, 0]).all()
    assert dense([{3: one}], 17)[2] is None
    assert ids.tolist() == [1, 3]
    assert np.isnan(keypoints[1]).all()
    assert keypoints[2, :, 0, 0].tolist() == [1, 2]


def test_overlap_and_likeness():
    boxes = np.array([[0.0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]])
    assert np.allclose(iou(boxes[:1], boxes), [[1, 1 / 3, 0]])
    person = seen(walk(TIMES[:1], (0, 5), (1, 0)))[1][0]
    away = person + np.array([200, 0, 0])
    assert np.allclose(similarity(person[None], np.stack([person, away])), [[1, 0]], atol=1e-3)
