"""Keypoint networks in Python: `from pose2d import load_keypoint_network`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from anypose.engine.device import Device as Device  # before torch: it makes importing torch safe  # isort: skip

import numpy as np
import torch
from torch import Tensor

from anypose.engine.loading import load_task
from anypose.skeleton import Skeleton, get_skeleton

Array = TypeVar("Array", np.ndarray, Tensor)


class KeypointNetwork:
    """A trained top-down network that takes a picture and boxes.

    Args:
        task: what `load_task` gives.
        source: where it comes from, for messages.

    Attributes:
        task: the whole task, `task.model` the network.
        num_keypoints: K.

    Raises:
        ValueError: for a task that finds no keypoints in boxes.
    """

    def __init__(self, task: Any, source: str) -> None:
        if not hasattr(task, "find"):
            raise ValueError(
                f"{source} holds a {type(task.model).__name__}, which finds no keypoints in boxes. Train one: "
                "model=simplebaseline."
            )
        self.task, self.source = task, source
        self.num_keypoints: int = task.num_keypoints

    def __call__(
        self, image: Array, boxes: Array | None = None, *, skeleton: str | Skeleton = "coco_17"
    ) -> tuple[Array, Array]:
        """The keypoints of every box.

        Args:
            image: (H, W, 3) uint8 RGB.
            boxes: (P, 4) left, top, right, bottom of each person [px]; None is the whole picture, one person.
            skeleton: what the network's K keypoints are.

        Returns:
            (P, K, 2) keypoints [px] and (P, K) scores, arrays or tensors as `image` is, float32.

        Raises:
            ValueError: where picture, boxes or skeleton are not that, with what was found.
        """
        known = skeleton if isinstance(skeleton, Skeleton) else get_skeleton(skeleton)
        if known.num_joints != self.num_keypoints:
            raise ValueError(
                f"{self.source} gives {self.num_keypoints} keypoints, and {known.name} has {known.num_joints}. "
                "Say which skeleton it was trained with."
            )
        pixels = _on_host(image)
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or 0 in pixels.shape:
            raise ValueError(f"image must be (H, W, 3) uint8 RGB, got {pixels.shape} {pixels.dtype}.")
        height, width = pixels.shape[:2]
        box_xyxy = np.array([[0, 0, width, height]]) if boxes is None else _on_host(boxes)
        if box_xyxy.ndim != 2 or box_xyxy.shape[1] != 4:
            raise ValueError(f"boxes must have shape (P, 4): left, top, right, bottom, got {box_xyxy.shape}.")
        box_xyxy = box_xyxy.astype(np.float64)
        inside = np.isfinite(box_xyxy).all(1) & (box_xyxy[:, 2:] > box_xyxy[:, :2]).all(1)
        inside &= (box_xyxy[:, 0] < width) & (box_xyxy[:, 1] < height) & (box_xyxy[:, 2:] > 0).all(1)
        if not inside.all():
            wrong = box_xyxy[~inside][0].tolist()
            raise ValueError(
                f"boxes must be left, top, right, bottom with a part of the {width}x{height} picture, got {wrong}."
            )
        if not len(box_xyxy):
            found = {
                "keypoints": torch.zeros(0, self.num_keypoints, 2),
                "scores": torch.zeros(0, self.num_keypoints),
            }
        else:
            found = self.task.find(pixels, box_xyxy, known)
        keypoints, scores = found["keypoints"].float(), found["scores"].float()
        given: Any = (keypoints.cpu().numpy(), scores.cpu().numpy())
        if isinstance(image, Tensor):
            given = keypoints.to(image.device), scores.to(image.device)
        return given


def _on_host(given: Any) -> np.ndarray:
    return np.asarray(given.detach().cpu() if isinstance(given, Tensor) else given)


def load_keypoint_network(source: str | Path) -> KeypointNetwork:
    """A trained network that finds the keypoints of people in their boxes.

    find = load_keypoint_network("runs/simplebaseline/2026-01-31_12-00-00")
    keypoints, scores = find(image, boxes)

    Args:
        source: a checkpoint's path or a run's folder.

    Raises:
        FileNotFoundError: saying what was looked for.
        ValueError: for a file that is damaged, or holds something else than a network for boxes.
    """
    return KeypointNetwork(load_task(source), str(source))
