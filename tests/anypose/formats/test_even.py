"""Frames on an even grid."""

import numpy as np
import pytest

from anypose.formats.even import EvenFrames, frame_step


@pytest.mark.parametrize("fps", [23.976023976, 25, 29.97002997, 30, 59.94005994, 60, 120])
def test_a_rate_is_found_behind_rounded_time_stamps(fps) -> None:
    times = np.round(np.arange(200) / fps, 3)
    assert 1 / frame_step(times) == pytest.approx(fps, rel=1e-7)
    assert frame_step(times[:1]) == 1 / 30


def test_a_rate_of_its_own_is_kept() -> None:
    assert 1 / frame_step(np.arange(1000) / 27.3461) == pytest.approx(27.3461, rel=1e-6)


def test_even_frames_stay_what_they_are() -> None:
    rows = np.random.default_rng(0).normal(size=(100, 5))
    times = 3.0 + np.round(np.arange(100) * 1001 / 30000, 3)
    even = EvenFrames(3.0, 1001 / 30000)
    parts = [even.add(times[i : i + 7], rows[i : i + 7]) for i in range(0, 100, 7)]
    np.testing.assert_array_equal(np.concatenate(parts), rows)


def test_gaps_are_bridged_and_the_time_before_the_first_frame_is_filled_with_it() -> None:
    even = EvenFrames(0.0, 0.1)
    times = np.array([0.3, 0.4, 0.9, 1.0])
    rows = np.array([[3.0], [4.0], [9.0], [10.0]])
    parts = [even.add(times[:2], rows[:2]), even.add(times[2:], rows[2:])]
    np.testing.assert_allclose(np.concatenate(parts)[:, 0], [3, 3, 3, 3, 4, 5, 6, 7, 8, 9, 10])


def test_no_frame_is_far_from_its_time_whatever_the_chunks() -> None:
    times = np.cumsum(np.random.default_rng(1).uniform(0.01, 0.3, 60))
    for size in (1, 7, 60):
        even = EvenFrames(times[0], 0.1)
        parts = [even.add(times[i : i + size], times[i : i + size, None]) for i in range(0, 60, size)]
        late = np.concatenate(parts)[:, 0] - (times[0] + 0.1 * np.arange(even.slots))
        assert even.slots == round((times[-1] - times[0]) / 0.1) + 1
        assert np.abs(late).max() <= 0.075 + 1e-9
