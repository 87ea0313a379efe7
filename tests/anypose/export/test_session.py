import sys

import numpy as np
import onnxruntime
import pytest
import torch
from omegaconf import OmegaConf
from onnx import TensorProto, helper, numpy_helper

from anypose.engine import checkpoint
from anypose.export.network import Options
from anypose.export.om import Atc, compile_om, write_command
from anypose.export.session import OmSession, OnnxSession, TorchSession, open_session
from anypose.export.write import export_onnx
from tests.anypose.export.small_tasks import baseline3d, lifting_task, videopose3d

OPTIONS = Options(opset=11, dtype="float32", sizes={"T": 40}, dynamic=[], conv2d=False, streaming=False)


@pytest.fixture
def exported(tmp_path):
    """The task and its network in a file of fixed shape (2, 40, 17, 2)."""
    task = lifting_task(videopose3d())
    export_onnx(task, tmp_path / "net.onnx", OPTIONS, {}, None)
    return task, tmp_path / "net.onnx"


@pytest.fixture
def compiled(exported, atc_on_path, ais_bench):
    task, onnx = exported
    command = write_command(Atc("Ascend310P3", None, False, []), onnx, {"2d_poses": (2, 40, 17, 2)}, task)
    return task, compile_om(command, onnx)


def keypoints() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((2, 40, 17, 2), np.float32)


def test_torch_onnx_and_om_give_the_same_arrays_under_the_same_names(compiled, tmp_path):
    task, om = compiled
    names = {"keypoints": "2d_poses", "joints": "3d_preds"}
    sessions = [TorchSession(task.model, names=names), open_session(tmp_path / "net.onnx"), open_session(om, "npu:0")]
    results = [session.run({"2d_poses": keypoints()}) for session in sessions]
    assert [type(session).__name__ for session in sessions] == ["TorchSession", "OnnxSession", "OmSession"]
    assert all(list(result) == ["3d_preds"] for result in results)
    assert results[0]["3d_preds"].shape == (2, 14, 17, 3)
    for result in results[1:]:
        np.testing.assert_allclose(result["3d_preds"], results[0]["3d_preds"], atol=2e-6)


def test_a_session_says_what_really_computes(compiled, tmp_path):
    _, om = compiled
    assert open_session(tmp_path / "net.onnx").runtime == f"onnxruntime {onnxruntime.__version__} CPUExecutionProvider"
    assert open_session(om, "npu:1").runtime == "ais_bench npu:1"
    assert TorchSession(videopose3d()).runtime == f"torch {torch.__version__} cpu"


def test_the_description_comes_with_the_file(compiled, tmp_path):
    _, om = compiled
    assert open_session(tmp_path / "net.onnx").metadata["receptive_field"] == 27
    (tmp_path / "net.om.json").write_text('{"receptive_field": 27}', encoding="utf-8")
    assert open_session(om).metadata == {"receptive_field": 27}


def test_an_om_session_gives_the_chip_s_memory_back(compiled):
    from ais_bench.infer.interface import InferSession

    before = InferSession.open_sessions
    session = OmSession(compiled[1])
    assert InferSession.open_sessions == before + 1
    session.close()
    assert InferSession.open_sessions == before


