"""The camera turned to look at the person: what a lifter reads no longer depends on where in the picture they stand.

Keypoints as rays follow Ray3D (Zhan et al., CVPR 2022); turning the camera to the person is also what
"Perspective-aware" crops do (Yu et al., ICCV 2021).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anypose.skeleton import Skeleton

# Logarithm of a size that is usual, and how far sizes spread: a person 5 m away has a root mean square of 0.1.
USUAL_SIZE = -2.2
SIZE_SPREAD = 0.5
SMALLEST = 1e-3  # of a size; whoever is smaller is one point


class CentredInput(nn.Module):
    """Slopes of rays to features: turned so that the hips' middle lies on the axis, divided by the person's size.

    Args:
        skeleton: what the K keypoints are; both hips must be among them.
        scores: a score comes third, and a keypoint whose score is 0 is not there: it counts for nothing. How far above
            0 it is does not matter: networks mean different things by it (BlazePose a visibility, not an error).
        keep_hip: keep a keypoint "hip", which is near zero in every frame that is centred by itself.
    """

    precise = True
    kept: Tensor

    def __init__(self, skeleton: Skeleton, *, scores: bool, keep_hip: bool) -> None:
        super().__init__()
        self.hips = [skeleton.index("left_hip"), skeleton.index("right_hip")]
        self.scores = scores
        kept = [row for row, joint in enumerate(skeleton.joints) if keep_hip or joint != "hip"]
        self.register_buffer("kept", torch.tensor(kept), persistent=False)

    @property
    def num_features(self) -> int:
        """Values a frame has besides the one for the size."""
        return len(self.kept) * (3 if self.scores else 2)

    def forward(self, keypoints: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Turn and scale windows, each by one camera.

        Args:
            keypoints: (N, T, K, C) slopes x / z, y / z and, with `scores`, a score.

        Returns:
            (N, T, K', C) features, (N, 1) the size's logarithm, standardised, and (N, 3, 3) the turn from the
            camera's axes to the virtual camera's.
        """
        slopes = keypoints[..., :2].float()
        there = (keypoints[..., 2:] > 0).to(slopes) if self.scores else torch.ones_like(slopes[..., :1])
        slopes = slopes * there
        turn = look_along(self._middle(slopes, there))
        turned = slopes @ turn[:, None, :, :2].transpose(-1, -2) + turn[:, None, None, :, 2]
        turned = there * turned[..., :2] / turned[..., 2:].clamp(min=0.1)
        square = turned.square().sum((1, 2, 3)) / there.sum((1, 2, 3)).clamp(min=1)
        size = square.sqrt().clamp(min=SMALLEST)
        features = turned / size[:, None, None, None]
        if self.scores:
            features = torch.cat([features, there], dim=-1)
        logarithm = (size.log() - USUAL_SIZE) / SIZE_SPREAD
        return features.index_select(2, self.kept), logarithm[:, None], turn

    def _middle(self, slopes: Tensor, there: Tensor) -> Tensor:
        """(N, 3) the middle of the hips' rays over the window; where no hip is there, of all that are."""
        rays = there * F.normalize(torch.cat([slopes, torch.ones_like(there)], dim=-1), dim=-1)
        hips, everything = rays[:, :, self.hips].sum((1, 2)), rays.sum((1, 2))
        ahead = rays.new_tensor([0.0, 0.0, 1e-6])  # where there is nothing at all
        return torch.where(hips[:, 2:] > 0, hips, everything) + ahead


def look_along(ray: Tensor) -> Tensor:
    """(N, 3) rays -> (N, 3, 3) the smallest turn that brings each onto the z axis."""
    a, b, c = F.normalize(ray, dim=1).unbind(1)
    share = 1 / (1 + c)
    rows = [1 - a * a * share, -a * b * share, -a, -a * b * share, 1 - b * b * share, -b, a, b, c]
    return torch.stack(rows, dim=1).view(-1, 3, 3)
