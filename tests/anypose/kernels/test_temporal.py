import copy

import pytest
import torch
from torch import nn

from anypose.kernels.swap import possible, swap
from tests.anypose.export.small_tasks import videopose3d

WAYS = ["products", "products_onednn", "winograd", "winograd_onednn"]


def run(network, keypoints):
    """Joints and the gradients of all weights."""
    network.zero_grad()
    joints = network(keypoints)
    joints.square().sum().backward()
    return [joints.detach(), *(parameter.grad.clone() for parameter in network.parameters())]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("frames", [27, 40])
@pytest.mark.parametrize("causal", [False, True])
def test_products_train_and_lift_as_convolutions_do(way, frames, causal):
    torch.manual_seed(0)
    plain = videopose3d(causal=causal, dropout=0.0)
    network = copy.deepcopy(plain)
    if way not in possible(network)["temporal"]:
        pytest.skip("NO ONEDNN on this CPU or in this torch")
    swap(network, {"temporal": way})
    keypoints = torch.randn(5, frames, 17, 2)
    for mine, theirs in zip(run(network, keypoints), run(plain, keypoints), strict=True):
        assert (mine - theirs).norm() <= 1e-4 * theirs.norm()
    for name, buffer in network.named_buffers():
        torch.testing.assert_close(buffer, dict(plain.named_buffers())[name], atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(network.eval()(keypoints), plain.eval()(keypoints), atol=1e-5, rtol=1e-5)


def test_features_lie_as_rows_from_the_first_layer_to_the_last():
    network = videopose3d(dropout=0.25)
    swap(network, {"temporal": "products", "dropout": "packed"})
    seen = []
    for module in network.modules():
        if isinstance(module, (nn.Conv1d, nn.BatchNorm1d, nn.Dropout)):
            module.register_forward_hook(lambda *call: seen.append(call[2].transpose(1, 2).is_contiguous()))
    network(torch.randn(3, 27, 17, 2))
    assert len(seen) == 16
    assert all(seen)


def test_what_is_kept_for_use_follows_the_weights():
    network = videopose3d().eval()
    swap(network, {"temporal": "winograd"})
    keypoints = torch.randn(1, 26 + 18, 17, 2)
    with torch.no_grad():
        before = network(keypoints)
        torch.testing.assert_close(network(keypoints), before, rtol=0, atol=0)
        for parameter in network.parameters():
            parameter.mul_(1.1)
        plain = videopose3d().eval()
        plain.load_state_dict(network.state_dict())
        torch.testing.assert_close(network(keypoints), plain(keypoints), atol=1e-5, rtol=1e-5)
