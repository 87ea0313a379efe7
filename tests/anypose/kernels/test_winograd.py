import pytest
import torch
from torch import nn

from anypose.kernels.winograd import convolve, transform


@pytest.mark.parametrize("spacing", [1, 3, 9])
@pytest.mark.parametrize("pairs", [1, 4])
def test_it_is_a_dilated_convolution(spacing, pairs):
    torch.manual_seed(0)
    kernel, bias = torch.randn(7, 5, 3), torch.randn(7)
    features = torch.randn(2, 2 * spacing * (pairs + 1), 5)
    found = convolve(features, transform(kernel), bias, spacing, nn.functional.linear)
    conv = nn.functional.conv1d(features.transpose(1, 2).double(), kernel.double(), bias.double(), dilation=spacing)
    assert found.shape == (2, 2 * spacing * pairs, 7)
    torch.testing.assert_close(found.double(), conv.transpose(1, 2), rtol=1e-5, atol=1e-5)


def test_its_rounding_is_that_of_the_plain_product():
    """On a layer of the real size: neither is nearer to float64 than the other by much."""
    torch.manual_seed(0)
    kernel, features = 0.02 * torch.randn(64, 1024, 3), torch.randn(1, 108, 1024).relu()
    exact = nn.functional.conv1d(features.transpose(1, 2).double(), kernel.double(), dilation=27).transpose(1, 2)
    rows = torch.cat([features[:, 27 * tap : 27 * tap + 54] for tap in range(3)], -1)
    plain = (rows @ kernel.transpose(1, 2).flatten(1).T - exact).abs().max()
    fast = (convolve(features, transform(kernel), None, 27, nn.functional.linear) - exact).abs().max()
    assert fast < 4 * plain
    assert fast < 1e-5
