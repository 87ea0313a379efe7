"""What a 2D detector gets wrong, as a stated model: jitter, outliers, exchanged sides, missing joints."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anypose.settings import Misuse
from anypose.skeleton import Skeleton

# Standard deviation of an outlier, as a share of the person's height in the picture.
OUTLIER_SIZE = 0.15
# Jitter of a joint against the average joint: ends of limbs are found less well. Everything unnamed is 1.
HARDER = {"elbow": 1.2, "wrist": 1.6, "knee": 1.1, "foot": 1.4, "hip": 1.1, "shoulder": 0.9, "head": 0.8, "neck": 0.8}


@dataclass(frozen=True)
class DetectorNoise:
    """Noise on keypoints, each kind drawn independently per joint and frame but for `swaps`, which lasts.

    Attributes:
        jitter: standard deviation of an average joint as a share of the person's height in the picture; 0.01 is about
            what a detector fine-tuned on the data shows.
        outliers: probability that a joint is found somewhere near instead (Gaussian, 15 % of the height).
        swaps: probability that a frame begins a spell of exchanged left and right legs or arms.
        missing: probability that a joint is not found: score 0, its place is the last one seen.
    """

    jitter: float
    outliers: float
    swaps: float
    missing: float

    def __post_init__(self) -> None:
        for name in ("jitter", "outliers", "swaps", "missing"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise Misuse(f"dataset.{name}={value} must lie in [0, 1).")

    def __str__(self) -> str:
        return f"jitter {self.jitter:g}, outliers {self.outliers:g}, swaps {self.swaps:g}, missing {self.missing:g}"

    def __call__(
        self, rng: np.random.Generator, keypoints: np.ndarray, skeleton: Skeleton
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Disturb keypoints (T, K, 2) [px] of one view.

        Returns:
            (T, K, 2) disturbed keypoints, and (T, K) float32 scores in 0..1, or None where nothing is disturbed.
        """
        if not (self.jitter or self.outliers or self.swaps or self.missing):
            return keypoints, None
        frames, joints, _ = keypoints.shape
        height = max(np.ptp(keypoints[..., 1], axis=1).mean(), 1.0)
        hardness = np.array([HARDER.get(name.rpartition("_")[2], 1.0) for name in skeleton.joints])
        found = keypoints.astype(np.float64)

        begin = rng.random((frames, 2)) < self.swaps
        spell = rng.geometric(0.2, (frames, 2))
        index = np.arange(frames)[:, None]
        ends = np.maximum.accumulate(np.where(begin, index + spell, 0), axis=0)
        for part, swapped in zip(
            (("hip", "knee", "foot"), ("shoulder", "elbow", "wrist")), (index < ends).T, strict=True
        ):
            for name in part:
                left, right = skeleton.index(f"left_{name}"), skeleton.index(f"right_{name}")
                found[np.ix_(swapped, [left, right])] = found[np.ix_(swapped, [right, left])]

        outlier = rng.random((frames, joints)) < self.outliers
        deviation = height * np.where(outlier, OUTLIER_SIZE, self.jitter * hardness)
        error = deviation[..., None] * rng.standard_normal(found.shape)
        found += error
        # Confident where the error is small, as detectors are on the whole.
        scores = np.exp(-0.5 * ((error**2).sum(-1) / (0.05 * height) ** 2)) * rng.uniform(0.8, 1.0, (frames, joints))

        missing = rng.random((frames, joints)) < self.missing
        missing[0] = False
        seen = np.maximum.accumulate(np.where(missing, 0, index), axis=0)
        found = np.take_along_axis(found, seen[..., None], axis=0)
        scores[missing] = 0.0
        return found.astype(keypoints.dtype), scores.astype(np.float32)
