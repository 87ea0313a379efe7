"""Image in, keypoints out.

from pose2d import load_keypoint_network
"""

import importlib
from typing import Any

# What the package gives to Python code, and where it stands: loaded when it is asked for.
FACE = {"KeypointNetwork": "pose2d.network.loading", "load_keypoint_network": "pose2d.network.loading"}

__all__ = ["KeypointNetwork", "load_keypoint_network"]


def __getattr__(name: str) -> Any:
    if name not in FACE:
        raise AttributeError(f"pose2d has no '{name}'. It has {', '.join(__all__)}.")
    return getattr(importlib.import_module(FACE[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
