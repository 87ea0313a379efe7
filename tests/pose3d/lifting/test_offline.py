import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from anypose.camera import project, world_to_camera
from anypose.export.network import Options
from anypose.export.om import Atc
from anypose.export.session import open_session
from anypose.export.write import export_network, export_onnx
from anypose.settings import Misuse
from anypose.skeleton import H36M_17
from pose3d.lifting import offline
from pose3d.lifting.offline import infer, postprocess, preprocess
from pose3d.motion import h36m
from pose3d.motion.h36m_cameras import published_cameras
from tests.anypose.export.conftest import FAKE_ASCEND
from tests.anypose.export.small_tasks import lifting_task, videopose3d
from tests.pose3d.motion.random_motion import dataset, sequence

LENGTH, WINDOW = 90, 27  # a network small enough for tests; the longest take may have 64 frames
LEFT, RIGHT = [4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]


def vendor_score(prepared, results):
    """The vendor's post-processing, from its description: files in, mean over actions in millimetres out."""
    deltas = json.loads((prepared / "delta_dict_padding.json").read_text(encoding="utf-8"))
    by_action = {}
    for name, delta in deltas.items():
        predicted = np.fromfile(results / f"{name}_0.bin", "float32").reshape(2, -1, 17, 3)
        if delta > 0:
            predicted = predicted[:, :-delta]
        truth = np.fromfile(prepared / "ground_truths" / f"{name}.bin", "float32").reshape(2, -1, 17, 3)
        assert predicted.shape == truth.shape
        back = predicted[1].copy()
        back[..., 0] *= -1
        back[:, LEFT + RIGHT] = back[:, RIGHT + LEFT]
        truth = truth[0].copy()
        truth[:, 0] = 0
        error = np.linalg.norm((predicted[0] + back) / 2 - truth, axis=-1).mean(-1)
        by_action.setdefault(name.split("_")[1], []).extend(error.tolist())
    return 1000 * np.mean([np.mean(errors) for errors in by_action.values()])


@pytest.fixture
def network(tmp_path):
    task = lifting_task(videopose3d())
    options = Options(opset=11, dtype="float32", sizes={"T": LENGTH}, dynamic=[], conv2d=False, streaming=False)
    export_onnx(task, tmp_path / "net.onnx", options, {}, None)
    return task, tmp_path / "net.onnx"


def test_files_are_named_numbered_and_padded_as_the_vendor_s(tmp_path, motion):
    deltas = preprocess(motion.sequences("validation"), tmp_path, LENGTH, WINDOW)
    names = ["001_Walking", "002_Walking", "003_Eating"]  # grouped by action, in the order actions appear
    assert sorted(file.stem for file in (tmp_path / "inputs").iterdir()) == names
    assert sorted(file.stem for file in (tmp_path / "ground_truths").iterdir()) == names
    assert deltas == {"001_Walking": 4, "002_Walking": 52, "003_Eating": 29}
    assert json.loads((tmp_path / "delta_dict_padding.json").read_text(encoding="utf-8")) == deltas


def test_inputs_and_truth_hold_what_the_vendor_s_hold(tmp_path, motion):
    preprocess(motion.sequences("validation"), tmp_path, LENGTH, WINDOW)
    walk = motion.sequences("validation")[0]
    inputs = np.fromfile(tmp_path / "inputs" / "001_Walking.bin", "float32").reshape(2, LENGTH, 17, 2)
    screen = walk.keypoints / walk.camera.width * 2 - np.array([1, walk.camera.height / walk.camera.width])
    np.testing.assert_allclose(inputs[0, 13:73], screen, atol=1e-6)
    np.testing.assert_array_equal(inputs[0, :13], inputs[0, 13:14].repeat(13, 0))
    np.testing.assert_array_equal(inputs[0, 73:], inputs[0, 72:73].repeat(17, 0))
    mirrored = inputs[0].copy()
    mirrored[..., 0] *= -1
    mirrored[:, LEFT + RIGHT] = mirrored[:, RIGHT + LEFT]
    np.testing.assert_array_equal(inputs[1], mirrored)
    truth = np.fromfile(tmp_path / "ground_truths" / "001_Walking.bin", "float32").reshape(2, 60, 17, 3)
    camera = (walk.joints - walk.camera.position) @ walk.camera.rotation.T
    np.testing.assert_allclose(truth[0, :, 0], camera[:, 0], atol=1e-5)
    np.testing.assert_allclose(truth[0, :, 1:], camera[:, 1:] - camera[:, :1], atol=1e-5)
    np.testing.assert_array_equal(truth[1, :, 0], truth[0, :, 0] * [-1, 1, 1])


