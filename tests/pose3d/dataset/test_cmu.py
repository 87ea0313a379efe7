import re

import numpy as np
import pytest

from anypose.camera import project, world_to_camera
from anypose.formats.amc import bone_ends
from anypose.formats.asf import read_asf
from anypose.formats.bvh import read_bvh
from anypose.skeleton import H36M_17
from pose3d.dataset.cmu import CMU
from tests.pose3d.motion.motion_files import ASF, write_amc, write_daz_bvh


def read(root, train=None, validation=("02",), **changes):
    settings = {
        "form": "bvh",
        "actions": None,
        "unit": None,
        "up": None,
        "rate": None,
        "fps": 50,
        "frame_step": 1,
        "num_cameras": 3,
        "max_speed": 14,
        "seed": 0,
        "allow_missing": False,
        "cache": None,
        "missing_joints": 0,
        "missing_in": "both",
    }
    return CMU(
        root if isinstance(root, list) else str(root),
        train_subjects=train,
        validation_subjects=validation,
        **{**settings, **changes},
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("cmu")
    for number, take in enumerate(("01/01_01", "02/02_01", "02/02_02", "05/05_03")):
        write_daz_bvh(root / f"{take}.bvh", 130 + 20 * number, seed=number)
    (root / "02" / "notes.bvh").write_text("not a take", encoding="utf-8")
    (root / "CMU-INDEX.md").write_text(
        "01_01  playground - climb\n02_01  walk\n02_02  run\n05_03  dance\n", encoding="utf-8"
    )
    return root


def test_takes_are_split_by_subject_and_seen_by_every_camera(root):
    dataset = read(root)
    train, validation = dataset.sequences("train"), dataset.sequences("validation")
    assert [(s.subject, s.action, s.take, s.camera.name) for s in validation] == [
        ("02", action, take, f"virtual{i}")
        for action, take in (("Walking", "02_01"), ("Running", "02_02"))
        for i in (1, 2, 3)
    ]
    assert {s.subject for s in train} == {"01", "05"}
    assert {s.fps for s in train} == {50}
    assert {s.skeleton for s in train} == {s.keypoint_skeleton for s in train} == {H36M_17}
    assert dataset.notes == ()


def test_keypoints_are_the_exact_projection_of_the_joints(root):
    for s in read(root).sequences("train"):
        np.testing.assert_allclose(s.keypoints, project(world_to_camera(s.joints, s.camera), s.camera), atol=2e-3)
        assert (s.keypoints > 0).all()
        assert (s.keypoints < 1000).all()
        assert (s.joints_camera()[..., 2] > 2).all()


def test_cameras_depend_on_seed_and_take_only(root):
    whole, alone = read(root).sequences("validation"), read(root, train=["05"]).sequences("validation")
    other = read(root, seed=1).sequences("validation")
    for a, b, c in zip(whole, alone, other, strict=True):
        np.testing.assert_array_equal(a.keypoints, b.keypoints)
        assert not np.allclose(a.camera.position, c.camera.position)
    assert not np.allclose(whole[0].camera.position, whole[3].camera.position)


def test_frame_step_actions_and_cache(root, tmp_path):
    every, third = read(root).sequences("validation")[0], read(root, frame_step=3).sequences("validation")[0]
    assert len(third) == -(-len(every) // 3)
    np.testing.assert_array_equal(third.joints, every.joints[::3])
    assert third.fps == pytest.approx(50 / 3)
    walking = read(root, actions=["Walking", "Climbing"])
    assert walking.actions == ("Climbing", "Walking")
    assert {s.action for s in walking.sequences("validation")} == {"Walking"}
    for _ in range(2):
        cached = read(root, cache=str(tmp_path)).sequences("validation")[0]
        np.testing.assert_array_equal(cached.keypoints, every.keypoints)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_take_with_a_jump_is_cut_and_keeps_its_cameras(root, tmp_path):
    values = write_daz_bvh(tmp_path / "02_07.bvh", 400)
    values[200:, 0] += 80
    lines = (tmp_path / "02_07.bvh").read_text(encoding="utf-8").splitlines()
    lines[-400:] = [" ".join(map(str, row)) for row in values]
    (tmp_path / "02_07.bvh").write_text("\n".join(lines), encoding="utf-8")
    sequences = read(tmp_path, train=[]).sequences("validation")
    assert [s.take for s in sequences] == ["02_07 part 1"] * 3 + ["02_07 part 2"] * 3
    assert sequences[0].camera is sequences[3].camera


def test_numbers_are_taken_for_subjects(root):
    assert {s.subject for s in read(root, validation=(2,)).sequences("validation")} == {"02"}


def test_without_an_index_every_take_is_other_and_the_notes_say_so(tmp_path):
    write_daz_bvh(tmp_path / "02_01.bvh", 130)
    dataset = read(tmp_path, train=[])
    assert dataset.notes == ("no CMU-INDEX.md, every action is 'Other'",)
    assert {s.action for s in dataset.sequences("validation")} == {"Other"}


def test_a_wrong_root_is_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"dataset\.root=.*/nothing does not exist\. It must be a folder with CMU"
    ):
        read(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match=r"has no file named SUBJECT_TAKE\.bvh \(02_01\.bvh\)"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"validation": ("02", "77")},
            FileNotFoundError,
            r"no takes of subjects 77; it has 01, 02, 05\. Change dataset",
        ),
        ({"train": ["02"]}, ValueError, r"Subjects 02 are both in dataset\.train_subjects and validation_subjects"),
        ({"actions": ["Swimming"]}, ValueError, r"dataset\.actions has Swimming; CMU's are Climbing, Dancing"),
        ({"frame_step": 0}, ValueError, r"dataset\.frame_step=0 must be at least 1"),
        ({"num_cameras": 0}, ValueError, r"num_cameras=0 1 to 100"),
        ({"fps": 0}, ValueError, r"fps=0 in \(0, 1000\]"),
    ],
)
def test_wrong_choices_are_named_by_their_key(root, changes, error, message):
    with pytest.raises(error, match=message):
        read(root, **changes).sequences("validation")


