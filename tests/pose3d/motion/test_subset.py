import hashlib
import math
import struct

import numpy as np
import pytest

from pose3d.motion.subset import subset
from tests.pose3d.motion.random_motion import sequence


def videopose3d_start(length: int, frames: int) -> int:
    """Where VideoPose3D's `--subset` begins, by its description."""
    (number,) = struct.unpack("<I", hashlib.sha256(str(length).encode("utf-8")).digest()[:4])
    return math.floor(number / (2**32 - 1) * (length - frames + 1))


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("length", [100, 333, 1000])
def test_the_stretch_is_where_videopose3d_takes_it(length, share):
    whole = sequence(length, scores=True)
    (part,) = subset([whole], share)
    frames = round(length * share)
    rows = slice(videopose3d_start(length, frames), videopose3d_start(length, frames) + frames)
    np.testing.assert_array_equal(part.joints, whole.joints[rows])
    np.testing.assert_array_equal(part.keypoints, whole.keypoints[rows])
    np.testing.assert_array_equal(part.scores, whole.scores[rows])
    assert (part.subject, part.take, part.camera) == (whole.subject, whole.take, whole.camera)


def test_views_of_one_take_stay_together_and_a_whole_share_changes_nothing():
    views = [sequence(200, seed=i) for i in range(4)]
    for view, part in zip(views, subset(views, 0.2), strict=True):
        start = videopose3d_start(200, 40)
        np.testing.assert_array_equal(part.joints, view.joints[start : start + 40])
    assert subset(views, 1) == views


def test_sequences_too_short_for_a_frame_are_left_out_unless_none_remains():
    assert [len(part) for part in subset([sequence(20), sequence(400)], 0.01)] == [4]
    with pytest.raises(ValueError, match=r"share of 0.01 is less than one frame of every sequence; the longest has 30"):
        subset([sequence(20), sequence(30)], 0.01)


@pytest.mark.parametrize("share", [0, -0.1, 1.5])
def test_an_impossible_share_is_refused(share):
    with pytest.raises(ValueError, match=f"above 0 and at most 1, got {share}"):
        subset([sequence(20)], share)
