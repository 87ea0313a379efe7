from pathlib import Path

import numpy as np
import pytest

from pose3d.motion import h36m
from pose3d.motion.h36m import Selection, action_of, canonical_take, joints_17, take_files, takes_of
from pose3d.motion.h36m_cameras import published_cameras
from tests.pose3d.motion.motion_files import motion_32, protocol

TRAIN, VALIDATION = ("S1", "S5", "S6", "S7", "S8"), ("S9", "S11")


def select(
    train=TRAIN, validation=VALIDATION, actions=None, frame_step=1, allow_missing=False, leave_out=()
) -> Selection:
    more = {"frame_step": frame_step, "allow_missing": allow_missing, "leave_out": leave_out}
    return Selection(**protocol(train, validation, actions, **more))


def everything() -> dict[str, list[str]]:
    return {s: [t for a in h36m.ACTIONS for t in takes_of(s, a)] for s in h36m.SUBJECTS}


def test_frame_totals_are_those_of_the_published_protocol():
    assert 4 * sum(h36m.FRAMES[s] for s in TRAIN) == 1_559_752
    assert 4 * sum(h36m.FRAMES[s] for s in VALIDATION) == 550_644


def test_every_subject_has_thirty_different_takes():
    for subject, takes in everything().items():
        assert len(set(takes)) == 30, subject


@pytest.mark.parametrize(
    ("subject", "action", "takes"),
    [
        ("S1", "Sitting", {"Sitting 1", "Sitting 2"}),
        ("S1", "Eating", {"Eating 2", "Eating"}),
        ("S6", "Waiting", {"Waiting 3", "Waiting"}),
        ("S7", "Walking", {"Walking 1", "Walking 2"}),
        ("S8", "WalkTogether", {"WalkTogether 1", "WalkTogether 2"}),
        ("S9", "Discussion", {"Discussion 1", "Discussion 2"}),
        ("S11", "Phoning", {"Phoning 2", "Phoning 3"}),
        ("S11", "Directions", {"Directions", "Directions 1"}),
    ],
)
def test_takes_are_numbered_as_released(subject, action, takes):
    assert set(takes_of(subject, action)) == takes


@pytest.mark.parametrize(
    ("name", "take"),
    [
        ("TakingPhoto 1", "Photo 1"),
        ("TakingPhoto", "Photo"),
        ("WalkingDog_1", "WalkDog 1"),
        ("Walking 1", "Walking 1"),
        ("Photo_2", "Photo 2"),
        ("SittingDown", "SittingDown"),
    ],
)
def test_released_and_renamed_names_mean_the_same_take(name, take):
    assert canonical_take(name) == take


def test_an_action_is_the_whole_first_word():
    assert action_of("SittingDown 2") == "SittingDown"
    assert action_of("Sitting") == "Sitting"


def test_files_of_one_take_under_both_names_are_refused():
    with pytest.raises(ValueError, match=r"Photo 1\.cdf and TakingPhoto 1\.cdf are both the take 'Photo 1'"):
        take_files([Path("Photo 1.cdf"), Path("TakingPhoto 1.cdf")])


def test_calibration_takes_are_left_out():
    assert list(take_files([Path("_ALL 1.cdf"), Path("_ALL.cdf"), Path("Walking.cdf")])) == ["Walking"]


def test_a_whole_release_needs_no_note():
    assert select().check(everything(), "data/h36m", "{subject}/*.cdf", TRAIN + VALIDATION) == ()


def test_missing_takes_are_named_and_counted():
    found = everything()
    found["S5"].remove("Discussion 3")
    found["S9"].remove("Discussion 1")
    with pytest.raises(FileNotFoundError, match="root=here lacks 2 of 210 takes: S5 Discussion 3, S9 Discussion 1"):
        select().check(found, "here", "", TRAIN + VALIDATION)
    assert select(allow_missing=True).check(found, "here", "", TRAIN + VALIDATION) == (
        "without S5 Discussion 3, S9 Discussion 1",
    )


