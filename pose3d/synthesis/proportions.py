"""Other people's bones under the same motion: lengths redrawn a sample at a time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from anypose.settings import Misuse
from pose3d.synthesis.bones import BONE, unit

# Mean length of a bone named for its end [m], the same on both sides: people as Human3.6M's protocol marks them, whose
# hips and shoulders are wider apart than those of motion capture's figures.
LENGTHS = {
    "hip": 0.132,
    "knee": 0.450,
    "foot": 0.450,
    "spine": 0.240,
    "thorax": 0.250,
    "neck": 0.117,
    "head": 0.115,
    "shoulder": 0.165,
    "elbow": 0.280,
    "wrist": 0.250,
}
WIDTHS = ("hip", "shoulder")  # what people and conventions differ in most
KINDS = tuple(LENGTHS)
_KIND = [KINDS.index(name.rpartition("_")[2]) for name in BONE]


@dataclass(frozen=True)
class Proportions:
    """How bone lengths are redrawn.

    Attributes:
        share: of the samples that get other bones; the rest keep their own.
        size_spread: standard deviation of a person's size, as a fraction of it.
        bone_spread: of a single bone's length.
        width_spread: of the hips' and of the shoulders' width.
    """

    share: float
    size_spread: float
    bone_spread: float
    width_spread: float

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise Misuse(f"dataset.body_share={self.share} must lie in [0, 1].")
        for key in ("size_spread", "bone_spread", "width_spread"):
            if not 0 <= getattr(self, key) <= 0.3:
                raise Misuse(f"dataset.{key}={getattr(self, key)} must lie in [0, 0.3].")

    def draw(self, count: int, like: Tensor, generator: Generator) -> Tensor:
        """(count, 16) bone lengths of `count` people [m], symmetric."""
        spread = like.new_tensor([self.width_spread if kind in WIDTHS else self.bone_spread for kind in KINDS])
        normal = torch.randn(count, 1 + len(KINDS), generator=generator, device=like.device).clamp(-2.5, 2.5)
        factors = (1 + self.size_spread * normal[:, :1]) * (1 + spread * normal[:, 1:])
        return (factors * like.new_tensor(list(LENGTHS.values())))[:, _KIND]

    def __call__(self, bones: Tensor, generator: Generator) -> Tensor:
        """Give a `share` of the samples (B, T, 16, 3) other lengths, constant over their frames."""
        lengths = self.draw(len(bones), bones, generator)
        other = torch.rand(len(bones), 1, 1, 1, generator=generator, device=bones.device) < self.share
        return torch.where(other, unit(bones) * lengths[:, None, :, None], bones)
