"""Weights under everybody's names end up in the right places; what differs is listed."""

import copy
import logging

import numpy as np
import pytest
import torch

from pose2d.network.lineages import lineage_settings
from pose2d.network.weights import architecture, convert, load_weights


@pytest.fixture(scope="session")
def trained(small_model):
    torch.manual_seed(1)
    model = small_model()
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.rand_like(value) + 0.5 if "running_var" in name else torch.randn_like(value) * 0.05)
    return model


@pytest.fixture
def donor(trained):
    return copy.deepcopy(trained)  # quicker than drawing millions of numbers


@pytest.fixture(scope="session")
def untrained(small_model):
    torch.manual_seed(2)
    return small_model()


@pytest.fixture
def fresh(untrained):
    return copy.deepcopy(untrained)


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


@pytest.mark.slow
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
    with pytest.raises(ValueError, match=r"\d+ tensors of the trunk .* model.depth=18, model.trunk_channels=64"):
        load_weights(small_model(depth=50), path)
    torch.save({"epoch": 3}, path)
    with pytest.raises(ValueError, match=r"w.pth holds no named tensors, at the top"):
        load_weights(donor, path)
    path.write_bytes(b"no archive at all")
    with pytest.raises(ValueError, match=r"w.pth cannot be read without running code that it contains, or is damaged"):
        load_weights(donor, path)
    with pytest.raises(FileNotFoundError, match=r"task.weights=.*nothing.pth does not exist"):
        load_weights(donor, tmp_path / "nothing.pth")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({}, "holds no named tensors. Is it a checkpoint"),
        ({"linear.weight": torch.zeros(3)}, r"has nothing of SimpleBaseline: none of its 1 names, e.g. linear.weight"),
        ({"conv1.weight": torch.full((64, 3, 7, 7), torch.nan)}, "conv1.weight holds NaN or infinity"),
        ([torch.zeros(3)], "holds no named tensors, at the top or under"),
    ],
)
def test_a_file_that_holds_nothing_or_matches_nothing_is_an_error(donor, tmp_path, content, words):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=words):
        load_weights(donor, tmp_path / "w.pth")


def test_files_of_other_kinds_are_told_for_what_they_are(donor, tmp_path):
    (tmp_path / "w.onnx").write_bytes(b"x")
    with pytest.raises(
        ValueError, match=r"w.onnx holds no weights that can be taken over. An ONNX file is no checkpoint"
    ):
        load_weights(donor, tmp_path / "w.onnx")
    with pytest.raises(ValueError, match=r"Name a TensorFlow checkpoint by what its files have in common"):
        load_weights(donor, tmp_path / "model.ckpt-140.index")
    with pytest.raises(FileNotFoundError, match=r"is a folder. Name a file in it; it has w.onnx"):
        load_weights(donor, tmp_path)
    (tmp_path / "w.safetensors").write_bytes(bytes(100))
    with pytest.raises(ValueError, match=r"w.safetensors is damaged or no safetensors file"):
        load_weights(donor, tmp_path / "w.safetensors")
    np.savez(tmp_path / "names.npz", names=np.array(["a", "b"]))
    with pytest.raises(ValueError, match=r"names.npz holds no named tensors"):
        load_weights(donor, tmp_path / "names.npz")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "names.npz").read_bytes()[:60])
    with pytest.raises(ValueError, match=r"cut.npz is not a whole .npz file"):
        load_weights(donor, tmp_path / "cut.npz")


def test_an_archive_that_unpacks_to_more_than_it_is_does_not_load(donor, tmp_path):
    import zipfile

    torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "w.pth")
    with (
        zipfile.ZipFile(tmp_path / "w.pth") as stored,
        zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in stored.namelist():
            packed.writestr(name, stored.read(name))
    with pytest.raises(ValueError, match=r"bomb.pth is no checkpoint: .* is compressed"):
        load_weights(donor, tmp_path / "bomb.pth")


def test_weights_to_be_scored_must_be_whole_and_say_what_they_are(donor, fresh, tmp_path):
    trunk = {k: v for k, v in donor.state_dict().items() if not k.startswith(("deconv_layers", "final_layer"))}
    torch.save(trunk, tmp_path / "resnet18.pth")
    load_weights(fresh, tmp_path / "resnet18.pth")
    with pytest.raises(ValueError, match=r"\d+ tensors are missing.* first deconv_layers.0.weight.*model.depth=18"):
        load_weights(fresh, tmp_path / "resnet18.pth", "init", whole=True)
    other = donor.state_dict() | {"final_layer.weight": torch.zeros(16, 256, 1, 1), "final_layer.bias": torch.zeros(16)}
    torch.save(other, tmp_path / "mpii.pth")
    with pytest.raises(ValueError, match=r"model.num_keypoints=16, model.deconv_channels=256"):
        load_weights(fresh, tmp_path / "mpii.pth", "init", whole=True)


def test_the_settings_of_weights_show_in_their_shapes(small_model):
    for depth in (18, 50):
        model = small_model(depth=depth, num_keypoints=16, trunk_channels=32, deconv_channels=64)
        assert architecture(model.state_dict()) == {
            "depth": depth, "trunk_channels": 32, "num_keypoints": 16, "deconv_channels": 64
        }  # fmt: skip


def test_what_the_experiments_set_is_what_their_networks_are_scored_with(repository):
    from omegaconf import OmegaConf

    lineages = {"msra": "microsoft or this project", "mks": "TF-slim or mks0601", "modern": "mmpose"}
    for name, source in lineages.items():
        own = OmegaConf.load(repository / "conf" / "experiment" / f"simplebaseline_coco_{name}.yaml")
        merged = OmegaConf.create(
            {
                group: OmegaConf.merge(OmegaConf.load(repository / "conf" / f"{group}/{choice}.yaml"), own[group])
                for group, choice in (("task", "topdown2d"), ("model", "simplebaseline"))
            }
        )
        for key, value in lineage_settings(source, "a").items():
            assert OmegaConf.select(merged, key) == value, (name, key)


def test_a_classifier_is_nothing_to_score():
    with pytest.raises(ValueError, match=r"init=r.pth has no keypoints to score: taken for torchvision or timm"):
        lineage_settings("torchvision or timm", "init=r.pth")
