"""VideoPose3D against a network of plain Conv1d layers written for this test."""

import numpy as np
import pytest
import torch
import yaml
from torch import nn
from torch.overrides import TorchFunctionMode

from pose3d.lifting.published import from_published
from pose3d.model.videopose3d import VideoPose3D

SETTINGS = {
    "kernel_sizes": [3, 3, 3],
    "channels": 24,
    "dropout": 0.25,
    "causal": False,
    "dense": False,
    "input_skeleton": "h36m_17",
    "output_skeleton": "h36m_17",
    "keypoint_channels": 2,
}


def make(**changes):
    """A model whose batch norms have seen something."""
    torch.manual_seed(0)
    model = VideoPose3D(**SETTINGS | changes)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.3, 2)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.2)
    return model.eval()


def plain_network(weights, kernel_sizes, keypoints, *, causal=False, dense=False):
    """The paper's network in float64, convolution by convolution, from weights as the authors' code stores them."""
    weights = {name: tensor.double() for name, tensor in weights.items()}

    def layer(x, conv, norm, dilation=1):
        x = nn.functional.conv1d(x, weights[f"{conv}.weight"], dilation=dilation)
        names = ("running_mean", "running_var", "weight", "bias")
        return nn.functional.batch_norm(x, *(weights[f"{norm}.{name}"] for name in names)).relu()

    x = keypoints.double().flatten(2).transpose(1, 2)
    x = layer(x, "expand_conv", "expand_bn")
    dilation = kernel_sizes[0]
    for i, width in enumerate(kernel_sizes[1:]):
        pad = (width - 1) * dilation // 2
        shift = pad if causal else 0
        shortcut = x[:, :, pad + shift : x.shape[2] - pad + shift]
        x = layer(x, f"layers_conv.{2 * i}", f"layers_bn.{2 * i}", 1 if dense else dilation)
        x = shortcut + layer(x, f"layers_conv.{2 * i + 1}", f"layers_bn.{2 * i + 1}")
        dilation *= width
    x = nn.functional.conv1d(x, weights["shrink.weight"], weights["shrink.bias"])
    return x.transpose(1, 2).unflatten(2, (-1, 3)).float()


@pytest.mark.parametrize(
    ("changes", "parameters", "receptive_field"),
    [
        ({"kernel_sizes": [1, 1, 1]}, 4_291_635, 1),
        ({"kernel_sizes": [3, 3, 3]}, 8_555_571, 27),
        ({"kernel_sizes": [3, 3, 7]}, 12_749_875, 63),
        ({"kernel_sizes": [3, 5, 5]}, 12_749_875, 75),
        ({"kernel_sizes": [3, 3, 3, 3]}, 12_753_971, 81),
        ({"kernel_sizes": [3, 3, 3, 3, 3]}, 16_952_371, 243),
        ({"kernel_sizes": [3, 3, 3], "dense": True}, 29_527_091, 27),
        ({"input_skeleton": "coco_17", "output_skeleton": "humaneva_15"}, 8_549_421, 27),
    ],
)
def test_parameters_are_as_many_as_in_the_published_networks(changes, parameters, receptive_field):
    with torch.device("meta"):
        model = VideoPose3D(**SETTINGS | {"channels": 1024} | changes)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert model.receptive_field == receptive_field


def test_weights_are_named_as_in_the_published_checkpoint():
    with torch.device("meta"):
        state = VideoPose3D(**SETTINGS | {"channels": 1024, "kernel_sizes": [3, 3, 3, 3, 3]}).state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    assert len(shapes) == 56
    assert shapes["expand_conv.weight"] == (1024, 34, 3)
    assert shapes["layers_conv.6.weight"] == (1024, 1024, 3)
    assert shapes["layers_conv.7.weight"] == (1024, 1024, 1)
    assert shapes["shrink.weight"] == (51, 1024, 1)
    assert shapes["shrink.bias"] == (51,)
    norms = ["expand_bn", *(f"layers_bn.{i}" for i in range(8))]
    parts = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    convolutions = [
        "expand_conv.weight",
        *(f"layers_conv.{i}.weight" for i in range(8)),
        "shrink.weight",
        "shrink.bias",
    ]
    assert set(shapes) == {f"{norm}.{part}" for norm in norms for part in parts} | set(convolutions)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kernel_sizes", [[3, 3, 3], [1, 1, 1], [3, 5, 7], [5], [3, 1, 3]])
