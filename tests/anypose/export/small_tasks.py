"""Small trained-looking tasks to export."""

from __future__ import annotations

import torch
from torch import nn

from pose3d.model.baseline3d import Baseline3D
from pose3d.model.videopose3d import VideoPose3D
from pose3d.task.lifting3d import Lifting3D


def lifting_task(model: nn.Module) -> Lifting3D:
    """A task around a model whose batch norms and statistics are not those of a new one."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.3, 2)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.2)
    return Lifting3D(
        model.eval(),
        loss="mpjpe",
        stride=1,
        subset=1.0,
        flip_augment=False,
        flip_test=True,
        bones=False,
        joint_frame="camera",
        by_subject=False,
        parity=None,
    )


def videopose3d(**changes) -> VideoPose3D:
    """27 frames, 16 channels."""
    torch.manual_seed(1)
    settings = {
        "kernel_sizes": [3, 3, 3],
        "channels": 16,
        "dropout": 0.25,
        "causal": False,
        "dense": False,
        "input_skeleton": "h36m_17",
        "output_skeleton": "h36m_17",
        "keypoint_channels": 2,
    }
    return VideoPose3D(**settings | changes)


def baseline3d(linear_size: int = 32, input: str = "standardised") -> Baseline3D:
    """A small one whose weight clip is at work and whose statistics are those of pixels."""
    torch.manual_seed(2)
    model = Baseline3D(
        linear_size=linear_size,
        num_blocks=2,
        dropout=0.5,
        batch_norm=True,
        batch_norm_eps=1e-3,
        residual=True,
        max_weight_norm=1.0,
        input=input,
        predict_14=False,
        input_skeleton="h36m_16",
        output_skeleton="h36m_17",
    )
    model.fit_statistics(500 + 100 * torch.randn(64, 16, 2), 0.3 * torch.randn(64, 17, 3))
    return model