@pytest.mark.parametrize("kind", ["videopose3d", "baseline3d"])
def test_a_checkpoint_is_a_session_too_with_fewer_products_where_there_is_such_a_form(tmp_path, repository, kind):
    task = lifting_task(videopose3d() if kind == "videopose3d" else baseline3d())
    sizes = {"channels": 16, "kernel_sizes": [3, 3, 3]} if kind == "videopose3d" else {"linear_size": 32}
    config = OmegaConf.create({"parity": None})
    config.model = OmegaConf.merge(OmegaConf.load(repository / f"conf/model/{kind}.yaml"), sizes)
    config.task = OmegaConf.merge(OmegaConf.load(repository / "conf/task/lifting3d.yaml"), {"loss": "mpjpe"})
    config = OmegaConf.to_container(config, resolve=True)
    checkpoint.save(tmp_path / "best.pt", {"model": task.model.state_dict(), "config": config})
    session = open_session(tmp_path / "best.pt")
    field = task.model.receptive_field
    shape = (2, 600, 17, 2) if field > 1 else (5, 1, 16, 2)
    array = np.random.default_rng(0).standard_normal(shape, np.float32)
    (found,) = session.run({"keypoints": array}).values()
    with torch.no_grad():
        np.testing.assert_allclose(found, task.model(torch.from_numpy(array)), atol=2e-6)
    assert session.metadata["receptive_field"] == field


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"2d_poses": np.zeros((2, 41, 17, 2), np.float32)},
            r"float32 of shape \(2, 40, 17, 2\), got float32 of shape \(2, 41",
        ),
        ({"2d_poses": np.zeros((2, 40, 17, 2))}, r"Input 2d_poses must be float32 .*, got float64"),
        ({"keypoints": keypoints()}, "inputs are 2d_poses, got keypoints"),
        ({}, "inputs are 2d_poses, got nothing"),
    ],
)
@pytest.mark.parametrize("kind", ["onnx", "om"])
def test_arrays_that_do_not_fit_are_refused_before_bytes_are_copied(compiled, tmp_path, kind, arrays, message):
    session = open_session(tmp_path / "net.onnx") if kind == "onnx" else open_session(compiled[1])
    with pytest.raises(ValueError, match=message):
        session.run(arrays)


def test_a_provider_that_this_build_lacks_is_named_with_its_package(exported):
    with pytest.raises(ValueError, match=r"device=cuda needs ONNX Runtime's CUDAExecutionProvider, .*onnxruntime-gpu"):
        OnnxSession(exported[1], "cuda")
    with pytest.raises(ValueError, match=r"CANNExecutionProvider, .*onnxruntime-cann"):
        OnnxSession(exported[1], "npu:1")
    with pytest.raises(ValueError, match=r"one of cpu, cuda, npu .*, got tpu"):
        OnnxSession(exported[1], "tpu")


def test_a_silent_fall_back_to_the_cpu_is_an_error(exported, monkeypatch):
    """As onnxruntime-cann does without CANN: it lists its provider, and computes on the CPU."""
    real = onnxruntime.InferenceSession
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CANNExecutionProvider"])
    monkeypatch.setattr(
        onnxruntime, "InferenceSession", lambda path, options, providers: real(path, options, ["CPUExecutionProvider"])
    )
    with pytest.raises(
        ValueError, match=r"device=npu was asked for, but ONNX Runtime fell back to CPUExecutionProvider"
    ):
        OnnxSession(exported[1], "npu")


def test_missing_files_tools_and_suffixes_say_what_to_do(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"No network at .*none.onnx. `python export.py model=... format=onnx`"):
        open_session(tmp_path / "none.onnx")
    with pytest.raises(ValueError, match=r"net.tflite must end in .onnx or .om or .pt, got '.tflite'"):
        open_session(tmp_path / "net.tflite")
    monkeypatch.setitem(sys.modules, "ais_bench", None)
    (tmp_path / "net.om").write_bytes(b"")
    with pytest.raises(ImportError, match=r"net.om needs ais_bench and aclruntime, .*not on the package index"):
        open_session(tmp_path / "net.om")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    (tmp_path / "net.onnx").write_bytes(b"")
    with pytest.raises(ImportError, match=r"pip install 'anypose\[export\]'"):
        open_session(tmp_path / "net.onnx")


