import json

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file

from anypose.export.network import Network, Options
from anypose.export.om import Atc
from anypose.export.parity import TOLERANCE, difference
from anypose.export.session import OnnxSession
from anypose.export.write import export_network, export_onnx
from anypose.settings import Misuse
from tests.anypose.export.small_tasks import baseline3d, lifting_task, videopose3d

ATC = Atc("Ascend310P3", None, False, [])


def options(**changes) -> Options:
    return Options(
        **{"opset": 11, "dtype": "float32", "sizes": {}, "dynamic": [], "conv2d": False, "streaming": False} | changes
    )


def operators(path) -> list[str]:
    return sorted({node.op_type for node in onnx.load(path).graph.node})


@pytest.mark.parametrize("opset", [11, 13, 17])
def test_the_file_has_the_opset_asked_for_and_an_ir_that_old_compilers_read(tmp_path, opset):
    path = tmp_path / "net.onnx"
    export_onnx(lifting_task(videopose3d()), path, options(opset=opset, sizes={"T": 40}), {}, None)
    graph = onnx.load(path)
    assert [(item.domain, item.version) for item in graph.opset_import] == [("", opset)]
    assert graph.ir_version <= 8
    onnx.checker.check_model(graph, full_check=True)


@pytest.mark.parametrize(
    ("size", "told"),
    [(-1, "sizes.B must be a whole number of at least 1, got -1"), (0, "got 0"), (10**12, r"sizes.B=10+, .*GB")],
)
def test_a_size_that_cannot_be_is_refused_by_its_key(size, told):
    with pytest.raises(Misuse, match=told):
        Network(videopose3d(), options(sizes={"B": size}))


def test_the_seed_s_names_and_shape_are_what_videopose3d_gets_unasked(tmp_path):
    task = lifting_task(videopose3d(kernel_sizes=[3, 3, 3, 3, 3], channels=2))
    path = tmp_path / "vp3d.onnx"
    export_onnx(task, path, options(), {}, None)
    session = OnnxSession(path)
    assert [(port.name, port.shape) for port in session.inputs] == [("2d_poses", (2, 6115, 17, 2))]
    assert [(port.name, port.shape) for port in session.outputs] == [("3d_preds", (2, 5873, 17, 3))]
    assert operators(path) == ["Add", "Conv", "Relu", "Reshape", "Slice", "Transpose"]


def centred():
    return baseline3d(input="centred")


@pytest.mark.slow
@pytest.mark.parametrize("make", [videopose3d, baseline3d, centred])
@pytest.mark.parametrize("dynamic", [[], ["B"], ["B", "T"]])
def test_outputs_are_torch_s_on_other_sizes_too_where_axes_are_free(tmp_path, make, dynamic):
    task = lifting_task(make())
    path = tmp_path / "net.onnx"
    export_onnx(task, path, options(sizes={"B": 2, "T": 33}, dynamic=dynamic), {}, None)
    session = OnnxSession(path)
    assert "BatchNormalization" not in operators(path)
    (port,) = session.inputs
    assert [size is None for size in port.shape[:2]] == [letter in dynamic for letter in "BT"]
    (out,) = onnx.load(path).graph.output
    window = 27 if make is videopose3d else 1
    frames = ("T - 26" if window > 1 else "T") if "T" in dynamic else 34 - window
    said = [axis.dim_value or axis.dim_param for axis in out.type.tensor_type.shape.dim]
    assert said == ["B" if "B" in dynamic else 2, frames, 17, 3]
    shape = (3 if "B" in dynamic else 2, 50 if "T" in dynamic else 33, *port.shape[2:])
    keypoints = 500 + 100 * np.random.default_rng(0).standard_normal(shape, np.float32)
    if make is not baseline3d:
        keypoints = (keypoints - 500) / 500
    (found,) = session.run({port.name: keypoints}).values()
    with torch.no_grad():
        expected = task.model(torch.from_numpy(keypoints)).numpy()
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=2e-6, rtol=1e-4)


def test_convolutions_in_two_dimensions_have_kernels_of_k_by_1(tmp_path):
    task = lifting_task(videopose3d())
    path = tmp_path / "net.onnx"
    report = export_onnx(task, path, options(conv2d=True, sizes={"T": 40}), {}, None)
    graph = onnx.load(path).graph
    weights = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    kernels = [weights[node.input[1]] for node in graph.node if node.op_type == "Conv"]
    assert [kernel[2:] for kernel in kernels] == [[3, 1], [3, 1], [1, 1], [3, 1], [1, 1], [1, 1]]
    assert report[0].largest < 2e-6


