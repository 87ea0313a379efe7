import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from anypose.camera import (
    Camera,
    camera_to_world,
    mirror_intrinsics,
    project,
    project_points,
    to_rays,
    to_screen,
    undistort,
    world_to_camera,
)


def rotation(alpha: float, beta: float, gamma: float) -> np.ndarray:
    matrix, _ = cv2.Rodrigues(np.array([alpha, beta, gamma]))
    return matrix


def make_camera(**changes) -> Camera:
    """Human3.6M's S1 seen by 54138969: published intrinsics, extrinsics to the six digits printed in the literature."""
    values = {
        "name": "54138969",
        "rotation": [
            [-0.915362, 0.401808, 0.025748],
            [0.051548, 0.180374, -0.982246],
            [-0.399319, -0.897784, -0.18582],
        ],
        "position": [1.841107, 4.955285, 1.563445],
        "focal": [1145.04940459, 1143.78109572],
        "centre": [512.54150496, 515.45148698],
        "radial": [-0.20709891, 0.24777518, -0.00307515],
        "tangential": [-0.00142447, -0.0009757],
        "width": 1000,
        "height": 1002,
    }
    return Camera(**{**values, **changes})


def opencv_model(camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """The same lens for OpenCV: half the tangential terms, the other half of what multiplies r^2 as a thin prism."""
    matrix = np.array([[camera.focal[0], 0, camera.centre[0]], [0, camera.focal[1], camera.centre[1]], [0, 0, 1]])
    (k1, k2, k3), (p1, p2) = camera.radial, camera.tangential
    return matrix, np.array([k1, k2, p1 / 2, p2 / 2, k3, 0, 0, 0, p2 / 2, 0, p1 / 2, 0])


def scene(count: int, seed: int = 0) -> np.ndarray:
    """(count, 3) points in front of a camera, up to 27 degrees off its axis [m]."""
    rng = np.random.default_rng(seed)
    depth = rng.uniform(1, 8, (count, 1))
    return np.concatenate([rng.uniform(-0.5, 0.5, (count, 2)) * depth, depth], 1)


@pytest.mark.parametrize(
    ("world", "in_camera", "pixel"),
    [
        ((0.0, 0.0, 1.0), (-0.320303, -0.435266, 5.288662), (443.3168, 421.4838)),
        ((0.5, -0.3, 1.5), (-0.885653, -0.954727, 5.265427), (322.0542, 310.3090)),
    ],
)
def test_human36m_points_land_on_the_published_pixels(world, in_camera, pixel):
    camera = make_camera()
    points = world_to_camera(np.array(world), camera)
    np.testing.assert_allclose(points, in_camera, atol=5e-6)  # the rotation has six digits
    np.testing.assert_allclose(project(points, camera), pixel, atol=1e-3)
    np.testing.assert_allclose(project(np.array(in_camera), camera), pixel, atol=2e-4)


def test_other_human36m_cameras_too():
    second = make_camera(
        focal=[1149.67569987, 1147.59161667],
        centre=[508.84862165, 508.06491709],
        radial=[-0.19421363, 0.24040854, 0.00681998],
        tangential=[-0.00274089, -0.00161903],
    )
    np.testing.assert_allclose(
        project(np.array([0.011864, -0.574353, 5.496442]), second), (511.3053, 388.3294), atol=3e-4
    )
    fourth = make_camera(
        focal=[1145.51133842, 1144.77392808],
        centre=[514.96819732, 501.88201854],
        radial=[-0.19838409, 0.21832368, -0.00894781],
        tangential=[-0.00181336, -0.00058721],
    )
    np.testing.assert_allclose(
        project(np.array([-0.089957, -0.540743, 4.173569]), fourth), (490.3431, 353.9863), atol=3e-4
    )


def test_projection_equals_opencv_on_an_equivalent_lens():
    camera = make_camera(tangential=[0.02, -0.03])  # strong, or a missing factor 2 could hide in the noise
    points = scene(500)
    expected, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), *opencv_model(camera))
    np.testing.assert_allclose(project(points, camera), expected[:, 0], atol=1e-9)


def test_world_and_camera_frames_agree_with_opencv_extrinsics():
    turn = rotation(0.3, -1.1, 2.0)
    camera = make_camera(rotation=turn, position=[0.4, -2.0, 3.0], radial=[0, 0, 0], tangential=[0, 0])
    world = camera_to_world(scene(50), camera)
    translation = -turn @ np.array([0.4, -2.0, 3.0])
    expected, _ = cv2.projectPoints(world, cv2.Rodrigues(turn)[0], translation, *opencv_model(camera))
    np.testing.assert_allclose(project(world_to_camera(world, camera), camera), expected[:, 0], atol=1e-8)


@given(st.tuples(*[st.floats(-3, 3)] * 3), st.tuples(*[st.floats(-10, 10)] * 3))
def test_to_the_camera_and_back_is_the_identity(turn, position):
    camera = make_camera(rotation=rotation(*turn), position=position)
    points = np.random.default_rng(0).normal(size=(2, 5, 17, 3))
    np.testing.assert_allclose(camera_to_world(world_to_camera(points, camera), camera), points, atol=1e-12)


def test_undistorted_pixels_are_those_of_the_lens_without_distortion():
    camera = make_camera()
    plain = make_camera(radial=[0, 0, 0], tangential=[0, 0])
    points = scene(500)
    np.testing.assert_allclose(undistort(project(points, camera), camera), project(points, plain), atol=1e-8)


