"""dataset=synthetic: the same world for the same seed, whole scenes in front of the camera, exact projections."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from anypose.skeleton import H36M_17
from pose3d.dataset.synthetic import Synthetic
from pose3d.synthesis.actions import ACTIONS

CONFIG = Path(__file__).resolve().parents[3] / "conf" / "dataset" / "synthetic.yaml"
SMALL = {
    "train_subjects": 2,
    "validation_subjects": 1,
    "frames": 60,
    "frame_step": 3,
    "num_cameras": 2,
    "actions": ["Walking", "Sitting"],
}


def build(**changes) -> Synthetic:
    settings = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    del settings["_target_"]
    return Synthetic(**{**settings, **SMALL, **changes})


@lru_cache
def whole():
    """Every action once, seen by four cameras."""
    return build(actions=None, train_subjects=1, num_cameras=4, frames=250, frame_step=5).sequences("train")


def by_name(sequences):
    return {sequence.name: sequence for sequence in sequences}


def test_the_default_lists_the_fifteen_actions_of_human36m():
    assert build(actions=None).actions == tuple(ACTIONS)
    assert " ".join(ACTIONS) == (
        "Directions Discussion Eating Greeting Phoning Photo Posing Purchases Sitting SittingDown Smoking Waiting "
        "WalkDog Walking WalkTogether"
    )


def test_sequences_are_named_counted_and_sampled_as_configured():
    train = build(takes=2).sequences("train")
    assert len(train) == 2 * 2 * 2 * 2
    assert {s.subject for s in train} == {"T1", "T2"}
    assert {s.take for s in train} == {"Walking 1", "Walking 2", "Sitting 1", "Sitting 2"}
    assert {s.camera.name for s in train} == {"virtual1", "virtual2"}
    assert all(len(s) == 20 and s.fps == pytest.approx(50 / 3) for s in train)
    assert all(s.skeleton is H36M_17 and s.keypoint_skeleton is H36M_17 for s in train)
    assert all(s.joints.dtype == s.keypoints.dtype == np.float32 and s.scores is None for s in train)
    assert train[0].joints is train[1].joints  # the views of one take share one array
    assert {s.subject for s in build().sequences("validation")} == {"V1"}


def test_the_same_seed_makes_the_same_world_and_another_one_another():
    first, again, other = build().sequences("train"), build().sequences("train"), build(seed=1).sequences("train")
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a.joints, b.joints)
        np.testing.assert_array_equal(a.keypoints, b.keypoints)
        assert not np.array_equal(a.joints, c.joints)


@pytest.mark.slow
def test_asking_for_less_changes_nothing_in_what_remains():
    more = by_name(build(train_subjects=3, takes=2, actions=None).sequences("train"))
    less = build(train_subjects=2, actions=["Sitting"]).sequences("train")
    assert len(less) == 4
    for sequence in less:
        np.testing.assert_array_equal(sequence.joints, more[sequence.name].joints)
        np.testing.assert_array_equal(sequence.keypoints, more[sequence.name].keypoints)


def test_frame_step_keeps_every_nth_frame_of_the_motion():
    every = build(frame_step=1).sequences("train")
    for all_frames, some in zip(every, build(frame_step=7).sequences("train"), strict=True):
        np.testing.assert_array_equal(all_frames.joints[::7], some.joints)


def test_nobody_is_both_trained_on_and_scored_on():
    data = build(train_subjects=20, validation_subjects=20)
    train = {data.body("train", number).thigh for number in range(20)}
    validation = {data.body("validation", number).thigh for number in range(20)}
    assert len(train) == len(validation) == 20
    assert not train & validation


def test_keypoints_are_the_joints_through_the_camera():
    for sequence in whole()[::7]:
        camera = sequence.camera
        k, p = camera.radial, camera.tangential
        local = (sequence.joints.astype(np.float64) - camera.position) @ camera.rotation.T
        # OpenCV's tangential terms differ from Human3.6M's by a factor of 2 in part: compare without.
        distortion = np.array([k[0], k[1], 0, 0, k[2]])
        intrinsics = np.array(
            [[camera.focal[0], 0, camera.centre[0]], [0, camera.focal[1], camera.centre[1]], [0, 0, 1]]
        )
        expected, _ = cv2.projectPoints(local.reshape(-1, 1, 3), np.zeros(3), np.zeros(3), intrinsics, distortion)
        difference = sequence.keypoints.reshape(-1, 2) - expected[:, 0]
        assert np.abs(difference).max() < 2 * camera.focal[0] * np.abs(p).max() + 0.01


def test_every_scene_lies_within_bounds_in_front_of_its_camera():
    for sequence in whole():
        depth = sequence.joints_camera()[..., 2]
        assert depth.min() >= 2.0 - 1e-4
        assert depth.max() < 15.0
        assert np.abs(sequence.keypoints - 500).max() < 520


def test_bones_keep_their_length_over_a_take_and_over_all_takes_of_a_person():
    bones = np.array(H36M_17.bones)
    joints = np.concatenate([sequence.joints for sequence in whole()])
    lengths = np.linalg.norm(joints[:, bones[:, 0]] - joints[:, bones[:, 1]], axis=-1)
    assert np.ptp(lengths, axis=0).max() < 1e-5


def test_noise_moves_keypoints_but_neither_joints_nor_cameras():
    clean, noisy = build().sequences("train"), build(jitter=0.01, missing=0.1).sequences("train")
    assert build(jitter=0.01).keypoint_source == "ground truth with jitter 0.01, outliers 0, swaps 0, missing 0"
    assert build().keypoint_source == "ground truth"
    for a, b in zip(clean, noisy, strict=True):
        np.testing.assert_array_equal(a.joints, b.joints)
        np.testing.assert_array_equal(a.camera.position, b.camera.position)
        assert 0.5 < np.abs(a.keypoints - b.keypoints).mean() < 50
        assert b.scores is not None
        assert 0.05 < (b.scores == 0).mean() < 0.15


def test_cameras_are_drawn_from_the_ranges():
    for sequence in build(camera_height=[3.0, 3.1], focal=[700, 710]).sequences("train"):
        assert 700 <= sequence.camera.focal[0] <= 710
        assert sequence.camera.position[2] >= 3.0 - 1e-9  # stepping back along its axis raises a camera


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"takes": 0}, r"dataset\.takes=0 must be at least 1"),
        ({"frame_step": -2}, r"dataset\.frame_step=-2 must be at least 1"),
        ({"seed": -1}, r"dataset\.seed=-1 must not be negative"),
        ({"fps": 5}, r"dataset\.fps=5 must lie between 10 and 240"),
        ({"proportion_spread": 0.5}, r"dataset\.proportion_spread=0\.5 must lie between 0 and 0\.2"),
        ({"actions": ["Walking", "Juggling"]}, r"dataset\.actions has Juggling\. There are Directions, .*WalkTogether"),
        ({"focal": [900, 800]}, r"dataset\.focal=\[900, 800\] must be \[low, high\]"),
        ({"camera_distance": [0, 3]}, r"dataset\.camera_distance=\[0, 3\] must be \[low, high\] with 0 < low"),
        ({"missing": 1.0}, r"dataset\.missing=1\.0 must lie in \[0, 1\)"),
    ],
)
def test_settings_out_of_range_are_refused_with_their_value(changes, message):
    with pytest.raises(ValueError, match=message):
        build(**changes)