def network(path, nodes, constants=(), about=None) -> None:
    """A file of ONNX's that gives y of x (1, 3), 4 bytes a number."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    model = helper.make_model(helper.make_graph(nodes, "g", [x], [y], list(constants)), ir_version=8)
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", 17))
    if about is not None:
        model.metadata_props.add(key="anypose", value=about)
    path.write_bytes(model.SerializeToString())


def test_a_network_that_asks_for_more_memory_than_it_may_is_refused(tmp_path, monkeypatch):
    """300 bytes that ask for 40 MB, where 20 are allowed; by default it is 16 GB, and half of the machine's."""
    monkeypatch.setenv("ANYPOSE_MAX_GIGABYTES", "0.0025")
    shape = numpy_helper.from_array(np.array([3_500_000, 3], np.int64), "shape")
    network(tmp_path / "a.onnx", [helper.make_node("Expand", ["x", "shape"], ["y"])], [shape])
    session = open_session(tmp_path / "a.onnx")
    with pytest.raises(ValueError, match=r"a\.onnx cannot be run: .*It may hold 0\.02 GB .*set max_gigabytes=N"):
        session.run({"x": np.zeros((1, 3), np.float32)})
    monkeypatch.delenv("ANYPOSE_MAX_GIGABYTES")
    assert open_session(tmp_path / "a.onnx").run({"x": np.zeros((1, 3), np.float32)})["y"].shape == (3_500_000, 3)


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ("[1]", "its description must be a mapping, found list"),
        ("{", "its description is no JSON"),
        ("[" * 9999, "no J"),
    ],
)
def test_a_description_that_is_none_is_refused(tmp_path, about, message):
    network(tmp_path / "a.onnx", [helper.make_node("Identity", ["x"], ["y"])], about=about)
    with pytest.raises(ValueError, match=rf"a\.onnx: .*{message}"):
        open_session(tmp_path / "a.onnx")


def test_what_is_no_network_is_refused(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"hello" * 20)
    with pytest.raises(ValueError, match=r"a\.onnx cannot be read as an ONNX network: .*Protobuf"):
        open_session(tmp_path / "a.onnx")


def test_names_that_are_no_text_are_told_with_the_file(tmp_path, capfd):
    network(tmp_path / "a.onnx", [helper.make_node("Identity", ["x"], ["y"])])
    data = (tmp_path / "a.onnx").read_bytes()
    assert data.count(b"\x01y") == 2
    (tmp_path / "a.onnx").write_bytes(data.replace(b"\x01y", b"\x01\xff"))
    with pytest.raises(ValueError, match=r"a\.onnx (does not say what it takes and gives|cannot be read).*"):
        open_session(tmp_path / "a.onnx")
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("../secret", "escapes model directory"),
        ("/etc/hostname", "Absolute path"),
        ("link", "escapes model directory"),
        ("gone", "does not exist"),
        ("short", "size to read: 12 given file_length: 4"),
        ("weights", None),
    ],
)
def test_weights_in_another_file_are_read_beside_the_network_and_nowhere_else(tmp_path, location, told):
    (tmp_path / "inner").mkdir()
    (tmp_path / "secret").write_bytes(bytes(12))
    (tmp_path / "inner/weights").write_bytes(np.float32([1, 2, 3]).tobytes())
    (tmp_path / "inner/short").write_bytes(bytes(4))
    (tmp_path / "inner/link").symlink_to("../secret")
    elsewhere = numpy_helper.from_array(np.zeros((1, 3), np.float32), "w")
    elsewhere.ClearField("raw_data")
    elsewhere.data_location = TensorProto.EXTERNAL
    elsewhere.external_data.add(key="location", value=location)
    path = tmp_path / "inner/a.onnx"
    network(path, [helper.make_node("Add", ["x", "w"], ["y"])], [elsewhere])
    if told is None:
        outputs = open_session(path).run({"x": np.zeros((1, 3), np.float32)})
        assert outputs["y"].tolist() == [[1, 2, 3]]
        return
    with pytest.raises(ValueError, match=rf"a\.onnx cannot be read as an ONNX network: .*{told}.*: put that, whole"):
        open_session(path)
