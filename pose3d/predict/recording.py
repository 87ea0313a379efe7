"""Chunks of motion cut, joined, and written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from anypose.motion import OVER_TIME, Motion
from anypose.settings import Misuse


def cut(motion: Motion, keep: slice) -> Motion:
    """The frames `keep` of a motion, with the people who are in them."""
    kept = motion[keep]
    return kept.only(*kept.ids[_there(kept).any(0)].tolist())


def join(motions: Sequence[Motion]) -> Recording:
    """One motion out of chunks that follow each other; who is not in one of them is NaN there.

    Raises:
        ValueError: for no chunk at all.
    """
    if not motions:
        raise ValueError("There is no chunk of motion to join: the source had no frame.")
    ids = np.array(sorted({int(number) for motion in motions for number in motion.ids}), np.int64)
    last = motions[-1]
    parts: dict[str, Any] = {field.name: getattr(last, field.name) for field in fields(Motion)}
    parts |= {"times": np.concatenate([motion.times for motion in motions]), "ids": ids}
    for name in OVER_TIME:
        first = next((array for motion in motions if (array := getattr(motion, name)) is not None), None)
        if first is None:
            continue
        whole = np.full((len(parts["times"]), len(ids), *first.shape[2:]), np.nan if first.dtype.kind == "f" else False,
                        first.dtype)  # fmt: skip
        start = 0
        for motion in motions:
            array = getattr(motion, name)
            if array is not None:
                whole[start : start + len(motion), np.searchsorted(ids, motion.ids)] = array
            start += len(motion)
        parts[name] = whole
    if any(motion.rest is not None for motion in motions):
        rests = {int(i): rest for m in motions if m.rest is not None for i, rest in zip(m.ids, m.rest, strict=True)}
        parts["rest"] = np.stack([rests[int(number)] for number in ids])
    return Recording(**parts)


@dataclass(frozen=True, eq=False)
class Recording(Motion):
    """A motion that can be written."""

    def save(self, path: str | Path, overwrite: bool = False) -> list[Path]:
        """Write the file, in the format that its suffix names: npz, json, csv, bvh, trc, c3d, glb, html, mp4."""
        from pose3d.predict.sinks import save

        return save(self, path, overwrite)


@dataclass
class MainPeople:
    """Keeps the main people: large, sure and long in the picture. Once chosen they stay until they are gone.

    Args:
        count: how many, None for everyone.
    """

    count: int | None

    def __post_init__(self) -> None:
        if self.count is not None and self.count < 1:
            raise Misuse(f"people={self.count} must be at least 1, or null for everyone.")
        self._chosen: list[int] = []

    def __call__(self, motion: Motion) -> Motion:
        """The motion with the main people alone, in the order in which they were chosen."""
        if self.count is None:
            return motion
        assert motion.keypoints is not None
        ids = motion.ids.tolist()
        self._chosen = [number for number in self._chosen if number in ids]
        for column in np.argsort(-presence(motion.keypoints), kind="stable"):
            if len(self._chosen) < self.count and ids[column] not in self._chosen:
                self._chosen.append(ids[column])
        return motion.only(*sorted(self._chosen, key=ids.index))


def presence(keypoints: np.ndarray) -> np.ndarray:
    """(P,) how much of the picture each person takes over time, by how sure the keypoints (T, P, K, 3) are [px]."""
    low, high = (
        np.where(np.isfinite(keypoints), keypoints, np.inf),
        np.where(np.isfinite(keypoints), keypoints, -np.inf),
    )
    extent = np.clip(high[..., :2].max(2) - low[..., :2].min(2), 0, None).prod(-1) ** 0.5
    sure = np.nan_to_num(keypoints[..., 2]).mean(-1)
    return (extent * sure).sum(0)


def _there(motion: Motion) -> np.ndarray:
    """(T, P) who is in which frame."""
    points = motion.keypoints if motion.keypoints is not None else motion.joints
    assert points is not None
    return np.asarray(np.isfinite(points[..., 0]).any(-1))
