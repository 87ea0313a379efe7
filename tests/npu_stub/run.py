"""Everything that can be proven about torch_npu without a chip, for each chip.

    python -m tests.npu_stub.run [--may-skip] [pytest's arguments]          (make test-npu)

The CPU fallback is off: an operator without an NPU kernel in a training or inference step of any model raises by name.
torch_npu goes into .venv-npu, a folder of its own that is added to this environment while the tests run: where it is
installed without CANN, `import torch` raises. `--may-skip` makes a machine that cannot build the stand-ins a line
"SKIPPED" and not a failure.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.npu_stub.build import build

CHIPS = ("Ascend910B3", "Ascend910A", "Ascend310P3")
PACKAGES = Path(__file__).resolve().parents[2] / ".venv-npu"
HEADERS = "#include <dlfcn.h>\n#include <stdlib.h>\n#include <string.h>\n"


def missing_tool() -> str | None:
    """What this machine lacks to build the stand-ins."""
    if platform.system() != "Linux":
        return f"torch_npu is made for Linux, this is {platform.system()}"
    for tool in ("gcc", "nm"):
        if shutil.which(tool) is None:
            return f"{tool} is not there; the stand-in libraries need gcc and binutils"
    check = subprocess.run(["gcc", "-E", "-xc", "-"], input=HEADERS, capture_output=True, text=True)
    return f"gcc finds no C headers: {check.stderr.splitlines()[0]}" if check.returncode else None


def install_torch_npu() -> str | None:
    """Put the torch_npu of this torch into PACKAGES unless it is there; why that was not possible, else None."""
    release = importlib.metadata.version("torch").split("+")[0]
    here = {d.metadata["Name"].replace("_", "-"): d.version for d in importlib.metadata.distributions(path=[PACKAGES])}
    if here.get("torch-npu", "").startswith(release):
        return None
    shutil.rmtree(PACKAGES, ignore_errors=True)
    wanted = f"torch-npu=={release}.*"
    # Without dependencies: this environment has them, and pip would bring another torch.
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(PACKAGES), wanted)
    return f"pip could not install {wanted}" if subprocess.run(pip).returncode else None


def run(chip: str, libraries: str, arguments: list[str]) -> int:
    """The tests as if on this chip; pytest's exit code."""
    print(f"== {chip}", flush=True)
    return subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "tests.npu_stub.preload", "-p", "no:cacheprovider"),
            *("tests/npu_stub", *arguments),
        ],
        env=os.environ
        | {
            "ANYPOSE_STUB_NPU": libraries,
            "ANYPOSE_CHIP": chip,
            "TORCH_NPU_FALLBACK_CPU_DISABLE": "1",
            "CUDA_VISIBLE_DEVICES": "",  # torch_npu refuses a second accelerator
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([os.getcwd(), str(PACKAGES)]),
        },
    ).returncode


def main(arguments: list[str]) -> int:
    may_skip = "--may-skip" in arguments
    reason = missing_tool() or install_torch_npu()
    if reason:
        print(f"{'SKIPPED' if may_skip else 'FAILED'}: torch_npu over stand-in libraries was not tested ({reason}).")
        return 0 if may_skip else 1
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder), PACKAGES)
        rest = [argument for argument in arguments if argument != "--may-skip"]
        failed = [chip for chip in CHIPS if run(chip, folder, rest)]
    if failed:
        print("failed on", *failed)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
