"""Smoothing: what passes, what does not, gaps, uneven frames."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import butter, sosfiltfilt

from anypose.motion import Motion
from anypose.skeleton import COCO_17
from pose3d.predict.one_euro import OneEuro
from pose3d.predict.smoothing import METHODS, Smoothing, spread

TIMES = np.arange(200) / 50


def moved(points: np.ndarray, times: np.ndarray = TIMES) -> Motion:
    """A motion with those joints."""
    joints = np.concatenate([points, np.zeros_like(points[..., :1])], -1)[..., :3].astype(np.float32)
    return Motion("wave", times, np.arange(points.shape[1]), joints=joints, skeleton=COCO_17)


def smoothed(smooth: Smoothing, points: np.ndarray, times: np.ndarray = TIMES) -> np.ndarray:
    """(T, P, 17, 2) all at once."""
    periods = smooth.periods(COCO_17)
    return smooth("joints", points, moved(points, times), periods, spread(points), slice(None))


def wave(hertz: float, times: np.ndarray = TIMES) -> np.ndarray:
    """(T, 1, 17, 2) the same sine everywhere."""
    return np.broadcast_to(np.sin(2 * np.pi * hertz * times)[:, None, None, None], (len(times), 1, 17, 2)).copy()


@pytest.mark.parametrize("method", ["butterworth", "savitzky_golay"])
def test_slow_movement_passes_at_once_and_trembling_does_not(method):
    smooth = Smoothing(method, 0.2, 0.2)
    inner = slice(25, -25)
    assert np.abs(smoothed(smooth, wave(0.8), TIMES) - wave(0.8))[inner].max() < 0.02
    assert np.abs(smoothed(smooth, wave(20), TIMES))[inner].max() < 0.1


def test_a_period_is_where_half_the_power_passes():
    inner = slice(50, -50)
    passed = smoothed(Smoothing("butterworth", 0.2, 0.2), wave(5), TIMES)[inner]
    assert np.sqrt(2) * passed.std() == pytest.approx(np.sqrt(0.5), abs=0.03)


def test_butterworth_is_scipys_there_and_back():
    points = np.random.default_rng(0).normal(size=(200, 1, 17, 2))
    sections = butter(2, 2 / 50 / 0.25 / 0.802, output="sos")
    expected = sosfiltfilt(sections, points, axis=0, padlen=25)
    assert smoothed(Smoothing("butterworth", 0.25, 0.25), points, TIMES) == pytest.approx(expected, abs=1e-3)


def test_arms_are_smoothed_less_than_legs():
    tremble = wave(6)
    smooth = smoothed(Smoothing("butterworth", 0.3, 0.1), tremble, TIMES)[:, 0, :, 0].std(0)
    assert smooth[COCO_17.index("left_wrist")] > 3 * smooth[COCO_17.index("left_foot")]


@pytest.mark.parametrize("method", METHODS)
def test_gaps_stay_gaps_and_a_point_beside_one_is_no_worse(method):
    points = wave(1)
    points[80:90, 0, 3] = np.nan
    smooth = smoothed(Smoothing(method, 0.2, 0.2), points, TIMES)
    assert (np.isnan(smooth) == np.isnan(points)).all()
    assert np.abs(smooth[79, 0, 3] - points[79, 0, 3]).max() < 0.2


def test_uneven_frames_are_smoothed_in_seconds():
    times = np.arange(240) / 60 + np.random.default_rng(0).uniform(-0.4, 0.4, 240) / 60
    slow = wave(1, times)
    smooth = smoothed(Smoothing("butterworth", 0.2, 0.2), slow + 0.1 * wave(22, times), times)
    inner = (times > 0.4) & (times < 3.6)
    assert np.abs(smooth - slow)[inner].max() < 0.05


def test_one_euro_sees_no_later_frame_and_stays_at_rest():
    points = wave(1)
    whole, half = (smoothed(Smoothing("one_euro", 0.2, 0.2), points[:end], TIMES[:end]) for end in (200, 100))
    assert half == pytest.approx(whole[:100], abs=1e-12)
    pose = np.random.default_rng(1).normal(size=(17, 2))
    noisy = pose + 0.02 * np.random.default_rng(0).normal(size=points.shape)
    rest = smoothed(Smoothing("one_euro", 0.2, 0.2), noisy)[50:]
    assert (rest - pose).std() < 0.6 * (noisy[50:] - pose).std()


def test_one_euro_follows_alike_near_and_far_and_in_every_unit():
    person = wave(1) + np.random.default_rng(1).normal(size=(17, 2))
    near, far = (
        smoothed(Smoothing("one_euro", 0.2, 0.14), points) for points in (person, 100 * person + [500.0, 3000.0])
    )
    assert (far - [500, 3000]) / 100 == pytest.approx(near, abs=1e-9)


@pytest.mark.parametrize("chunk", [1, 7, 90])
def test_where_chunks_end_does_not_show_in_one_euro(chunk):
    rng = np.random.default_rng(0)
    points = np.cumsum(rng.normal(size=(120, 2, 17, 2)), 0)
    points[40:80, 1], points[20:25, 0, 4] = np.nan, np.nan
    times = np.cumsum(rng.uniform(0.01, 0.04, 120))
    whole = smoothed(Smoothing("one_euro", 0.2, 0.14), points, times)
    follow, parts = OneEuro(), []
    periods = Smoothing("one_euro", 0.2, 0.14).periods(COCO_17)
    for start in range(0, 120, chunk):
        first, end = max(0, start - 30), min(120, start + chunk)
        here = slice(first, min(120, end + 12))
        there = np.isfinite(points[here, :, :, 0]).any((0, 2))  # who is not in a chunk at all is not among its people
        sizes = spread(points[here][:, there])
        keep = slice(start - first, end - first)
        given = follow(points[here][:, there], times[here], np.flatnonzero(there), periods, sizes, keep)
        part = np.full((end - start, 2, 17, 2), np.nan)
        part[:, there] = given[keep]
        parts.append(part)
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-9)


def test_off_and_few_frames_leave_everything():
    points = wave(9)
    assert smoothed(Smoothing("off", 0.2, 0.2), points, TIMES) is points
    assert smoothed(Smoothing("butterworth", 0.2, 0.2), points[:3], TIMES[:3]) == pytest.approx(points[:3])


def test_settings_are_checked():
    with pytest.raises(ValueError, match=r"smooth must be one of butterworth, .*, got 'kalman'"):
        Smoothing("kalman", 0.2, 0.2)
    with pytest.raises(ValueError, match=r"smooth_legs=0 must be seconds"):
        Smoothing("off", 0, 0.2)
