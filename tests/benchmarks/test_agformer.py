"""The peer of `benchmarks agformer` computes what ours does, and is as large as published."""

from __future__ import annotations

import pytest
import torch

from anypose.engine.device import Cpu
from benchmarks.cases import agformer
from benchmarks.harness import Settings
from benchmarks.naive_agformer import AGFormer, terms
from pose3d.model.motionagformer import SIZES

SETTINGS = Settings(
    Cpu(index=None, deterministic=False, keep_memory=False), "fp32", threads=1, cpu_time=True, quick=True, peers=None
)


@pytest.mark.parametrize(("size", "millions"), [("xs", 2.2), ("s", 4.8)])
def test_the_reference_has_the_published_size(size, millions):
    with torch.device("meta"):
        network = AGFormer(*SIZES[size], keypoint_channels=3)
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 1) == millions


@pytest.mark.slow
def test_outputs_and_gradients_are_the_reference_s():
    assert agformer._gradient_difference("xs", SETTINGS) < 1e-3
    model, reference = agformer._pair("xs", SETTINGS)
    windows = torch.randn(1, 27, 17, 2)
    with torch.no_grad():
        torch.testing.assert_close(model(windows), reference(windows), atol=1e-5, rtol=1e-4)


def test_terms_without_weight_are_zero_for_the_truth():
    joints = torch.randn(2, 5, 17, 3)
    assert all(float(term) < 1e-4 for name, term in terms(joints, joints).items() if name != "limbs vary")
