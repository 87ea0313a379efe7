import json

import numpy as np
import onnx
import pytest
import torch

from anypose.export.network import Options
from anypose.export.om import Atc
from anypose.export.session import TorchSession, open_session
from anypose.export.streaming import SessionFrames, Stream, open_stream
from anypose.export.write import export_network, export_onnx
from anypose.kernels.frame_by_frame import FrameByFrame
from tests.anypose.export.small_tasks import baseline3d, lifting_task, videopose3d

OPTIONS = Options(opset=11, dtype="float32", sizes={}, dynamic=[], conv2d=False, streaming=True)


def whole(model, keypoints):
    """The model on the sequence at once, its edges repeated: what `pose3d.motion.windows` evaluates."""
    field = model.receptive_field
    past = field - 1 if model.causal else (field - 1) // 2
    padded = np.pad(keypoints, ((past, field - 1 - past), (0, 0), (0, 0)), mode="edge")
    with torch.no_grad():
        return model(torch.from_numpy(padded)[None])[0].numpy()


def sequence(frames):
    return np.random.default_rng(0).standard_normal((frames, 17, 2), np.float32)


def streams(model, tmp_path):
    task = lifting_task(model)
    export_onnx(task, tmp_path / "stream.onnx", OPTIONS, {}, None)
    sessions = TorchSession(task.model.streaming()), open_session(tmp_path / "stream.onnx")
    return task.model, [
        *(Stream(SessionFrames(each)) for each in sessions),
        Stream(FrameByFrame(task.model.streaming())),
    ]


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("frames", [1, 5, 13, 14, 60])
@pytest.mark.slow
def test_frame_by_frame_is_the_whole_sequence_at_once_in_torch_and_onnx(tmp_path, causal, frames):
    model, all_three = streams(videopose3d(causal=causal), tmp_path)
    keypoints = sequence(frames)
    for stream in all_three:
        for _ in range(2):  # a stream can be used again
            np.testing.assert_allclose(stream.run(keypoints), whole(model, keypoints), atol=1e-6)


@pytest.mark.slow
def test_a_causal_model_answers_for_the_frame_it_was_just_given(tmp_path):
    model, all_three = streams(videopose3d(causal=True), tmp_path)
    keypoints = sequence(8)
    for stream in all_three:
        assert stream.latency == 0
        for t in range(8):
            pose = stream.push(keypoints[t])
            np.testing.assert_allclose(pose, whole(model, keypoints[: t + 1])[-1], atol=1e-6)
        assert list(stream.finish()) == []


@pytest.mark.slow
def test_another_model_answers_half_a_window_later(tmp_path):
    model, (stream, *_) = streams(videopose3d(), tmp_path)
    keypoints = sequence(20)
    assert stream.latency == 13
    poses = [stream.push(frame) for frame in keypoints]
    assert [pose is None for pose in poses] == [True] * 13 + [False] * 7
    np.testing.assert_allclose(np.stack(poses[13:]), whole(model, keypoints)[:7], atol=1e-6)


@pytest.mark.slow
def test_several_people_are_lifted_together(tmp_path):
    _, all_three = streams(videopose3d(causal=True), tmp_path)
    people = np.random.default_rng(1).standard_normal((3, 40, 17, 2), np.float32)
    for stream in (all_three[0], all_three[2]):
        together = np.stack([stream.push(people[:, t]) for t in range(40)], axis=1)
        for person in range(3):
            np.testing.assert_allclose(together[person], stream.run(people[person]), atol=1e-6)


def test_the_states_are_inputs_and_outputs_of_the_graph(tmp_path):
    streams(videopose3d(causal=True), tmp_path)
    session = open_session(tmp_path / "stream.onnx")
    assert [(port.name, port.shape) for port in session.inputs] == [
        ("2d_poses", (1, 1, 17, 2)),
        ("state_0", (1, 2, 34)),
        ("state_1", (1, 6, 16)),
        ("state_2", (1, 18, 16)),
    ]
    assert [port.name for port in session.outputs] == ["3d_preds", "next_state_0", "next_state_1", "next_state_2"]
    operators = {node.op_type for node in onnx.load(tmp_path / "stream.onnx").graph.node}
    assert operators == {"Add", "Concat", "MatMul", "Relu", "Reshape", "Slice"}
    facts = json.loads((tmp_path / "stream.onnx.json").read_text(encoding="utf-8"))
    assert (facts["streaming"], facts["causal"], facts["receptive_field"]) == (True, True, 27)
    assert facts["parity"][0]["largest"] < 1e-5


@pytest.mark.slow
def test_a_chip_streams_too(tmp_path, atc_on_path, ais_bench):
    task = lifting_task(videopose3d(causal=True))
    export_network(task, tmp_path / "stream.om", "om", OPTIONS, Atc("Ascend310P3", None, False, []), {}, None)
    keypoints = sequence(30)
    stream = open_stream(tmp_path / "stream.om")
    np.testing.assert_allclose(stream.run(keypoints), whole(task.model, keypoints), atol=1e-6)
    assert "--input_format=ND" in (tmp_path / "stream.atc.sh").read_text(encoding="utf-8")


def test_a_network_without_states_is_refused(tmp_path):
    model = lifting_task(videopose3d()).model
    with pytest.raises(ValueError, match=r"takes its states as inputs, this one .* takes keypoints. Export it"):
        SessionFrames(TorchSession(model))
    with pytest.raises(ValueError, match="streaming=true has no effect on Baseline3D"):
        export_onnx(lifting_task(baseline3d()), tmp_path / "x.onnx", OPTIONS, {}, None)


def test_a_frame_with_nan_is_refused_with_its_number(tmp_path):
    _, (stream, *_) = streams(videopose3d(causal=True), tmp_path)
    stream.push(np.zeros((17, 2), np.float32))
    with pytest.raises(ValueError, match="Frame 1 has keypoints that are NaN or infinite"):
        stream.push(np.full((17, 2), np.nan, np.float32))


def test_a_checkpoint_streams_without_an_export(tmp_path, monkeypatch):
    model = lifting_task(videopose3d(causal=True)).model
    monkeypatch.setattr("anypose.export.streaming.load_model", lambda path: model)
    keypoints = sequence(5)
    np.testing.assert_allclose(open_stream("last.pt").run(keypoints), whole(model, keypoints), atol=1e-6)
    with pytest.raises(ValueError, match=r"last.pt holds VideoPose3D, and device=npu:0 was asked for"):
        open_stream("last.pt", "npu:0")
    monkeypatch.setattr("anypose.export.streaming.load_model", lambda path: lifting_task(baseline3d()).model)
    with pytest.raises(ValueError, match="holds Baseline3D, and device=cpu was asked for"):
        open_stream("last.pt")


def test_a_frame_of_another_shape_is_refused_with_its_number(tmp_path):
    stream = Stream(FrameByFrame(lifting_task(videopose3d(causal=True)).model.streaming()))
    stream.push(np.zeros((2, 17, 2), np.float32))
    with pytest.raises(ValueError, match=r"Frame 1 must be \(2, 17, 2\).* got an array of shape \(3, 17, 2\)"):
        stream.push(np.zeros((3, 17, 2), np.float32))
    stream.reset()
    with pytest.raises(ValueError, match=r"Frame 0 must be \(1, 17, 2\).* got an array of shape \(16, 2\)"):
        stream.push(np.zeros((16, 2), np.float32))
