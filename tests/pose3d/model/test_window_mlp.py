from __future__ import annotations

import pytest
import torch

from pose3d.model.window_mlp import WindowMLP

OPTIONS = {
    "input_skeleton": "common_16", "frames": 9, "spacing": 3, "causal": False, "linear_size": 32, "num_blocks": 1,
    "dropout": 0.0, "batch_norm_eps": 1e-3, "max_weight_norm": None,
}  # fmt: skip


def model(**options) -> WindowMLP:
    torch.manual_seed(0)
    network = WindowMLP(**{**OPTIONS, **options})
    network.joint_statistics.fit(torch.randn(40, 16, 3) * 0.3)
    return network.eval()


def keypoints(frames: int, batch: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(batch, frames, 16, 3, generator=generator) * torch.tensor([0.3, 0.3, 0.9]) + 0.05


def test_the_size_of_the_released_shape_is_below_ten_megabytes_in_fp16():
    full = WindowMLP(**{**OPTIONS, "linear_size": 1024, "num_blocks": 2})
    assert sum(parameter.numel() for parameter in full.parameters()) == 4_702_256


def test_every_frame_is_lifted_from_the_frames_around_it_alone():
    network, frames = model(), keypoints(40)
    whole = network(frames)
    assert whole.shape == (2, 16, 17, 3)
    for first in (0, 7, 15):
        window = frames[:, first : first + 25]
        torch.testing.assert_close(network(window)[:, 0], whole[:, first])
        torch.testing.assert_close(network.lift(window[:, ::3]), whole[:, first])


def test_causal_is_the_same_network_without_what_comes_later():
    centred, causal = model(), model(causal=True)
    assert (centred.receptive_field, causal.receptive_field) == (25, 13)
    frames = keypoints(25)
    blind = frames.clone()
    blind[:, 13:, :, 2] = 0
    torch.testing.assert_close(causal(frames[:, :13]), centred(blind))
    assert not torch.allclose(centred(frames), centred(blind))


def test_a_keypoint_without_a_score_is_not_read():
    network, frames = model(), keypoints(25)
    frames[:, 12, 3, 2] = 0
    moved = frames.clone()
    moved[:, 12, 3, :2] = 7.0
    torch.testing.assert_close(network(frames), network(moved), rtol=0, atol=0)


def test_the_hip_is_the_root():
    assert (model()(keypoints(25))[..., 0, :] == 0).all()


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 25, 17, 3), r"reads \(B, T, 16, 3\): 16 common_16 keypoints .* got keypoints of shape \(1, 25, 17, 3\)"),
        ((1, 25, 16, 2), r"got keypoints of shape \(1, 25, 16, 2\)"),
        ((25, 16, 3), r"got keypoints of shape \(25, 16, 3\)"),
        ((1, 24, 16, 3), "needs at least 25 frames, got 24"),
    ],
)
def test_keypoints_of_another_kind_are_refused(shape, message):
    with pytest.raises(ValueError, match=message):
        model()(torch.zeros(shape))


def test_a_window_has_a_middle():
    with pytest.raises(ValueError, match=r"model.frames=4 must be odd and model.spacing=3 at least 1"):
        model(frames=4)