@pytest.mark.parametrize("make", [videopose3d, baseline3d])
@pytest.mark.parametrize(("dtype", "smaller"), [("float16", 0.7), ("int8", 0.7)])
@pytest.mark.slow
def test_smaller_types_are_smaller_and_near(tmp_path, make, dtype, smaller):
    task = lifting_task(make(**{"channels" if make is videopose3d else "linear_size": 64}))
    full, small = tmp_path / "full.onnx", tmp_path / "small.onnx"
    export_onnx(task, full, options(sizes={"T": 40}), {}, None)
    (line,) = export_onnx(task, small, options(sizes={"T": 40}, dtype=dtype), {}, None)
    assert small.stat().st_size < smaller * full.stat().st_size
    assert 1e-6 < line.relative < TOLERANCE[dtype]
    types = {
        t.elem_type
        for value in (*onnx.load(small).graph.input, *onnx.load(small).graph.output)
        for t in [value.type.tensor_type]
    }
    assert types == {onnx.TensorProto.FLOAT}


@pytest.mark.parametrize(("make", "whole", "eighths"), [(videopose3d, 2, 4), (baseline3d, 2, 4)])
def test_the_first_and_the_last_product_are_not_quantised(tmp_path, make, whole, eighths):
    path = tmp_path / "net.onnx"
    export_onnx(lifting_task(make()), path, options(dtype="int8"), {}, None)
    operators = [node.op_type for node in onnx.load(path).graph.node]
    products = [operator for operator in operators if operator in ("MatMul", "Gemm", "MatMulInteger")]
    assert products[0] == products[-1] != "MatMulInteger"
    assert (len(products) - products.count("MatMulInteger"), products.count("MatMulInteger")) == (whole, eighths)


def test_pixels_are_standardised_before_they_are_rounded_to_half(tmp_path):
    """640.3 and 640.4 px are one number in float16."""
    task = lifting_task(baseline3d())
    path = tmp_path / "half.onnx"
    export_onnx(task, path, options(dtype="float16"), {}, None)
    keypoints = np.full((2, 1, 16, 2), 640.3, np.float32)
    keypoints[1] += 0.1
    session = OnnxSession(path)
    a, b = (session.run({"keypoints": row[None]})["joints"] for row in keypoints)
    assert np.abs(a - b).max() > 0


def test_real_input_is_compared_too_and_the_report_is_saved(tmp_path, motion):
    path = tmp_path / "net.onnx"
    report = export_onnx(lifting_task(videopose3d()), path, options(sizes={"T": 64}), {}, motion)
    assert [line.data for line in report] == ["random", "real (random)"]
    assert all(line.largest < 1e-5 and line.scale > 0.01 for line in report)
    saved = (tmp_path / "net.onnx.parity.txt").read_text(encoding="utf-8").splitlines()
    assert saved == [str(line) for line in report]
    assert "real (random) input, 3d_preds: largest difference" in saved[1]


def test_the_description_tells_names_shapes_units_skeleton_pairs_and_origin(tmp_path):
    path = tmp_path / "net.onnx"
    export_onnx(
        lifting_task(videopose3d()), path, options(sizes={"T": 64}, dynamic=["T"]), {"checkpoint": "best.pt"}, None
    )
    facts = json.loads((tmp_path / "net.onnx.json").read_text(encoding="utf-8"))
    assert facts["inputs"] == {"2d_poses": [2, "T", 17, 2]}
    assert facts["outputs"]["3d_preds"][2:] == [17, 3]
    assert facts["receptive_field"] == 27
    assert facts["input_skeleton"]["name"] == "h36m_17"
    assert [4, 1] in facts["input_skeleton"]["flip_pairs"]
    assert "2 x / width - 1" in facts["units"]["keypoints"]
    assert facts["checkpoint"] == "best.pt"
    assert facts["commit"]
    assert len(facts["sha256"]) == 64
    assert facts["parity"][0]["largest"] < 1e-5
    assert OnnxSession(path).metadata["output_skeleton"] == facts["output_skeleton"]


def test_a_file_that_differs_from_torch_is_not_kept(tmp_path):
    task = lifting_task(videopose3d())
    baked = task.model.baked

    def wrong(two_dimensional=False):
        network = baked(two_dimensional)
        network.network.layers_conv[0].weight.data += 0.05
        return network

    task.model.baked = wrong
    (tmp_path / "net.onnx").write_text("the last good one", encoding="utf-8")
    with pytest.raises(ValueError, match=r"net.onnx in float32 differs from torch by .* of the largest output"):
        export_onnx(task, tmp_path / "net.onnx", options(sizes={"T": 40}), {}, None)
    assert [file.name for file in tmp_path.iterdir()] == ["net.onnx"]
    assert (tmp_path / "net.onnx").read_text(encoding="utf-8") == "the last good one"


