"""What passes between the first stages: a frame with its picture, and the people found in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Protocol

import numpy as np

from anypose.skeleton import Skeleton


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a source.

    Attributes:
        index: its number, from 0.
        time: its time stamp, from 0 at the first frame [s].
        image: (H, W, 3) uint8 RGB, upright.
        arrived: when it was read [s of perf_counter].
    """

    index: int
    time: float
    image: np.ndarray
    arrived: float = field(default_factory=perf_counter)


@dataclass(frozen=True, eq=False)
class Found:
    """One person in one frame.

    Attributes:
        keypoints: (K, 3) x, y [px] and score in 0..1; NaN where a point was not found.
        score: how sure the network is of the person, 0..1.
        landmarks: (K, 3) the network's own guess of the points in 3D, relative to the middle of the hips, in the axes
            of a camera that looks at the person [m]; None of one that gives none.
    """

    keypoints: np.ndarray
    score: float
    landmarks: np.ndarray | None = None

    @property
    def box(self) -> np.ndarray:
        """(4,) left, top, right, bottom of the points that were found [px]."""
        xy = self.keypoints[:, :2]
        return np.concatenate([np.nanmin(xy, axis=0), np.nanmax(xy, axis=0)])


class KeypointNetwork(Protocol):
    """Pictures in, people out. May remember where people were in the picture before.

    Attributes:
        skeleton: what the keypoints are.
        name: for reports.
    """

    skeleton: Skeleton
    name: str

    def find(self, frame: Frame) -> Sequence[Found]:
        """Everyone in the frame."""
        ...


def iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(N, M) intersection over union of boxes (N, 4) and (M, 4) left, top, right, bottom."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=-1)
    areas = [np.prod(np.clip(box[:, 2:] - box[:, :2], 1e-6, None), axis=-1) for box in (first, second)]
    return shared / (areas[0][:, None] + areas[1][None] - shared)


def similarity(first: np.ndarray, second: np.ndarray, spread: float = 0.08) -> np.ndarray:
    """(N, M) object keypoint similarity of people (N, K, 3) and (M, K, 3), over the points that both have.

    One `spread` for all points, in the square root of the area of the person's box: what the points are may be unknown.
    """
    a, b = first[:, None, :, :2].astype(np.float64), second[None, :, :, :2].astype(np.float64)
    both = np.isfinite(a[..., 0]) & np.isfinite(b[..., 0])  # (N, M, K)
    count = both.sum(-1)
    areas = []
    for points in (a, b):
        low, high = (np.where(both[..., None], points, fill) for fill in (np.inf, -np.inf))
        areas.append(np.prod(np.clip(high.max(2) - low.min(2), 0, None), axis=-1))
    area = np.maximum((areas[0] + areas[1]) / 2, 1.0)[..., None]
    squared = np.where(both, ((np.nan_to_num(a) - np.nan_to_num(b)) ** 2).sum(-1), 0)
    likeness = np.where(both, np.exp(-squared / (2 * spread**2 * area)), 0).sum(-1) / np.maximum(count, 1)
    return np.where(count >= 3, likeness, 0.0)
