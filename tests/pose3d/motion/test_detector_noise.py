"""The stated model of a detector's errors, measured on many frames."""

from __future__ import annotations

import numpy as np
import pytest

from anypose.skeleton import H36M_17
from pose3d.motion.detector_noise import HARDER, OUTLIER_SIZE, DetectorNoise

FRAMES, HEIGHT = 4000, 400.0


@pytest.fixture
def person() -> np.ndarray:
    """(FRAMES, 17, 2) somebody standing still, HEIGHT pixels tall."""
    place = np.random.default_rng(0).uniform([300, 100], [700, 100 + HEIGHT], (17, 2)).astype(np.float32)
    place[0, 1], place[1, 1] = 100, 100 + HEIGHT
    return np.tile(place, (FRAMES, 1, 1))


def disturb(person: np.ndarray, seed: int = 1, **options: float):
    settings = {"jitter": 0.0, "outliers": 0.0, "swaps": 0.0, "missing": 0.0, **options}
    return DetectorNoise(**settings)(np.random.default_rng(seed), person, H36M_17)


def test_no_noise_returns_the_keypoints_themselves(person):
    keypoints, scores = disturb(person)
    assert keypoints is person
    assert scores is None


def test_the_same_generator_makes_the_same_noise(person):
    options = {"jitter": 0.01, "outliers": 0.05, "swaps": 0.01, "missing": 0.05}
    (first, scores), (again, same), (other, _) = (disturb(person, seed, **options) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(scores, same)
    assert not np.array_equal(first, other)
    assert first.dtype == scores.dtype == np.float32
    assert scores.min() >= 0
    assert scores.max() <= 1


def test_jitter_is_gaussian_in_units_of_the_persons_height_and_larger_at_the_ends_of_limbs(person):
    keypoints, scores = disturb(person, jitter=0.01)
    error = keypoints - person
    deviation = error.std((0, 2)) / HEIGHT
    for joint, name in enumerate(H36M_17.joints):
        expected = 0.01 * HARDER.get(name.rpartition("_")[2], 1.0)
        assert deviation[joint] == pytest.approx(expected, rel=0.05)
    assert np.abs(error.mean((0, 2))).max() < 0.5
    assert scores.min() > 0.3


def test_outliers_are_as_frequent_and_as_far_as_stated_and_have_low_scores(person):
    keypoints, scores = disturb(person, outliers=0.1)
    error = np.linalg.norm(keypoints - person, axis=-1)
    wrong = error > 0
    assert wrong.mean() == pytest.approx(0.1, rel=0.05)
    assert np.sqrt((error[wrong] ** 2).mean() / 2) == pytest.approx(OUTLIER_SIZE * HEIGHT, rel=0.05)
    assert scores[wrong].mean() < 0.3 < 0.8 < scores[~wrong].mean() + 0.11


def test_swaps_exchange_left_and_right_legs_or_arms_for_a_while(person):
    keypoints, _ = disturb(person, swaps=0.01)
    legs = [(H36M_17.index(f"left_{name}"), H36M_17.index(f"right_{name}")) for name in ("hip", "knee", "foot")]
    swapped = np.stack([(keypoints[:, left] == person[:, right]).all(1) for left, right in legs])
    assert (swapped == swapped[0]).all()  # a whole leg at a time
    for left, right in legs:
        np.testing.assert_array_equal(keypoints[swapped[0], right], person[swapped[0], left])
        np.testing.assert_array_equal(keypoints[~swapped[0], left], person[~swapped[0], left])
    spells = np.diff(np.flatnonzero(np.diff(np.concatenate([[0], swapped[0], [0]])))[: 2 * 20])[::2]
    assert 2 < spells.mean() < 10  # about five frames
    assert 0.02 < swapped[0].mean() < 0.08
    for middle in ("hip", "spine", "head"):
        np.testing.assert_array_equal(keypoints[:, H36M_17.index(middle)], person[:, H36M_17.index(middle)])


def test_missing_joints_keep_their_last_place_and_score_zero(person):
    moving = np.arange(500, dtype=np.float32)[:, None, None] + person[:500]
    keypoints, scores = disturb(moving, missing=0.2)
    lost = scores == 0
    assert lost.mean() == pytest.approx(0.2, abs=0.03)
    assert not lost[0].any()
    np.testing.assert_array_equal(keypoints[~lost], moving[~lost])
    held = keypoints.copy()
    for frame in range(1, 500):
        held[frame, lost[frame]] = held[frame - 1, lost[frame]]
    np.testing.assert_array_equal(keypoints, held)


@pytest.mark.parametrize("name", ["jitter", "outliers", "swaps", "missing"])
def test_shares_out_of_range_are_refused_by_name(person, name):
    with pytest.raises(ValueError, match=rf"dataset\.{name}=1\.5 must lie in \[0, 1\)"):
        disturb(person, **{name: 1.5})