def test_human36m_s_longest_take_makes_the_seed_s_6115_frames(tmp_path):
    preprocess([sequence(5873, action="Discussion"), sequence(10, action="Eating")], tmp_path)
    assert (tmp_path / "inputs" / "001_Discussion.bin").stat().st_size == 2 * 6115 * 17 * 2 * 4
    assert (tmp_path / "inputs" / "002_Eating.bin").stat().st_size == 2 * 6115 * 17 * 2 * 4
    assert json.loads((tmp_path / "delta_dict_padding.json").read_text(encoding="utf-8")) == {
        "001_Discussion": 0,
        "002_Eating": 5863,
    }


@pytest.mark.slow
def test_our_files_scored_by_the_vendor_s_rule_give_our_number(tmp_path, motion, network):
    _, onnx = network
    preprocess(motion.sequences("validation"), tmp_path / "prep", LENGTH, WINDOW)
    assert infer(open_session(onnx), tmp_path / "prep" / "inputs", tmp_path / "out") == 3
    result = postprocess(tmp_path / "prep", tmp_path / "out")
    assert 1000 * result.average == pytest.approx(vendor_score(tmp_path / "prep", tmp_path / "out"), rel=1e-5)
    assert result.frames == {"Walking": 72, "Eating": 35}
    printed = str(result).splitlines()
    assert printed[-2] == "==== Validation Results ===="
    assert printed[-1] == f"Protocol #1 (MPJPE) action-wise average:{1000 * result.average:.1f}mm"


def test_what_is_stopped_or_killed_leaves_no_mixture_and_nothing_half_written(tmp_path, motion, network, monkeypatch):
    _, onnx = network
    session, prep, out = open_session(onnx), tmp_path / "prep", tmp_path / "out"
    preprocess(motion.sequences("validation"), prep, LENGTH, WINDOW)
    infer(session, prep / "inputs", out)
    replace, moved = os.replace, []

    def stopped(source, target):
        moved.append(target)
        if len(moved) == 2:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", stopped)
    with pytest.raises(KeyboardInterrupt):
        infer(session, prep / "inputs", out)
    (out / ".003_Eating_0.bin.1.tmp").write_bytes(b"of a process that was killed")
    with pytest.raises(FileNotFoundError, match=r"_0\.bin is missing"):
        postprocess(prep, out)
    moved.clear()
    with pytest.raises(KeyboardInterrupt):
        preprocess(motion.sequences("validation"), prep, LENGTH, WINDOW)
    with pytest.raises(FileNotFoundError, match=r"preprocess did not finish there"):
        postprocess(prep, out)
    monkeypatch.undo()
    preprocess(motion.sequences("validation"), prep, LENGTH, WINDOW)
    assert infer(session, prep / "inputs", out) == len(list(out.iterdir())) == 3
    with pytest.raises(Misuse, match=r"--output .*out must be another folder than --input"):
        infer(session, out, out)


def test_the_number_is_that_of_evaluation_with_a_flip_test(tmp_path, motion, network):
    """Unlike the evaluation, files carry the edge padding in the input: the same frames, the same numbers."""
    task, onnx = network
    preprocess(motion.sequences("validation"), tmp_path / "prep", LENGTH, WINDOW)
    infer(open_session(onnx), tmp_path / "prep" / "inputs", tmp_path / "out")
    offline_mm = 1000 * postprocess(tmp_path / "prep", tmp_path / "out").average
    from anypose.engine.task import Loading

    batches = task.batches(motion, False, Loading(64, 0), torch.device("cpu"))
    metrics = task.metrics()
    with torch.no_grad():
        for batch in batches.epoch(0):
            metrics.update(task.predict(batch), batch)
    assert offline_mm == pytest.approx(metrics.compute()["mpjpe_mm"], abs=0.01)


