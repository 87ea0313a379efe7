"""One's own files: made up here from a skeleton of six joints that nobody else has."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from anypose.engine import run
from anypose.engine.task import Loading
from anypose.skeleton import get_skeleton
from pose3d.dataset.custom import Custom

CONF = Path(__file__).parents[3] / "conf"
assert run.PACKAGE.parent == CONF.parent  # importing it registers what conf/ looks files up with
JOINTS = ["head", "pelvis", "l_hand", "r_hand", "l_foot", "r_foot"]
SKELETON = f"""
name: six
joints: [{", ".join(JOINTS)}]
parents: [pelvis, null, head, head, pelvis, pelvis]
left: [l_hand, l_foot]
right: [r_hand, r_foot]
"""
REST = np.array([[0, -0.7, 0], [0, 0, 0], [0.6, -0.4, 0.1], [-0.6, -0.4, 0.1], [0.2, 0.9, 0], [-0.2, 0.9, 0]])
FOCAL, SIZE = 1200.0, (1280, 720)


def content(frames: int = 40, people=("ann", "bob", "eve")) -> dict[str, np.ndarray]:
    """Two actions of each, one camera, joints in metres before the camera, their exact projections."""
    rng = np.random.default_rng(0)
    count = frames * len(people) * 2
    joints = REST + rng.normal(size=(count, 6, 3)) * 0.05 + [0, 0, 5]
    keypoints = FOCAL * joints[..., :2] / joints[..., 2:] + np.array(SIZE) / 2
    return {
        "keypoints": keypoints.astype(np.float32),
        "joints": joints.astype(np.float32),
        "subject": np.repeat(people, frames * 2),
        "action": np.tile(np.repeat(["sit", "run"], frames), len(people)),
        "fps": np.array(30),
        "size": np.array(SIZE),
    }


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "six.yaml").write_text(SKELETON, encoding="utf-8")
    np.savez(tmp_path / "mine.npz", **content())
    return tmp_path


def read(file, **changes) -> Custom:
    settings = {
        "skeleton": "six.yaml",
        "keypoint_skeleton": SKELETON,
        "joint_skeleton": SKELETON,
        "train_subjects": None,
        "validation_subjects": ["bob"],
        "missing_joints": 0,
        "missing_in": "both",
        "frame_step": 1,
    }
    nothing = dict.fromkeys(("actions", "unit", "rate", "width", "height"))
    return Custom(str(file), **{**settings, **nothing, **changes})


def test_takes_are_what_the_file_holds(folder):
    dataset = read(folder / "mine.npz")
    held = content()
    train, validation = dataset.sequences("train"), dataset.sequences("validation")
    assert [(s.subject, s.action, len(s), s.fps) for s in train] == [
        (who, what, 40, 30.0) for who in ("ann", "eve") for what in ("run", "sit")
    ]
    (run_, sit) = validation
    np.testing.assert_array_equal(sit.keypoints, held["keypoints"][80:120])
    np.testing.assert_allclose(sit.joints_camera(), held["joints"][80:120], atol=1e-5)
    assert run_.skeleton.name == "six"
    np.testing.assert_allclose(sit.camera.focal, FOCAL, rtol=1e-4)
    assert dataset.actions == ("run", "sit")
    assert dataset.notes == ("lenses fitted to 2D and 3D",)


def test_a_take_has_a_name_that_no_other_of_its_subject_has(folder):
    assert [one.name for one in read(folder / "mine.npz").sequences("validation")] == ["bob/run/All", "bob/sit/All"]
    counted = {**content(), "take": np.full(240, "1")}  # anew in every action
    np.savez(folder / "counted.npz", **counted)
    takes = [one.take for one in read(folder / "counted.npz").sequences("validation")]
    assert takes == ["run 1", "sit 1"]


def test_a_table_says_the_same_as_arrays(folder):
    held = content(5)
    names = [f"{j}_{a}_px" for j in JOINTS for a in "xy"] + [f"{j}_{a}_cm" for j in JOINTS for a in "xyz"]
    numbers = np.concatenate([held["keypoints"].reshape(30, -1), 100 * held["joints"].reshape(30, -1)], 1)
    lines = [",".join(["subject", "action", *names])]
    lines += [
        ",".join([who, what, *map(str, row)])
        for who, what, row in zip(held["subject"], held["action"], numbers, strict=True)
    ]
    for mark, name in ((",", "mine.csv"), (";", "other.csv")):
        (folder / name).write_text("\n".join(lines).replace(",", mark), encoding="utf-8-sig")
        dataset = read(folder / name, rate=30, width=SIZE[0], height=SIZE[1])
        (run_, _) = dataset.sequences("validation")
        np.testing.assert_allclose(run_.keypoints, held["keypoints"][15:20], atol=1e-3)
        np.testing.assert_allclose(run_.joints_camera(), held["joints"][15:20], atol=1e-5)
    (folder / "bad.csv").write_text(
        "\n".join([*lines[:3], lines[3].replace("ann,sit,", "ann,sit,x"), *lines[4:]]), encoding="utf-8"
    )
    with pytest.raises(ValueError, match=r"bad\.csv, row 4, head_x_px: a number is wanted, found 'x"):
        read(folder / "bad.csv")
    (folder / "digits.csv").write_text("\n".join([lines[0], lines[1].rpartition(",")[0] + ",1_0"]), encoding="utf-8")
    with pytest.raises(ValueError, match=r"digits\.csv, row 2, r_foot_z_cm: a number is wanted, found '1_0'"):
        read(folder / "digits.csv")
    (folder / "long.csv").write_text("\n".join([lines[0], "x" * 200_000 + lines[1]]), encoding="utf-8")
    with pytest.raises(ValueError, match=r"long\.csv is not a table in UTF-8: field larger than field limit"):
        read(folder / "long.csv")
    for frame in ("nan", "1.5"):
        framed = [f"{line},{word}" for line, word in zip(lines[:3], ("frame", "1", frame), strict=True)]
        (folder / "framed.csv").write_text("\n".join(framed), encoding="utf-8")
        with pytest.raises(ValueError, match=rf"framed\.csv, frame: whole numbers are wanted, found {frame} in row 3"):
            read(folder / "framed.csv")
    (folder / "twice.csv").write_text("\n".join([lines[0] + ",head_x_px", lines[1] + ",5"]), encoding="utf-8")
    with pytest.raises(ValueError, match=r"twice\.csv has two columns head_x_px"):
        read(folder / "twice.csv")
    (folder / "less.csv").write_text("\n".join(line.rpartition(",")[0] for line in lines), encoding="utf-8")
    with pytest.raises(ValueError, match=r"less\.csv has no column r_foot_z_cm; it has subject, action, head_x_px"):
        read(folder / "less.csv")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "extra"), [("baseline3d", []), ("gmh_mdn", []), ("videopose3d", ["model.kernel_sizes=[3]"])]
)
def test_every_lifter_takes_its_joints_from_the_dataset(folder, model, extra):
    overrides = [
        f"model={model}", "dataset=custom", f"dataset.file={folder / 'mine.npz'}", "dataset.validation_subjects=bob",
        f"dataset.skeleton={folder / 'six.yaml'}", *extra,
    ]  # fmt: skip
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        cfg = compose("train", overrides)
        task = instantiate(cfg.task, model=instantiate(cfg.model))
        dataset = instantiate(cfg.dataset)
    assert task.model.input_skeleton.joints == tuple(JOINTS) == task.model.output_skeleton.joints
    cpu, loading = torch.device("cpu"), Loading(16, seed=0)
    batch = next(iter(task.batches(dataset, True, loading, cpu).epoch(0)))
    loss, _ = task.loss(batch)
    assert loss.isfinite()
    batches = task.batches(dataset, False, loading, cpu)
    metrics = task.metrics()
    task.model.eval()
    with torch.no_grad():
        for batch in batches.epoch(0):
            metrics.update(task.predict(batch), batch)
    assert np.isfinite(metrics.compute()[task.monitor])
    assert {row["action"] for row in metrics.rows()} >= {"run", "sit", "Average"}


def test_joints_measured_from_the_root_and_in_other_units_are_taken(folder):
    held = content()
    held["joints"] = 1000 * (held["joints"] - held["joints"][:, 1:2])
    np.savez(folder / "root.npz", **held)
    dataset = read(folder / "root.npz")
    (_, sit) = dataset.sequences("validation")
    np.testing.assert_allclose(sit.joints_camera(), held["joints"][80:120] / 1000, atol=1e-5)
    assert dataset.notes == ("joints measured from the root, lenses unknown",)


def test_a_take_is_cut_where_frames_are_left_out(folder):
    held = content(10, ("ann", "bob"))
    frame = np.tile(np.array([5, 7, 9, 11, 13, 101, 103, 105, 107, 109]), 4)
    np.savez(folder / "gaps.npz", frame=frame, **held)
    first, second, *_ = read(folder / "gaps.npz").sequences("validation")
    assert (first.take, len(first), first.first_frame, first.frame_stride) == ("run part 1", 5, 5, 2)
    assert (second.take, second.first_frame, second.fps) == ("run part 2", 101, 15)
    np.savez(folder / "twice.npz", frame=np.tile(np.arange(5).repeat(2), 4), **held)
    with pytest.raises(ValueError, match=r"frame 0 is there twice\. Tell its views apart by 'camera'"):
        read(folder / "twice.npz").sequences("train")


def damaged(folder, **changes):
    held = {**content(), **changes}
    np.savez(folder / "x.npz", **{key: value for key, value in held.items() if value is not None})
    return folder / "x.npz"


@pytest.mark.parametrize(
    ("changes", "settings", "message"),
    [
        ({"subject": None}, {}, r"x\.npz has no subject; it has "),
        (
            {"keypoints": np.zeros((240, 7, 2))},
            {},
            r"x\.npz, keypoints of \w+ must have shape \(N, 6, C\), got \(240, 7, 2\)",
        ),
        ({"joints": np.zeros((9, 6, 3))}, {}, r"x\.npz, joints of \w+ must have shape \(240, 6, 3\), got \(9, 6, 3\)"),
        ({"subject": np.array(["a", "b"])}, {}, r"subject: 240 names, or one for all, are wanted"),
        ({"fps": None}, {}, r"how many frames a second .*dataset\.rate="),
        ({"size": np.array([5])}, {}, r"size: width and height of the picture are wanted"),
        ({"size": np.array([np.inf, 5])}, {}, r"size: width and height of the picture are wanted"),
        ({"size": np.array([1e300, 5])}, {}, r"x\.npz: a picture has 1 to 100000 px a side"),
        ({"size": np.array([64, 36])}, {}, r"pixels of a picture of 64x36, and most lie between"),
        ({"keypoints": content()["keypoints"] / SIZE}, {}, r"pixels of .*Multiply shares of a picture"),
        ({"keypoints": content()["keypoints"] * np.nan}, {}, r"the keypoints of frame 0 of 240 hold NaN"),
        ({"frame": np.arange(240, dtype=np.uint64) + 2**63}, {}, r"numbers of frames must be within 1e\+12"),
        ({name: content()[name][:0] for name in ("keypoints", "joints", "subject", "action")}, {}, r"holds no frame"),
        ({"joints": content()["joints"] * [1, 1, -1]}, {}, r"joints must be before the camera.* 5\.03 m behind"),
        ({"joints": content()["joints"] * [1, -1, -1]}, {}, r"their y falls where the keypoints go down .*\*= -1"),
        ({"joints": content()["joints"] * 20}, {}, r"the widest pose measures .* in none of m, cm, mm.*dataset\.unit="),
        ({}, {"validation_subjects": []}, r"at least one each; the file has ann, bob, eve"),
        ({}, {"validation_subjects": "zoe"}, r"validation_subjects=\['zoe'\].*the file has ann, bob, eve"),
        ({}, {"actions": "swim"}, r"dataset\.actions has swim; the file has run, sit"),
        ({}, {"frame_step": 0}, r"dataset\.frame_step=0 must be at least 1"),
        ({}, {"keypoint_skeleton": "seven"}, r"dataset\.skeleton=six\.yaml: there is no skeleton 'seven'"),
    ],
)
def test_what_does_not_fit_is_named(folder, changes, settings, message):
    with pytest.raises(ValueError, match=message):
        read(damaged(folder, **changes), **settings).sequences("train")


def test_a_folder_or_another_kind_of_file_is_named(folder):
    with pytest.raises(FileNotFoundError, match=r"is a folder\. It should be an \.npz or \.csv"):
        read(folder)
    (folder / "clip.mp4").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"dataset\.file=.*clip\.mp4 must be an \.npz or \.csv .*found '\.mp4'"):
        read(folder / "clip.mp4")


def test_a_skeleton_of_this_project_can_be_named(folder):
    held = content()
    shape = np.random.default_rng(1).normal(size=(1, 17, 3)) * [0.3, 0.5, 0.1] + [0, 0, 4]
    joints = shape + np.random.default_rng(2).normal(size=(240, 17, 3)) * 0.02
    held |= {"joints": joints, "keypoints": joints[..., :2] / joints[..., 2:] * 900 + 500}
    np.savez(folder / "h36m.npz", **held)
    dataset = read(folder / "h36m.npz", keypoint_skeleton="h36m_17", joint_skeleton="h36m_17")
    assert dataset.sequences("train")[0].skeleton is get_skeleton("h36m_17")
