"""Long sequences through a network that reads windows of one length."""

from __future__ import annotations

import torch
from torch import Tensor

from pose3d.lifter import Lifter
from pose3d.motion.clips import cut

AT_ONCE = 64  # windows in a batch


def lift_windows(model: Lifter, keypoints: Tensor, step: int, causal: bool = False) -> Tensor:
    """A pose for every frame of a sequence, from windows `step` frames apart (`pose3d.motion.clips.cut`).

    Args:
        model: gives (B, R, J, 3) for (B, R, K, C), R its `receptive_field`.
        keypoints: (B, T, K, C) in the model's keypoint frame.
        step: frames taken from each window.
        causal: take the last ones: no later frame is seen.

    Returns:
        (B, T, J, 3) joints.
    """
    B, T = keypoints.shape[:2]
    place, taken = (
        torch.from_numpy(array).to(keypoints.device) for array in cut(T, model.receptive_field, step, causal)
    )
    windows = keypoints[:, place].flatten(0, 1)  # (B * N, R, K, C)
    joints = torch.cat([model(part) for part in windows.split(AT_ONCE)])
    return joints.unflatten(0, (B, -1))[:, taken]  # blocks follow one another, so frames come out in order