def test_takes_left_out_by_choice_are_not_missed_and_name_themselves():
    found = everything()
    found["S9"].remove("Greeting")
    chosen = select(leave_out=["S9 Greeting", "S9 Waiting 1"])
    assert chosen.check(found, "here", "", TRAIN + VALIDATION) == ("S9 Greeting, S9 Waiting 1 left out by choice",)
    assert "Waiting 1" not in chosen.takes("S9")
    assert "Waiting 1" in chosen.takes("S11")
    with pytest.raises(ValueError, match=r"dataset\.leave_out has S9 Discussion 3; takes are named like"):
        select(leave_out=["S9 Discussion 3"])


def test_takes_nobody_asked_for_are_not_missed():
    found = everything()
    found["S5"].remove("Discussion 3")
    assert select(actions=["Walking"]).check(found, "here", "", TRAIN + VALIDATION) == ()
    del found["S6"]
    assert select(train=("S1",), actions=["Walking"]).check(found, "here", "", ("S1", *VALIDATION)) == ()


def test_a_missing_subject_is_named_with_what_is_there():
    found = everything()
    del found["S9"]
    message = (
        r"dataset.root=here has no takes of S9 \(S9/Poses\)\. Found S1, S5, S6, S7, S8, S11\. "
        r"Training needs S1, S5, S6, S7, S8; validation S9, S11\."
    )
    with pytest.raises(FileNotFoundError, match=message):
        select().check(found, "here", "{subject}/Poses", TRAIN + VALIDATION)
    assert "S9 Walking" in select(allow_missing=True).check(found, "here", "", TRAIN + VALIDATION)[0]


def test_an_empty_root_is_refused_even_where_missing_takes_are_allowed():
    with pytest.raises(FileNotFoundError, match="Found none of its subjects"):
        select(allow_missing=True).check({}, "here", "{subject}", TRAIN + VALIDATION)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": ("S1", "S2")}, r"dataset.train_subjects has S2; Human3.6M's are S1, S5"),
        ({"validation": ("9",)}, r"dataset.validation_subjects has 9"),
        ({"validation": ("S1",)}, r"S1 is both in dataset.train_subjects and in validation_subjects"),
        ({"actions": ["Walk"]}, r"dataset.actions has Walk; Human3.6M's are Directions, Discussion"),
        ({"frame_step": 0}, r"dataset.frame_step=0 must be at least 1"),
    ],
)
def test_wrong_choices_are_named_by_their_key(changes, message):
    with pytest.raises(ValueError, match=message):
        select(**changes)


def test_seventeen_joints_in_metres_are_those_of_the_papers():
    motion = motion_32(4, 0)
    kept = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
    np.testing.assert_allclose(joints_17(motion, "x"), motion.reshape(4, 32, 3)[:, kept] / 1000, rtol=1e-12)


def test_exchanged_axes_are_noticed_even_where_the_shape_fits():
    with pytest.raises(ValueError, match=r"file\.h5: joints 0 and 11 must coincide, found them \d+ mm apart"):
        joints_17(motion_32(96, 0).T.copy(), "file.h5")


def test_the_log_says_how_many_frames_there_are_against_how_many_there_should_be(caplog):
    cameras = published_cameras()
    sequences = [
        view
        for subject, take, frames in (("S9", "Photo 1", 1200), ("S9", "Eating", 300), ("S11", "Photo", 40))
        for view in h36m.views(subject, take, np.ones((frames, 17, 3)), cameras[subject], 1)
    ]
    with caplog.at_level("INFO", logger="pose3d.motion.h36m"):
        assert h36m.told(select(), sequences, ()) is sequences
        h36m.told(select(frame_step=2), sequences, ("without S9 Photo",))
    assert caplog.messages == [
        "Frames of each camera: S9 1,500 of 79,417, S11 40 of 58,244.",
        "Frames of each camera: S9 1,500, S11 40.",
        "Human3.6M: without S9 Photo.",
    ]
