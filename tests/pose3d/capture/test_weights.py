import re

import numpy as np
import pytest
import torch

from pose3d.capture.weights import load_capture_weights
from pose3d.model.total_capture import TotalCapture

NARROW = {"part": "body", "num_stages": 2, "width": 0.125, "norm": "none", "init": "he", "enlarged": False}


def network(seed: int, **changes) -> TotalCapture:
    torch.manual_seed(seed)
    return TotalCapture(**(NARROW | changes))  # pyright: ignore[reportArgumentType]


def as_tf(model: torch.nn.Module) -> dict[str, np.ndarray]:
    """The arrays a TF1 graph would hold for this network, as its layers are named there."""
    arrays: dict[str, np.ndarray] = {"CPM/conv1_1/weights/Adam": np.zeros((3, 3, 3, 8), np.float32)}
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Conv2d):
            kernel = module.weight.detach().numpy()
            arrays[f"CPM/{name}/weights"] = np.moveaxis(kernel, (0, 1), (3, 2))
            arrays[f"CPM/{name}/biases"] = module.bias.detach().numpy()  # pyright: ignore[reportOptionalMemberAccess]
    return arrays


def convolve(image: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """TensorFlow's SAME convolution of (H, W, in) with (kh, kw, in, out), by its definition."""
    kh, kw, _, _ = kernel.shape
    padded = np.pad(image, ((kh // 2,) * 2, (kw // 2,) * 2, (0, 0)))
    found = np.zeros((*image.shape[:2], kernel.shape[3])) + bias
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            found[y, x] += np.einsum("hwi,hwio->o", padded[y : y + kh, x : x + kw], kernel)
    return found


def test_a_tf1_snapshot_as_npz_gives_the_network_it_was_taken_from(tmp_path):
    source, target = network(1), network(2)
    arrays = as_tf(source)
    np.savez(tmp_path / "snapshot.npz", **arrays)  # pyright: ignore[reportArgumentType]
    differences = load_capture_weights(target, tmp_path / "snapshot.npz")
    assert differences.source == "a TF1 snapshot"
    assert not differences.fresh
    assert not differences.partly
    assert differences.left_out == ("CPM/conv1_1/weights/Adam",)
    image = torch.rand(1, 3, 16, 16)
    for ours, theirs in zip(target(image), source(image), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    first = target.get_submodule("conv1_1")(image)[0].detach().permute(1, 2, 0).numpy()
    expected = convolve(image[0].permute(1, 2, 0).numpy(), arrays["CPM/conv1_1/weights"], arrays["CPM/conv1_1/biases"])
    np.testing.assert_allclose(first, expected, atol=1e-5)


def as_openpose(model: TotalCapture) -> dict[str, torch.Tensor]:
    """A network of OpenPose's topology: 38 fields and 19 heatmaps, front and hidden layers as in `model`, BGR."""
    state = {name: tensor.clone() for name, tensor in model.state_dict().items() if name != "limb_lengths"}
    for name in state:
        layer, kind = name.rsplit(".", 1)
        if re.fullmatch(r"conv5_5_CPM_L\d|Mconv7_stage\d_L\d", layer):
            count = 38 if layer.endswith("L1") else 19
            state[name] = torch.randn(count, *state[name].shape[1:])
        if re.fullmatch(r"Mconv1_stage\d_L\d", layer) and kind == "weight":
            read = torch.randn(len(state[name]), 57, 7, 7)
            state[name] = torch.cat([read, state[name][:, 69 + 21 :]], dim=1)
    state["conv1_1.weight"] = state["conv1_1.weight"].flip(1)
    return state


def port_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The names of PyTorch ports that number their layers."""
    front = [f"conv{block}_{number}" for block, count in enumerate((2, 2, 4, 2), 1) for number in range(1, count + 1)]
    front += ["conv4_3_CPM", "conv4_4_CPM"]
    places = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25]
    renamed = {}
    for name, tensor in state.items():
        layer, kind = name.rsplit(".", 1)
        if layer in front:
            renamed[f"model0.{places[front.index(layer)]}.{kind}"] = tensor
        elif match := re.fullmatch(r"conv5_(\d)_CPM_L(\d)", layer):
            renamed[f"model1_{match[2]}.{2 * (int(match[1]) - 1)}.{kind}"] = tensor
        elif match := re.fullmatch(r"Mconv(\d)_stage(\d)_L(\d)", layer):
            renamed[f"model{match[2]}_{match[3]}.{2 * (int(match[1]) - 1)}.{kind}"] = tensor
    assert len(renamed) == len(state)
    return renamed


@pytest.mark.parametrize("rename", [dict, port_names], ids=["Caffe's names", "numbered layers"])
def test_openpose_gives_all_but_the_stages_outputs_and_what_reads_them(tmp_path, rename):
    source, target = network(1), network(2)
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    torch.save({"state_dict": rename(as_openpose(source))}, tmp_path / "openpose.pth")
    differences = load_capture_weights(target, tmp_path / "openpose.pth")
    heads = {f"{layer}_L{branch}.{kind}" for layer in ("conv5_5_CPM", "Mconv7_stage2") for branch in (1, 2)
             for kind in ("weight", "bias")}  # fmt: skip
    readers = {"Mconv1_stage2_L1.weight", "Mconv1_stage2_L2.weight"}
    assert differences.source == "OpenPose"
    assert set(differences.fresh) == heads
    assert set(differences.partly) == readers
    assert not differences.left_out
    truth = source.state_dict()
    for name, tensor in target.state_dict().items():
        if name in heads:
            assert torch.equal(tensor, before[name])
        elif name in readers:
            assert torch.equal(tensor[:, 90:], truth[name][:, 90:])
            assert torch.equal(tensor[:, :90], before[name][:, :90])
        else:
            assert torch.equal(tensor, truth[name]), name


def test_this_project_s_weights_bring_the_limb_lengths_too(tmp_path):
    source, target = network(1), network(2)
    source.limb_lengths += 1
    torch.save(source.state_dict(), tmp_path / "weights.pt")
    assert load_capture_weights(target, tmp_path / "weights.pt").source == "this project"
    assert all(
        torch.equal(a, b) for a, b in zip(source.state_dict().values(), target.state_dict().values(), strict=True)
    )


def test_weights_of_another_size_are_refused_with_both_shapes(tmp_path):
    torch.save(network(1, width=0.25).state_dict(), tmp_path / "weights.pt")
    with pytest.raises(
        ValueError, match=r"does not fit: .* first conv1_1\.weight with \(8, 3, 3, 3\).* \(16, 3, 3, 3\)"
    ):
        load_capture_weights(network(1), tmp_path / "weights.pt")


def test_names_of_no_known_kind_are_refused(tmp_path):
    torch.save({"layer1.weight": torch.zeros(1)}, tmp_path / "weights.pt")
    with pytest.raises(ValueError, match=r"names like layer1\.weight.*Known: a TF1 snapshot"):
        load_capture_weights(network(1), tmp_path / "weights.pt")


def test_weights_to_be_scored_must_be_whole(tmp_path):
    source, target = network(1), network(2)
    torch.save({"state_dict": as_openpose(source)}, tmp_path / "openpose.pth")
    with pytest.raises(ValueError, match=r"init=.*openpose.pth \(OpenPose\) does not fit: 10 tensors are missing"):
        load_capture_weights(target, tmp_path / "openpose.pth", "init", whole=True)
    np.savez(tmp_path / "snapshot.npz", **as_tf(source))
    assert load_capture_weights(target, tmp_path / "snapshot.npz", "init", whole=True).source == "a TF1 snapshot"
    torch.save({"fc.weight": torch.zeros(3)}, tmp_path / "fc.pth")
    with pytest.raises(ValueError, match=r"knows no kind of init with names like fc.weight"):
        load_capture_weights(target, tmp_path / "fc.pth", "init", whole=True)
