"""Smoothing: what passes, what does not, gaps, uneven frames."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import butter, sosfiltfilt

from anypose.skeleton import COCO_17
from pose3d.predict.smoothing import METHODS, Smoothing, runs

TIMES = np.arange(200) / 50


def wave(hertz: float, times: np.ndarray = TIMES) -> np.ndarray:
    """(T, 1, 17, 2) the same sine everywhere."""
    return np.broadcast_to(np.sin(2 * np.pi * hertz * times)[:, None, None, None], (len(times), 1, 17, 2)).copy()


@pytest.mark.parametrize("method", ["butterworth", "savitzky_golay"])
def test_slow_movement_passes_at_once_and_trembling_does_not(method):
    smooth = Smoothing(method, 0.2, 0.2)
    inner = slice(25, -25)
    assert np.abs(smooth(wave(0.8), TIMES, COCO_17) - wave(0.8))[inner].max() < 0.02
    assert np.abs(smooth(wave(20), TIMES, COCO_17))[inner].max() < 0.1


def test_a_period_is_where_half_the_power_passes():
    inner = slice(50, -50)
    passed = Smoothing("butterworth", 0.2, 0.2)(wave(5), TIMES, COCO_17)[inner]
    assert np.sqrt(2) * passed.std() == pytest.approx(np.sqrt(0.5), abs=0.03)


def test_butterworth_is_scipys_there_and_back():
    points = np.random.default_rng(0).normal(size=(200, 1, 17, 2))
    sections = butter(2, 2 / 50 / 0.25 / 0.802, output="sos")
    expected = sosfiltfilt(sections, points, axis=0, padlen=25)
    assert Smoothing("butterworth", 0.25, 0.25)(points, TIMES, COCO_17) == pytest.approx(expected, abs=1e-3)


def test_arms_are_smoothed_less_than_legs():
    tremble = wave(6)
    smooth = Smoothing("butterworth", 0.3, 0.1)(tremble, TIMES, COCO_17)[:, 0, :, 0].std(0)
    assert smooth[COCO_17.index("left_wrist")] > 3 * smooth[COCO_17.index("left_foot")]


@pytest.mark.parametrize("method", METHODS)
def test_gaps_stay_gaps_and_a_point_beside_one_is_no_worse(method):
    points = wave(1)
    points[80:90, 0, 3] = np.nan
    smooth = Smoothing(method, 0.2, 0.2)(points, TIMES, COCO_17)
    assert (np.isnan(smooth) == np.isnan(points)).all()
    assert np.abs(smooth[79, 0, 3] - points[79, 0, 3]).max() < 0.2


def test_uneven_frames_are_smoothed_in_seconds():
    times = np.arange(240) / 60 + np.random.default_rng(0).uniform(-0.4, 0.4, 240) / 60
    slow = wave(1, times)
    smooth = Smoothing("butterworth", 0.2, 0.2)(slow + 0.1 * wave(22, times), times, COCO_17)
    inner = (times > 0.4) & (times < 3.6)
    assert np.abs(smooth - slow)[inner].max() < 0.05


def test_one_euro_sees_no_later_frame_and_stays_at_rest():
    points = wave(1)
    smooth = Smoothing("one_euro", 0.2, 0.2)
    whole = smooth(points, TIMES, COCO_17)
    noisy = 5 + 0.01 * np.random.default_rng(0).normal(size=points.shape)
    assert np.isfinite(whole).all()
    assert smooth(noisy, TIMES, COCO_17)[50:].std() < noisy[50:].std()


def test_off_and_few_frames_leave_everything():
    points = wave(9)
    assert Smoothing("off", 0.2, 0.2)(points, TIMES, COCO_17) is points
    assert Smoothing("butterworth", 0.2, 0.2)(points[:3], TIMES[:3], COCO_17) == pytest.approx(points[:3])


def test_settings_are_checked():
    with pytest.raises(ValueError, match=r"smooth must be one of butterworth, .*, got 'kalman'"):
        Smoothing("kalman", 0.2, 0.2)
    with pytest.raises(ValueError, match=r"smooth_legs=0 must be seconds"):
        Smoothing("off", 0, 0.2)


def test_runs():
    assert runs(np.array([1, 1, 0, 1], bool)) == [(0, 2), (3, 4)]
