"""pytest -p tests.npu_stub.preload: load the stand-ins by path before anything imports torch."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from tests.npu_stub.build import MAIN, OTHERS

folder = Path(os.environ["ANYPOSE_STUB_NPU"])
loaded = [ctypes.CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL) for name in (MAIN, *OTHERS)]
