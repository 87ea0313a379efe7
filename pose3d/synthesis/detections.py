"""What real detectors make of keypoints: errors that last, exchanged sides, hidden points, and scores that say so.

Sizes follow the errors measured on detectors that MotionBERT trains with (Zhu et al., ICCV 2023): per joint a standard
deviation of 0.34 to 0.95 % of the picture's side mixed with uniform 3 %, drawn at key frames nine frames apart and
interpolated, and 0.2 % of white noise. A person there is some six tenths of the side tall.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Generator, Tensor

from anypose.settings import Misuse
from anypose.skeleton import Skeleton

KEY_FRAMES = 9  # frames of 50 a second between two draws of the lasting error
SIGMA = 0.008  # of a joint of hardness 1, as a share of the person's height
WIDE = 0.05  # half the width of the uniform error
WHITE = 0.003
# Ends of limbs are found less well.
HARDNESS = {"wrist": 1.6, "elbow": 1.3, "foot": 1.4, "knee": 1.1, "hip": 1.2, "shoulder": 0.9}
PARTS = (("hip", "knee", "foot"), ("shoulder", "elbow", "wrist"))


@dataclass(frozen=True)
class Detections:
    """How keypoints of a sample are disturbed. Every one of them 0 leaves them exact.

    Attributes:
        noise: factor on the errors' size; samples vary around it.
        outliers: share of the errors that come from the wide, uniform distribution.
        swaps: probability of a spell of exchanged legs in a sample, and of exchanged arms.
        hidden_joints: share of the keypoints that are not found.
        hidden_frames: share of the frames in which nobody is found.
        cut_off: probability that a sample is cut off below the hips or the knees.
        hidden_future: probability that a sample has nothing after its middle frame: live use.
    """

    noise: float
    outliers: float
    swaps: float
    hidden_joints: float
    hidden_frames: float
    cut_off: float
    hidden_future: float

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            highest = 5.0 if field.name == "noise" else 1.0
            if not 0 <= value < highest:
                raise Misuse(f"dataset.{field.name}={value} must lie in [0, {highest:g}).")

    def __call__(
        self, keypoints: Tensor, height: Tensor, frames: Tensor, skeleton: Skeleton, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """Disturb exact keypoints.

        Args:
            keypoints: (B, T, K, 2).
            height: (B,) of the person standing, in the keypoints' unit.
            frames: (B, T) when the frames are, in fiftieths of a second.
            skeleton: what the K keypoints are.
            generator: all randomness comes from here.

        Returns:
            (B, T, K, 2) and (B, T, K) scores in 0..1, 0 where hidden.
        """
        B, T, K, _ = keypoints.shape
        device = keypoints.device

        def rand(*shape: int) -> Tensor:
            return torch.rand(shape, generator=generator, device=device)

        scores = torch.ones(B, T, K, device=device)
        if self.swaps:
            keypoints = self._swap(keypoints, skeleton, rand)
        if self.noise:
            error = self._errors(B, K, frames, skeleton, generator)
            keypoints = keypoints + error * height[:, None, None, None]
            sure = torch.exp(-0.5 * (error.square().sum(-1) / 0.04**2)) * (0.8 + 0.2 * rand(B, T, K))
            # Some networks' scores say much, some little, and some detections come without.
            scores = sure ** (2 * rand(B, 1, 1)) * (rand(B, 1, 1) < 0.7) + 0.0
            scores = torch.where(scores.amax((1, 2), keepdim=True) > 0, scores.clamp(min=0.02), 1.0)
        hidden = rand(B, T, K) < self.hidden_joints / 2
        hidden |= rand(B, 1, K) < self.hidden_joints / 2
        lost = rand(B, T, 1) < self.hidden_frames
        hidden |= lost
        hidden |= (rand(B, 1, 1) < self.cut_off) & self._below(skeleton, rand(B, 1), device)[:, None]
        later = torch.arange(T, device=device) > T // 2
        hidden |= (rand(B, 1, 1) < self.hidden_future) & later[:, None]
        return keypoints, torch.where(hidden, 0.0, scores)

    def _errors(self, B: int, K: int, frames: Tensor, skeleton: Skeleton, generator: Generator) -> Tensor:
        """(B, T, K, 2) as shares of the person's height."""
        device = frames.device
        hardness = frames.new_tensor([HARDNESS.get(name.rpartition("_")[2], 1.0) for name in skeleton.joints])
        place = (frames - frames[:, :1]) / KEY_FRAMES + torch.rand(B, 1, generator=generator, device=device)
        knots = int(place.max()) + 2
        shape = B, knots, K, 2
        normal = torch.randn(shape, generator=generator, device=device) * SIGMA * hardness[:, None]
        uniform = (2 * torch.rand(shape, generator=generator, device=device) - 1) * WIDE
        wide = torch.rand(B, knots, K, 1, generator=generator, device=device) < self.outliers
        lasting = torch.where(wide, uniform, normal)
        before = place.long()
        share = (place - before)[..., None, None]
        rows = torch.arange(B, device=device)[:, None]
        error = lasting[rows, before] * (1 - share) + lasting[rows, before + 1] * share
        error = error + WHITE * torch.randn(error.shape, generator=generator, device=device)
        factor = (0.6 * torch.randn(B, 1, 1, 1, generator=generator, device=device)).exp()
        return self.noise * factor.clamp(max=4.0) * error

    def _swap(self, keypoints: Tensor, skeleton: Skeleton, rand) -> Tensor:
        """Exchange left and right of legs, arms or both for a stretch of the frames."""
        B, T, _, _ = keypoints.shape
        time = (torch.arange(T, device=keypoints.device) + 0.5) / T
        begin, end = rand(B, 1) * 1.5 - 0.5, rand(B, 1) * 1.5
        spell = (time >= begin) & (time < end)
        both = rand(B, 1) < self.swaps / 3
        flipped = list(skeleton.flip_index)
        for part in PARTS:
            index = list(range(skeleton.num_joints))
            for row, name in enumerate(skeleton.joints):
                if name.rpartition("_")[2] in part:
                    index[row] = flipped[row]
            where = spell & (both | (rand(B, 1) < self.swaps))
            keypoints = torch.where(where[..., None, None], keypoints[..., index, :], keypoints)
        return keypoints

    def _below(self, skeleton: Skeleton, draw: Tensor, device: torch.device) -> Tensor:
        """(B, K) what lies outside the picture: feet, or knees and feet."""
        kinds = [name.rpartition("_")[2] for name in skeleton.joints]
        feet = torch.tensor([kind == "foot" for kind in kinds], device=device)
        knees = torch.tensor([kind in ("knee", "foot") for kind in kinds], device=device)
        return torch.where(draw < 0.5, feet, knees)
