"""Heatmaps against a joint-by-joint loop, decoders against OpenCV and against exact Gaussians."""

import cv2
import numpy as np
import pytest
import torch

from pose2d.network.heatmap import Coding

CROP, MAP = (256, 192), (64, 48)
MSRA = {
    "crop_size": CROP,
    "heatmap_size": MAP,
    "aligned": False,
    "rounded": True,
    "sigma": 2.0,
    "support": 3.0,
    "peak": 1.0,
    "outside": "window",
    "decoder": "quarter",
}
MKS = MSRA | {"support": float("inf"), "peak": 255.0, "outside": "zero"}
DARK = MSRA | {"rounded": False, "support": float("inf"), "decoder": "dark"}
UDP = MSRA | {"rounded": False, "aligned": True, "decoder": "udp"}
LINEAGES = {"msra": MSRA, "mks": MKS, "dark": DARK, "udp": UDP}


def keypoints(seed: int, count: int = 40, margin: float = 60.0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    low, high = np.array([-margin, -margin]), np.array([192 + margin, 256 + margin])
    return torch.from_numpy(rng.uniform(low, high, (1, count, 2)).astype(np.float32))


@pytest.mark.parametrize("name", LINEAGES)
def test_targets_and_weights_equal_the_joint_by_joint_rule(name):
    settings = LINEAGES[name]
    points = keypoints(0)
    visibility = torch.ones(1, 40)
    visibility[0, ::7] = 0
    maps, weights = Coding(**settings).encode(points, visibility)
    for k, (x, y) in enumerate(points[0].tolist()):
        strides = (191 / 47, 255 / 63) if settings["aligned"] else (4.0, 4.0)
        cell = x / strides[0], y / strides[1]
        nearest = int(cell[0] + 0.5), int(cell[1] + 0.5)
        middle = nearest if settings["rounded"] else cell
        expected = np.zeros(MAP)
        inside_window = False
        for row, column in np.ndindex(MAP):
            if abs(row - nearest[1]) <= 3 * 2 and abs(column - nearest[0]) <= 3 * 2:
                inside_window = True
            elif settings["support"] == 3.0:
                continue
            squared = (column - middle[0]) ** 2 + (row - middle[1]) ** 2
            expected[row, column] = settings["peak"] * np.exp(-squared / (2 * 2.0**2))
        np.testing.assert_allclose(maps[0, k], expected, atol=2e-6 * settings["peak"])
        inside = 0 <= x < 192 and 0 <= y < 256
        visible = bool(visibility[0, k])
        if settings["outside"] == "zero":
            assert weights[0, k] == float(inside and visible)
        else:
            # microsoft counts one cell more at the upper and left edge, where br is exclusive.
            just_beyond = nearest[0] + 7 == 0 or nearest[1] + 7 == 0
            assert weights[0, k] == float(visible and inside_window) or just_beyond


# Noiseless errors per axis in cells: rounded targets with a quarter offset do not know where in the cell they are.
@pytest.mark.parametrize(
    ("settings", "worst", "mean"),
    [
        (MSRA, 0.5, 0.25),
        (MKS, 0.5, 0.25),
        (MSRA | {"rounded": False}, 0.25, 0.125),
        (DARK, 0.05, 0.02),
        (UDP, 0.05, 0.02),
        (UDP | {"decoder": "argmax"}, 0.5, 0.25),
    ],
)
def test_decoding_finds_the_encoded_points(settings, worst, mean):
    coding = Coding(**settings)
    points = keypoints(1, 2000, margin=-16.0)
    maps, _ = coding.encode(points, torch.ones(1, 2000))
    found, scores = coding.decode(maps)
    error = (found - points).abs()[0] / torch.tensor(coding.stride)
    assert error.max() <= worst + 1e-3
    assert error.mean() == pytest.approx(mean, rel=0.1) if mean > 0.1 else error.mean() < mean
    assert 0.75 < scores.min() <= scores.max() <= 1 + 1e-6


@pytest.mark.parametrize("name", ["dark", "udp"])
def test_smoothing_equals_opencvs(name):
    coding = Coding(**LINEAGES[name])
    maps = np.random.default_rng(0).random((1, 3, *MAP)).astype(np.float32)
    for smooth, original in zip(coding._smooth(torch.from_numpy(maps))[0], maps[0], strict=True):
        expected = cv2.GaussianBlur(original, (11, 11), 0, borderType=cv2.BORDER_CONSTANT)
        np.testing.assert_allclose(smooth, expected * original.max() / expected.max(), atol=1e-5)


@pytest.mark.parametrize("name", LINEAGES)
def test_decoding_noise_stays_near_the_peak_and_finite(name):
    coding = Coding(**LINEAGES[name])
    maps = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 17, *MAP)).astype(np.float32))
    maps[0, 0] = 0
    maps[0, 1] = -1
    found, scores = coding.decode(maps * coding.peak)
    assert found.isfinite().all()
    best = maps.flatten(2).max(dim=-1)
    np.testing.assert_allclose(scores, best.values, rtol=1e-5)
    if coding.decoder == "quarter":
        assert (found[0, :2] == 0).all()


