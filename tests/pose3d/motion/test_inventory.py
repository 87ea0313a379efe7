import numpy as np
import pytest

from pose3d.dataset.h36m_cdf import H36MCDF
from pose3d.dataset.h36m_npz import H36MNPZ
from pose3d.motion import h36m
from pose3d.motion.inventory import SPLITS, for_videopose3d, report
from pose3d.motion.videopose3d_files import write_videopose3d
from tests.pose3d.motion.motion_files import all_takes, protocol, take_frames, write_release
from tests.pose3d.motion.random_motion import dataset, sequence

TRAIN, VALIDATION = ("S1", "S5", "S6", "S7", "S8"), ("S9", "S11")


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    root = tmp_path_factory.mktemp("h36m")
    write_release(root)
    return root


def read(release, actions=None):
    return H36MCDF(str(release), None, None, **protocol(TRAIN, VALIDATION, actions))


def lines(chosen) -> list[str]:
    return list(report(chosen, {split: chosen.sequences(split) for split in SPLITS}))


def test_a_whole_release_is_counted_against_what_it_should_hold(release):
    printed = lines(read(release))
    assert printed[0] == "h36m_cdf, keypoints: ground truth"
    assert printed[-1] == "notes: none"
    rows = {line.split()[0]: line.split()[1:] for line in printed if len(line.split()) >= 5}
    frames = sum(take_frames("S9", take) for action in h36m.ACTIONS for take in h36m.takes_of("S9", action))
    assert rows["S9"] == ["30", "120", f"{frames}", "79,417", "0.1"]
    assert rows["SittingDown"][:2] == ["4", "16"]
    total = sum(len(pose) for _, _, pose in all_takes(VALIDATION))
    assert rows["all"][:4] == ["60", "240", f"{total}", "137,661"]
    assert f"{4 * total:,} frames over all views" in printed


def test_nothing_is_expected_of_a_part(release):
    rows = [line.split() for line in lines(read(release, actions=["Photo"])) if line.startswith("S9")]
    assert [len(row) for row in rows] == [5]


def test_other_datasets_are_counted_without_expectation():
    views = [sequence(30, take=take, seed=i) for i, take in enumerate(("Walking 1", "Walking 2"))]
    printed = lines(dataset(*views, views[0]))
    assert "S1                         2       3        60      0.0" in printed
    assert not any("expected" in line for line in printed)
    assert printed[-1] == "notes: made up"


def test_human36m_is_written_for_videopose3d_as_it_is_and_read_back(release, tmp_path):
    chosen = read(release, actions=["Photo"])
    views = [view for split in SPLITS for view in for_videopose3d(chosen.sequences(split), split)]
    write_videopose3d(tmp_path, views)
    back = H36MNPZ(str(tmp_path), "gt", False, None, (), None, **protocol(TRAIN, VALIDATION, ["Photo"]))
    for ours, theirs in zip(views, back.sequences("train") + back.sequences("validation"), strict=True):
        assert ours.name == theirs.name
        np.testing.assert_array_equal(ours.joints, theirs.joints)


def test_other_motion_takes_the_names_of_human36ms_subjects():
    views = [sequence(30, subject=subject, seed=i) for i, subject in enumerate(("T1", "T2"))]
    assert {view.subject for view in for_videopose3d(views, "train")} == {"S1", "S5"}
    assert {view.subject for view in for_videopose3d(views, "validation")} == {"S9", "S11"}
