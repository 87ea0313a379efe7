"""MotionBERT's build of Human3.6M: a small file in its form, scored as that family scores."""

from __future__ import annotations

import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from anypose.camera import world_to_camera
from pose3d.dataset.h36m_cdf import H36MCDF
from pose3d.dataset.h36m_motionbert import H36MMotionBERT
from pose3d.motion.splits import pack_split
from pose3d.task.window3d import Window3D
from tests.pose3d.model.test_motionagformer import network
from tests.pose3d.motion.motion_files import protocol, write_release
from tests.pose3d.task.test_window3d import OPTIONS

SETTINGS = {
    "train_subjects": ["S1"],
    "validation_subjects": ["S9"],
    "actions": ["Greeting", "SittingDown"],
    "frame_step": 1,
    "allow_missing": True,
    "leave_out": [],
    "missing_joints": 0,
    "missing_in": "both",
}
SOURCES = {
    "train": {"s_01_act_05_subact_01_ca_01": 11, "s_01_act_10_subact_02_ca_03": 9},
    "test": {
        "s_09_act_05_subact_02_ca_01": 10,
        "s_09_act_10_subact_01_ca_02": 12,
        "s_09_act_10_subact_02_ca_02": 5,
    },
}
CAMERAS = ("54138969", "55011271", "58860488", "60457274")


def write(path, protocol=4, **changes):
    rng = np.random.default_rng(0)
    held = {}
    for part, sources in SOURCES.items():
        names = [source for source, frames in sources.items() for _ in range(frames)]
        count = len(names)
        joints = rng.uniform(300, 700, (count, 1, 3)) + rng.normal(0, 1, (count, 17, 3)) * [50, 90, 50]
        held[part] = {
            "joint_2d": joints[..., :2] + rng.normal(0, 8, (count, 17, 2)),
            "confidence": rng.uniform(0, 1, (count, 17, 1)),
            "joint3d_image": joints,
            "camera_name": np.array([CAMERAS[int(name[-2:]) - 1] for name in names]),
            "source": names,
            "2.5d_factor": rng.uniform(3, 5, count),
        }
    for key, value in changes.items():
        held["test"][key] = value
    path.write_bytes(pickle.dumps(held, protocol))
    return held


def test_takes_scores_and_units_are_the_file_s(tmp_path):
    held = write(tmp_path / "h36m_sh_conf_cam_source_final.pkl")
    dataset = H36MMotionBERT(str(tmp_path), **SETTINGS)
    first, second, third = dataset.sequences("validation")
    assert [s.take for s in (first, second, third)] == ["Greeting", "SittingDown", "SittingDown 1"]
    assert [len(s) for s in (first, second, third)] == [10, 12, 5]
    test = held["test"]
    np.testing.assert_allclose(first.keypoints, test["joint_2d"][:10], rtol=1e-6)
    np.testing.assert_allclose(second.scores, test["confidence"][10:22, :, 0], rtol=1e-6)
    assert (first.camera.width, first.camera.height, second.camera.height) == (1000, 1002, 1000)
    # The family's own millimetres: the joints of the picture times the frame's factor, against the hip.
    millimetres = test["joint3d_image"][:10] * test["2.5d_factor"][:10, None, None]
    ours = first.joints * first.scale[:, None, None] * 1000
    np.testing.assert_allclose(ours - ours[:, :1], millimetres - millimetres[:, :1], rtol=1e-4, atol=1e-2)
    assert dataset.sequences("train")[0].scale is None


def test_takes_with_bad_ground_truth_are_left_out_by_name(tmp_path):
    write(tmp_path / "file.pkl")
    chosen = {**SETTINGS, "leave_out": ["S9 Greeting", "S9 SittingDown 1", "S9 Waiting 1"]}
    dataset = H36MMotionBERT(str(tmp_path / "file.pkl"), **chosen)
    assert [s.take for s in dataset.sequences("validation")] == ["SittingDown"]
    assert any("S9 Greeting, S9 SittingDown 1, S9 Waiting 1 left out by choice" in note for note in dataset.notes)


def test_scores_with_and_without_them_say_so_and_come_by_frame_and_by_action(tmp_path):
    write(tmp_path / "file.pkl")
    told = {}
    for left_out in ([], ["S9 Greeting", "S9 SittingDown 1", "S9 Waiting 1"]):
        dataset = H36MMotionBERT(str(tmp_path / "file.pkl"), **{**SETTINGS, "leave_out": left_out})
        task = Window3D(network(num_frames=9, num_blocks=1), **OPTIONS)
        loading = SimpleNamespace(batch_size=4, seed=0, rank=0, world_size=1, drop_last=False)
        task.model.eval()
        metrics = None
        with torch.no_grad():
            for batch in task.batches(dataset, False, loading, torch.device("cpu")).epoch():
                metrics = metrics or task.metrics()
                metrics.update(task.predict(batch), batch)
        scores, rows = metrics.compute(), metrics.rows()
        told[len(left_out)] = rows[-1]["frames"], metrics.protocol()["notes"]
        by_action = [row["mpjpe_mm"] for row in rows[:-2]]
        frames = [row["frames"] for row in rows[:-2]]
        assert scores["mpjpe_mm"] == pytest.approx(np.mean(by_action), rel=1e-5)
        assert scores["framewise_mpjpe_mm"] == pytest.approx(np.average(by_action, weights=frames), rel=1e-5)
    assert told[0][0] == 27
    assert "left out" not in told[0][1]
    assert told[3][0] == 12
    assert "S9 Greeting, S9 SittingDown 1, S9 Waiting 1 left out by choice" in told[3][1]


