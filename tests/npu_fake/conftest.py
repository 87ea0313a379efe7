"""Tests on a pretended `npu`. They need a process of their own: tests/test_npu_fake.py starts it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

ON = os.environ.get("ANYPOSE_FAKE_NPU") == "1"
collect_ignore_glob = [] if ON else ["test_*.py"]

if ON:
    from tests.npu_fake import stand_in, tensors

    stand_in.install()

# No kernel in torch_npu 2.13 (they run on the host there, slowly), found with the real wheel and its fallback off.
NO_KERNEL = {
    f"aten::{name}"
    for name in (
        "linalg_det", "_linalg_det", "_linalg_slogdet", "linalg_inv_ex", "_linalg_solve_ex", "_linalg_eigh",
        "linalg_lstsq", "linalg_matrix_exp", "huber_loss", "lgamma", "histogram", "index_reduce",
    )
}  # fmt: skip


@pytest.fixture
def strict() -> Iterator[None]:
    """Refuse float64 and every operator that the chip lacks."""
    import torch

    tensors.refused_operators |= NO_KERNEL
    tensors.refused_dtypes.add(torch.float64)
    yield
    tensors.refused_operators.clear()
    tensors.refused_dtypes.clear()


@pytest.fixture
def chip(monkeypatch):
    """`chip("Ascend910A")` changes which chip is pretended."""
    import torch

    return lambda name: monkeypatch.setattr(torch.npu, "chip", name)
