"""SimpleBaseline: size, names, initial values, shapes."""

import numpy as np
import pytest
import torch
from torch import nn

from pose2d.model.simplebaseline import SimpleBaseline
from pose2d.network.resnet import ResNet


def test_the_default_has_the_published_number_of_parameters(conf):
    with torch.device("meta"):
        model = SimpleBaseline(**conf("model/simplebaseline"))
    assert sum(p.numel() for p in model.parameters()) == 33_999_697
    assert model.io.outputs["heatmaps"] == ("B", 17, 64, 48)


def test_state_dict_has_microsofts_names(conf):
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    head = {f"deconv_layers.{i}.weight" for i in (0, 3, 6)} | {"final_layer.weight", "final_layer.bias"}
    head |= {f"deconv_layers.{i}.{name}" for i in (1, 4, 7) for name in norm}
    with torch.device("meta"):
        model = SimpleBaseline(**conf("model/simplebaseline"))
        trunk = ResNet(50, 1e-5, 0.1)
    assert set(model.state_dict()) == set(trunk.state_dict()) | head
    assert model.state_dict()["final_layer.weight"].shape == (17, 256, 1, 1)


def test_output_is_a_quarter_of_the_input_and_every_parameter_learns(small_model):
    model = small_model(num_keypoints=5, height=64, width=96)
    heatmaps = model(torch.randn(2, 3, 64, 96))
    assert heatmaps.shape == (2, 5, 16, 24)
    heatmaps.square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_a_transposed_convolution_equals_tensorflows_same_padding():
    """Output pixel o of TensorFlow's SAME 4x4 stride 2 gets input i times kernel tap o - 2 i + 1."""
    layer = nn.ConvTranspose2d(1, 1, 4, stride=2, padding=1, bias=False)
    x = torch.randn(1, 1, 3, 3)
    kernel, expected = layer.weight[0, 0].detach().numpy(), np.zeros((6, 6))
    for i, j in np.ndindex(3, 3):
        for a, b in np.ndindex(4, 4):
            row, column = 2 * i + a - 1, 2 * j + b - 1
            if 0 <= row < 6 and 0 <= column < 6:
                expected[row, column] += float(x[0, 0, i, j]) * kernel[a, b]
    np.testing.assert_allclose(layer(x)[0, 0].detach().numpy(), expected, atol=1e-6)


@pytest.mark.parametrize(("init", "std", "limit"), [("normal", 0.001, 0.01), ("tf", 0.0088, 0.02)])
def test_the_head_starts_as_each_lineage_starts_it(small_model, init, std, limit):
    torch.manual_seed(0)
    weight = small_model(head_init=init).deconv_layers[0].weight.detach()
    assert float(weight.std()) == pytest.approx(std, rel=0.02)
    assert float(weight.abs().max()) <= limit


def test_batchnorm_settings_reach_every_batchnorm(small_model):
    norms = [m for m in small_model(bn_eps=1e-9, bn_momentum=0.01).modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 23
    assert {(m.eps, m.momentum) for m in norms} == {(1e-9, 0.01)}


def test_sizes_that_do_not_divide_are_refused_with_their_values(small_model):
    with pytest.raises(ValueError, match="multiples of 32, got 250 and 192"):
        small_model(height=250, width=192)
    with pytest.raises(ValueError, match=r"image must have shape \(B, 3, 64, 64\), got \(1, 3, 64, 32\)"):
        small_model()(torch.zeros(1, 3, 64, 32))
    with pytest.raises(ValueError, match="normal or tf, got xavier"):
        small_model(head_init="xavier")


def test_fewer_channels_keep_the_names_and_make_every_layer_narrower(small_model):
    whole, narrow = small_model(), small_model(trunk_channels=16, deconv_channels=24)
    assert set(narrow.state_dict()) == set(whole.state_dict())
    shapes = {name: tuple(narrow.get_parameter(f"{name}.weight").shape) for name in ("conv1", "layer4.1.conv2")}
    assert shapes == {"conv1": (16, 3, 7, 7), "layer4.1.conv2": (128, 128, 3, 3)}
    assert narrow.deconv_layers[0].weight.shape == (128, 24, 4, 4)
    assert narrow(torch.zeros(1, 3, 64, 64)).shape == (1, 17, 16, 16)
    with pytest.raises(ValueError, match=r"1 channel at least, got model\.trunk_channels=0"):
        small_model(trunk_channels=0)
    with pytest.raises(ValueError, match=r"model\.deconv_channels must be at least 1, got 0"):
        small_model(deconv_channels=0)