@pytest.mark.slow
def test_ais_bench_in_the_middle_changes_nothing(tmp_path, motion, atc_on_path):
    task = lifting_task(videopose3d())
    options = Options(opset=11, dtype="float32", sizes={"T": LENGTH}, dynamic=[], conv2d=True, streaming=False)
    export_network(task, tmp_path / "net.om", "om", options, Atc("Ascend310P3", None, False, []), {}, None)
    preprocess(motion.sequences("validation"), tmp_path / "prep", LENGTH, WINDOW)
    command = offline.ais_bench_command(tmp_path / "net.om", tmp_path / "prep" / "inputs", tmp_path / "theirs")
    environment = os.environ | {"PYTHONPATH": str(FAKE_ASCEND)}
    subprocess.run([sys.executable, *command[1:]], check=True, env=environment, capture_output=True)
    (folder,) = (tmp_path / "theirs").iterdir()  # named by the time
    infer(open_session(tmp_path / "net.onnx"), tmp_path / "prep" / "inputs", tmp_path / "ours")
    theirs, ours = postprocess(tmp_path / "prep", folder), postprocess(tmp_path / "prep", tmp_path / "ours")
    assert theirs.average == pytest.approx(ours.average, rel=1e-6)


def test_a_take_longer_than_the_network_is_refused_with_both_lengths(tmp_path):
    with pytest.raises(ValueError, match=r"S1/Walking 1/cam has 65 frames; .*length 90 and window 27 takes 64"):
        preprocess([sequence(65)], tmp_path, LENGTH, WINDOW)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("length", "told"),
    [(-5, "--length -5 must be at least --receptive-field 27"), (10**12, r"--length 1000000000000 would take \S+ GB")],
)
def test_a_length_that_cannot_be_is_refused(tmp_path, length, told):
    with pytest.raises(Misuse, match=told):
        preprocess([sequence(65)], tmp_path, length, WINDOW)


def test_a_folder_with_another_test_set_is_refused(tmp_path, motion):
    preprocess(motion.sequences("validation"), tmp_path, LENGTH, WINDOW)
    preprocess(motion.sequences("validation"), tmp_path, LENGTH, WINDOW)
    with pytest.raises(ValueError, match=r"inputs holds 002_Walking.bin of another test set"):
        preprocess([sequence(30)], tmp_path, LENGTH, WINDOW)


