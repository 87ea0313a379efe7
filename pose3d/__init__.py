"""3D out, from keypoints or from an image.

from pose3d import load_lifter
"""

import importlib
from typing import Any

# What the package gives to Python code, and where it stands: loaded when it is asked for, so that importing a room
# does not import all of them.
FACE = {
    "ArrayLifter": "pose3d.lifting.arrays",
    "Lifter": "pose3d.lifter",
    "Pipeline": "pose3d.predict.pipeline",
    "load_lifter": "pose3d.predict.loading",
}

__all__ = ["ArrayLifter", "Lifter", "Pipeline", "load_lifter"]


def __getattr__(name: str) -> Any:
    if name not in FACE:
        raise AttributeError(f"pose3d has no '{name}'. It has {', '.join(__all__)}.")
    return getattr(importlib.import_module(FACE[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
