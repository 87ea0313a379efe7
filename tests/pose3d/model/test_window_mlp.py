from __future__ import annotations

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


def test_the_size_of_a_wide_one_is_below_ten_megabytes_in_fp16():
    full = WindowMLP(**{**OPTIONS, "linear_size": 1024, "num_blocks": 2})
    assert sum(parameter.numel() for parameter in full.parameters()) == 4_702_256
