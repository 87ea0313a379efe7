import numpy as np
import pytest

from anypose.camera import world_to_camera
from anypose.skeleton import H36M_16, H36M_17
from pose3d.motion.sequence import PoseSequence
from tests.pose3d.motion.random_motion import sequence


def changed(**changes) -> PoseSequence:
    return PoseSequence(**{**vars(sequence(9, subject="S9", take="Sitting 1", scores=True)), **changes})


def test_a_sequence_knows_its_name_and_length():
    assert changed().name == "S9/Sitting 1/cam"
    assert len(changed()) == 9


def test_joints_in_the_camera_frame_are_float32_and_the_cameras():
    motion = changed()
    seen = motion.joints_camera()
    assert seen.dtype == np.float32
    np.testing.assert_array_equal(seen, world_to_camera(motion.joints, motion.camera))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"joints": np.zeros((9, 16, 3))}, r"joints of S9/Sitting 1/cam must have shape \(T, J, 3\) with J=17"),
        (
            {"keypoints": np.zeros((8, 17, 2))},
            r"keypoints of S9/Sitting 1/cam must .* with T=9, K=17, got \(8, 17, 2\)",
        ),
        ({"keypoint_skeleton": H36M_16}, r"keypoints of .* with T=9, K=16, got \(9, 17, 2\)"),
        ({"skeleton": H36M_16}, r"joints of .* with J=16, got \(9, 17, 3\)"),
        ({"scores": np.zeros((9, 16))}, r"scores of S9/Sitting 1/cam must have shape \(T, K\) with T=9, K=17"),
        ({"scores": np.full((9, 17), 1.5)}, r"scores of S9/Sitting 1/cam must be in 0\.\.1, found 1\.5 in frame 0"),
        ({"joints": np.zeros((0, 17, 3)), "keypoints": np.zeros((0, 17, 2)), "scores": None}, "has no frames"),
        ({"fps": 0.0}, r"fps of S9/Sitting 1/cam must be a positive number, got 0\.0"),
        ({"fps": np.inf}, r"fps of S9/Sitting 1/cam must be a positive number, got inf"),
        (
            {"scale": np.array([1, np.nan] + [1] * 7, np.float32)},
            r"scale of S9/Sitting 1/cam must be positive, found nan in frame 1",
        ),
    ],
)
def test_a_sequence_that_cannot_be_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        changed(**changes)


@pytest.mark.parametrize("what", ["joints", "keypoints", "scores"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_is_named_with_its_frame(what, value):
    array = getattr(changed(), what).copy()
    array[6, 3] = value
    with pytest.raises(ValueError, match=rf"{what} of S9/Sitting 1/cam hold NaN or infinity, first in frame 6 of 9"):
        changed(**{what: array})


def test_skeletons_travel_with_the_data():
    assert changed().skeleton is H36M_17
