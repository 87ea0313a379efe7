"""The stand-in under the real torch_npu: it reports the chip, computes, and misses what the chip misses."""

from __future__ import annotations

import os

import pytest
import torch

from anypose.engine.device import ASCEND_PROBLEM, Npu

CHIP = os.environ["ANYPOSE_CHIP"]


def test_torch_npu_is_the_real_one_and_reports_the_chip():
    assert ASCEND_PROBLEM is None
    assert Npu.problem() is None
    assert torch.accelerator.current_accelerator(check_available=True).type == "npu"
    assert torch.npu.get_device_name(0) == CHIP
    assert torch.npu.is_bf16_supported() is CHIP.startswith("Ascend910B")


def test_it_computes_what_the_cpu_computes():
    torch.manual_seed(0)
    x, w = torch.randn(4, 3), torch.randn(3, 5)
    assert torch.equal((x.npu() @ w.npu()).relu().sum(0).cpu(), (x @ w).relu().sum(0))


def test_an_operator_without_a_kernel_is_named():
    with pytest.raises(RuntimeError, match=r"aten::_?huber_loss|huber_loss"):
        torch.nn.functional.huber_loss(torch.ones(2).npu(), torch.zeros(2).npu())
