"""Windows over sequences: every frame taken once, and from where it can be seen best."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from anypose.skeleton import H36M_17
from pose3d.lifting.sliding import lift_windows
from pose3d.motion.clips import ClipBatches, cut
from pose3d.motion.windows import WindowBatches, pack
from tests.pose3d.motion.random_motion import sequence

CPU = torch.device("cpu")


@given(st.integers(1, 60), st.integers(1, 20), st.integers(1, 20), st.booleans())
def test_every_frame_is_taken_once_and_in_order(length, window, step, causal):
    if step > window:
        with pytest.raises(ValueError, match=f"must be from 1 to their {window} frames, got {step}"):
            cut(length, window, step, causal)
        return
    place, taken = cut(length, window, step, causal)
    assert place.shape[1] == window
    assert place[taken].tolist() == list(range(length))
    if causal and step == 1:
        assert (place.max(1) == np.arange(length)).all()  # nothing later is seen


class Around(nn.Module):
    """A window network whose pose of a frame says which frames stand around it in the window."""

    receptive_field = 7

    def forward(self, windows):
        B, R = windows.shape[:2]
        mixed = (windows[..., :1].flatten(1) * torch.arange(1.0, R + 1)).sum(1)
        return mixed.view(B, 1, 1, 1).expand(B, R, 1, 3) + windows[:, :, :, :1]


def test_a_sequence_cut_elsewhere_gives_the_same_poses_away_from_its_ends():
    keypoints = torch.randn(2, 40, 1, 2)
    for causal in (False, True):
        whole = lift_windows(Around(), keypoints, step=1, causal=causal)
        part = lift_windows(Around(), keypoints[:, 11:], step=1, causal=causal)
        torch.testing.assert_close(whole[:, 18:], part[:, 7:])
    whole, part = (lift_windows(Around(), each, step=3) for each in (keypoints, keypoints[:, 12:]))  # 4 steps later
    torch.testing.assert_close(whole[:, 20:], part[:, 8:])


def packed(*lengths):
    takes = [sequence(n, take=f"Walking {i}", seed=i, scores=True) for i, n in enumerate(lengths, 1)]
    return pack(takes, input_skeleton=H36M_17, output_skeleton=H36M_17, keypoint_frame="screen", keypoint_channels=3)


def test_evaluation_windows_stay_inside_their_sequence_and_score_each_frame_once():
    frames = packed(20, 5, 13)
    batches = ClipBatches(frames, window=9, step=4, causal=False, batch_size=4, device=CPU)
    seen = []
    for batch in batches.epoch():
        assert batch["keypoints"].shape[1:] == (9, 17, 3)
        counted = batch["index"] >= 0
        torch.testing.assert_close(batch["keypoints"][counted], frames.keypoints[batch["index"][counted]])
        seen += batch["index"][counted].tolist()
    assert seen == list(range(38))
    shared = [
        ClipBatches(frames, window=9, step=4, causal=False, batch_size=4, device=CPU, rank=r, world_size=2)
        for r in range(2)
    ]
    rows = [int(i) for part in shared for batch in part.epoch() for i in batch["index"].flatten() if i >= 0]
    assert sorted(rows) == seen


def test_training_windows_overlap_by_the_step_and_cover_every_frame():
    frames = packed(40, 4)
    settings = {"receptive_field": 1, "stride": 9, "batch_size": 1, "seed": 0, "device": CPU}
    batches = WindowBatches(frames, step=3, **settings)
    windows = [batches.batch(torch.tensor([i])) for i in range(len(batches))]
    first = [int(batches.first[i] - batches.first[i - 1]) for i in range(1, len(batches) - 1)]
    assert set(first) == {3}
    rows = {tuple(frame.flatten().tolist()) for window in windows for frame in window["joints"][0]}
    assert rows == {tuple(frame.flatten().tolist()) for frame in frames.joints}
    assert all(window["keypoints"].shape == (1, 9, 17, 3) for window in windows)
    plain = WindowBatches(frames, **settings)
    torch.testing.assert_close(plain.first, WindowBatches(frames, step=9, **settings).first)
