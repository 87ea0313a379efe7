"""Keypoints of a file beside the video that they were found in: frame by frame, whatever the file leaves out."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
import pytest

from anypose.motion import Motion
from anypose.skeleton import COCO_17
from pose3d.predict.finding import PeopleInFile
from pose3d.predict.people import Frame
from pose3d.predict.stages import Stopwatch

UNEVEN = [0.0, 0.04, 0.08, 0.2, 0.24, 0.28, 0.32]  # when the video's frames are shown [s]


class Film:
    """A video whose frame t is of grey 20 t."""

    name, size, rate, count, live, stills = "film", (32, 24), 25.0, len(UNEVEN), False, False

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def frames(self):
        for t, time in enumerate(UNEVEN):
            yield Frame(t, time, np.full((24, 32, 3), 20 * t, np.uint8))


def keypoints(times, size=None, **facts) -> Motion:
    """Somebody whose points all lie at (t, t) + 5 in row t."""
    points = np.ones((len(times), 1, 17, 3), np.float32)
    points[..., :2] = 5 + np.arange(len(times))[:, None, None, None]
    return Motion("walk", np.array(times, float), np.array([1]), keypoints=points, keypoint_skeleton=COCO_17, size=size,
                  facts={"tracked": True} | facts)  # fmt: skip


def found(motion: Motion, film: Film | None) -> list[tuple[float, float | None]]:
    """The time of each frame and where the person is."""
    with ExitStack() as stack:
        people = PeopleInFile(motion, film, Stopwatch(), stack, pictures=False)
        return [(seen.time, seen.people[1].keypoints[0, 0] - 5 if seen.people else None) for seen in people]


def test_frames_that_the_file_leaves_out_are_there_with_nobody():
    numbered = keypoints(np.array([0, 1, 4, 6]) / 30, frames_per_second=30.0)
    there = [(0.0, 0), (0.04, 1), (0.08, None), (0.2, None), (0.24, 2), (0.28, None), (0.32, 3)]
    assert found(numbered, Film()) == there
    assert found(keypoints([0, 0.0401, 0.2399, 0.32]), Film()) == there


def test_numbers_from_one_on_begin_with_the_first_frame():
    assert found(keypoints(np.array([1, 2, 3]) / 30, frames_per_second=30.0), Film()) == list(
        zip(UNEVEN[:3], range(3), strict=True)
    )


def test_another_video_is_told():
    with pytest.raises(ValueError, match=r"video=film ends before source=walk, which has 9 frames"):
        found(keypoints(np.arange(9) / 30, frames_per_second=30.0), Film())
    far = keypoints([0, 0.04])
    far.keypoints[..., 0] += 500
    with pytest.raises(ValueError, match=r"must lie in the picture, which is 32x24, .*between 505 and 506 across"):
        found(far, Film())
    with pytest.raises(ValueError, match=r"video=film is 32x24, and source=walk is of a video of 640x480"):
        found(keypoints([0, 0.04], size=(640, 480)), Film())


def test_keypoints_of_another_picture_are_told():
    shares = keypoints([0, 0.04], size=(640, 480))
    shares.keypoints[..., :2] /= 640
    with pytest.raises(ValueError, match=r"Keypoints must be pixels, .*source=walk lie between 0.00.* Multiply shares"):
        found(shares, None)
    with pytest.raises(ValueError, match=r"picture, which is 3x2, .*Is the size= that of their video"):
        found(keypoints(np.arange(9) / 9, size=(3, 2)), None)
