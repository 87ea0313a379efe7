"""pose3d/lifting/detected_windows.py, through both networks that read such windows."""

from __future__ import annotations

import pytest
import torch

from pose3d.lifter import Lifter
from tests.pose3d.model import test_window_mlp, test_window_tcn

NETWORKS = {"window_mlp": test_window_mlp.model, "window_tcn": test_window_tcn.model}


@pytest.fixture(params=NETWORKS)
def model(request):
    return NETWORKS[request.param]


def keypoints(frames: int, batch: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(batch, frames, 16, 3, generator=generator) * torch.tensor([0.3, 0.3, 0.9]) + 0.05


def test_every_frame_is_lifted_from_the_frames_around_it_alone(model):
    network, frames = model(), keypoints(40)
    whole = network(frames)
    assert isinstance(network, Lifter)
    assert whole.shape == (2, 16, 17, 3)
    for first in (0, 7, 15):
        window = frames[:, first : first + 25]
        torch.testing.assert_close(network(window)[:, 0], whole[:, first])
        torch.testing.assert_close(network.lift(window[:, ::3]), whole[:, first])


def test_causal_is_the_same_network_without_what_comes_later(model):
    centred, causal = model(), model(causal=True)
    assert (centred.receptive_field, causal.receptive_field) == (25, 13)
    frames = keypoints(25)
    blind = frames.clone()
    blind[:, 13:, :, 2] = 0
    torch.testing.assert_close(causal(frames[:, :13]), centred(blind))
    assert not torch.allclose(centred(frames), centred(blind))


def test_a_keypoint_without_a_score_is_not_read(model):
    network, frames = model(), keypoints(25)
    frames[:, 12, 3, 2] = 0
    moved = frames.clone()
    moved[:, 12, 3, :2] = 7.0
    torch.testing.assert_close(network(frames), network(moved), rtol=0, atol=0)
    frames[:, 12, 4, :2] += 0.5  # one with a score is
    assert not torch.allclose(network(frames), network(moved))


def test_the_hip_is_the_root(model):
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
def test_keypoints_of_another_kind_are_refused(model, shape, message):
    with pytest.raises(ValueError, match=message):
        model()(torch.zeros(shape))


def test_a_window_has_a_middle(model):
    with pytest.raises(ValueError, match=r"model.frames=4 must be odd and model.spacing=3 at least 1"):
        model(frames=4)
