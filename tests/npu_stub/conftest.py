"""Tests of the real torch_npu over stand-in CANN libraries; tests/npu_stub/run.py starts them in their environment."""

from __future__ import annotations

import os

collect_ignore_glob = []
if "ANYPOSE_STUB_NPU" in os.environ:
    from tests.npu_stub import kernels

    kernels.install()
else:
    collect_ignore_glob = ["test_*.py"]