def test_files_of_another_network_or_cut_off_are_refused_with_their_bytes(tmp_path, motion, network):
    _, onnx = network
    preprocess(motion.sequences("validation"), tmp_path / "prep", LENGTH, WINDOW)
    file = tmp_path / "prep" / "inputs" / "002_Walking.bin"
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(
        ValueError, match=r"002_Walking.bin has 24476 bytes; float32 of shape \(2, 90, 17, 2\) has 24480"
    ):
        infer(open_session(onnx), tmp_path / "prep" / "inputs", tmp_path / "out")
    results = tmp_path / "results"
    results.mkdir()
    for name in ("001_Walking", "002_Walking", "003_Eating"):
        np.zeros((2, 60, 17, 3), np.float32).tofile(results / f"{name}_0.bin")
    with pytest.raises(ValueError, match=r"001_Walking_0.bin has 60 frames, of which 4 are padding; .*bin has 60"):
        postprocess(tmp_path / "prep", results)
    (results / "001_Walking_0.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"001_Walking_0.bin is missing"):
        postprocess(tmp_path / "prep", results)


def test_empty_folders_and_free_shapes_say_what_to_do(tmp_path):
    task = lifting_task(videopose3d())
    options = Options(opset=11, dtype="float32", sizes={"T": LENGTH}, dynamic=["T"], conv2d=False, streaming=False)
    export_onnx(task, tmp_path / "net.onnx", options, {}, None)
    session = open_session(tmp_path / "net.onnx")
    with pytest.raises(FileNotFoundError, match=r"holds no .bin file. `python -m anypose offline preprocess`"):
        infer(session, tmp_path, tmp_path / "out")
    (tmp_path / "a.bin").write_bytes(b"1234")
    with pytest.raises(ValueError, match=r"must have a fixed one, 2d_poses is \(2, None, 17, 2\)"):
        infer(session, tmp_path, tmp_path / "out")
    with pytest.raises(FileNotFoundError, match=r"has no delta_dict_padding.json: preprocess did not finish"):
        postprocess(tmp_path, tmp_path)


def test_other_skeletons_are_converted_to_the_seventeen_joints():
    assert H36M_17.left == tuple(LEFT)
    assert dataset(sequence(5)).sequences("train")[0].skeleton is H36M_17


@pytest.mark.slow
def test_the_commands_lead_from_the_npz_files_to_the_number(tmp_path, network, capsys):
    """The port's own command lines, on files as VideoPose3D's scripts write them."""
    rng = np.random.default_rng(0)
    names = [take for action in h36m.ACTIONS for take in h36m.takes_of("S9", action)]
    takes = {take: rng.normal(0, 0.3, (rng.integers(10, 64), 32, 3)).astype(np.float32) for take in names}
    for pose in takes.values():
        pose[:, 11] = pose[:, 0]
    data = tmp_path / "data"
    data.mkdir()
    np.savez(data / "data_3d_h36m.npz", positions_3d={"S9": takes})
    cameras = published_cameras()["S9"]
    middles = {take: [project(world_to_camera(pose, c), c).mean(1) for c in cameras] for take, pose in takes.items()}
    views = {
        take: [(middle[:, None] + rng.uniform(-30, 30, (len(middle), 17, 2))).astype(np.float32) for middle in four]
        for take, four in middles.items()
    }
    symmetry = [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]]
    metadata = {"layout_name": "h36m", "num_joints": 17, "keypoints_symmetry": symmetry}
    np.savez(data / "data_2d_h36m_cpn_ft_h36m_dbb.npz", positions_2d={"S9": views}, metadata=metadata)
    folders = [str(tmp_path / name) for name in ("prep", "prep/inputs", "out")]
    small = ["dataset.train_subjects=[]", "dataset.cache=null"]
    size = ["--length", str(LENGTH), "--receptive-field", str(WINDOW), "-ste", "S9"]
    offline.main(["preprocess", "-d", str(data), "-s", folders[0], *size, *small])
    offline.main(["infer", "--model", str(network[1]), "--input", folders[1], "--output", folders[2]])
    offline.main(["postprocess", "--preprocess-data", folders[0], "--infer-results", folders[2]])
    printed = capsys.readouterr().out
    assert f"{4 * len(takes)} files of {LENGTH} frames" in printed
    assert f"python3 -m ais_bench --model {network[1].with_suffix('.om')} --input {folders[1]}/" in printed
    score = vendor_score(tmp_path / "prep", tmp_path / "out")
    assert f"Protocol #1 (MPJPE) action-wise average:{score:.1f}mm" in printed


def test_preprocess_needs_a_folder_or_a_dataset(tmp_path):
    with pytest.raises(SystemExit, match="needs --dataset FOLDER, or dataset=NAME"):
        offline.main(["preprocess", "-s", str(tmp_path)])


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"001_Walking": "a"}', '{"../../x": 0}', '{"": 1}'])
def test_a_padding_file_that_is_none_is_named(tmp_path, text):
    (tmp_path / offline.PADDING_FILE).write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="is damaged: it must hold a number of frames for each name"):
        offline.postprocess(tmp_path, tmp_path)


def test_predictions_that_are_no_numbers_have_no_score(tmp_path):
    (tmp_path / offline.PADDING_FILE).write_text('{"001_Walking": 0}', encoding="utf-8")
    (tmp_path / "ground_truths").mkdir()
    truth = np.zeros((2, 3, 17, 3), np.float32)
    offline.write_bin(tmp_path / "ground_truths" / "001_Walking.bin", truth)
    truth[0, 1, 4, 2] = np.nan
    offline.write_bin(tmp_path / "001_Walking_0.bin", truth)
    with pytest.raises(ValueError, match=r"001_Walking: its predictions .* hold NaN or infinity: there is no score"):
        offline.postprocess(tmp_path, tmp_path)
