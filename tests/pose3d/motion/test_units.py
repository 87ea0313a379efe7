import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anypose.skeleton import COCO_17, H36M_17
from pose3d.motion.units import LEG, METRES, check_person, metres_per_unit
from tests.pose3d.motion.random_motion import sequence


def person(leg: float, skeleton=H36M_17) -> np.ndarray:
    """(3, J, 3) [m] with a thigh and a shin of half `leg` each, the other joints on the hip."""
    joints = np.zeros((3, skeleton.num_joints, 3))
    for side in ("left", "right"):
        for joint, down in (("knee", 0.5), ("foot", 1.0)):
            joints[:, skeleton.index(f"{side}_{joint}"), 2] = -leg * down
    return joints


@given(st.floats(0.5, 1.1), st.sampled_from(list(METRES)))
def test_legs_tell_every_unit_from_every_other(leg, unit):
    assert metres_per_unit(person(leg) / METRES[unit], H36M_17, None, "x", METRES) == METRES[unit]


def test_no_two_units_are_so_near_that_both_could_be_a_leg():
    factors = sorted(METRES.values())
    assert min(b / a for a, b in itertools.pairwise(factors)) > LEG[1] / LEG[0]


def test_what_is_stated_settles_it(caplog):
    with caplog.at_level("WARNING"):
        assert metres_per_unit(person(50), H36M_17, "cm", "x", METRES) == 0.01
        assert not caplog.messages
        assert metres_per_unit(person(50), H36M_17, "mm", "x", METRES) == 0.001
    assert "x: with dataset.unit=mm the widest pose measures" in caplog.text
    with pytest.raises(ValueError, match=r"^x: a leg measures 2 of the file's units.*in none of m, cm, mm, inch\. Say"):
        metres_per_unit(person(2.0), H36M_17, None, "x", METRES)


def test_a_figure_without_legs_is_judged_by_its_extent():
    shape = sequence(20, seed=3).joints
    assert metres_per_unit(shape * 1000, H36M_17, None, "x") == 0.001
    halves = shape[:, : COCO_17.num_joints] * 30
    with pytest.raises(ValueError, match=r"the widest pose measures .* in none of m, mm.*dataset\.unit="):
        metres_per_unit(halves, COCO_17, None, "x")


def test_where_the_unit_is_a_given_no_other_size_passes():
    shape = sequence(20, seed=3).joints
    check_person(shape, H36M_17, "x", "Metres.")
    with pytest.raises(ValueError, match=r"^x: the widest pose measures .* m, which is no person's .*\. Metres\.$"):
        check_person(shape * 1000, H36M_17, "x", "Metres.")


def test_nan_is_named_by_its_frame():
    joints = person(0.9)
    joints[2, 4] = np.nan
    with pytest.raises(ValueError, match=r"x: NaN or infinity in frame 2 of 3"):
        metres_per_unit(joints, H36M_17, None, "x")


def test_two_units_in_one_file_and_frames_without_anybody_are_refused(caplog):
    frames = np.repeat(person(0.9), 100, 0)
    for factor, told in ((100, "90 in others"), (0, "0 in others")):
        mixed = frames.copy()
        mixed[-30:] *= factor
        with pytest.raises(ValueError, match=rf"x: a leg measures 0\.9 .*, and {told} \(10\.0%\)\. Two units"):
            metres_per_unit(mixed, H36M_17, None, "x", METRES)
    frames[5] *= 100
    assert metres_per_unit(frames, H36M_17, None, "x", METRES) == 1
    assert "90 in others (0.3%)" in caplog.text