def test_actions_that_leave_nothing_are_refused(root):
    with pytest.raises(ValueError, match=r"dataset\.actions=Dancing leave no take of validation subjects 02"):
        read(root, actions=["Dancing"]).sequences("validation")


def test_a_missing_subject_can_be_gone_without(root):
    dataset = read(root, validation=("02", "77"), allow_missing=True)
    assert len(dataset.sequences("validation")) == 6
    assert dataset.notes == ("no takes of subject 77",)


def test_a_score_needs_nobody_to_train_on(root):
    dataset = read(root, train=["77"])
    assert len(dataset.sequences("validation")) == 6
    with pytest.raises(FileNotFoundError, match="no takes of subjects 77"):
        dataset.sequences("train")


def test_several_folders_are_one_database_and_a_take_is_in_one_of_them(root, tmp_path):
    write_daz_bvh(tmp_path / "13" / "13_01.bvh", 130)
    (tmp_path / "CMU-INDEX.md").write_text("13_01  sit on stool\n", encoding="utf-8")
    dataset = read([str(root), str(tmp_path)])
    assert {s.subject for s in dataset.sequences("train")} == {"01", "05", "13"}
    assert {s.action for s in dataset.sequences("train")} == {"Climbing", "Dancing", "Everyday"}
    write_daz_bvh(tmp_path / "02_01.bvh", 130)
    with pytest.raises(ValueError, match=r"02_01\.bvh and .*02_01\.bvh are both the take 02_01\. Remove one"):
        read([str(root), str(tmp_path)])


@pytest.mark.parametrize(("unit", "factor"), [("m", 0.01), ("mm", 10), ("inch", 1 / 2.54), ("cm", 1)])
def test_a_bvh_saved_in_other_units_is_the_same_motion(tmp_path, unit, factor):
    plain, other = tmp_path / "plain", tmp_path / "other"
    write_daz_bvh(plain / "02_01.bvh", 130)
    scaled(plain / "02_01.bvh", other / "02_01.bvh", factor)
    want = read(plain, train=[]).sequences("validation")[0].joints
    np.testing.assert_allclose(read(other, train=[]).sequences("validation")[0].joints, want, atol=1e-4)
    np.testing.assert_allclose(read(other, train=[], unit=unit).sequences("validation")[0].joints, want, atol=1e-4)


