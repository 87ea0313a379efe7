import subprocess
import sys

import numpy as np
import pytest
import torch

from anypose.engine.task import Loading
from anypose.export.metadata import sha256
from anypose.export.network import Options
from anypose.export.om import Atc
from anypose.export.runtime import compute_with, run_any_size
from anypose.export.session import TorchSession, open_session
from anypose.export.write import export_network
from tests.anypose.export.small_tasks import baseline3d, lifting_task, videopose3d

CPU = torch.device("cpu")


def scores(task, motion):
    """The whole evaluation of a task."""
    metrics_batches = task.batches(motion, False, Loading(64, 0), CPU)
    metrics = task.metrics()
    with torch.no_grad():
        for batch in metrics_batches.epoch(0):
            metrics.update(task.predict(batch), batch)
    return metrics.rows()


def export(task, path, checkpoint, **changes):
    options = Options(opset=11, dtype="float32", dynamic=[], conv2d=False, streaming=False, **{"sizes": {}} | changes)
    about = {"checkpoint": str(checkpoint), "checkpoint_sha256": sha256(checkpoint)}
    export_network(task, path, path.suffix[1:], options, Atc("Ascend310P3", None, False, []), about, None)


@pytest.fixture
def checkpoint(tmp_path):
    (tmp_path / "best.pt").write_bytes(b"weights")
    return tmp_path / "best.pt"


@pytest.mark.parametrize("sizes", [{"B": 2, "T": 90}, {"B": 1, "T": 27}, {"B": 4, "T": 40}])
@pytest.mark.parametrize("runtime", ["onnx", "om"])
@pytest.mark.slow
def test_the_table_is_torch_s_to_a_hundredth_of_a_millimetre(
    tmp_path, motion, checkpoint, atc_on_path, ais_bench, runtime, sizes
):
    task = lifting_task(videopose3d())
    wanted = scores(task, motion)
    export(task, tmp_path / f"videopose3d.{runtime}", checkpoint, sizes=sizes)
    described = compute_with(task, runtime, None, checkpoint, "videopose3d", "cpu")
    assert described.startswith({"onnx": "onnxruntime", "om": "ais_bench"}[runtime])
    for ours, theirs in zip(scores(task, motion), wanted, strict=True):
        assert ours == pytest.approx(theirs, abs=0.01)


def test_a_model_of_single_frames_goes_through_in_batches(tmp_path, motion, checkpoint):
    task = lifting_task(baseline3d())
    wanted = scores(task, motion)
    export(task, tmp_path / "net.onnx", checkpoint, sizes={"B": 64})
    compute_with(task, "onnx", str(tmp_path / "net.onnx"), checkpoint, "baseline3d", "cpu")
    for ours, theirs in zip(scores(task, motion), wanted, strict=True):
        assert ours == pytest.approx(theirs, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize(("people", "frames"), [(1, 27), (3, 64), (4, 65), (5, 150)])
def test_pieces_put_together_are_the_whole(tmp_path, people, frames, checkpoint):
    task = lifting_task(videopose3d())
    export(task, tmp_path / "net.onnx", checkpoint, sizes={"B": 2, "T": 64})
    keypoints = np.random.default_rng(0).standard_normal((people, frames, 17, 2), np.float32)
    (pieces,) = run_any_size(open_session(tmp_path / "net.onnx"), keypoints, 27)
    whole = TorchSession(task.model).run({"keypoints": keypoints})["joints"]
    assert pieces.shape == (people, frames - 26, 17, 3)
    np.testing.assert_allclose(pieces, whole, atol=2e-6)


def test_a_file_of_another_checkpoint_is_refused(tmp_path, checkpoint):
    task = lifting_task(videopose3d())
    export(task, tmp_path / "videopose3d.onnx", checkpoint, sizes={"T": 40})
    checkpoint.write_bytes(b"trained on")
    with pytest.raises(ValueError, match=r"videopose3d.onnx was exported from .*best.pt, not from .*as it is now"):
        compute_with(task, "onnx", None, checkpoint, "videopose3d", "cpu")


def test_a_missing_file_or_an_unknown_runtime_says_what_to_do(tmp_path, checkpoint):
    task = lifting_task(videopose3d())
    with pytest.raises(FileNotFoundError, match=r"No network at .*videopose3d.onnx. `python export.py"):
        compute_with(task, "onnx", None, checkpoint, "videopose3d", "cpu")
    with pytest.raises(ValueError, match="runtime must be torch, onnx or om, got 'tensorrt'"):
        compute_with(task, "tensorrt", None, checkpoint, "videopose3d", "cpu")


@pytest.mark.slow
def test_train_export_evaluate_from_the_command_line(tmp_path, repository):
    small = ["model=videopose3d", "device=cpu", "debug=smoke", "dataset.train_subjects=1", "dataset.frames=60"]
    small += ["dataset.validation_subjects=1", "model.channels=32", "trainer.batch_size=16"]

    def run(script, *arguments):
        command = [sys.executable, str(repository / script), *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    run("train.py", *small)
    printed = run("export.py", "model=videopose3d", "sizes.T=100")
    assert "real (synthetic) input, 3d_preds: largest difference" in printed
    tables = [run("evaluate.py", "model=videopose3d", "device=cpu", *extra) for extra in ([], ["runtime=onnx"])]
    rows = [line.split() for line in tables[0].splitlines() if line.startswith("Average")]
    others = [line.split() for line in tables[1].splitlines() if line.startswith("Average")]
    assert rows
    assert "CPUExecutionProvider computes runs/videopose3d/" in tables[1]
    for ours, theirs in zip(others[0][1:], rows[0][1:], strict=True):
        assert float(ours) == pytest.approx(float(theirs), abs=0.011)
