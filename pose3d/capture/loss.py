"""What heatmaps and orientation fields are taught by: squared differences where they count, as the original has it.

Everything is an error per channel first: squares times the mask, over the mask's sum. Then the mean over the channels
that are valid for a sample, over stages and over samples.
"""

from __future__ import annotations

import torch
from torch import Tensor


def heatmap_error(predicted: Tensor, target: Tensor, mask: Tensor, valid: Tensor) -> Tensor:
    """Mean squared error of heatmaps.

    Args:
        predicted: (B, S, C, h, w), every stage; channels beyond C = `target`'s are not scored.
        target: (B, C, h, w).
        mask: (B, 1, h, w) in 0..1; it weighs the difference before that is squared, as in the original.
        valid: (B, C) bool.
    """
    difference = (predicted[:, :, : target.shape[1]] - target[:, None]) * mask[:, None]
    return _mean_over_valid(difference.square().sum((-2, -1)), mask, valid)


def field_error(
    predicted: Tensor, target: Tensor, mask: Tensor, valid: Tensor, spatial: Tensor, off_limb: bool, flat: bool
) -> Tensor:
    """Mean squared error of orientation fields, with samples of which only 2D is known.

    There the z of the truth is not known, nor the length that remains for x and y: on a limb the predicted x and y are
    brought to length 1 before they are compared, and z is left out. Off the limbs the original compares nothing.

    Args:
        predicted: (B, S, 3 L, h, w), every stage.
        target: (B, 3 L, h, w).
        mask: (B, 1, h, w) in 0..1.
        valid: (B, L) bool.
        spatial: (B,) bool, the target's z is known.
        off_limb: samples of 2D must be zero off the limbs, as those of 3D must; a departure, without which fields of a
            network trained on 2D alone say nothing about where a limb is.
        flat: whether samples of 2D teach the fields at all.
    """
    B, S, C, h, w = predicted.shape
    predicted, target = predicted.view(B, S, C // 3, 3, h, w), target.view(B, 1, C // 3, 3, h, w)
    on_limb = (target != 0).any(3, keepdim=True)
    planar = predicted[:, :, :, :2]
    # The epsilon is inside the root: its gradient is finite where the prediction is zero.
    unit = planar / (planar.square().sum(3, keepdim=True) + 1e-12).sqrt()
    rest = predicted if off_limb else torch.zeros_like(predicted)
    known = torch.where(on_limb, torch.cat([unit, torch.zeros_like(unit[:, :, :, :1])], dim=3), rest)
    compared = torch.where(spatial.view(B, 1, 1, 1, 1, 1), predicted, known)
    difference = (compared - target) * mask[:, None, None]
    error = difference.square().sum((-3, -2, -1)) / 3
    # Multiplied by zero and not skipped: every parameter gets a gradient, which parallel training insists on.
    error = error * (spatial | flat).float().view(B, 1, 1)
    return _mean_over_valid(error, mask, valid)


def _mean_over_valid(error: Tensor, mask: Tensor, valid: Tensor) -> Tensor:
    """Of (B, S, C) sums over a map; a sample without valid channels or without trusted pixels counts as no error."""
    error = error / mask.sum((-2, -1)).clamp_min(1)[:, None]
    weight = valid.to(error.dtype)[:, None]
    return ((error * weight).sum(2) / weight.sum(2).clamp_min(1)).mean()
