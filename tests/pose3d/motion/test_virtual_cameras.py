import cv2
import numpy as np
import pytest

from anypose.camera import project, world_to_camera
from pose3d.motion.virtual_cameras import H36M_RANGES, CameraRanges, look_at, sample_cameras


def walk(frames: int = 60, length: float = 4.0) -> np.ndarray:
    """(T, 3, 3): hip, head and foot of somebody who walks along x."""
    x = np.linspace(-length / 2, length / 2, frames)
    root = np.stack([x, 0.3 * np.sin(x), np.full_like(x, 0.95)], -1)
    up = np.array([0, 0, 1])
    return np.stack([root, root + 0.75 * up, root - 0.95 * up], 1)


@pytest.mark.parametrize("length", [0.0, 4.0, 12.0])
def test_everybody_stays_in_the_picture_and_in_front_of_the_camera(length):
    joints = walk(length=length)
    for seed in range(20):
        for camera in sample_cameras(np.random.default_rng(seed), joints, 4):
            seen = world_to_camera(joints, camera)
            assert seen[..., 2].min() >= H36M_RANGES.nearest - 1e-9
            pinhole = seen[..., :2] / seen[..., 2:] * camera.focal + camera.centre
            assert (pinhole >= 20 - 1e-6).all()
            assert (pinhole <= 980 + 1e-6).all()
            pixels = project(seen, camera)
            assert (pixels > 0).all()
            assert (pixels < 1000).all()


def test_cameras_come_from_the_ranges_where_the_take_leaves_room():
    joints = walk(length=0.0)
    cameras = [c for seed in range(50) for c in sample_cameras(np.random.default_rng(seed), joints, 4)]
    heights = np.array([camera.position[2] for camera in cameras])
    distances = np.array([np.linalg.norm(camera.position[:2]) for camera in cameras])
    pitch = np.degrees([np.arcsin(-camera.rotation[2, 2]) for camera in cameras])
    roll = np.degrees([np.arcsin(camera.rotation[0, 2]) for camera in cameras])
    assert heights.min() >= 1.3 - 1e-9
    assert heights.max() <= 1.8 + 1e-9
    assert distances.min() > 3.0
    assert distances.max() < 7.0
    assert (pitch > 2).all()
    assert (pitch < 20).all()
    assert np.abs(roll).max() < 2
    assert all(1130 <= camera.focal[0] <= 1165 for camera in cameras)


def test_the_world_is_upright_in_the_picture():
    joints = walk(length=1.0)
    for camera in sample_cameras(np.random.default_rng(3), joints, 8):
        pixels = project(world_to_camera(joints, camera), camera)
        assert (pixels[:, 1, 1] < pixels[:, 0, 1]).all(), "the head is above the hip"
        assert (pixels[:, 0, 1] < pixels[:, 2, 1]).all(), "the hip is above the foot"


def test_azimuths_of_a_take_are_spread():
    for seed in range(10):
        cameras = sample_cameras(np.random.default_rng(seed), walk(length=0.0), 4)
        azimuth = np.sort([np.arctan2(-c.rotation[2, 1], -c.rotation[2, 0]) for c in cameras])
        assert np.diff(azimuth, append=azimuth[0] + 2 * np.pi).max() < np.pi


def test_the_same_generator_draws_the_same_cameras_and_another_seed_others():
    first, again, other = (sample_cameras(np.random.default_rng(seed), walk(), 2) for seed in (5, 5, 6))
    assert [c.name for c in first] == ["virtual1", "virtual2"]
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a.position, b.position)
        np.testing.assert_array_equal(a.rotation, b.rotation)
        assert not np.allclose(a.position, c.position)


def test_look_at_agrees_with_opencv_about_where_the_target_is_seen():
    position, target = np.array([1.0, -4.0, 1.7]), np.array([0.3, 0.2, 0.8])
    rotation = look_at(position, target, roll=0.2)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)
    matrix = np.array([[1000.0, 0, 500], [0, 1000, 500], [0, 0, 1]])
    seen, _ = cv2.projectPoints(target[None], cv2.Rodrigues(rotation)[0], -rotation @ position, matrix, None)
    np.testing.assert_allclose(seen.ravel(), [500, 500], atol=1e-6)


def test_a_level_camera_sees_the_vertical_as_vertical():
    rotation = look_at(np.array([0.0, -5, 1.5]), np.array([0.0, 0, 1.0]))
    np.testing.assert_allclose(rotation @ [0, 0, 1], [0, -np.cos(np.arctan(0.1)), -np.sin(np.arctan(0.1))], atol=1e-12)


def test_wider_ranges_are_obeyed():
    ranges = CameraRanges(focal=(600, 600), height=(0.3, 0.3), distance=(9, 9), size=(640, 480), centre=(240, 240))
    (camera,) = sample_cameras(np.random.default_rng(0), walk(length=0.0), 1, ranges)
    assert (camera.width, camera.height, camera.focal[0]) == (640, 480, 600)
    assert camera.position[2] == pytest.approx(0.3)


def test_no_cameras_or_no_frames_are_refused():
    with pytest.raises(ValueError, match="num_cameras=0 and 60 frames"):
        sample_cameras(np.random.default_rng(0), walk(), 0)
    with pytest.raises(ValueError, match="num_cameras=1 and 0 frames"):
        sample_cameras(np.random.default_rng(0), walk()[:0], 1)
    with pytest.raises(ValueError, match=r"joints_world must have shape \(T, J, 3\)"):
        sample_cameras(np.random.default_rng(0), walk()[0], 1)


def test_tilted_cameras_look_higher_and_still_see_everybody():
    joints = walk(length=2.0)
    tilt = 0.15
    for seed in range(10):
        plain = sample_cameras(np.random.default_rng(seed), joints, 4)
        up = sample_cameras(np.random.default_rng(seed), joints, 4, CameraRanges(tilt=(tilt, tilt)))
        for before, after in zip(plain, up, strict=True):
            pitch = [np.arcsin(camera.rotation[2, 2]) for camera in (before, after)]
            assert pitch[1] - pitch[0] == pytest.approx(tilt, abs=1e-3)  # roll turns its axis a little
            np.testing.assert_allclose(after.rotation @ after.rotation.T, np.eye(3), atol=1e-12)
            np.testing.assert_array_equal(after.intrinsics, before.intrinsics)
            pixels = project(world_to_camera(joints, after), after)
            assert (pixels > 0).all()
            assert (pixels < 1000).all()
            assert pixels[..., 1].mean() > project(world_to_camera(joints, before), before)[..., 1].mean()
