"""Tracks move with least jerk between keys; scripts keep hands within reach."""

from __future__ import annotations

import numpy as np
import pytest

from pose3d.synthesis.body import draw_body
from pose3d.synthesis.choreography import Script, Track

BODY = draw_body(np.random.default_rng(5), 0.05)


def test_a_track_rests_moves_and_rests_again():
    track = Track(1.0, 5.0)
    assert track.to(2.0, 0.5, 3.0, 4.0) == 2.5
    values, lift = track.at(np.array([-9.0, 0.0, 2.0, 2.25, 2.5, 99.0]))
    np.testing.assert_allclose(values, [[1, 5], [1, 5], [1, 5], [2, 4.5], [3, 4], [3, 4]])
    assert not lift.any()


def test_moves_are_the_least_jerk_polynomial():
    track = Track(0.0)
    track.to(0.0, 2.0, 1.0)
    time = np.linspace(0, 2, 201)
    value = track.at(time)[0][:, 0]
    # The unique quintic with position, velocity and acceleration given at both ends.
    powers = np.array([[k == 0, k == 1, 2 * (k == 2), 1, k, k * (k - 1)] for k in range(6)], float).T
    coefficients = np.linalg.solve(powers, [0, 0, 0, 1, 0, 0])
    np.testing.assert_allclose(value, np.polyval(coefficients[::-1], time / 2), atol=1e-12)


def test_a_move_waits_for_the_one_before_it():
    track = Track(0.0)
    track.to(1.0, 1.0, 1.0)
    assert track.to(0.5, 1.0, 2.0) == 3.0
    np.testing.assert_allclose(track.at(np.array([2.0]))[0], [[1.0]])


def test_an_arc_leaves_the_ground_and_comes_back_to_it():
    track = Track(0.0)
    track.to(0.0, 1.0, 1.0, lift=0.2)
    time = np.linspace(0, 1, 1001)
    _, lift = track.at(time)
    assert lift[0] == lift[-1] == 0
    assert lift.max() == pytest.approx(0.2, rel=1e-3)
    assert time[lift.argmax()] == pytest.approx(0.4, abs=0.002)
    assert not track.at(np.array([1.5]))[1].any()


def test_hands_are_sent_no_further_than_the_arm_is_long():
    script = Script(np.random.default_rng(0), BODY, 5.0)
    rng = np.random.default_rng(1)
    for _ in range(100):
        azimuth, radius, height = rng.uniform(-0.8, 2.2), rng.uniform(0.2, 1.5), rng.uniform(-1.3, 1.3)
        script.reach(0, script.hands[0].time, 0.1, azimuth, radius, height, 0.0, 0.0)
        azimuth, radius, height, *_ = script.hands[0].value
        shoulder = BODY.shoulder * np.array([0, np.cos(BODY.shoulder_elevation), np.sin(BODY.shoulder_elevation)])
        hand = BODY.arm * np.array([radius * np.cos(azimuth), radius * np.sin(azimuth), height])
        assert np.linalg.norm(hand - shoulder) < BODY.arm


def test_far_reaches_take_longer_than_they_were_told():
    script = Script(np.random.default_rng(0), BODY, 5.0)
    script.reach(0, 0.0, 0.05, 0.2, 0.5, -0.9, 0.0, 0.0)
    start = script.hands[0].time
    end = script.reach(0, start, 0.05, 0.2, 0.5, 0.8, 0.0, 0.0)
    peak = 1.875 * 1.7 * BODY.arm / (end - start)  # of a least-jerk move over the straight line
    assert peak < 4.0


def test_a_script_names_places_from_where_the_person_stands():
    script = Script(np.random.default_rng(0), BODY, 5.0)
    script.x, script.y, script.yaw, script.width = 1.0, 2.0, np.pi / 2, 0.1
    np.testing.assert_allclose(script.ahead(1.0, 0.0), (1.0, 3.0), atol=1e-12)
    np.testing.assert_allclose(script.beside(0), (1.1, 2.0), atol=1e-12)
    np.testing.assert_allclose(script.beside(1, 0.5, 0.2), (0.7, 2.5), atol=1e-12)
