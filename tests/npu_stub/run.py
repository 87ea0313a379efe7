"""Everything that can be proven about torch_npu without a chip, for each chip.

    .venv-npu/bin/python -m tests.npu_stub.run            (make test-npu builds the environment first)

The CPU fallback is off: an operator without an NPU kernel in a training or inference step of any model raises by name.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.npu_stub.build import build

CHIPS = ("Ascend910B3", "Ascend910A", "Ascend310P3")


def main(arguments: list[str]) -> int:
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
        for chip in CHIPS:
            print(f"== {chip}", flush=True)
            done = subprocess.run(
                [
                    *(sys.executable, "-m", "pytest", "-q", "-p", "tests.npu_stub.preload"),
                    *("-p", "no:cacheprovider", "tests/npu_stub", *arguments),
                ],
                env=os.environ
                | {
                    "ANYPOSE_STUB_NPU": folder,
                    "ANYPOSE_CHIP": chip,
                    "TORCH_NPU_FALLBACK_CPU_DISABLE": "1",
                    "OMP_NUM_THREADS": "1",
                    "PYTHONPATH": os.getcwd(),
                },
            )
            if done.returncode:
                failed.append(chip)
    if failed:
        print("failed on", *failed)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