@pytest.mark.parametrize(("settings", "unshifted", "shifted"), [(MSRA, -0.75, 0.25), (UDP, 0.0, 0.0)])
def test_flipped_heatmaps_come_back_where_they_belong(settings, unshifted, shifted):
    """Encode a point, encode its mirror image, flip back, and measure how far apart the two heatmaps are in cells."""
    coding = Coding(**(settings | {"rounded": False, "support": float("inf")}))
    points = keypoints(2, 4, margin=-40.0)
    mirrored = points.clone()
    mirrored[..., 0] = 191 - mirrored[..., 0]
    swap = torch.tensor([1, 0, 2, 3])
    straight, _ = coding.encode(points, torch.ones(1, 4))
    maps, _ = coding.encode(mirrored[:, swap], torch.ones(1, 4))
    places = torch.arange(MAP[1], dtype=torch.float32)

    def centre(heatmaps):
        profile = heatmaps.sum(dim=2)
        return (profile * places).sum(-1) / profile.sum(-1)

    back = coding.flip_back(maps, swap)
    raw = maps[:, swap].flip(-1)
    assert (centre(raw) - centre(straight)).numpy() == pytest.approx(unshifted, abs=0.02)
    assert (centre(back) - centre(straight)).numpy() == pytest.approx(shifted, abs=0.02)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"decoder": "softmax"}, "argmax, quarter, dark, udp, got softmax"),
        ({"outside": "half"}, "zero or window, got half"),
        ({"sigma": 0.0}, "above 0, got 0.0, 3.0, 1.0"),
    ],
)
def test_wrong_settings_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Coding(**(MSRA | wrong))


def test_the_quarter_step_is_taken_where_microsofts_loop_takes_it():
    """A peak on every cell of a small map, its neighbours at random: corners, borders and what lies inside them."""
    rows, columns = 7, 6
    coding = Coding(**(MSRA | {"crop_size": (4 * rows, 4 * columns), "heatmap_size": (rows, columns)}))
    rng = np.random.default_rng(0)
    for repeat in range(3):
        maps = rng.random((rows * columns, rows, columns)).astype(np.float32)
        for number in range(rows * columns):
            maps[number, number // columns, number % columns] = 2.0
        found, _ = coding.decode(torch.from_numpy(maps)[None])
        for number, heatmap in enumerate(maps):
            y, x = divmod(number, columns)
            wanted = np.array([x, y], dtype=float)
            if 1 < x < columns - 1 and 1 < y < rows - 1:
                slope = [heatmap[y, x + 1] - heatmap[y, x - 1], heatmap[y + 1, x] - heatmap[y - 1, x]]
                wanted += 0.25 * np.sign(slope)
            np.testing.assert_allclose(found[0, number], 4 * wanted, err_msg=f"{repeat}: cell {x}, {y}")