def scaled(source, target, factor: float) -> None:
    """The file again with every length times `factor`."""
    head, _, motion = source.read_text(encoding="utf-8").partition("MOTION\n")
    words = head.split()
    for at in [i for i, word in enumerate(words) if word == "OFFSET"]:
        words[at + 1 : at + 4] = [str(float(word) * factor) for word in words[at + 1 : at + 4]]
    lines = motion.splitlines()
    rows = [line.split() for line in lines[2:]]
    rows = [[*(str(float(word) * factor) for word in row[:3]), *row[3:]] for row in rows]
    target.parent.mkdir(exist_ok=True)
    target.write_text("\n".join([" ".join(words), "MOTION", *lines[:2], *map(" ".join, rows)]), encoding="utf-8")


def test_a_size_no_person_has_is_refused_with_the_key_that_settles_it(tmp_path):
    write_daz_bvh(tmp_path / "a/02_01.bvh", 130)
    scaled(tmp_path / "a/02_01.bvh", tmp_path / "b/02_01.bvh", 0.18)
    with pytest.raises(ValueError, match=r"02_01\.bvh: a leg measures .*in none of m, cm, mm, inch.*dataset\.unit=m\|"):
        read(tmp_path / "b", train=[]).sequences("validation")
    assert read(tmp_path / "b", train=[], unit="cm").sequences("validation")


def test_angles_in_radians_are_doubted_and_capitals_are_a_suffix_too(tmp_path):
    write_daz_bvh(tmp_path / "02_01.bvh", 130, degrees=np.radians(20))
    (tmp_path / "02_01.bvh").rename(tmp_path / "02_01.BVH")
    with pytest.raises(
        ValueError, match=r"02_01\.BVH: nothing in it turns farther than 0\.35 of what should be degrees"
    ):
        read(tmp_path, train=[]).sequences("validation")
    (tmp_path / "02.asf").write_text(ASF, encoding="utf-8")
    write_amc(tmp_path / "02_01.amc", read_asf(tmp_path / "02.asf"), frames=240, seed=0, degrees=np.radians(20))
    with pytest.raises(ValueError, match=r"02_01\.amc: nothing in it turns .*Radians\? Write :RADIANS at its head"):
        read(tmp_path, train=[], form="amc", rate=120).sequences("validation")


def test_takes_that_a_filter_cuts_away_whole_and_rates_beside_each_other_are_told(root, tmp_path, caplog):
    for take in ("02_01", "02_02", "02_03"):
        write_daz_bvh(tmp_path / f"{take}.bvh", 130)
    text = (tmp_path / "02_02.bvh").read_text(encoding="utf-8")
    (tmp_path / "02_02.bvh").write_text(re.sub("Frame Time: .*", "Frame Time: 0.0333333", text), encoding="utf-8")
    values = write_daz_bvh(tmp_path / "02_03.bvh", 130)
    values[::20, 0] += 300
    lines = (tmp_path / "02_03.bvh").read_text(encoding="utf-8").splitlines()
    (tmp_path / "02_03.bvh").write_text(
        "\n".join([*lines[:-130], *(" ".join(map(str, row)) for row in values)]), encoding="utf-8"
    )
    (tmp_path / "CMU-INDEX.md").write_text("02_01 walk\n02_02 walk\n02_03 walk\n", encoding="utf-8")
    dataset = read(tmp_path, train=[])
    with caplog.at_level("WARNING", logger="pose3d.motion.remarks"):
        assert {s.take for s in dataset.sequences("validation")} == {"02_01", "02_02"}
    assert dataset.notes == (
        "without 02_03, cut away whole: no half second without a joint faster than dataset.max_speed=14 m/s",
        "takes of different rates beside each other [frames/s]: 1 at 30, 1 at 50",
    )
    assert len(caplog.messages) == 2
    assert {s.fps for s in read(tmp_path, train=[], rate=100).sequences("validation")} == {50}
    (tmp_path / "02_01.bvh").unlink()
    (tmp_path / "02_02.bvh").unlink()
    with pytest.raises(ValueError, match=r"Nothing is left of 02_03: cut away whole"):
        read(tmp_path, train=[]).sequences("validation")


