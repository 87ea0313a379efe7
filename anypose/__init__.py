"""What 2D and 3D share and neither owns: words, the engine, formats, kernels, drawing, export.

from anypose import get_skeleton, load_task
"""

import importlib
from typing import Any

# What the package gives to Python code, and where it stands: loaded when it is asked for.
FACE = {
    "Camera": "anypose.camera",
    "Motion": "anypose.motion",
    "SKELETONS": "anypose.skeleton",
    "Skeleton": "anypose.skeleton",
    "convert": "anypose.skeleton",
    "get_skeleton": "anypose.skeleton",
    "load_network": "anypose.engine.loading",
    "load_task": "anypose.engine.loading",
    "mpjpe": "anypose.metrics",
    "p_mpjpe": "anypose.metrics",
}

__all__ = [
    "SKELETONS",
    "Camera",
    "Motion",
    "Skeleton",
    "convert",
    "get_skeleton",
    "load_network",
    "load_task",
    "mpjpe",
    "p_mpjpe",
]


def __getattr__(name: str) -> Any:
    if name not in FACE:
        raise AttributeError(f"anypose has no '{name}'. It has {', '.join(__all__)}.")
    return getattr(importlib.import_module(FACE[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