def test_safetensors_hold_the_weights_and_their_description(tmp_path):
    task = lifting_task(videopose3d())
    path = tmp_path / "net.safetensors"
    export_network(task, path, "safetensors", options(), ATC, {"checkpoint": "x.pt"}, None)
    state = load_file(path)
    assert state.keys() == task.model.state_dict().keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in task.model.state_dict().items())
    assert json.loads((tmp_path / "net.safetensors.json").read_text(encoding="utf-8"))["checkpoint"] == "x.pt"
    with pytest.raises(ValueError, match=r"takes float32 or float16"):
        export_network(task, path, "safetensors", options(dtype="int8"), ATC, {}, None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"opset": 18}, r"opset must lie in 9..17 \(ONNX 1.12, IR 8\), got 18"),
        ({"dtype": "bfloat16"}, "dtype must be float32, float16 or int8, got 'bfloat16'"),
    ],
)
def test_impossible_options_are_refused_with_their_values(changes, message):
    with pytest.raises(ValueError, match=message):
        options(**changes)


@pytest.mark.parametrize(
    ("make", "changes", "message"),
    [
        (videopose3d, {"sizes": {"H": 3}}, r"speak of H, but the input of VideoPose3D is 2d_poses \(B, T, 17, 2\)"),
        (videopose3d, {"dynamic": ["W"]}, "speak of W"),
        (videopose3d, {"sizes": {"T": 20}}, "sees 27 frames at once, got sizes.T=20"),
        (baseline3d, {"conv2d": True}, "conv2d=true has no effect on Baseline3D"),
    ],
)
def test_options_that_do_not_fit_the_model_are_refused(make, changes, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        export_onnx(lifting_task(make()), tmp_path / "net.onnx", options(**changes), {}, None)
    assert list(tmp_path.iterdir()) == []


def test_an_output_axis_is_free_where_its_letter_depends_on_a_free_one():
    network = Network(videopose3d(), options(dynamic=["T"]))
    assert network.dynamic_axes() == {"2d_poses": {1: "T"}, "3d_preds": {1: "T - 26"}}
    assert network.input_shapes() == {"2d_poses": (2, 5899, 17, 2)}


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("tflite", "net.tflite", "format must be onnx, om or safetensors, got 'tflite'"),
        ("onnx", "net.bin", "output must end in .onnx with format=onnx, got .*net.bin"),
    ],
)
def test_another_format_or_suffix_is_refused(tmp_path, kind, name, message):
    with pytest.raises(ValueError, match=message):
        export_network(lifting_task(videopose3d()), tmp_path / name, kind, options(), ATC, {}, None)


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_a_network_that_is_not_finite_is_not_exported(tmp_path, broken, dtype):
    task = lifting_task(baseline3d())
    with torch.no_grad():
        next(task.model.parameters()).fill_(broken)
    with pytest.raises(ValueError, match=r"not finite.* Nothing was kept"):
        export_onnx(task, tmp_path / "net.onnx", options(dtype=dtype, sizes={"B": 2}), {}, None)
    if dtype != "int8":
        with pytest.raises(ValueError, match=r"weights are not finite. Nothing was kept"):
            export_network(task, tmp_path / "net.safetensors", "safetensors", options(dtype=dtype), ATC, {}, None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["onnx", "safetensors"])
def test_a_full_disk_is_said_and_leaves_nothing(tmp_path, kind):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # a file may have so many bytes
    try:
        with pytest.raises(OSError, match=rf"net\.{kind} could not be written: File too large. Nothing was kept"):
            export_network(lifting_task(baseline3d()), tmp_path / f"net.{kind}", kind, options(), ATC, {}, None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("wanted", "found"), [(1.0, float("nan")), (float("nan"), 1.0), (1.0, float("inf"))])
def test_one_value_that_is_not_finite_fails_the_comparison(wanted, found):
    reference, array = np.ones((2, 3)), np.ones((2, 3))
    reference[1, 1], array[1, 1] = wanted, found
    with pytest.raises(ValueError, match=r"x.onnx( in float32 differs|: torch's own y is not finite)"):
        difference("y", reference, array, "random", "m").check("x.onnx", "float32")
    fine = difference("y", np.ones(3), np.ones(3), "random", "m")
    fine.check("x.onnx", "float32")
