"""The trunk against torchvision's published sizes and names."""

import pytest
import torch
from torch import nn

from pose2d.network.resnet import ResNet

# Parameters of torchvision's classifiers as documented, less those of `fc`.
TORCHVISION = {
    18: 11_689_512 - 513_000,
    34: 21_797_672 - 513_000,
    50: 25_557_032 - 2_049_000,
    101: 44_549_160 - 2_049_000,
    152: 60_192_808 - 2_049_000,
}


@pytest.mark.parametrize("depth", TORCHVISION)
def test_trunk_has_as_many_parameters_as_torchvisions(depth):
    with torch.device("meta"):
        model = ResNet(depth, bn_eps=1e-5, bn_momentum=0.1)
    assert sum(p.numel() for p in model.parameters()) == TORCHVISION[depth]


@pytest.mark.parametrize(("depth", "convolutions", "blocks"), [(18, 2, (2, 2, 2, 2)), (50, 3, (3, 4, 6, 3))])
def test_trunk_has_torchvisions_names(depth, convolutions, blocks):
    def norm(name):
        return {f"{name}.{key}" for key in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")}

    expected = {"conv1.weight"} | norm("bn1")
    for stage, count in enumerate(blocks, start=1):
        for block in range(count):
            layer = f"layer{stage}.{block}"
            for i in range(1, convolutions + 1):
                expected |= {f"{layer}.conv{i}.weight"} | norm(f"{layer}.bn{i}")
        if depth == 50 or stage > 1:
            expected |= {f"layer{stage}.0.downsample.0.weight"} | norm(f"layer{stage}.0.downsample.1")
    with torch.device("meta"):
        assert set(ResNet(depth, 1e-5, 0.1).state_dict()) == expected


def test_stride_is_on_the_3x3_convolution_of_each_stages_first_block():
    with torch.device("meta"):
        model = ResNet(50, 1e-5, 0.1)
    strided = {name for name, m in model.named_modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2)}
    assert strided == {"conv1"} | {f"layer{s}.0.{part}" for s in (2, 3, 4) for part in ("conv2", "downsample.0")}


def test_output_is_a_32nd_of_the_input():
    out = ResNet(18, 1e-5, 0.1)(torch.zeros(1, 3, 96, 64))
    assert out.shape == (1, 512, 3, 2)


def test_unknown_depth_names_the_known_ones():
    with pytest.raises(ValueError, match=r"depth 18, 34, 50, 101, 152, got model.depth=42"):
        ResNet(42, 1e-5, 0.1)
