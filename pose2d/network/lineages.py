"""What the pose networks of other projects are shown and give: settings that their weights mean nothing without.

By what `pose2d.network.weights.convert` takes a file for. Channels, means and deviations are as the networks were
trained: microsoft's and mks0601's read BGR pixels with numbers in RGB order. mmpose has networks of both alignments and
several decoders under the same names, so of these nothing is told.
"""

from __future__ import annotations

from typing import Any

from pose2d.images.image import IMAGENET_MEAN, IMAGENET_STD

_IMAGENET = {"task.mean": list(IMAGENET_MEAN), "task.std": list(IMAGENET_STD), "task.peak": 1.0, "model.bn_eps": 1e-5}
_ROUNDED = {"task.aligned": False, "task.rounded": True, "task.decoder": "quarter"}
_SETTINGS: dict[str, dict[str, Any]] = {
    "microsoft or this project": {**_IMAGENET, **_ROUNDED, "task.channels": "bgr"},
    "mmpose": {**_IMAGENET, "task.channels": "rgb"},
    "TF-slim or mks0601": {
        **_ROUNDED,
        "task.channels": "bgr",
        "task.mean": [123.68, 116.78, 103.94],
        "task.std": [1.0, 1.0, 1.0],
        "task.peak": 255.0,
        "model.bn_eps": 1e-9,
    },
}


def lineage_settings(source: str, where: str) -> dict[str, Any]:
    """The settings that networks of `source` are scored with, by their keys.

    Args:
        source: what a file was taken for.
        where: the file, as the user named it.

    Raises:
        ValueError: for a source of classifiers, which have no keypoints to score.
    """
    if source not in _SETTINGS:
        raise ValueError(
            f"{where} has no keypoints to score: taken for {source}, it can start a training (task.weights=)."
        )
    return _SETTINGS[source]
