"""Draws that depend on nothing but their key, and crops that vary as each lineage says."""

import numpy as np
import pytest
from scipy import stats

from pose2d.images.augment import Augmentation, uniforms

MODERN = {
    "tails": "truncated",
    "scale_spread": 0.5,
    "scale_limit": 0.5,
    "rotation_spread": 80.0,
    "rotation_limit": 80.0,
    "rotation_probability": 0.6,
    "shift_limit": 0.16,
    "shift_probability": 0.3,
    "flip_probability": 0.5,
    "half_body_probability": 0.0,
    "half_body_keypoints": 9,
    "upper_preference": 0.7,
    "colour": 0.0,
}
CLIPPED = MODERN | {"tails": "clipped", "scale_spread": 0.3, "scale_limit": 0.3, "rotation_spread": 40.0}
CLIPPED |= {"shift_limit": 0.0, "shift_probability": 0.0}
N = 20_000


def boxes(settings, keypoints=None, visibility=None, upper=()):
    augmentation = Augmentation(**settings)
    draws = uniforms(3, 1, np.arange(N), augmentation.num_draws)
    centre, size = np.full((N, 2), 100.0), np.tile([60.0, 80.0], (N, 1))
    keypoints = np.zeros((N, 17, 2)) if keypoints is None else keypoints
    visibility = np.zeros((N, 17)) if visibility is None else visibility
    return augmentation.boxes(draws, centre, size, keypoints, visibility, upper)


def test_draws_depend_on_seed_epoch_and_index_alone():
    whole = uniforms(7, 2, np.arange(100), 5)
    np.testing.assert_array_equal(uniforms(7, 2, np.array([42, 3]), 5), whole[[42, 3]])
    for other in (uniforms(8, 2, np.arange(100), 5), uniforms(7, 3, np.arange(100), 5)):
        assert np.abs(other - whole).min() > 0


def test_draws_are_uniform_and_unrelated():
    draws = np.stack([uniforms(0, epoch, np.arange(5000), 4) for epoch in range(3)])
    assert stats.kstest(draws.ravel(), "uniform").pvalue > 0.001
    columns = [draws[0, :, 0], draws[0, :, 1], draws[1, :, 0], np.roll(draws[0, :, 0], 1)]
    assert np.abs(np.corrcoef(columns) - np.eye(4)).max() < 0.05


def test_clipped_normals_as_in_the_original_networks():
    _, width, rotation, flip = boxes(CLIPPED)
    factor, degrees = width / 60, np.degrees(rotation)
    # P(|N| > 1) of the factors and P(|N| > 2) of the turned ones lie on the limits.
    assert np.isclose(np.abs(factor - 1), 0.3).mean() == pytest.approx(2 * stats.norm.sf(1), abs=0.01)
    assert (rotation == 0).mean() == pytest.approx(0.4, abs=0.01)
    assert np.isclose(np.abs(degrees), 80).mean() == pytest.approx(0.6 * 2 * stats.norm.sf(2), abs=0.005)
    inner = np.abs(degrees) < 79
    assert degrees[inner & (rotation != 0)].std() == pytest.approx(stats.truncnorm(-1.975, 1.975).std() * 40, rel=0.03)
    assert flip.mean() == pytest.approx(0.5, abs=0.01)


def test_truncated_normals_as_in_mmpose():
    centre, width, rotation, _ = boxes(MODERN)
    expected = stats.truncnorm(-1, 1)
    assert stats.kstest((width / 60 - 1) / 0.5, expected.cdf).pvalue > 0.001
    assert stats.kstest(np.degrees(rotation[rotation != 0]) / 80, expected.cdf).pvalue > 0.001
    shifted = (centre != 100).any(axis=1)
    assert shifted.mean() == pytest.approx(0.3, abs=0.01)
    assert stats.kstest((centre[shifted, 1] - 100) / 80 / 0.16, expected.cdf).pvalue > 0.001


def test_half_bodies_enclose_one_half_of_those_with_enough_keypoints():
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(0, 200, (N, 17, 2))
    visibility = np.where(rng.random((N, 17)) < 0.8, 2, 0)
    settings = CLIPPED | {"half_body_probability": 0.3, "scale_limit": 0.0, "rotation_probability": 0.0}
    centre, width, _, _ = boxes(settings, keypoints, visibility, upper=tuple(range(11)))
    changed = (centre != 100).any(axis=1)
    enough = (visibility > 0).sum(axis=1) >= 9
    assert not (changed & ~enough).any()
    assert changed[enough].mean() == pytest.approx(0.3, abs=0.01)
    uppers = 0
    for i in np.flatnonzero(changed)[:500]:
        halves = [keypoints[i, part][visibility[i, part] > 0] for part in (slice(0, 11), slice(11, 17))]
        fits = [np.allclose(half.mean(axis=0), centre[i]) for half in halves if len(half)]
        extent = np.ptp(halves[0] if fits[0] else halves[1], axis=0)
        assert any(fits)
        assert width[i] == pytest.approx(max(extent[0], extent[1] * 0.75) * 1.5)
        uppers += fits[0]
    assert uppers / 500 == pytest.approx(0.7, abs=0.08)


def test_colours_vary_within_their_limit():
    augmentation = Augmentation(**(MODERN | {"colour": 0.2}))
    gain, offset = augmentation.colours(uniforms(0, 0, np.arange(N), augmentation.num_draws)).transpose(1, 0, 2)
    assert 0.64 <= gain.min() < 0.7
    assert 1.4 < gain.max() <= 1.44
    assert 25 < np.abs(offset).max() <= 25.5
    assert (offset == offset[:, :1]).all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"tails": "cut"}, "clipped or truncated, got cut"),
        ({"flip_probability": 1.5}, r"flip_probability must be in 0..1, got 1.5"),
        ({"scale_limit": 1.0}, r"scale_limit must be in 0..1, got 1.0"),
    ],
)
def test_wrong_settings_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Augmentation(**(MODERN | wrong))
