import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from anypose.camera import camera_to_world, project
from pose3d.motion.pinhole import LEVEL, fit_pinhole, quaternion_rotation, rodrigues, straightened


def points(count: int = 400) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.uniform([-1, -1, 3], [1, 1, 6], (count, 3))


def test_an_exact_lens_is_found_exactly():
    seen = points()
    keypoints = seen[:, :2] / seen[:, 2:] * [1100, 1090] + [512, 498]
    camera = fit_pinhole("c", seen, keypoints, (1000, 1002))
    np.testing.assert_allclose(camera.focal, [1100, 1090])
    np.testing.assert_allclose(camera.centre, [512, 498])
    assert (camera.width, camera.height) == (1000, 1002)
    np.testing.assert_allclose(project(seen, camera), keypoints)


def test_wild_detections_do_not_spoil_the_lens():
    rng = np.random.default_rng(1)
    seen = points()
    keypoints = seen[:, :2] / seen[:, 2:] * 1100 + 500 + rng.normal(0, 3, (400, 2))
    keypoints[:20] = rng.uniform(0, 1000, (20, 2))
    camera = fit_pinhole("c", seen, keypoints, (1000, 1000))
    np.testing.assert_allclose(camera.focal, 1100, rtol=0.02)
    np.testing.assert_allclose(camera.centre, 500, atol=5)


def test_without_a_world_the_camera_is_level():
    camera = fit_pinhole("c", points(), points()[:, :2] / points()[:, 2:] * 1100, (1000, 1000))
    up = camera_to_world(np.array([0.0, -1.0, 0.0]), camera)
    np.testing.assert_allclose(up, [0, 0, 1], atol=1e-12)
    assert np.linalg.det(LEVEL) == pytest.approx(1)


def test_points_that_fix_no_lens_are_refused():
    seen = points()
    with pytest.raises(ValueError, match=r"camera c: .* found 400 at depths from -"):
        fit_pinhole("c", seen - [0, 0, 6], seen[:, :2], (10, 10))
    with pytest.raises(ValueError, match=r"camera c: .* found 3 at depths"):
        fit_pinhole("c", seen[:3], seen[:3, :2], (10, 10))
    with pytest.raises(
        ValueError, match=r"the fitted focal lengths are \[-1\d\d\d\.\d, -1\d\d\d\.\d\]; 2D and 3D differ"
    ):
        fit_pinhole("c", seen, -seen[:, :2] / seen[:, 2:] * 1100, (10, 10))
    seen[3, 1] = np.nan
    with pytest.raises(ValueError, match="hold NaN or infinity"):
        fit_pinhole("c", seen, seen[:, :2], (10, 10))


def test_rotations_agree_with_scipy():
    rotation = Rotation.from_euler("xyz", [0.4, -1.1, 2.2])
    x, y, z, w = rotation.as_quat()
    np.testing.assert_allclose(quaternion_rotation(np.array([w, x, y, z]) * 1.01), rotation.as_matrix(), atol=1e-12)
    np.testing.assert_allclose(rodrigues(rotation.as_rotvec()), rotation.as_matrix(), atol=1e-12)
    np.testing.assert_array_equal(rodrigues(np.zeros(3)), np.eye(3))


def test_straightening_undoes_what_opencv_bends():
    seen = points()
    camera = fit_pinhole("c", seen, seen[:, :2] / seen[:, 2:] * 1100 + 500, (1000, 1000))
    distortion = np.array([-0.2, 0.1, 0.001, -0.002, 0.01])
    matrix = np.array([[1100.0, 0, 500], [0, 1100, 500], [0, 0, 1]])
    bent, _ = cv2.projectPoints(seen, np.zeros(3), np.zeros(3), matrix, distortion)
    straight = straightened(bent[:, 0], camera, distortion)
    np.testing.assert_allclose(straight, seen[:, :2] / seen[:, 2:] * 1100 + 500, atol=1e-6)
    np.testing.assert_allclose(straightened(straight, camera, np.zeros(5)), straight)
