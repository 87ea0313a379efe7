"""Limb ends that the detector did not find: the test of GMH-MDN (Li and Lee, section 4.3), for any dataset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from anypose.settings import Misuse
from pose3d.lifter import Lifter

# What a detector loses first; in GMH-MDN's code these are 2, 3, 5, 6, 11, 12, 14 and 15 of its 16 keypoints.
LIMB_ENDS = tuple(f"{side}_{joint}" for side in ("right", "left") for joint in ("knee", "foot", "elbow", "wrist"))


@dataclass(frozen=True)
class MissingJoints:
    """How many random knees, feet, elbows and wrists of every frame are hidden, and where.

    Attributes:
        count: `dataset.missing_joints`, 0 to 2.
        where: `dataset.missing_in`: "train", "test" (the validation split) or "both".
    """

    count: int
    where: Literal["train", "test", "both"]

    def __post_init__(self) -> None:
        if self.count not in (0, 1, 2):
            raise Misuse(f"dataset.missing_joints must be 0, 1 or 2, got {self.count}.")
        if self.where not in ("train", "test", "both"):
            raise Misuse(f"dataset.missing_in must be train, test or both, got {self.where!r}.")

    @property
    def in_training(self) -> int:
        return 0 if self.where == "test" else self.count

    @property
    def in_test(self) -> int:
        return 0 if self.where == "train" else self.count

    def check(self, model: Lifter) -> None:
        """Refuse to hide keypoints from a model that has no mean to put in their place."""
        if self.count and model.keypoint_mean() is None and not model.keypoints_may_miss:
            raise Misuse(
                f"dataset.missing_joints={self.count} puts hidden keypoints at the mean that the model standardises "
                f"with, and {type(model).__name__} has none. Set dataset.missing_joints=0."
            )

    def __str__(self) -> str:
        return f"{self.count} of every frame ({self.where})" if self.count else "0"


NONE = MissingJoints(0, "both")


class Hide:
    """Puts the mean of the training keypoints in place of `count` random limb ends: zero to the network.

    For a network whose keypoints may miss it is a score of 0.
    """

    def __init__(self, count: int, model: Lifter, device: torch.device) -> None:
        self.count, self.model = count, model
        names = LIMB_ENDS if count else ()
        self.limb_ends = torch.tensor([model.input_skeleton.index(name) for name in names], device=device)

    def __call__(self, keypoints: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """(..., K, C) keypoints, `count` of each frame at their mean.

        Args:
            keypoints: (..., K, C).
            generator: the host's, to hide the same ones on every device; None draws on the device.
        """
        if not self.count:
            return keypoints
        mean = self.model.keypoint_mean()
        if mean is None:
            mean = keypoints.new_zeros(keypoints.shape[-1])
        device = keypoints.device
        size = (*keypoints.shape[:-2], len(LIMB_ENDS))
        draws = torch.rand(size, generator=generator, device="cpu" if generator else device).to(device)
        chosen = self.limb_ends[draws.topk(self.count, dim=-1).indices]
        hidden = torch.zeros(keypoints.shape[:-1], device=device).scatter(-1, chosen, 1.0).bool()
        return torch.where(hidden[..., None], mean.to(device), keypoints)