def test_keypoints_beyond_the_lens_model_are_refused_by_place():
    camera = make_camera()
    keypoints = np.array([[500.0, 500.0], [90000.0, 500.0], [500.0, -80000.0]])
    with pytest.raises(
        ValueError, match=r"2 keypoints cannot be undistorted, the first at \[90000.0, 500.0\] px.*1000 x 1002"
    ):
        undistort(keypoints, camera)


def test_points_at_and_behind_the_camera_stay_finite_and_on_their_side():
    camera = make_camera()
    points = np.array([[1.0, -2.0, 0.0], [1.0, -2.0, -3.0], [-1e-3, 1e-3, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, -2.0]])
    with np.errstate(all="raise"):
        pixels = project(points.astype(np.float32), camera)
    assert np.isfinite(pixels).all()
    assert (pixels[:2, 0] > 5000).all()
    assert (pixels[:2, 1] < -5000).all()
    assert pixels[2, 0] < -5000
    assert pixels[2, 1] > 5000
    np.testing.assert_allclose(pixels[3:], [camera.centre] * 2, rtol=1e-6)


def test_torch_projection_equals_numpy_for_each_camera_of_a_batch():
    cameras = [make_camera(), make_camera(focal=[900, 910], tangential=[0.01, 0.02], radial=[0.1, -0.2, 0.05])]
    points = scene(2 * 6 * 17).reshape(2, 6, 17, 3)
    intrinsics = torch.tensor(np.stack([camera.intrinsics for camera in cameras]))
    pixels = project_points(torch.tensor(points), intrinsics)
    expected = np.stack([project(p, camera) for p, camera in zip(points, cameras, strict=True)])
    np.testing.assert_allclose(pixels.numpy(), expected, atol=1e-9)


def test_screen_intrinsics_give_screen_coordinates():
    camera = make_camera()
    points = scene(100)
    on_screen = project_points(torch.tensor(points)[None], torch.tensor(camera.screen_intrinsics)[None])[0]
    np.testing.assert_allclose(on_screen.numpy(), to_screen(project(points, camera), 1000, 1002), atol=1e-12)


def test_torch_projection_limits_wild_points_and_their_gradient():
    points = torch.tensor([[[3.0, -4.0, 1.0], [3.0, -4.0, -1.0], [1.0, 0.2, 0.0]]], requires_grad=True)
    pixels = project_points(points, torch.tensor(make_camera().intrinsics, dtype=torch.float32)[None])
    at_45_degrees = project(np.array([[1.0, -1.0, 1.0]]), make_camera())[0]
    np.testing.assert_allclose(pixels[0, :2].detach().numpy(), [at_45_degrees] * 2, rtol=1e-5)
    pixels.sum().backward()
    assert points.grad is not None
    assert not points.grad.any()  # no gradient, and no NaN


def test_mirrored_points_and_lens_give_the_mirrored_picture():
    camera = make_camera(tangential=[0.02, -0.03])
    points = torch.tensor(scene(40))[None]
    intrinsics = torch.tensor(camera.screen_intrinsics)[None]
    mirrored = project_points(points * torch.tensor([-1, 1, 1]), mirror_intrinsics(intrinsics))
    torch.testing.assert_close(mirrored, project_points(points, intrinsics) * torch.tensor([-1, 1]))


def test_the_screen_runs_from_minus_one_to_one_in_width_and_keeps_the_aspect():
    corners = np.array([[0.0, 0.0], [1000.0, 1002.0], [500.0, 501.0], [750.0, 501.0], [500.0, 751.0]])
    expected = [[-1, -1.002], [1, 1.002], [0, 0], [0.5, 0], [0, 0.5]]
    np.testing.assert_allclose(to_screen(corners, 1000, 1002), expected, atol=1e-12)


def test_the_type_of_the_input_comes_out():
    camera = make_camera()
    points = scene(3).astype(np.float32)
    pixels = project(points, camera)
    for result in (
        world_to_camera(points, camera),
        camera_to_world(points, camera),
        pixels,
        undistort(pixels, camera),
        to_screen(pixels, 1000, 1002),
    ):
        assert result.dtype == np.float32
    np.testing.assert_allclose(pixels, project(points.astype(np.float64), camera), atol=1e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rotation": np.diag([1.0, 1.0, -1.0])}, "rotation of camera 54138969 must be a rotation, got .*-1.0"),
        ({"rotation": np.full((3, 3), 0.5)}, "must be a rotation, got .*0.5"),
        ({"position": [[1], [2], [3]]}, r"position .* of shape \(3,\), got \[\[1.0\], \[2.0\], \[3.0\]\]"),
        ({"radial": [0, np.nan, 0]}, r"radial of camera 54138969 must be finite .*nan"),
        ({"focal": [1145, -1]}, r"must be positive, got \[1145.0, -1.0\], 1000, 1002"),
        ({"width": 0}, r"must be positive, got .*, 0, 1002"),
    ],
)
def test_an_impossible_camera_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        make_camera(**changes)


def test_rays_are_opencvs_undistorted_points():
    camera = make_camera()
    points = scene(20)
    matrix, distortion = opencv_model(camera)
    expected = cv2.undistortPoints(project(points, camera)[:, None], matrix, distortion)[:, 0]
    np.testing.assert_allclose(to_rays(project(points, camera), camera), expected, atol=1e-4)
    np.testing.assert_allclose(to_rays(project(points, camera), camera), points[:, :2] / points[:, 2:], atol=1e-9)
