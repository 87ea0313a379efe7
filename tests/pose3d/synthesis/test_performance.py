"""The body follows its feet: they stay where they stand, and the rest goes with them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from anypose.skeleton import H36M_17
from pose3d.synthesis import footwork, seats
from pose3d.synthesis.body import draw_body
from pose3d.synthesis.choreography import Script
from pose3d.synthesis.gestures import place
from pose3d.synthesis.kinematics import pose_body
from pose3d.synthesis.performance import perform, record

BODY = draw_body(np.random.default_rng(5), 0.05)
FPS, FRAMES = 50, 600
JOINT = {name: H36M_17.index(name) for name in H36M_17.joints}


def walk(speed: float, seed: int = 0, heading: float = 0.0):
    script = Script(np.random.default_rng(seed), BODY, FRAMES / FPS)
    footwork.walk(script, script.begin, script.end, speed, heading)
    for side in (0, 1):
        place(script, side, "running" if speed > 2 else "hanging", script.begin, 0.5)
    return script, pose_body(perform(script, FPS, FRAMES), BODY)


def facing(joints: np.ndarray) -> np.ndarray:
    across = joints[:, JOINT["left_hip"], :2] - joints[:, JOINT["right_hip"], :2]
    forward = np.stack([across[:, 1], -across[:, 0]], 1)
    return forward / np.linalg.norm(forward, axis=1, keepdims=True)


@pytest.mark.parametrize("speed", [0.6, 1.3, 2.8])
def test_feet_do_not_move_while_they_are_down(speed):
    script, joints = walk(speed)
    time = np.arange(FRAMES) / FPS
    slides = []
    for foot, name in zip(script.feet, ("right_foot", "left_foot"), strict=True):
        for (down, here), (up, there) in pairwise(zip(foot.times, foot.values, strict=True)):
            still = (time > down) & (time < up)
            if here == there and still.sum() > 2:
                ankle = joints[still, JOINT[name]]
                slides.append(np.ptp(ankle, axis=0).max())
    assert len(slides) > 8
    assert np.median(slides) < 0.005
    assert max(slides) < 0.05


@pytest.mark.parametrize("speed", [0.6, 1.3, 2.8])
def test_people_walk_as_fast_as_they_were_told(speed):
    _, joints = walk(speed)
    travelled = np.linalg.norm(np.diff(joints[::10, 0, :2], axis=0), axis=1).sum() / (FRAMES / FPS)
    # Steps get shorter where the path bends.
    assert 0.6 * speed < travelled < 1.2 * speed


def test_backward_walks_go_backward_and_sideward_ones_to_the_left():
    for heading, expected in ((0.0, (1, 0)), (np.pi, (-1, 0)), (np.pi / 2, (0, 1))):
        _, joints = walk(0.7, heading=heading)
        forward = facing(joints)[1:]
        left = np.stack([-forward[:, 1], forward[:, 0]], 1)
        step = np.diff(joints[:, 0, :2], axis=0)
        along = np.array([(step * forward).sum(), (step * left).sum()]) / np.linalg.norm(step, axis=1).sum()
        assert along @ expected > 0.8


def test_arms_swing_against_the_legs():
    _, joints = walk(1.4)
    forward = facing(joints)
    foot = ((joints[:, JOINT["right_foot"], :2] - joints[:, JOINT["left_foot"], :2]) * forward).sum(1)
    hand = ((joints[:, JOINT["right_wrist"], :2] - joints[:, JOINT["left_wrist"], :2]) * forward).sum(1)
    assert np.corrcoef(foot, hand)[0, 1] < -0.7
    assert np.ptp(hand) > 0.1


def test_runners_leave_the_ground_and_walkers_do_not():
    for speed, leaves in ((1.2, False), (3.0, True)):
        _, joints = walk(speed)
        lower = joints[:, [JOINT["right_foot"], JOINT["left_foot"]], 2].min(1) - BODY.ankle
        assert (lower > 0.04).mean() > 0.05 if leaves else (lower > 0.04).mean() < 0.02


def test_people_stay_about_where_they_began():
    _, joints = walk(1.6, seed=3)
    assert np.abs(joints[:, 0, :2]).max() < footwork.ROOM + 2.0


def test_a_seat_holds_the_pelvis_whatever_the_feet_do():
    script = Script(np.random.default_rng(0), BODY, FRAMES / FPS)
    time = seats.sit_down(script, script.begin, 0.5, 0.4, 1.5)
    seats.seated(script, time, script.end)
    joints = pose_body(perform(script, FPS, FRAMES), BODY)
    np.testing.assert_allclose(joints[:, 0, 2], 0.5, atol=1e-6)
    assert np.ptp(joints[:, 0, :2], axis=0).max() < 0.05
    assert np.ptp(joints[:, JOINT["right_foot"], :2], axis=0).max() > 0.1


def test_frame_step_keeps_every_nth_frame():
    whole = record(seats.sit, BODY, np.random.default_rng(2), FPS, 300)
    np.testing.assert_array_equal(record(seats.sit, BODY, np.random.default_rng(2), FPS, 300, 7), whole[::7])


def test_other_rates_sample_the_same_motion():
    slow = record(seats.sit, BODY, np.random.default_rng(2), 25, 100)
    quick = record(seats.sit, BODY, np.random.default_rng(2), 100, 400)
    np.testing.assert_allclose(slow, quick[::4], atol=0.01)
