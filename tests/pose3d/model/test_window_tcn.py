from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from pose3d.model.window_tcn import WindowTCN

OPTIONS = {
    "input_skeleton": "common_16", "frames": 9, "spacing": 3, "causal": False, "channels": 32, "batch_norm_eps": 1e-5,
}  # fmt: skip


def model(**options) -> WindowTCN:
    torch.manual_seed(0)
    network = WindowTCN(**{**OPTIONS, **options})
    network.joint_statistics.fit(torch.randn(40, 16, 3) * 0.3)
    for name, buffer in network.named_buffers():
        if "running" in name:
            buffer.uniform_(0.5, 1.5)
    return network.eval()


def keypoints(frames: int, batch: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(batch, frames, 16, 3, generator=generator) * torch.tensor([0.3, 0.3, 0.9]) + 0.05


@pytest.mark.parametrize("frames", [3, 9, 27])
def test_its_products_are_torchs_strided_convolutions(frames):
    network = model(frames=frames, spacing=1)
    window = keypoints(frames)

    def convolved(layer, inputs, taps):  # (N, C, T); a row of the matrix holds the taps one after the other
        kernel = layer.linear.weight.unflatten(1, (taps, -1)).transpose(1, 2)
        return F.relu(layer.norm(F.conv1d(inputs, kernel, stride=taps)))

    features, size, turn = network.windows(window)
    inputs = torch.cat([features.flatten(2).transpose(1, 2), size[:, :, None].expand(-1, -1, frames)], dim=1)
    hidden = convolved(network.expand, inputs, 3)
    for wide, narrow in network.blocks:
        hidden = hidden[:, :, 1::3] + convolved(narrow, convolved(wide, hidden, 3), 1)
    assert hidden.shape[2] == 1
    joints = network.joint_statistics.undo(network.head(hidden[:, :, 0]).view(2, 16, 3)) @ turn
    torch.testing.assert_close(network.lift(window)[:, 1:], joints)


@pytest.mark.parametrize("frames", [1, 5, 15, 81 * 5])
def test_frames_are_a_power_of_three(frames):
    with pytest.raises(ValueError, match=rf"model.frames={frames} must be a power of 3: 3, 9, 27"):
        model(frames=frames)


def test_the_size_of_the_released_shape():
    full = WindowTCN(**{**OPTIONS, "channels": 768})
    assert sum(parameter.numel() for parameter in full.parameters()) == 2_513_712
