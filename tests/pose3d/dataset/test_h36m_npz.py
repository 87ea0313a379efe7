import numpy as np
import pytest
import torch

from anypose.camera import project, world_to_camera
from anypose.engine.task import Loading
from anypose.skeleton import SH_16
from pose3d.dataset.h36m_cdf import H36MCDF
from pose3d.dataset.h36m_npz import H36MNPZ
from pose3d.motion import h36m
from pose3d.motion.h36m_cameras import published_cameras
from pose3d.motion.splits import pack_split
from pose3d.motion.videopose3d_files import write_videopose3d
from tests.anypose.export.small_tasks import baseline3d
from tests.pose3d.model.test_window_tcn import model as window_tcn
from tests.pose3d.motion.motion_files import all_takes, protocol, write_release
from tests.pose3d.task.test_semi_supervised import task as semi_supervised

SUBJECTS, ACTIONS = ("S1", "S11"), ("Directions", "Walking")


def read(
    root,
    keypoints="gt",
    frame_step=1,
    missing=False,
    actions=ACTIONS,
    validation=("S11",),
    leave_out=(),
    cache=None,
    unlabelled=(),
    unit=None,
):
    return H36MNPZ(
        str(root),
        keypoints,
        False,
        unit,
        unlabelled,
        cache,
        **protocol(("S1",), validation, actions, frame_step=frame_step, allow_missing=missing, leave_out=leave_out),
    )


def positions() -> dict:
    """As prepare_data_h36m.py makes them, S11 Directions left out."""
    held: dict = {}
    for subject, take, pose in all_takes(SUBJECTS, ACTIONS):
        if (subject, take) != ("S11", "Directions"):
            held.setdefault(subject, {})[take] = (pose.reshape(-1, 32, 3) / 1000).astype(np.float32)
    return held


def write(root, held, name="data_3d_h36m.npz", **more):
    members = {"positions_3d" if name.startswith("data_3d") else "positions_2d": held, **more}
    np.savez_compressed(root / name, **{key: np.array(value, dtype=object) for key, value in members.items()})


def detections(joints: int, columns: int, extra: int = 0, seed: int = 0) -> dict:
    """Around the middle of the person in each view, with scores of 0 to 1."""
    rng = np.random.default_rng(seed)

    def view(motion: np.ndarray, camera) -> np.ndarray:
        middle = project(world_to_camera(motion, camera), camera).mean(1, keepdims=True)
        middle = np.concatenate([middle, np.repeat(middle[-1:], extra, 0)])
        found = rng.uniform(0, 1, (len(middle), joints, columns))
        found[..., :2] = middle + 30 * found[..., :2]
        return found.astype(np.float32)

    return {
        subject: {take: [view(motion, c) for c in published_cameras()[subject]] for take, motion in takes.items()}
        for subject, takes in positions().items()
    }


SYMMETRY = {
    "h36m": [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]],
    "coco": [[1, 3, 5, 7, 9, 11, 13, 15], [2, 4, 6, 8, 10, 12, 14, 16]],
    "mpii": [[3, 4, 5, 13, 14, 15], [0, 1, 2, 10, 11, 12]],
}


@pytest.fixture
def root(tmp_path):
    write(tmp_path, positions())
    return tmp_path


def test_npz_and_cdf_agree_to_float_precision(root, tmp_path_factory):
    release = tmp_path_factory.mktemp("h36m")
    write_release(release, SUBJECTS, ACTIONS)
    cdf = H36MCDF(str(release), None, None, **protocol(validation=("S11",), actions=ACTIONS))
    for a, b in zip(cdf.sequences("train"), read(root).sequences("train"), strict=True):
        assert a.name == b.name
        np.testing.assert_allclose(a.joints, b.joints, atol=5e-7)
        np.testing.assert_allclose(a.keypoints, b.keypoints, atol=1e-3)


def test_what_we_write_is_what_we_read(root, tmp_path):
    written = read(root).sequences("train") + read(root).sequences("validation")
    files = write_videopose3d(tmp_path / "ours", written)
    assert [file.name for file in files] == ["data_3d_h36m.npz", "data_2d_h36m_gt.npz"]
    ours = read(tmp_path / "ours")
    for a, b in zip(written, ours.sequences("train") + ours.sequences("validation"), strict=True):
        assert a.name == b.name
        np.testing.assert_array_equal(a.joints, b.joints)
        np.testing.assert_allclose(a.keypoints, b.keypoints, atol=1e-3)


def test_the_take_videopose3d_leaves_out_is_noted_and_no_other(root):
    dataset = read(root)
    assert len(dataset.sequences("validation")) == 3 * 4
    assert dataset.notes == ("without S11 Directions",)
    held = positions()
    del held["S11"]["Walking 1"]
    write(root, held)
    with pytest.raises(FileNotFoundError, match=r"lacks 1 of 4 takes: S11 Walking 1\. Get them"):
        read(root).sequences("validation")
    dataset = read(root, missing=True)
    dataset.sequences("validation")
    assert dataset.notes == ("without S11 Directions", "without S11 Walking 1")