def test_frames_are_called_what_the_file_calls_them(root):
    (s, *_) = read(root, frame_step=2).sequences("validation")
    assert (s.first_frame, s.frame_stride) == (4, pytest.approx(2 * 120 / 50, rel=1e-4))


def test_the_databases_own_files_are_read_with_their_subjects_skeleton(tmp_path):
    (tmp_path / "02").mkdir()
    (tmp_path / "02/02.asf").write_text(ASF, encoding="utf-8")
    asf = read_asf(tmp_path / "02/02.asf")
    values = write_amc(tmp_path / "02/02_01.amc", asf, frames=240, seed=0)
    sequences = read(tmp_path, train=[], form="amc", rate=120).sequences("validation")
    with pytest.raises(ValueError, match=r"Acclaim files do not say how many frames .*dataset\.rate=120"):
        read(tmp_path, train=[], form="amc")
    (tmp_path / "02/02.asf").write_text(ASF.replace("length 0.45", "length 1.0"), encoding="utf-8")
    with pytest.raises(
        ValueError, match=r"02_01\.amc: a leg measures .*in none of its skeleton's length.*dataset\.unit="
    ):
        read(tmp_path, train=[], form="amc", rate=120).sequences("validation")
    assert [(s.take, len(s), s.fps) for s in sequences] == [("02_01", 100, 50)] * 3
    ends, _ = bone_ends(asf, values, ["lfemur", "lradius", "lhipjoint", "rhipjoint"])
    shin = ends[::12, 0] - ends[::12, 2:].mean(1)
    expected = np.stack([shin[:, 0], -shin[:, 2], shin[:, 1]], -1)
    hip, knee = H36M_17.index("hip"), H36M_17.index("left_knee")
    np.testing.assert_allclose(sequences[0].joints[::5, knee] - sequences[0].joints[::5, hip], expected, atol=1e-5)
    (tmp_path / "02/02.asf").unlink()
    with pytest.raises(FileNotFoundError, match=r"02_01 of .* need their subjects' skeletons .*02/02\.asf"):
        read(tmp_path, train=[], form="amc", rate=120)
    with pytest.raises(ValueError, match=r"dataset\.form=c3d must be bvh or amc"):
        read(tmp_path, form="c3d")


def test_a_damaged_take_is_named(root, tmp_path):
    write_daz_bvh(tmp_path / "02_01.bvh", 130)
    text = (tmp_path / "02_01.bvh").read_text(encoding="utf-8")
    (tmp_path / "02_01.bvh").write_text(text[: len(text) // 2], encoding="utf-8")
    with pytest.raises(ValueError, match=r"02_01\.bvh: Frames: 130 are announced, \d+ lines of numbers follow"):
        read(tmp_path, train=[]).sequences("validation")


@pytest.mark.slow
@pytest.mark.data
def test_real_takes_look_like_people(real_data):
    root, subjects = real_data("cmu"), ("02", "08", "10")
    dataset = read(root, validation=subjects, num_cameras=4, frame_step=5)
    sequences = dataset.sequences("validation")
    assert {s.action for s in sequences} == {"Jumping", "Running", "Walking", "Fighting", "Everyday", "Soccer"}
    joints = np.concatenate([s.joints for s in sequences[::4]])
    recorded = sum(len(read_bvh(path)) for subject in subjects for path in (root / subject).glob("*.bvh"))
    assert len(joints) == pytest.approx(recorded / 120 * 50 / 5, rel=0.02)
    heights = joints[..., 2]
    assert np.percentile(heights, 1) > -0.05
    assert 1.3 < np.median(heights[:, H36M_17.index("head")]) < 1.7
    assert (np.median(heights[:, H36M_17.index("head")]) > np.median(heights[:, H36M_17.index("hip")])).all()
    for child, parent in H36M_17.bones:
        length = np.linalg.norm(joints[:, child] - joints[:, parent], axis=-1)
        assert np.ptp(length) < 0.05, H36M_17.joints[child]
    depth = np.concatenate([s.joints_camera()[:, 0, 2] for s in sequences])
    assert depth.min() > 2
    assert depth.max() < 10