def test_the_function_is_the_plain_network_of_the_paper(kernel_sizes, causal):
    model = make(kernel_sizes=kernel_sizes, causal=causal)
    keypoints = torch.randn(2, model.receptive_field + 9, 17, 2)
    expected = plain_network(model.state_dict(), kernel_sizes, keypoints, causal=causal)
    joints = model(keypoints)
    assert joints.shape == (2, 10, 17, 3)
    torch.testing.assert_close(joints, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("causal", [False, True])
def test_the_dense_network_is_that_of_the_paper_without_dilation(causal):
    model = make(dense=True, causal=causal)
    keypoints = torch.randn(2, 30, 17, 2)
    expected = plain_network(model.state_dict(), [3, 3, 3], keypoints, causal=causal, dense=True)
    torch.testing.assert_close(model(keypoints), expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(model(keypoints[:, :27]), expected[:, :1], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kernel_sizes", [[3, 3, 3], [3, 5, 7], [3, 3, 3, 3, 3]])
def test_one_window_in_strided_form_gives_what_the_dilated_form_gives(kernel_sizes, causal):
    model = make(kernel_sizes=kernel_sizes, causal=causal)
    keypoints = torch.randn(2, model.receptive_field + 4, 17, 2)
    dilated = model(keypoints)
    strided = torch.cat(
        [model(window) for window in keypoints.unfold(1, model.receptive_field, 1).movedim(-1, 2).unbind(1)], 1
    )
    assert (strided - dilated).abs().max() < 1e-6


@pytest.mark.parametrize("causal", [False, True])
def test_an_output_depends_on_exactly_its_receptive_field(causal):
    model = make(causal=causal)
    keypoints = torch.randn(1, 40, 17, 2, requires_grad=True)
    model(keypoints)[0, 5].sum().backward()
    touched = keypoints.grad.abs().sum((0, 2, 3)) > 0
    assert touched.nonzero().flatten().tolist() == list(range(5, 32))


def test_a_causal_model_answers_at_its_last_frame_and_the_other_in_the_middle():
    """A still pose with one moved frame: only the shortcut, which lies at the output frame, sees it fully."""
    for causal, at in ((False, 13), (True, 26)):
        model = make(causal=causal)
        for i in (0, 2):
            model.layers_conv[i].weight.data.zero_()
        keypoints = torch.zeros(1, 27, 17, 2, requires_grad=True)
        model(keypoints).sum().backward()
        frames = keypoints.grad.abs().sum((0, 2, 3)).nonzero().flatten().tolist()
        assert frames == [at + k for k in ((-2, -1, 0) if causal else (-1, 0, 1))]


def test_published_weights_give_the_published_outputs():
    source = make()
    published = source.state_dict()
    model = VideoPose3D(**SETTINGS).eval()
    model.load_state_dict(from_published(published))
    keypoints = torch.randn(1, 50, 17, 2)
    torch.testing.assert_close(model(keypoints), plain_network(published, [3, 3, 3], keypoints), atol=1e-6, rtol=1e-5)


def test_weights_of_the_ascend_port_load_with_prefix_and_two_dimensional_kernels():
    source = make()
    ported = {
        f"module.{name}": tensor.unsqueeze(-1) if tensor.dim() == 3 else tensor
        for name, tensor in source.state_dict().items()
    }
    state = from_published(ported)
    assert state.keys() == source.state_dict().keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in source.state_dict().items())


class Operators(TorchFunctionMode):
    """The dimensions of what was convolved."""

    def __init__(self):
        super().__init__()
        self.convolved = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function in (nn.functional.conv1d, nn.functional.conv2d):
            self.convolved.append(args[0].dim())
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("two_dimensional", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dense", [False, True])
def test_the_form_for_export_is_the_same_function(two_dimensional, causal, dense):
    model = make(causal=causal, dense=dense)
    baked = model.baked(two_dimensional)
    assert not any("Norm" in type(module).__name__ for module in baked.modules())
    keypoints = torch.randn(2, 40, 17, 2)
    with torch.no_grad(), Operators() as operators:
        baked(keypoints)
    assert operators.convolved == [4 if two_dimensional else 3] * 6
    torch.testing.assert_close(baked(keypoints), model(keypoints), atol=2e-6, rtol=1e-5)


def test_one_training_step_moves_the_weights_as_plain_layers_would():
    """Gradients through both forms, in training mode: batch norm sees every frame of every window."""
    keypoints = torch.randn(8, 27, 17, 2)
    model = make(dropout=0.0).train()
    model(keypoints).square().sum().backward()
    weights = {name: tensor.double() for name, tensor in model.state_dict().items()}
    weights = {name: tensor.requires_grad_("num" not in name) for name, tensor in weights.items()}

    def layer(x, conv, norm, stride):
        x = nn.functional.conv1d(x, weights[f"{conv}.weight"], stride=stride)
        x = nn.functional.batch_norm(x, None, None, weights[f"{norm}.weight"], weights[f"{norm}.bias"], training=True)
        return x.relu()

    x = layer(keypoints.double().flatten(2).transpose(1, 2), "expand_conv", "expand_bn", 3)
    for i in (0, 2):
        shortcut = x[:, :, 1::3]
        x = layer(x, f"layers_conv.{i}", f"layers_bn.{i}", 3)
        x = shortcut + layer(x, f"layers_conv.{i + 1}", f"layers_bn.{i + 1}", 1)
    nn.functional.conv1d(x, weights["shrink.weight"], weights["shrink.bias"]).square().sum().backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient.double(), weights[name].grad, atol=2e-4, rtol=2e-4, msg=name)


def test_dropout_zeroes_a_quarter_in_training_and_nothing_in_use():
    model = make(kernel_sizes=[1], channels=4000, dropout=0.25)
    keypoints = torch.randn(4, 1, 17, 2)
    outputs = []
    model.shrink.register_forward_pre_hook(lambda module, inputs: outputs.append(inputs[0]))
    model(keypoints)
    model.train()
    model.expand_bn.eval()
    model(keypoints)
    used, trained = outputs
    alive = used > 0
    kept = (trained > 0)[alive].float().mean()
    assert abs(float(kept) - 0.75) < 0.02
    torch.testing.assert_close(trained[trained > 0], used[trained > 0] / 0.75)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kernel_sizes": [3, 2]}, r"model.kernel_sizes must be odd numbers, at least one, got \[3, 2\]"),
        ({"kernel_sizes": []}, r"at least one, got \[\]"),
        ({"keypoint_channels": 4}, r"2 \(x, y\) or 3 \(x, y, score\), got 4"),
        ({"input_skeleton": "h36m"}, r"no skeleton 'h36m'"),
    ],
)
def test_impossible_settings_are_refused_with_their_values(changes, message):
    with pytest.raises(ValueError, match=message):
        VideoPose3D(**SETTINGS | changes)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 20, 17, 2), r"at least 27 frames per window, got keypoints of shape \(1, 20, 17, 2\)"),
        ((1, 30, 16, 2), r"reads \(B, T, 17, 2\): 17 h36m_17 keypoints of 2 values, .*\(1, 30, 16, 2\)"),
        ((1, 30, 17, 3), r"keypoints of 2 values, got keypoints of shape \(1, 30, 17, 3\)"),
        ((30, 17, 2), r"got keypoints of shape \(30, 17, 2\)"),
    ],
)
def test_keypoints_of_another_shape_are_refused_with_both_shapes(shape, message):
    with pytest.raises(ValueError, match=message):
        make()(torch.zeros(shape))


def test_io_says_the_shapes_that_forward_takes_and_gives():
    model = make(keypoint_channels=3, output_skeleton="h36m_16")
    assert model.io.inputs == {"keypoints": ("B", "T", 17, 3)}
    assert model.io.outputs["joints"][2:] == (16, 3)
    assert model(torch.zeros(1, 28, 17, 3)).shape == (1, 2, 16, 3)
    assert np.prod(model.kernel_sizes) == model.receptive_field


def test_the_recipe_leaves_the_data_to_the_dataset_so_that_another_one_can_be_chosen(repository):
    """Its values would stay when dataset=cmu or an experiment takes the place of the embedded one."""
    recipe = yaml.safe_load((repository / "conf/recipe/videopose3d.yaml").read_text(encoding="utf-8"))
    assert "dataset" not in recipe