@pytest.mark.parametrize(
    ("name", "symmetry", "joints", "columns", "skeleton"),
    [
        ("cpn_ft_h36m_dbb", "h36m", 17, 2, "h36m_17"),
        ("detectron_pt_coco", "coco", 17, 3, "coco_17"),
        ("sh_ft_h36m", "mpii", 16, 2, "sh_16"),
    ],
)
def test_detections_are_told_apart_by_their_symmetry_and_cut_to_the_motion(
    root, name, symmetry, joints, columns, skeleton
):
    held = detections(joints, columns, extra=3)
    write(
        root,
        held,
        f"data_2d_h36m_{name}.npz",
        metadata={"num_joints": joints, "keypoints_symmetry": SYMMETRY[symmetry]},
    )
    dataset = read(root, name, frame_step=2)
    assert dataset.keypoint_source == name
    for s in dataset.sequences("train"):
        view = held["S1"][s.take][int([c.camera.name for c in dataset.sequences("train")[:4]].index(s.camera.name))]
        frames = len(positions()["S1"][s.take])
        assert s.keypoint_skeleton.name == skeleton
        np.testing.assert_array_equal(s.keypoints, view[:frames:2, :, :2])
        assert (s.scores is None) == (columns == 2)
        if columns == 3:
            np.testing.assert_array_equal(s.scores, view[:frames:2, :, 2])


def test_the_cache_keeps_detectors_apart(root, tmp_path):
    meta = {"keypoints_symmetry": SYMMETRY["coco"]}
    write(root, detections(17, 3), "data_2d_h36m_detectron_pt_coco.npz", metadata=meta)
    for _ in range(2):
        gt = read(root, cache=str(tmp_path / "cache")).sequences("train")[0]
        coco = read(root, "detectron_pt_coco", cache=str(tmp_path / "cache")).sequences("train")[0]
    assert (gt.keypoint_skeleton.name, coco.keypoint_skeleton.name) == ("h36m_17", "coco_17")
    assert coco.scores is not None


def test_missing_files_are_named_with_what_is_there(root, tmp_path_factory):
    write(root, detections(17, 2), "data_2d_h36m_cpn.npz", metadata={"keypoints_symmetry": SYMMETRY["h36m"]})
    with pytest.raises(
        FileNotFoundError, match=r"keypoints=hrnet: .*data_2d_h36m_hrnet\.npz does not exist\. There is cpn, gt"
    ):
        read(root, "hrnet")
    with pytest.raises(FileNotFoundError, match=r"data_3d_h36m\.npz does not exist\. It should be VideoPose3D's 3D"):
        read(tmp_path_factory.mktemp("empty"))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda held: held["S1"].update({"Walking 1": np.zeros((5, 17, 3))}),
            r"S1, Walking 1 must have shape \(T, 32, 3\)",
        ),
        (
            lambda held: held["S1"].update({"Walking 1": "text"}),
            r"S1, Walking 1 must be an array of numbers, found str",
        ),
        (lambda held: held.update({"S1": [1, 2]}), r"positions_3d: a dictionary of subjects .* is wanted"),
        (lambda held: held["S1"]["Walking 1"].fill(np.nan), r"S1, Walking 1: NaN or infinity in frame 0"),
        (lambda held: held.pop("S1"), r"has no takes of S1 \(in data_3d_h36m\.npz\)"),
    ],
)
def test_motion_that_is_none_is_named(root, damage, message):
    held = positions()
    damage(held)
    write(root, held)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read(root).sequences("train")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda held: held["S1"]["Walking 1"].pop(), r"S1, Walking 1: 4 views are wanted, found 3"),
        (lambda held: held["S1"].update({"Walking 1": None}), r"S1, Walking 1: 4 views are wanted, found NoneType"),
        (
            lambda held: held["S1"]["Walking 1"].__setitem__(2, np.zeros((2, 17, 2))),
            r"camera 3: keypoints of shape \(\d+ or more, 17, 2 or 3\) are wanted, found \(2, 17, 2\)",
        ),
        (
            lambda held: held["S1"]["Walking 1"].__setitem__(0, np.zeros((99, 16, 2))),
            r"camera 1: .* found \(99, 16, 2\)",
        ),
        (
            lambda held: held["S1"]["Walking 1"].__setitem__(0, held["S1"]["Walking 1"][0] / 1000),
            "half of the keypoints",
        ),
        (
            lambda held: held["S1"]["Walking 1"][1].fill(0),
            r"cpn\.npz, S1/Walking 1/55011271: half of the keypoints lie",
        ),
        (lambda held: held["S1"]["Walking 1"][0].fill(np.inf), r"keypoints of S1/Walking 1/54138969 hold NaN or inf"),
    ],
)
def test_detections_that_do_not_fit_are_named(root, damage, message):
    held = detections(17, 2)
    damage(held)
    write(root, held, "data_2d_h36m_cpn.npz", metadata={"keypoints_symmetry": SYMMETRY["h36m"]})
    with pytest.raises(ValueError, match=message):
        read(root, "cpn").sequences("train")


