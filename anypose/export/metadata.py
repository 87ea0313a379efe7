"""What a user of an exported file must know: names, shapes, units, skeletons, normalisation, where it comes from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from anypose.engine.run import commit
from anypose.skeleton import Skeleton

KEYPOINT_UNITS = {
    "pixel": "pixels of the camera's picture, x to the right, y down",
    "ray": "slopes x / z and y / z in the camera's frame: (pixel - principal point) / focal length, lens undone",
    "screen": "x in [-1, 1] across the picture, y on the same scale: x' = 2 x / width - 1, y' = (2 y - height) / width",
}


def describe_model(model: nn.Module, normalization: Any = None) -> dict[str, Any]:
    """The facts about a trained model that do not depend on the file's form.

    Args:
        model: the network.
        normalization: what a task does to pixels before an image model sees them, None for other models.
    """
    facts: dict[str, Any] = {"model": type(model).__name__, "commit": commit()}
    for name in ("receptive_field", "causal", "keypoint_channels"):
        if hasattr(model, name):
            facts[name] = getattr(model, name)
    facts["streaming"] = getattr(model, "takes_states", False)
    frame = getattr(model, "keypoint_frame", None)
    if isinstance(frame, str):
        facts["units"] = {"keypoints": KEYPOINT_UNITS[frame], "joints": "metres, camera frame, relative to the root"}
    for name in ("input_skeleton", "output_skeleton"):
        skeleton = getattr(model, name, None)
        if isinstance(skeleton, Skeleton):
            facts[name] = describe_skeleton(skeleton)
    if normalization is not None:
        facts["normalization"] = asdict(normalization) | {"formula": "(grey level - mean) / std, in that channel order"}
    return facts


def describe_skeleton(skeleton: Skeleton) -> dict[str, Any]:
    """Name, joints, parents, and the pairs that change places in a mirror."""
    return {
        "name": skeleton.name,
        "joints": list(skeleton.joints),
        "parents": list(skeleton.parents),
        "flip_pairs": [list(pair) for pair in zip(skeleton.left, skeleton.right, strict=True)],
    }


def beside(path: Path, suffix: str) -> Path:
    """The companion of a file: network.onnx and ".json" give network.onnx.json."""
    return path.with_name(path.name + suffix)


def sha256(path: Path) -> str:
    """The file's fingerprint."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def to_json(facts: Mapping[str, Any]) -> str:
    """On one line, for the header of a file."""
    return json.dumps(facts, separators=(",", ":"))
