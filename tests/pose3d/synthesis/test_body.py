"""Bodies: people of plausible size, the same for the same generator."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np

from pose3d.synthesis.body import LIMITS, STATURE, draw_body


def draw(count: int, spread: float):
    return [draw_body(np.random.default_rng(seed), spread) for seed in range(count)]


def test_the_same_generator_draws_the_same_body():
    first, again = draw_body(np.random.default_rng(3), 0.05), draw_body(np.random.default_rng(3), 0.05)
    for a, b in zip(astuple(first), astuple(again), strict=True):
        np.testing.assert_array_equal(a, b)


def test_statures_are_those_of_women_and_men_in_equal_parts():
    statures = np.array([body.stature for body in draw(400, 0.05)])
    assert abs(statures.mean() - np.mean([mean for mean, _ in STATURE])) < 0.02
    assert statures.min() > 1.45
    assert statures.max() < 2.0
    assert 0.07 < statures.std() < 0.11  # wider than either sex alone


def test_segments_scatter_by_the_spread_and_no_further_than_two_and_a_half_of_it():
    shares = np.array([[body.thigh, body.shank, body.forearm] / np.float64(body.stature) for body in draw(400, 0.05)])
    relative = shares / shares.mean(0)
    assert np.abs(relative - 1).max() < 0.13
    np.testing.assert_allclose(relative.std(0), 0.05, atol=0.008)
    same = np.array([body.thigh / body.stature for body in draw(20, 0.0)])
    np.testing.assert_allclose(same, 0.245, rtol=1e-12)


def test_bodies_are_built_as_people_are():
    for body in draw(100, 0.05):
        standing = body.ankle + body.leg + body.spine[2] + body.thorax[2] + body.neck[2] + body.head[2]
        assert 0.78 * body.stature < standing < 1.04 * body.stature  # the head joint lies below the crown
        assert body.forearm < body.upper_arm * 1.2
        assert 2 * body.hip < 0.17 * body.stature
        assert body.arm < 0.8 * body.leg


def test_limits_are_ranges_in_degrees():
    for low, high in LIMITS.values():
        assert -180 < low <= 0 < high < 180
