"""Left and right turned back, gaps filled and marked."""

from __future__ import annotations

import numpy as np
import pytest

from anypose.motion import Motion
from anypose.skeleton import H36M_17
from pose3d.predict.repair import Limbs, drop_unsure, exchanged_frames, fill_gaps, pairs, undo_swaps
from tests.pose3d.predict.walkers import seen, walk

TIMES = np.arange(150) / 30
LEGS = pairs(H36M_17, ("knee", "foot"))


def walker(noise: float = 0.0) -> np.ndarray:
    """(T, 1, 17, 3) keypoints of somebody who passes by."""
    pixels = seen(walk(TIMES, (-2.5, 5.0), (1.0, 0.2)))[1]
    pixels[..., :2] += np.random.default_rng(0).normal(0, noise, pixels[..., :2].shape)
    return pixels[:, None].astype(np.float32)


def record(keypoints: np.ndarray) -> Motion:
    return Motion("walk", TIMES[: len(keypoints)], np.array([1]), keypoints=keypoints, keypoint_skeleton=H36M_17)


def test_exchanged_legs_are_turned_back():
    right = walker(noise=2)
    wrong = right.copy()
    swapped = np.zeros(len(TIMES), bool)
    for start, end in ((20, 21), (40, 47), (90, 110)):
        swapped[start:end] = True
    both, turned = LEGS[0] + LEGS[1], LEGS[1] + LEGS[0]
    wrong[np.ix_(swapped, [0], both)] = right[np.ix_(swapped, [0], turned)]
    mended = undo_swaps(record(wrong)).keypoints
    apart = np.linalg.norm(right[:, 0, LEGS[0], :2] - right[:, 0, LEGS[1], :2], axis=-1).mean(1) > 15
    assert (mended == right).all((1, 2, 3))[apart].mean() > 0.98


def test_a_clean_walk_is_left_alone():
    right = walker(noise=1)
    assert (undo_swaps(record(right)).keypoints == right).all()


def test_most_frames_decide_which_side_is_left():
    right = walker()
    sides = [right[:, 0, side, :2] for side in LEGS]
    for left, right in (sides, sides[::-1]):
        assert not exchanged_frames([Limbs(left, right, TIMES)])[0].any()


def test_limbs_together_are_as_each_alone():
    legs, arms = (pairs(H36M_17, words) for words in (("knee", "foot"), ("elbow",)))
    keypoints = walker(noise=3)
    keypoints[30:37] = keypoints[30:37][:, :, list(H36M_17.flip_index)]
    limbs = [
        Limbs(keypoints[part, 0][:, left, :2], keypoints[part, 0][:, right, :2], TIMES[part])
        for left, right in (arms, legs)
        for part in (slice(0, 60), slice(20, 120), slice(50, 52), slice(0, 1), slice(25, 45))
    ]
    together = exchanged_frames(limbs)
    assert sum(map(np.count_nonzero, together)) > 20
    for one, expected in zip(limbs, together, strict=True):
        assert len(expected) == len(one.times)
        assert (exchanged_frames([one])[0] == expected).all()
    assert exchanged_frames([]) == []


def test_a_missing_foot_neither_stops_nor_breaks_it():
    keypoints = walker()
    keypoints[60:70, 0, 3] = np.nan
    assert np.isnan(undo_swaps(record(keypoints)).keypoints).sum() == 10 * 3


def test_short_gaps_are_filled_and_marked_and_long_ones_stay():
    keypoints = walker()
    keypoints[10:14, 0, 5] = keypoints[50:70, 0, 5] = keypoints[:3, 0, 6] = np.nan
    motion = fill_gaps(record(keypoints), 0.25)
    assert np.argwhere(motion.filled)[:, 0].tolist() == [10, 11, 12, 13]
    expected = np.array([np.interp(TIMES[10:14], TIMES[[9, 14]], keypoints[[9, 14], 0, 5, axis]) for axis in (0, 1)])
    assert motion.keypoints[10:14, 0, 5, :2] == pytest.approx(expected.T, abs=1e-3)
    assert motion.keypoints[11, 0, 5, 2] == 0.5
    assert np.isnan(motion.keypoints[50:70, 0, 5]).all()
    assert np.isnan(motion.keypoints[:3, 0, 6]).all()


def test_unsure_keypoints_are_missing_ones():
    keypoints = walker()
    keypoints[5, 0, 2, 2] = 0.01
    dropped = drop_unsure(record(keypoints), 0.05).keypoints[5, 0, 2]
    assert np.isnan(dropped[:2]).all()
    assert dropped[2] == 0
