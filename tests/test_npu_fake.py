"""Runs tests/npu_fake in a process of its own: a device can be pretended once per process, and not taken back."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("marker", ["not slow", "slow"])
def test_everything_runs_on_a_pretended_npu(repository, marker):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", marker, "tests/npu_fake"],
        cwd=repository,
        env=os.environ | {"ANYPOSE_FAKE_NPU": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    assert " passed" in done.stdout
