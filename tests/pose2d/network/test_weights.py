"""Weights under everybody's names end up in the right places; what differs is listed."""

import logging

import numpy as np
import pytest
import torch

from pose2d.network.weights import convert, load_weights


@pytest.fixture
def donor(small_model):
    torch.manual_seed(1)
    model = small_model()
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.rand_like(value) + 0.5 if "running_var" in name else torch.randn_like(value) * 0.05)
    return model


@pytest.fixture
def fresh(small_model):
    torch.manual_seed(2)
    return small_model()


def same_output(first, second):
    image = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return torch.allclose(first.eval()(image), second.eval()(image), atol=1e-5)


def test_microsofts_checkpoints_load_with_and_without_prefixes(donor, fresh, tmp_path):
    weights = {f"module.{name}": value for name, value in donor.state_dict().items()}
    torch.save({"epoch": 140, "state_dict": weights, "perf": 0.7}, tmp_path / "final_state.pth.tar")
    differences = load_weights(fresh, tmp_path / "final_state.pth.tar")
    assert differences.source == "microsoft or this project"
    assert differences.missing == differences.left_out == differences.other_shape == ()
    assert same_output(donor, fresh)


@pytest.mark.parametrize("head", ["head", "keypoint_head"])
def test_mmposes_checkpoints_load(donor, fresh, tmp_path, head):
    def name(key):
        return f"{head}.{key}" if key.startswith(("deconv_layers", "final_layer")) else f"backbone.{key}"

    weights = {name(key): value for key, value in donor.state_dict().items()}
    torch.save({"meta": {"epoch": 210}, "state_dict": weights}, tmp_path / "mmpose.pth")
    assert load_weights(fresh, tmp_path / "mmpose.pth").source == "mmpose"
    assert same_output(donor, fresh)


def test_imagenet_classifiers_give_the_trunk_and_the_head_stays_fresh(donor, fresh, tmp_path, caplog):
    weights = {k: v for k, v in donor.state_dict().items() if not k.startswith(("deconv_layers", "final_layer"))}
    weights |= {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}
    torch.save(weights, tmp_path / "resnet18-f37072fd.pth")
    head = fresh.final_layer.weight.clone()
    with caplog.at_level(logging.INFO):
        differences = load_weights(fresh, tmp_path / "resnet18-f37072fd.pth")
    assert differences.left_out == ("fc.weight", "fc.bias")
    assert differences.missing[0] == "deconv_layers.0.weight"
    assert torch.equal(fresh.final_layer.weight, head)
    assert torch.equal(fresh.layer3[0].conv1.weight, donor.layer3[0].conv1.weight)
    assert "2 not in the model, left out: fc.weight, fc.bias" in caplog.text


def test_another_number_of_keypoints_keeps_the_last_layer_fresh(donor, small_model, tmp_path):
    torch.save(donor.state_dict(), tmp_path / "coco.pth")
    model = small_model(num_keypoints=5)
    assert load_weights(model, tmp_path / "coco.pth").other_shape == ("final_layer.weight", "final_layer.bias")
    assert torch.equal(model.deconv_layers[0].weight, donor.deconv_layers[0].weight)


def slim(model) -> dict[str, np.ndarray]:
    """The variables of an mks0601 snapshot that computes what `model` computes (bottlenecks only)."""
    stats = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
    variables = {}
    for key, value in model.state_dict().items():
        *path, last = key.split(".")
        if last == "num_batches_tracked":
            continue
        array = value.numpy()
        if path == ["final_layer"]:
            name = {"weight": "out/weights", "bias": "out/biases"}[last]
        else:
            if path[0] == "deconv_layers":
                scope, convolution = f"up{int(path[1]) // 3 + 1}", int(path[1]) % 3 == 0
            elif path[0] in ("conv1", "bn1"):
                scope, convolution = "resnet_v1_50/conv1", path[0] == "conv1"
            else:
                part, convolution = path[2], path[2].startswith("conv")
                scope = f"resnet_v1_50/block{path[0][-1]}/unit_{int(path[1]) + 1}/bottleneck_v1/"
                scope += "shortcut" if part == "downsample" else f"conv{part[-1]}"
                convolution = convolution or path[-1] == "0"
            name = f"{scope}/weights" if convolution else f"{scope}/BatchNorm/{stats[last]}"
        variables[name] = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array
    variables |= {f"{n}/Adam": np.zeros_like(v) for n, v in list(variables.items())[:3]}
    return variables | {"global_step": np.array(5), "resnet_v1_50/logits/weights": np.zeros((1, 1, 2048, 1000))}


def test_tensorflows_variables_load_into_bottlenecks(small_model, tmp_path):
    torch.manual_seed(1)
    donor, fresh = small_model(depth=50), small_model(depth=50)
    for name, value in donor.state_dict().items():
        if "running_var" in name:
            value.copy_(torch.rand_like(value) + 0.5)
    np.savez(tmp_path / "snapshot_140.npz", **slim(donor))
    differences = load_weights(fresh, tmp_path / "snapshot_140.npz")
    assert differences.source == "TF-slim or mks0601"
    assert differences.missing == differences.other_shape == ()
    assert "resnet_v1_50/logits/weights" in differences.left_out
    assert len(differences.left_out) == 5
    assert same_output(donor, fresh)


def test_tensorflow_kernels_compute_what_tensorflow_computed():
    """A convolution with (kh, kw, in, out) and a transposed one with (kh, kw, out, in), by loops over the taps."""
    rng = np.random.default_rng(0)
    kernel, transposed = rng.normal(size=(3, 3, 2, 4)), rng.normal(size=(4, 4, 5, 2))
    _, state = convert({"resnet_v1_50/conv1/weights": kernel, "up1/weights": transposed})
    x = rng.normal(size=(2, 6, 6))
    expected = np.zeros((4, 4, 4))
    for row, column, a, b in np.ndindex(4, 4, 3, 3):
        expected[:, row, column] += x[:, row + a, column + b] @ kernel[a, b]
    ours = torch.nn.functional.conv2d(torch.from_numpy(x).float()[None], state["conv1.weight"])[0]
    np.testing.assert_allclose(ours, expected, atol=1e-5)
    expected = np.zeros((5, 14, 14))
    for row, column, a, b in np.ndindex(6, 6, 4, 4):
        expected[:, 2 * row + a, 2 * column + b] += transposed[a, b] @ x[:, row, column]
    ours = torch.nn.functional.conv_transpose2d(
        torch.from_numpy(x).float()[None], state["deconv_layers.0.weight"], stride=2
    )[0]
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_safetensors_load(donor, fresh, tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    safetensors.save_file(donor.state_dict(), tmp_path / "timm.safetensors")
    load_weights(fresh, tmp_path / "timm.safetensors")
    assert same_output(donor, fresh)


def test_what_does_not_fit_is_refused_with_its_name(donor, small_model, tmp_path):
    path = tmp_path / "w.pth"
    torch.save(donor.state_dict(), path)
    with pytest.raises(ValueError, match=r"does not fit SimpleBaseline: \d+ tensors of the trunk .* Is model.depth"):
        load_weights(small_model(depth=50), path)
    torch.save({"epoch": 3}, path)
    with pytest.raises(ValueError, match=r"w.pth holds no named tensors"):
        load_weights(donor, path)
    path.write_bytes(b"no archive at all")
    with pytest.raises(ValueError, match=r"w.pth cannot be read without running code that it contains, or is damaged"):
        load_weights(donor, path)
    with pytest.raises(FileNotFoundError, match=r"task.weights=.*nothing.pth does not exist"):
        load_weights(donor, tmp_path / "nothing.pth")
