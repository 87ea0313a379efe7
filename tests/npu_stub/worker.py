"""A process of a shared run on the stand-in: loads the libraries before torch, then is the toy task's worker."""

from __future__ import annotations

import os
import runpy

os.environ.pop("TORCH_DEVICE_BACKEND_AUTOLOAD", None)  # the launcher had no stand-in, this process has

from tests.npu_stub import preload

assert preload.loaded
runpy.run_module("tests.anypose.engine.toy_worker", run_name="__main__")
