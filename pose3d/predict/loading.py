"""Lifters in Python: `from pose3d import load_lifter`."""

from __future__ import annotations

from pathlib import Path

from anypose.engine.device import Device as Device  # before torch: it makes importing torch safe  # isort: skip

from anypose.engine.loading import load_network
from pose3d.lifting.arrays import ArrayLifter


def load_lifter(
    source: str | Path = "released", device: str = "cpu", flip: bool = True, bones: bool | None = None
) -> ArrayLifter:
    """A trained lifter that takes arrays.

    lifter = load_lifter("released")
    joints = lifter(keypoints, skeleton="coco_17", image_size=(1920, 1080))

    Args:
        source: the name of released weights, a checkpoint's path, or a run's folder.
        device: where it computes.
        flip: the mean with the mirrored person, see `ArrayLifter`.
        bones: hold bones to one length in every sequence, see `ArrayLifter`: nearer to the truth. None does so
            where network and joints allow it. False is for frames that are of several people.

    Raises:
        FileNotFoundError: saying what was looked for and which names there are.
        ValueError: for a file that is damaged or holds no lifter, and for a device that is not there.
    """
    return ArrayLifter(load_network(source), str(source), device, flip, bones)  # pyright: ignore[reportArgumentType]
