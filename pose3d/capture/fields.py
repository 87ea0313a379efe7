"""Heatmaps and orientation fields: drawn from joints, enlarged as TF1 did it, read along a limb. Batched on the device.

A cell `i` of a map with stride 8 stands for pixel `8 i`: the alignment the published networks were trained with (TF1's
resize has no half-pixel offset), kept for ours so that converted and own weights decode alike.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from pose3d.capture.layout import CaptureLayout

HEATMAP_SIGMA = 7.0  # [px] of the crop
FIELD_HALF_WIDTH = 8.0  # [px] of the crop


def _grid(height: int, width: int, stride: float, device: torch.device) -> tuple[Tensor, Tensor]:
    """Pixel coordinates of the cells: y as (height, 1), x as (1, width)."""
    y = torch.arange(height, device=device, dtype=torch.float32).mul_(stride)
    x = torch.arange(width, device=device, dtype=torch.float32).mul_(stride)
    return y[:, None], x[None, :]


def draw_heatmaps(keypoints: Tensor, valid: Tensor, height: int, width: int, stride: float) -> Tensor:
    """Gaussian heatmaps of every person, the largest value winning, with the background as last channel.

    Departure: the original truncates joints to whole pixels first; we draw them where they are.

    Args:
        keypoints: (B, P, J, 2) [px].
        valid: (B, P, J) bool; other joints, and those outside the image, leave no trace.
        height, width: cells.
        stride: pixels a cell.

    Returns:
        (B, J + 1, height, width) float32 in 0..1.
    """
    y, x = _grid(height, width, stride, keypoints.device)
    inside = (keypoints >= 0).all(-1) & (keypoints[..., 0] < width * stride) & (keypoints[..., 1] < height * stride)
    scale = -0.5 / HEATMAP_SIGMA**2
    # A Gaussian is separable: exp over (height + width) values a joint instead of height * width.
    along_x = torch.exp(scale * (x - keypoints[..., 0:1]).square())  # (B, P, J, width)
    along_y = torch.exp(scale * (y.T - keypoints[..., 1:2]).square())  # (B, P, J, height)
    along_y = along_y * (valid & inside)[..., None]
    maps = torch.zeros(*keypoints.shape[:1], keypoints.shape[2], height, width, device=keypoints.device)
    for person in range(keypoints.shape[1]):  # a running maximum: P full-size tensors would not fit
        maps = torch.maximum(maps, along_y[:, person, :, :, None] * along_x[:, person, :, None, :])
    background = (1 - maps.sum(1, keepdim=True)).clamp_(0, 1)
    return torch.cat((maps, background), dim=1)


def draw_fields(
    layout: CaptureLayout,
    keypoints: Tensor,
    directions: Tensor,
    valid: Tensor,
    height: int,
    width: int,
    stride: float,
) -> Tensor:
    """Orientation fields: within 8 px of a limb, the limb's direction; the mean where people overlap, zero elsewhere.

    Args:
        layout: which joints each limb connects.
        keypoints: (B, P, J, 2) [px].
        directions: (B, P, L, 3) unit vectors, camera axes (x right, y down, z forward); z = 0 where only 2D is known.
        valid: (B, P, L) bool.
        height, width: cells.
        stride: pixels a cell.

    Returns:
        (B, 3 L, height, width) float32.
    """
    B, P, _, _ = keypoints.shape
    y, x = _grid(height, width, stride, keypoints.device)
    total = keypoints.new_zeros(B, layout.num_limbs, 3, height, width)
    count = keypoints.new_zeros(B, layout.num_limbs, 1, height, width)
    first, second = (torch.tensor(side, device=keypoints.device) for side in zip(*layout.limbs, strict=True))
    for person in range(P):
        start, end = keypoints[:, person, first], keypoints[:, person, second]  # (B, L, 2)
        along = end - start
        length = along.norm(dim=-1)
        unit = along / length.clamp_min(1e-6)[..., None]
        low = torch.minimum(start, end)[..., None, None] - FIELD_HALF_WIDTH
        high = torch.maximum(start, end)[..., None, None] + FIELD_HALF_WIDTH
        dx, dy = x - start[..., 0, None, None], y - start[..., 1, None, None]
        across = (dx * unit[..., 1, None, None] - dy * unit[..., 0, None, None]).abs()
        covered = (
            (across < FIELD_HALF_WIDTH)
            & (x >= low[:, :, 0]) & (x <= high[:, :, 0])
            & (y >= low[:, :, 1]) & (y <= high[:, :, 1])
            & (valid[:, person] & (length > 0))[..., None, None]
        )  # fmt: skip
        covered = covered[:, :, None].to(total.dtype)
        total += covered * directions[:, person, :, :, None, None]
        count += covered
    return (total / count.clamp_min(1)).flatten(1, 2)


def enlarge(maps: Tensor, factor: int = 8) -> Tensor:
    """TF1's `resize_images(..., BICUBIC)`: source = destination / factor, A = -0.75, edges replicated.

    `F.interpolate(align_corners=False)` would put every peak 3.5 px off; replicating one cell and asking for the
    aligned grid of `factor * n + 1` points gives TF1's values exactly.

    Args:
        maps: (..., h, w).

    Returns:
        (..., h * factor, w * factor).
    """
    *lead, height, width = maps.shape
    if torch.onnx.is_in_onnx_export():
        flat = maps.reshape(-1, 1, height, width)
        return enlarge_portably(flat, factor).reshape(*lead, height * factor, width * factor)
    padded = F.pad(maps.reshape(-1, 1, height, width), (0, 1, 0, 1), mode="replicate")
    size = (height * factor + 1, width * factor + 1)
    large = F.interpolate(padded, size=size, mode="bicubic", align_corners=True)
    return large[..., :-1, :-1].reshape(*lead, height * factor, width * factor)


def enlarge_portably(maps: Tensor, factor: int) -> Tensor:
    """`enlarge` of (N, 1, h, w) by transposed convolutions, which every compiler for chips knows."""
    distance = (torch.arange(4 * factor - 1, device=maps.device) - (2 * factor - 1)).abs() / factor
    near = (1.25 * distance - 2.25) * distance * distance + 1  # the cubic with A = -0.75
    far = ((-0.75 * distance + 3.75) * distance - 6) * distance + 3
    kernel = torch.where(distance <= 1, near, far).to(maps.dtype)
    crop = 3 * factor - 1
    maps = torch.cat([maps[:, :, :1], maps, maps[:, :, -1:], maps[:, :, -1:]], dim=2)
    maps = F.conv_transpose2d(maps, kernel.view(1, 1, -1, 1), stride=(factor, 1), padding=(crop, 0))[:, :, :-1]
    maps = torch.cat([maps[..., :1], maps, maps[..., -1:], maps[..., -1:]], dim=3)
    return F.conv_transpose2d(maps, kernel.view(1, 1, 1, -1), stride=(1, factor), padding=(0, crop))[..., :-1]


def limb_vectors(layout: CaptureLayout, fields: Tensor, keypoints: Tensor, stride: float, samples: int = 11) -> Tensor:
    """The mean field along the segment between each limb's joints.

    Args:
        fields: (N, 3 L, h, w).
        keypoints: (N, J, 2) [px].
        stride: pixels a cell.
        samples: points on the segment, ends included.

    Returns:
        (N, L, 3) mean vectors; shorter than 1 where the field is unsure, zero where the segment leaves the limb.
    """
    N, _, height, width = fields.shape
    first, second = (torch.tensor(side, device=fields.device) for side in zip(*layout.limbs, strict=True))
    at = torch.linspace(0, 1, samples, device=fields.device)[:, None]
    start, end = keypoints[:, first, None], keypoints[:, second, None]
    points = (start + (end - start) * at) / stride  # (N, L, samples, 2) cells
    column = points[..., 0].round().long().clamp_(0, width - 1)
    row = points[..., 1].round().long().clamp_(0, height - 1)
    flat = fields.view(N, layout.num_limbs, 3, height * width)
    index = (row * width + column)[:, :, None].expand(-1, -1, 3, -1)
    return flat.gather(3, index).mean(-1)