def test_errors_are_in_millimetres_by_the_true_scale(tmp_path):
    write(tmp_path / "file.pkl", protocol=2)
    dataset = H36MMotionBERT(str(tmp_path / "file.pkl"), **SETTINGS)
    task = Window3D(network(num_frames=9, num_blocks=1), **OPTIONS)
    loading = SimpleNamespace(batch_size=4, seed=0, rank=0, world_size=1, drop_last=False)
    packed = pack_split(dataset, "validation", task.model, torch.device("cpu"))
    list(task.batches(dataset, False, loading, torch.device("cpu")).epoch())
    metrics = task.metrics()
    predicted = packed.joints + torch.randn(packed.joints.shape, generator=torch.Generator().manual_seed(0)) * 0.01
    metrics.update({"joints": predicted[None]}, {"index": torch.arange(len(packed))[None]})
    error = torch.linalg.vector_norm(predicted - packed.joints, dim=-1).mean(-1) * packed.scale * 1000
    assert metrics.compute()["framewise_mpjpe_mm"] == pytest.approx(float(error.mean()), rel=1e-5)
    assert metrics.protocol()["scale"] == "the true one of each frame"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"source": ["s_09_act_01_subact_02_ca_01"] * 27},
            "_act_01_subact_02_ca_01' must be named like s_09",
        ),
        ({"camera_name": np.array(["1"] * 27)}, "camera_name '1' must be one of 54138969"),
        ({"confidence": None}, "has no 'confidence'. The file must be h36m_sh_conf"),
        ({"joint_2d": np.zeros((26, 17, 2))}, r"joint_2d must have shape \(27, 17, 2\)"),
        ({"source": []}, "source: must be a list of names, one a frame"),
        ({"confidence": np.zeros(27)}, r"confidence must have shape \(27, 17\)"),
        ({"confidence": np.full((27, 17), 100.0)}, "confidence: must lie about 0 to 1, found 100 to 100"),
        ({"joint_2d": np.random.default_rng(0).uniform(-1, 1, (27, 17, 2))}, "half of the keypoints lie .* pixels are"),
        ({"joint_2d": np.random.default_rng(0).uniform(0, 1, (27, 17, 2))}, "_ca_01: half of the keypoints lie"),
        ({"2.5d_factor": np.zeros(27)}, r"widest pose measures 0 m, .* joint3d_image times 2\.5d_factor must be mill"),
        ({"2.5d_factor": np.full(27, 0.004)}, "the widest pose measures .* which is no person's"),
        (
            {"source": [f"s_09_act_05_subact_02_ca_0{1 + row % 2}" for row in range(27)]},
            "source 's_09_act_05_subact_02_ca_01' comes twice, with others between",
        ),
        ({"camera_name": np.array([CAMERAS[row % 2] for row in range(27)])}, "has frames of several cameras"),
    ],
)
def test_what_the_file_cannot_be_is_named(tmp_path, changes, message):
    write(tmp_path / "file.pkl", **changes)
    with pytest.raises(ValueError, match=message):
        H36MMotionBERT(str(tmp_path / "file.pkl"), **SETTINGS).sequences("validation")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"h36m_sh_conf_cam_source_final\.pkl"):
        H36MMotionBERT(str(tmp_path), **SETTINGS)


def test_takes_and_cameras_are_those_of_the_release(tmp_path):
    """Both files are of one motion: a frame's points of the picture, lifted through the camera that the pickle names,
    are the release's joints in that camera, take by take and frame by frame."""
    actions = ("Greeting", "SittingDown")
    write_release(tmp_path, subjects=("S1", "S9"), actions=actions)
    release = H36MCDF(str(tmp_path), None, None, **protocol(actions=actions))
    takes = {"Greeting": (5, 2), "Greeting 1": (5, 1), "SittingDown": (10, 1), "SittingDown 1": (10, 2)}
    parts: dict[str, list] = {"joint3d_image": [], "2.5d_factor": [], "camera_name": [], "source": []}
    expected = {}
    for sequence in release.sequences("validation"):
        inside = world_to_camera(sequence.joints.astype(float), sequence.camera)
        expected[sequence.take, sequence.camera.name] = inside
        root, focal = inside[:, :1, 2:], sequence.camera.focal
        pixels = inside[..., :2] / inside[..., 2:] * focal + sequence.camera.centre
        depth = (inside[..., 2:] - root) / root * focal[0]
        action, second = takes[sequence.take]
        camera = CAMERAS.index(sequence.camera.name) + 1
        parts["joint3d_image"] += list(np.concatenate([pixels, depth], -1))
        parts["2.5d_factor"] += list(root[:, 0, 0] / focal[0] * 1000)
        parts["camera_name"] += [sequence.camera.name] * len(sequence)
        parts["source"] += [f"s_09_act_{action:02}_subact_{second:02}_ca_{camera:02}"] * len(sequence)
    count = len(parts["source"])
    held = {name: value if name == "source" else np.array(value) for name, value in parts.items()}
    held |= {"joint_2d": held["joint3d_image"][..., :2], "confidence": np.ones((count, 17))}
    (tmp_path / "file.pkl").write_bytes(pickle.dumps({"train": held, "test": held}))
    found = H36MMotionBERT(str(tmp_path / "file.pkl"), **{**SETTINGS, "actions": list(actions)}).sequences("validation")
    assert {(s.take, s.camera.name) for s in found} == set(expected)
    for sequence in found:
        inside, width = expected[sequence.take, sequence.camera.name], sequence.camera.width
        depth = sequence.joints[..., 2:] * sequence.scale[:, None, None] + inside[:, :1, 2:]
        pixels = sequence.joints[..., :2] * width / 2 + np.array([width, sequence.camera.height]) / 2
        lifted = (pixels - sequence.camera.centre) / sequence.camera.focal * depth
        np.testing.assert_allclose(np.concatenate([lifted, depth], -1), inside, atol=1e-3)
