"""The fifteen actions: within what bodies can do, and like what they are called."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from anypose.skeleton import H36M_17
from pose3d.synthesis.actions import ACTIONS
from pose3d.synthesis.body import LIMITS, draw_body
from pose3d.synthesis.choreography import Script
from pose3d.synthesis.kinematics import pose_body, rotation
from pose3d.synthesis.performance import perform

FPS, FRAMES, TAKES = 50, 500, 4
JOINT = {name: H36M_17.index(name) for name in H36M_17.joints}


@lru_cache
def take(action: str, number: int):
    rng = np.random.default_rng([number, list(ACTIONS).index(action)])
    body = draw_body(rng, 0.05)
    script = Script(rng, body, FRAMES / FPS)
    ACTIONS[action](script)
    controls = perform(script, FPS, FRAMES)
    return body, controls, pose_body(controls, body, floor=0.0)


def takes(action: str):
    return [take(action, number) for number in range(TAKES)]


def all_joints(action: str) -> np.ndarray:
    """(TAKES * FRAMES, 17, 3) scaled to a leg of 1."""
    return np.concatenate([joints / body.leg for body, _, joints in takes(action)])


def angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    cos = (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
    return np.degrees(np.arccos(np.clip(cos, -1, 1)))


def nearest(joints: np.ndarray, joint: str, other: str) -> np.ndarray:
    """(T,) distance from `other` to the nearer one of a pair of joints."""
    pair = joints[:, [JOINT[f"right_{joint}"], JOINT[f"left_{joint}"]]] - joints[:, JOINT[other], None]
    return np.linalg.norm(pair, axis=-1).min(1)


def features(joints: np.ndarray) -> np.ndarray:
    """A few numbers that tell what somebody is doing (T, 17, 3) in leg lengths."""
    root, forward = joints[:, 0], np.cross(joints[:, 4] - joints[:, 1], [0.0, 0.0, 1.0])
    forward /= np.linalg.norm(forward, axis=-1, keepdims=True)
    hands = joints[:, [13, 16]] - joints[:, 8, None]
    ahead, up = (hands * forward[:, None]).sum(-1), hands[..., 2]
    speed = np.linalg.norm(np.diff(root[:, :2], axis=0), axis=1) * FPS
    low, high = np.sort(up, 1).T
    return np.array(
        [
            *np.percentile(root[:, 2], [10, 50]),
            *np.percentile(angle(joints[:, 8] - root, np.array([0, 0, 1.0])), [50, 95]),
            *np.percentile(speed, [50, 90]),
            *np.percentile(low, [20, 80]),
            *np.percentile(high, [20, 80]),
            *np.percentile(np.sort(ahead, 1), [20, 80]),
            np.linalg.norm(np.diff(hands, axis=0), axis=-1).mean() * FPS,
            np.percentile(nearest(joints, "wrist", "head"), 50),
            np.percentile(np.linalg.norm(joints[:, 13] - joints[:, 16], axis=-1), 20),
        ]
    )


@pytest.mark.parametrize("action", ACTIONS)
def test_knees_elbows_hips_and_trunk_keep_within_their_limits(action):
    for body, controls, joints in takes(action):
        for side, pair in (("right", 0), ("left", 1)):
            hip, knee, foot, shoulder, elbow, wrist = (
                joints[:, JOINT[f"{side}_{name}"]] for name in ("hip", "knee", "foot", "shoulder", "elbow", "wrist")
            )
            assert angle(knee - hip, foot - knee).max() < LIMITS["knee_flexion"][1]
            assert angle(elbow - shoulder, wrist - elbow).max() < LIMITS["elbow_flexion"][1]
            pelvis = rotation(controls.orientation)
            thigh = np.einsum("tji,tj->ti", pelvis, knee - hip) / body.thigh
            outward = thigh[:, 1] * (2 * pair - 1)
            flexion = np.degrees(np.arctan2(thigh[:, 0], -thigh[:, 2]))
            sagittal = np.abs(outward) < 0.5
            low, high = LIMITS["hip_flexion"]
            # The pitch that keeps hips within their limits is smoothed over 0.1 s afterwards.
            assert np.percentile(flexion[sagittal], 1) > low - 15
            assert np.percentile(flexion[sagittal], 99) < high + 15
        for joint, angles in (("trunk", controls.lumbar), ("trunk", controls.thoracic), ("neck", controls.neck)):
            for axis, values in zip(("flexion", "side", "twist"), np.degrees(angles).T, strict=True):
                assert LIMITS[f"{joint}_{axis}"][0] - 1e-6 <= values.min()
                assert values.max() <= LIMITS[f"{joint}_{axis}"][1] + 1e-6


@pytest.mark.parametrize("action", ACTIONS)
def test_motion_is_smooth(action):
    for _, _, joints in takes(action):
        velocity = np.diff(joints, axis=0) * FPS
        assert np.linalg.norm(velocity, axis=-1).max() < 12  # a kicking foot; sprinters' reach 20
        acceleration = np.linalg.norm(np.diff(velocity, axis=0) * FPS, axis=-1)
        assert acceleration.max() < 400  # 40 g, for an instant, at knees and feet that land
        assert np.percentile(acceleration, 99) < 80


@pytest.mark.parametrize("action", ACTIONS)
def test_nobody_sinks_into_the_floor(action):
    for body, _, joints in takes(action):
        assert joints[..., 2].min() > -0.1
        assert np.percentile(joints[..., 2], 0.1) > -0.02
        assert joints[:, JOINT["hip"], 2].max() < 1.9 * body.leg


@pytest.mark.parametrize("action", ACTIONS)
def test_feet_that_stand_do_not_slide(action):
    for body, controls, joints in takes(action):
        for pair, name in enumerate(("right_foot", "left_foot")):
            wanted = controls.feet[:, pair]
            planted = (np.diff(wanted, axis=0) == 0).all(1) & (wanted[1:, 2] <= body.ankle)
            if planted.any():
                slide = np.linalg.norm(np.diff(joints[:, JOINT[name], :2], axis=0)[planted], axis=1) * FPS
                assert slide.mean() < 0.05  # [m/s]


def test_people_sit_when_they_sit_and_stand_when_they_wait():
    heights = {action: np.median(all_joints(action)[:, 0, 2]) for action in ACTIONS}
    assert heights["Sitting"] < 0.85
    assert heights["SittingDown"] < 0.75
    assert np.percentile(all_joints("SittingDown")[:, 0, 2], 25) < 0.4
    for action in ("Directions", "Discussion", "Greeting", "Walking", "WalkDog", "WalkTogether"):
        assert heights[action] > 0.9


def test_walkers_travel_and_others_stay():
    def travelled(action: str) -> float:
        steps = [np.diff(joints[:, 0, :2], axis=0) for _, _, joints in takes(action)]
        return float(np.median(np.linalg.norm(np.concatenate(steps), axis=1)) * FPS)

    assert min(travelled(action) for action in ("Walking", "WalkDog", "WalkTogether")) > 0.3
    assert max(travelled(action) for action in ("Directions", "Sitting", "Eating", "Waiting")) < 0.12


def test_one_hand_is_at_the_ear_of_who_phones_and_both_before_the_eyes_of_who_takes_photos():
    phoning, photo = all_joints("Phoning"), all_joints("Photo")
    assert np.median(nearest(phoning, "wrist", "head")) < 0.35
    both = [np.linalg.norm(photo[:, wrist] - photo[:, JOINT["head"]], axis=1) for wrist in (13, 16)]
    assert (np.maximum(*both) < 0.55).mean() > 0.4
    assert (np.maximum(*(np.linalg.norm(phoning[:, w] - phoning[:, 10], axis=1) for w in (13, 16))) < 0.55).mean() < 0.4


@pytest.mark.parametrize("action", ["Smoking", "Eating"])
def test_a_hand_goes_to_the_mouth_and_away_again(action):
    for body, _, joints in takes(action):
        near = nearest(joints, "wrist", "neck") / body.leg
        assert near.min() < 0.3
        assert near.max() > 0.4


def test_shoppers_bend_and_guides_point():
    purchases = all_joints("Purchases")
    assert np.percentile(angle(purchases[:, 8] - purchases[:, 0], np.array([0, 0, 1.0])), 95) > 35
    directions = all_joints("Directions")
    raised = directions[:, [13, 16], 2].max(1) > directions[:, 8, 2] - 0.1
    assert raised.mean() > 0.4


@pytest.mark.slow
def test_actions_can_be_told_apart():
    names = list(ACTIONS)
    known = np.array([[features(take(a, n)[2] / take(a, n)[0].leg) for n in range(10, 20)] for a in names])
    new = np.array([[features(take(a, n)[2] / take(a, n)[0].leg) for n in range(TAKES)] for a in names])
    scale = known.std((0, 1))
    centres = known.mean(1) / scale
    guess = np.linalg.norm(new[:, :, None] / scale - centres, axis=-1).argmin(-1)
    right = (guess == np.arange(len(names))[:, None]).mean()
    assert right > 0.35  # chance is 0.07
