from __future__ import annotations

import numpy as np
import pytest

from pose3d.body.seen import quickness
from pose3d.body.standing import find_standing, upwards

FPS = 30.0
TIMES = np.arange(60) / FPS
UP = np.array([0.0, -1.0, 0.0])  # of a camera


def feet() -> np.ndarray:
    """(60, 4, 3): left ankle and toes stand for a second, then go at 1.5 m/s; right ones the other way round."""
    travelled = np.cumsum(np.where(np.arange(60)[:, None] < 30, [0.0, 1.5], [1.5, 0.0]) / FPS, axis=0)
    points = np.zeros((60, 4, 3))
    for part in range(4):
        points[:, part] = [0.1 - 0.2 * (part // 2), 0.9 if part % 2 == 0 else 0.98, 4.0]
        points[:, part, 2] -= travelled[:, part // 2]
    return points


@pytest.mark.parametrize("up", [UP, None])
def test_feet_that_stand_are_found(up: np.ndarray | None) -> None:
    points = feet()
    hips = points.mean(1) + 0.9 * UP
    stands = find_standing(points, hips, TIMES, up)
    assert stands[2:28, :2].all()
    assert not stands[32:, :2].any()
    assert stands[32:58, 2:].all()
    assert not stands[:28, 2:].any()


def test_a_foot_held_in_the_air_does_not_stand() -> None:
    points = np.repeat(feet()[:1], 60, axis=0)
    points[:, 2:] += 0.3 * UP
    stands = find_standing(points, points.mean(1) + 0.9 * UP, TIMES, UP)
    assert stands[:, :2].all()
    assert not stands[:, 2:].any()


def test_the_toes_may_stand_while_the_heel_rises() -> None:
    points = np.repeat(feet()[:1], 60, axis=0)
    points[30:40, 0] += 0.06 * np.arange(10)[:, None] * UP
    points[40:, 0] = points[39, 0]
    stands = find_standing(points, points.mean(1) + 0.9 * UP, TIMES, UP)
    assert stands[:, 1].all()
    assert not stands[32:38, 0].any()


def test_too_few_frames_tell_nothing() -> None:
    assert not find_standing(feet()[:2], feet()[:2].mean(1) + UP, TIMES[:2], UP).any()
    np.testing.assert_allclose(upwards(np.tile(UP, (3, 1))), UP)


def test_quickness_is_of_movement_and_not_of_noise() -> None:
    rng, times = np.random.default_rng(0), np.arange(300) / FPS
    still = np.zeros((300, 17, 3))
    assert np.sqrt(quickness(times, still + rng.normal(0, 0.01, still.shape), 1e3).mean()) < 1.0
    swung = still.copy()
    swung[:150, :, 0] = 0.2 * np.sin(2 * np.pi * 2.0 * times[:150])[:, None]  # accelerations of 31.6 m/s^2 at most
    found = np.sqrt(quickness(times, swung, 0.25))
    np.testing.assert_allclose(found[:110, :, 0], 31.6 / np.sqrt(2), rtol=0.3)
    assert found[200:].max() < 1.0
    assert not found[..., 1:].any()
    assert np.isnan(quickness(times[:5], swung[:5], 0.25)).all()
