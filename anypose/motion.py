"""The record of a motion: what every reader of keypoints or motion gives, and every writer takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from anypose.camera import Camera
from anypose.shapes import check_shape
from anypose.skeleton import Skeleton

OVER_TIME = ("keypoints", "landmarks", "joints", "world", "rotations", "filled", "contacts", "hypotheses")
M = TypeVar("M", bound="Motion")


@dataclass(frozen=True, eq=False)
class Motion:
    """People over time, in pixels or metres or both. Frames need not be evenly spaced.

    A person is NaN in the frames where they are not.

    Attributes:
        name: of the source, e.g. "walk" for walk.mp4.
        times: (T,) float64, increasing [s].
        ids: (P,) int64, the same person for the whole source.
        keypoints: (T, P, K, 3) float32 x, y [px] and score in 0..1, or None.
        keypoint_skeleton: what the K keypoints are.
        landmarks: (T, P, K, 3) float32 the 2D network's own guess of the keypoints in 3D, relative to the middle of the
            hips, in the axes of a camera that looks at the person [m], or None.
        joints: (T, P, J, 3) float32 in camera axes, x right, y down, z away [m], or None.
        world: (T, P, J, 3) float32 the same joints upright, z up, the floor at 0 [m], or None.
        skeleton: what the J joints are.
        rotations: (T, P, J, 4) float32 turn, in the world, of the bone that ends in each joint against its rest pose,
            the root's that of the pelvis: joint = its parent + rotation (its rest - its parent's rest). Quaternions
            w, x, y, z; or None.
        rest: (P, J, 3) float32 the rest pose that `rotations` turn: constant bones, world axes, hip at 0 [m], or None.
        filled: (T, P, K) bool, keypoints that were not seen but filled in, or None.
        contacts: (T, P, 2) bool, whether the left and the right foot stands, or None.
        hypotheses: (T, P, M, J, 3) float32 other joints that fit as well, camera axes [m], or None.
        camera: of the picture, or None where it is unknown.
        size: width and height of the picture [px], or None.
        facts: how it was made: networks, focal length, what was assumed. Plain containers, for the files' headers.

    Raises:
        ValueError: for times that do not increase, ids that do not differ, and an array of another shape.
    """

    name: str
    times: np.ndarray
    ids: np.ndarray
    keypoints: np.ndarray | None = None
    keypoint_skeleton: Skeleton | None = None
    landmarks: np.ndarray | None = None
    joints: np.ndarray | None = None
    world: np.ndarray | None = None
    skeleton: Skeleton | None = None
    rotations: np.ndarray | None = None
    rest: np.ndarray | None = None
    filled: np.ndarray | None = None
    contacts: np.ndarray | None = None
    hypotheses: np.ndarray | None = None
    camera: Camera | None = None
    size: tuple[int, int] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        T, P = len(self.times), len(self.ids)
        if not np.isfinite(self.times).all() or (np.diff(self.times) <= 0).any():
            raise ValueError(
                f"times of {self.name} must be finite and increase, got {np.asarray(self.times).tolist()}."
            )
        if len(set(np.asarray(self.ids).tolist())) != P:
            raise ValueError(f"ids of {self.name} must differ, got {np.asarray(self.ids).tolist()}.")
        K = self.keypoint_skeleton.num_joints if self.keypoint_skeleton else 0
        J = self.skeleton.num_joints if self.skeleton else 0
        shapes = {
            "keypoints": ("T", "P", K, 3),
            "landmarks": ("T", "P", K, 3),
            "joints": ("T", "P", J, 3),
            "world": ("T", "P", J, 3),
            "rotations": ("T", "P", J, 4),
            "rest": ("P", J, 3),
            "filled": ("T", "P", K),
            "contacts": ("T", "P", 2),
            "hypotheses": ("T", "P", "M", J, 3),
        }
        for name, shape in shapes.items():
            array = getattr(self, name)
            if array is not None:
                check_shape(array, shape, f"{name} of {self.name}", T=T, P=P)

    def __len__(self) -> int:
        """How many frames."""
        return len(self.times)

    def __getitem__(self: M, frames: slice) -> M:
        """These frames of everybody, as motion[30:90]; their times stay what they are.

        Raises:
            TypeError: for anything but a slice.
        """
        if not isinstance(frames, slice):
            raise TypeError(f"{self.name} is cut by a slice of its {len(self)} frames, as [30:90]; got {frames!r:.40}.")
        arrays = {name: getattr(self, name) for name in OVER_TIME}
        parts: dict[str, Any] = {name: None if array is None else array[frames] for name, array in arrays.items()}
        return replace(self, times=self.times[frames], **parts)

    def only(self: M, *ids: int) -> M:
        """The same frames of these people alone, in this order.

        Args:
            ids: of some of those there are.

        Raises:
            ValueError: for somebody who is not there.
        """
        there = np.asarray(self.ids).tolist()
        if unknown := [number for number in ids if number not in there]:
            raise ValueError(f"{self.name} has the people {', '.join(map(str, there)) or 'nobody'}, not {unknown[0]}.")
        columns = [there.index(number) for number in ids]
        arrays = {name: getattr(self, name) for name in OVER_TIME}
        parts: dict[str, Any] = {name: None if array is None else array[:, columns] for name, array in arrays.items()}
        parts["rest"] = None if self.rest is None else self.rest[columns]
        return replace(self, ids=self.ids[columns], **parts)


def stretches(good: np.ndarray) -> list[tuple[int, int]]:
    """First frame, and one past the last, of every stretch of frames that are `good` (T,)."""
    edges = np.flatnonzero(np.diff(good.astype(np.int8), prepend=0, append=0)).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))