def test_subjects_known_in_2d_alone_come_apart_and_only_the_semi_supervised_task_takes_them(root, tmp_path):
    held = detections(17, 2)
    rng = np.random.default_rng(1)
    views = [rng.uniform(0, 1000, (frames, 17, 2)).astype(np.float32) for frames in (30, 32, 31, 30)]
    held["S3"] = {"Walking": views, "Sitting 1": views}
    write(root, held, "data_2d_h36m_cpn_ft_h36m_dbb.npz", metadata={"keypoints_symmetry": SYMMETRY["h36m"]})
    dataset = read(root, "cpn_ft_h36m_dbb", unlabelled=["S3"], cache=str(tmp_path / "cache"))
    for sequences in (dataset.unlabelled(), dataset.unlabelled()):  # the second time from the cache
        assert [s.name for s in sequences] == [f"S3/Walking/{camera}" for camera in h36m.CAMERA_IDS]
        for sequence, view in zip(sequences, views, strict=True):
            np.testing.assert_array_equal(sequence.keypoints, view[:30])
    assert {s.subject for s in dataset.sequences("train")} == {"S1"}
    batches = semi_supervised().batches(dataset, True, Loading(16, seed=0), torch.device("cpu"))
    assert {name[0] for name in batches.labelled.frames.names} == {"S1"}
    assert {name[0] for name in batches.unlabelled.frames.names} == {"S3"}
    unlabelled = next(iter(batches.epoch(5)))["unlabelled_keypoints"]
    assert unlabelled.shape[1:] == (27, 17, 2)
    with pytest.raises(ValueError, match=r"unlabelled_subjects=\['S3'\] are known in 2D alone: only task=semi"):
        pack_split(dataset, "train", baseline3d(), torch.device("cpu"))


def test_wrong_subjects_without_joints_are_refused(root):
    with pytest.raises(ValueError, match=r"\['S2'\] with dataset\.keypoints=gt: .* of S2, S3, S4, and never ground"):
        read(root, unlabelled=["S2"])
    write(root, detections(17, 2), "data_2d_h36m_x.npz", metadata={"keypoints_symmetry": SYMMETRY["h36m"]})
    with pytest.raises(ValueError, match=r"\['S5'\] with dataset\.keypoints=x"):
        read(root, "x", unlabelled=["S5"])
    with pytest.raises(FileNotFoundError, match=r"data_2d_h36m_x\.npz has no take of S4 .* it has S1, S11\."):
        read(root, "x", unlabelled=["S4"]).unlabelled()


def test_motion_in_millimetres_is_taken_for_what_it_is_and_a_doubtful_size_is_refused(root):
    plain = read(root).sequences("train")[0].joints
    held = {s: {take: motion * 1000 for take, motion in takes.items()} for s, takes in positions().items()}
    write(root, held)
    np.testing.assert_allclose(read(root).sequences("train")[0].joints, plain, atol=1e-5)
    write(root, {s: {take: motion / 100 for take, motion in takes.items()} for s, takes in held.items()})
    with pytest.raises(ValueError, match=r"S1, .*: the widest pose measures .* in none of m, mm.*dataset\.unit="):
        read(root).sequences("train")
    np.testing.assert_allclose(read(root, unit="cm").sequences("train")[0].joints, plain / 10, atol=1e-5)


def test_a_model_of_another_layout_is_refused_until_keypoints_may_be_derived(root):
    meta = {"keypoints_symmetry": SYMMETRY["mpii"]}
    write(root, detections(16, 2), "data_2d_h36m_sh_ft_h36m.npz", metadata=meta)
    model = baseline3d()
    message = (
        r"dataset=h36m_npz has sh_16 keypoints \(sh_ft_h36m\), and the model reads h36m_16: spine, thorax, head would "
        r"have to be made up\. .*model\.input_skeleton=sh_16.*dataset\.convert_keypoints=true"
    )
    dataset = read(root, "sh_ft_h36m")
    with pytest.raises(ValueError, match=message):
        pack_split(dataset, "train", model, torch.device("cpu"))
    dataset.convert_keypoints = True
    assert pack_split(dataset, "train", model, torch.device("cpu")).keypoints.shape[1:] == (16, 2)


def test_a_keypoint_that_nothing_gives_is_missing_and_not_made_up(root):
    model = window_tcn()
    packed = pack_split(read(root), "train", model, torch.device("cpu"))
    found = packed.keypoints[..., 2].amax(0) > 0
    missing = [joint for joint, found in zip(model.input_skeleton.joints, found, strict=True) if not found]
    assert missing == ["left_ear", "right_ear"]


def test_a_mirrored_hourglass_pose_pairs_left_with_right():
    left, right = SYMMETRY["mpii"]
    assert {SH_16.flip_index[joint] for joint in left} == set(right)
    names = [SH_16.joints[joint] for joint in left]
    assert [SH_16.joints[SH_16.flip_index[joint]] for joint in left] == [n.replace("left_", "right_") for n in names]


def test_frames_are_called_what_the_file_calls_them(root):
    dataset = read(root, frame_step=3)
    packed = pack_split(dataset, "validation", baseline3d(), torch.device("cpu"))
    rows = torch.arange(int(packed.end[0]))
    assert packed.source_frames(rows).tolist() == [3 * row for row in rows.tolist()]
