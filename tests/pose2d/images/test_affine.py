"""Matrices against three-point solutions, the batched warp against OpenCV."""

import cv2
import numpy as np
import pytest
import torch

from pose2d.images.affine import compose, crop_matrices, fit_aspect, invert, needed_window, transform, warp, warp_one
from pose2d.images.crops import pack_windows

SIZE = (64, 48)


def draw(rng, count=50):
    return {
        "centre": rng.uniform(0, 200, (count, 2)),
        "width": rng.uniform(10, 300, count),
        "rotation": rng.uniform(-2, 2, count),
        "flip": rng.random(count) < 0.5,
    }


@pytest.mark.parametrize("aligned", [False, True])
def test_matrices_equal_the_three_point_solution_of_opencv(aligned):
    """The crop's middle, and the ends of its half width and half height, as the original code places them."""
    where = draw(np.random.default_rng(0))
    matrices = crop_matrices(**where, crop_size=SIZE, aligned=aligned)
    height, width = (SIZE[0] - 1, SIZE[1] - 1) if aligned else SIZE
    for i, matrix in enumerate(matrices):
        half = where["width"][i] / 2
        cos, sin = np.cos(where["rotation"][i]), np.sin(where["rotation"][i])
        right, up = half * np.array([cos, sin]), half * height / width * np.array([sin, -cos])
        if where["flip"][i]:
            right[0], up[0] = -right[0], -up[0]
        centre = where["centre"][i]
        source = np.float32([centre, centre + right, centre + up])
        target = np.float32([[width / 2, height / 2], [width, height / 2], [width / 2, 0]])
        # OpenCV takes the points in float32, which limits the agreement.
        expected = cv2.getAffineTransform(source, target)
        corners = np.array([[0.0, 0], [200, 0], [0, 200], [200, 200]])
        np.testing.assert_allclose(
            transform(corners[None], matrix[None])[0], corners @ expected[:, :2].T + expected[:, 2], atol=5e-2
        )
    points = np.random.default_rng(1).uniform(0, 200, (50, 4, 2))
    np.testing.assert_allclose(transform(transform(points, matrices), invert(matrices)), points, atol=1e-9)


def test_flipping_equals_mirroring_the_image_first():
    rng = np.random.default_rng(2)
    image = rng.integers(0, 255, (120, 150, 3), dtype=np.uint8)
    centre, width, rotation = np.array([[70.0, 50.0]]), np.array([90.0]), np.array([0.4])
    flipped = crop_matrices(centre, width, rotation, np.array([True]), SIZE, False)
    mirrored_centre = np.array([[149 - 70.0, 50.0]])
    plain = crop_matrices(mirrored_centre, width, rotation, np.array([False]), SIZE, False)
    difference = warp_one(image, invert(flipped)[0], SIZE).astype(int) - warp_one(
        np.ascontiguousarray(image[:, ::-1]), invert(plain)[0], SIZE
    )
    assert np.abs(difference).max() <= 1


def test_composition_is_one_after_the_other():
    rng = np.random.default_rng(3)
    first, second, points = rng.normal(size=(5, 2, 3)), rng.normal(size=(5, 2, 3)), rng.normal(size=(5, 7, 2))
    expected = transform(transform(points, first), second)
    np.testing.assert_allclose(transform(points, compose(second, first)), expected, atol=1e-12)
    torched = transform(torch.from_numpy(points), torch.from_numpy(compose(second, first)))
    np.testing.assert_allclose(torched.numpy(), expected, atol=1e-12)


def test_the_short_side_grows_to_the_aspect():
    sizes = fit_aspect(np.array([[30.0, 100.0], [90.0, 100.0]]), aspect=0.75, padding=1.25)
    np.testing.assert_allclose(sizes, [[93.75, 125.0], [112.5, 150.0]])


def test_the_batched_warp_is_within_half_a_grey_level_of_opencv(device):
    rng = np.random.default_rng(4)
    image = cv2.resize(rng.integers(0, 255, (30, 40, 3), dtype=np.uint8), (200, 150), interpolation=cv2.INTER_CUBIC)
    matrices = invert(crop_matrices(**draw(rng, 40), crop_size=SIZE, aligned=True))
    expected = np.stack([warp_one(image, matrix, SIZE) for matrix in matrices])
    windows = pack_windows([(image, matrix) for matrix in matrices], SIZE)
    crops = warp(windows.to(device), SIZE).cpu().numpy()
    assert crops.shape == (40, 64, 48, 3)
    assert expected.std() > 30
    # Half a level is OpenCV's own rounding; the rest is float32 at image coordinates of some hundreds.
    assert np.abs(crops - expected).max() <= 0.51
    assert np.abs(crops - expected).mean() < 0.26


@pytest.mark.parametrize("size", [(90, 120), (300, 400)], ids=["as it is", "cut up first"])
def test_one_crop_is_opencvs_up_to_a_rounding(size):
    rng = np.random.default_rng(6)
    image = cv2.resize(rng.integers(0, 255, (30, 40, 3), dtype=np.uint8), size[::-1], interpolation=cv2.INTER_CUBIC)
    place = np.full((10, *SIZE, 3), 7, np.uint8)
    for matrix, out in zip(invert(crop_matrices(**draw(rng, 10), crop_size=SIZE, aligned=False)), place, strict=True):
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        expected = cv2.warpAffine(image, matrix, SIZE[::-1], flags=flags)
        crop = warp_one(image, matrix, SIZE, out)
        assert crop is out or np.shares_memory(crop, out)
        assert np.abs(out.astype(int) - expected).max() <= 1
    assert not np.shares_memory(warp_one(image, matrix, SIZE), out)


def test_a_window_holds_all_that_a_crop_samples():
    rng = np.random.default_rng(5)
    image = rng.integers(0, 255, (150, 200, 3), dtype=np.uint8)
    for matrix in invert(crop_matrices(**draw(rng, 30), crop_size=SIZE, aligned=False)):
        left, top, right, bottom = needed_window(matrix, SIZE, (150, 200))
        moved = matrix - [[0, 0, left], [0, 0, top]]
        window = warp_one(image[top:bottom, left:right], moved, SIZE)
        assert np.abs(window.astype(int) - warp_one(image, matrix, SIZE)).max() <= 1


def test_a_crop_beside_the_image_is_black():
    image = np.full((50, 60, 3), 255, np.uint8)
    matrix = invert(
        crop_matrices(np.array([[900.0, 25.0]]), np.array([50.0]), np.zeros(1), np.zeros(1, bool), SIZE, True)
    )
    assert warp(pack_windows([(image, matrix[0])], SIZE), SIZE).abs().max() == 0
    both = pack_windows([(image, matrix[0]), (image, np.array([[1.0, 0, 0], [0, 1.0, 0]]))], SIZE)
    assert warp(both, SIZE)[0].max() == 0
    assert warp(both, SIZE)[1].max() == 255


@pytest.mark.parametrize("shape", [(26000, 26000), (20, 40000), (40000, 20)])
def test_an_image_beyond_opencvs_reach_is_thinned_out_instead_of_crashing(shape):
    """A crop of a huge image skips most of its pixels anyway; the image is a view that takes no memory."""
    height, width = shape
    ramp = np.broadcast_to((np.arange(width) * 250 // width).astype(np.uint8)[None, :, None], (height, width, 3))
    to_image = np.array([[width / 64, 0, 0], [0, height / 48, 0]])
    crop = warp_one(ramp, to_image, (48, 64))
    wanted = np.arange(64) / 64 * 250
    assert np.abs(crop[:40, :56, 0] - wanted[:56]).max() < 3
