"""Chance for crops: which part of the image is cut out, turned and mirrored, drawn for a whole batch at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from anypose.settings import Misuse, check_range
from pose2d.images.affine import fit_aspect

HALF_BODY_PADDING = 1.5
_TWO_SIDED = 0.6826894921370859  # probability of a normal deviate within one standard deviation


def uniforms(seed: int, epoch: int, index: np.ndarray, count: int) -> np.ndarray:
    """(N, count) float64 in (0, 1) that depend on (seed, epoch, index) and on nothing else.

    A counter-based generator (SplitMix64's mixing function over the key), so that the draws of a batch are one
    array operation and no sample's draws depend on which worker makes it or what was drawn before.
    """
    with np.errstate(over="ignore"):
        key = _mix(_mix(np.array([seed & 0xFFFFFFFFFFFFFFFF], np.uint64)) + np.uint64(epoch))
        key = _mix(key + index.astype(np.uint64))
        counters = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        bits = _mix(key[:, None] + counters)
    return ((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def _mix(x: np.ndarray) -> np.ndarray:
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@dataclass(frozen=True)
class Augmentation:
    """How crops vary in training. Spreads are standard deviations before the cut, limits the largest values.

    Attributes:
        tails: "clipped" draws limit-clipped normals (mks0601, microsoft); "truncated" draws normals cut at one
            deviation, stretched so that the cut is the limit (mmpose 1.x; the spread has no part in it).
        scale_spread, scale_limit: of the factor on the crop's size, around 1.
        rotation_spread, rotation_limit: [degrees].
        rotation_probability: of turning at all.
        shift_limit: relative to the crop's size, per axis.
        shift_probability: of shifting at all.
        flip_probability: of mirroring.
        half_body_probability: of cutting out only the upper or lower half of someone with enough labelled keypoints.
        half_body_keypoints: how many are enough.
        upper_preference: probability of the upper half where both halves have enough keypoints.
        colour: largest change of brightness, contrast and of each channel, relative; 0 for none.
    """

    tails: str
    scale_spread: float
    scale_limit: float
    rotation_spread: float
    rotation_limit: float
    rotation_probability: float
    shift_limit: float
    shift_probability: float
    flip_probability: float
    half_body_probability: float
    half_body_keypoints: int
    upper_preference: float
    colour: float

    def __post_init__(self) -> None:
        if self.tails not in ("clipped", "truncated"):
            raise Misuse(f"task.augment.tails must be clipped or truncated, got {self.tails}.")
        for name in ("rotation", "shift", "flip", "half_body"):
            probability = getattr(self, f"{name}_probability")
            if not 0 <= probability <= 1:
                raise Misuse(f"task.augment.{name}_probability must be in 0..1, got {probability}.")
        if not 0 <= self.scale_limit < 1:
            raise Misuse(f"task.augment.scale_limit must be in 0..1, got {self.scale_limit}.")
        spreads = {name: getattr(self, name) for name in ("scale_spread", "rotation_spread", "rotation_limit")}
        check_range("task.augment", 0, math.inf, **spreads, half_body_keypoints=self.half_body_keypoints)
        shares = {name: getattr(self, name) for name in ("shift_limit", "upper_preference", "colour")}
        check_range("task.augment", 0, 1, **shares)

    @property
    def num_draws(self) -> int:
        return 14

    def widest(self) -> float:
        """The largest factor on a crop's size."""
        return (1 + self.scale_limit) * (1 + 2 * self.shift_limit * (self.shift_probability > 0))

    def boxes(
        self,
        draws: np.ndarray,
        centre: np.ndarray,
        size: np.ndarray,
        keypoints: np.ndarray,
        visibility: np.ndarray,
        upper: tuple[int, ...],
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Vary the crops of a batch, in mmpose's order: half body, shift, size, rotation.

        Args:
            draws: (P, num_draws) uniform deviates.
            centre, size: (P, 2) of the padded boxes, aspect fitted [px].
            keypoints, visibility: (P, K, 2) [px] and (P, K).
            upper: which keypoints are the upper half.

        Returns:
            (P, 2) centres, (P,) widths [px], (P,) rotations [rad] and (P,) bool, mirrored.
        """
        centre, size = self._half_bodies(draws[:, 0:2], centre, size, keypoints, visibility, upper)
        shift = self._deviates(draws[:, 2:4], self.shift_limit, self.shift_limit)
        shift = np.where(draws[:, 4:5] < self.shift_probability, shift, 0.0)
        width = size[:, 0] * (1 + self._deviates(draws[:, 5], self.scale_spread, self.scale_limit))
        rotation = self._deviates(draws[:, 6], self.rotation_spread, self.rotation_limit)
        rotation = np.where(draws[:, 7] < self.rotation_probability, np.radians(rotation), 0.0)
        return centre + shift * size, width, rotation, draws[:, 8] < self.flip_probability

    def _half_bodies(
        self,
        draws: np.ndarray,
        centre: np.ndarray,
        size: np.ndarray,
        keypoints: np.ndarray,
        visibility: np.ndarray,
        upper: tuple[int, ...],
    ) -> tuple[np.ndarray, np.ndarray]:
        """Replace some boxes by one around the upper (two keypoints or more) or lower (three or more) half."""
        if self.half_body_probability == 0:
            return centre, size
        labelled = visibility > 0
        in_upper = np.zeros(labelled.shape[1], bool)
        in_upper[list(upper)] = True
        enough_up = (labelled & in_upper).sum(axis=1) >= 2
        enough_low = (labelled & ~in_upper).sum(axis=1) >= 3
        chosen = (draws[:, 0] < self.half_body_probability) & (enough_up | enough_low)
        chosen &= labelled.sum(axis=1) >= self.half_body_keypoints
        take_upper = enough_up & (~enough_low | (draws[:, 1] < self.upper_preference))
        part = (labelled & (in_upper == take_upper[:, None]))[:, :, None]
        low = np.where(part, keypoints, np.inf).min(axis=1)
        high = np.where(part, keypoints, -np.inf).max(axis=1)
        chosen &= part.any(axis=(1, 2))
        extent = np.where(chosen[:, None], high - low, 0.0)
        chosen &= (extent > 0).any(axis=1)
        middle = np.where(part, keypoints, 0.0).sum(axis=1) / np.maximum(part.sum(axis=1), 1)
        fitted = fit_aspect(extent, float(size[0, 0] / size[0, 1]), HALF_BODY_PADDING)
        return np.where(chosen[:, None], middle, centre), np.where(chosen[:, None], fitted, size)

    def _deviates(self, uniform: np.ndarray, spread: float, limit: float) -> np.ndarray:
        """Uniform deviates turned into this augmentation's normals."""
        if self.tails == "truncated":
            tail = (1 - _TWO_SIDED) / 2
            return limit * _normal(tail + uniform * _TWO_SIDED)
        return np.clip(spread * _normal(uniform), -limit, limit)

    def colours(self, draws: np.ndarray) -> np.ndarray:
        """(P, 2, 3) gain and offset of the channels: new = gain * (grey level - 127.5) + 127.5 + offset."""
        change = self.colour * (2 * draws[:, 9:14] - 1)
        gain = (1 + change[:, 0:1]) * (1 + change[:, 1:4])
        return np.stack([gain, np.repeat(127.5 * change[:, 4:5], 3, axis=1)], axis=1)


def _normal(uniform: np.ndarray) -> np.ndarray:
    """Standard normal deviates of uniform ones."""
    return torch.special.ndtri(torch.from_numpy(np.ascontiguousarray(uniform))).numpy()
