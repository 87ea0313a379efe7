from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from anypose.camera import project, world_to_camera
from anypose.skeleton import H36M_17
from pose3d.dataset.disturbed import Disturbed, rolled
from tests.pose3d.motion.random_motion import dataset, sequence

PLAIN = {
    "seed": 0, "pixel_noise": 0.0, "jitter": 0.0, "outliers": 0.0, "swaps": 0.0, "missing": 0.0, "swapped": None,
    "focal_error": 1.0, "camera_roll": 0.0,
}  # fmt: skip


def disturbed(**options) -> Disturbed:
    return Disturbed(dataset(sequence(400, "S9", "Walking", "Walking 1", seed=1)), **{**PLAIN, **options})


def test_nothing_disturbed_is_the_dataset_itself():
    data = disturbed()
    one, other = data.sequences("validation")[0], data.of.sequences("validation")[0]
    np.testing.assert_array_equal(one.keypoints, other.keypoints)
    assert data.keypoint_source == data.of.keypoint_source


def test_white_noise_is_as_large_as_asked_and_the_same_each_time():
    data = disturbed(pixel_noise=10)
    one, other = data.sequences("validation")[0], data.of.sequences("validation")[0]
    assert (one.keypoints - other.keypoints).std() == pytest.approx(10, rel=0.03)
    np.testing.assert_array_equal(one.keypoints, data.sequences("validation")[0].keypoints)
    np.testing.assert_array_equal(data.sequences("train")[0].keypoints, data.of.sequences("train")[0].keypoints)
    assert data.keypoint_source.endswith("white noise of 10 px")


def test_exchanged_arms_are_each_others_and_legs_stay():
    data = disturbed(swapped="arms")
    one, other = data.sequences("validation")[0].keypoints, data.of.sequences("validation")[0].keypoints
    wrist, knee = H36M_17.index("left_wrist"), H36M_17.index("left_knee")
    np.testing.assert_array_equal(one[:, wrist], other[:, H36M_17.index("right_wrist")])
    np.testing.assert_array_equal(one[:, knee], other[:, knee])


def test_a_rolled_camera_sees_the_same_joints():
    data = disturbed(camera_roll=15)
    one, other = data.sequences("validation")[0], data.of.sequences("validation")[0]
    seen, before = (world_to_camera(s.joints, s.camera) for s in (one, other))
    np.testing.assert_allclose(seen[..., 2], before[..., 2], atol=1e-5)
    angle = np.degrees(np.arctan2(before[..., 1], before[..., 0]) - np.arctan2(seen[..., 1], seen[..., 0]))
    np.testing.assert_allclose(angle % 360, 15, atol=1e-2)


def test_exact_keypoints_stay_exact_under_a_roll():
    source = disturbed().of.sequences("validation")[0]
    ahead = source.joints - source.joints.mean((0, 1)) + source.camera.position + 9 * source.camera.rotation[2]
    seen = project(world_to_camera(ahead, source.camera), source.camera)
    exact = replace(source, joints=ahead.astype(np.float32), keypoints=seen.astype(np.float32))
    turned = rolled(exact, 0.3)
    expected = project(world_to_camera(turned.joints, turned.camera), turned.camera)
    np.testing.assert_allclose(turned.keypoints, expected, atol=0.05)


def test_a_focal_length_taken_wrongly_is_the_cameras_alone():
    data = disturbed(focal_error=1.3)
    one, other = data.sequences("validation")[0], data.of.sequences("validation")[0]
    np.testing.assert_allclose(one.camera.focal, 1.3 * other.camera.focal)
    np.testing.assert_array_equal(one.keypoints, other.keypoints)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pixel_noise": -1}, r"dataset.pixel_noise=-1 must lie in \[0, 1000\) pixels"),
        ({"swapped": "eyes"}, "dataset.swapped=eyes must be null or one of legs, arms, all"),
        ({"focal_error": 0}, r"dataset.focal_error=0 is a factor and must lie in \[0.1, 10\]"),
        ({"camera_roll": 270}, r"dataset.camera_roll=270 must lie in \[-180, 180\] degrees"),
        ({"jitter": 2}, r"dataset.jitter=2 must lie in \[0, 1\)"),
    ],
)
def test_settings_are_refused_by_their_name(options, message):
    with pytest.raises(ValueError, match=message):
        disturbed(**options)
