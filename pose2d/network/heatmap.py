"""Keypoints to heatmaps and back: rounded (mks0601, microsoft), DARK and UDP, batched on the device."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from anypose.settings import Misuse

DECODERS = ("argmax", "quarter", "dark", "udp")


@dataclass(frozen=True)
class Coding:
    """How keypoints stand in heatmaps.

    Attributes:
        crop_size, heatmap_size: (H, W) [px] and [cells].
        aligned: UDP's convention: the first and last cell lie on the first and last pixel, so cells are
            (W - 1) / (w - 1) pixels apart; otherwise W / w. Flipped heatmaps then need no shift.
        rounded: the peak is put on the nearest cell; otherwise where the keypoint is (DARK's and UDP's targets).
        sigma: of the Gaussian [cells].
        support: the Gaussian is cut off this many sigmas from its middle, per axis; `inf` for never.
        peak: value in the middle: 1, or 255 (mks0601).
        outside: what a labelled keypoint outside the crop weighs: "zero" (mks0601) nothing; "window" (microsoft,
            mmpose) one, as long as a part of its Gaussian's window is inside.
        decoder: "argmax"; "quarter" a quarter of a cell towards the higher neighbour; "dark" and "udp" Newton's
            step on the logarithm of the smoothed heatmap, each with its authors' guards.
    """

    crop_size: tuple[int, int]
    heatmap_size: tuple[int, int]
    aligned: bool
    rounded: bool
    sigma: float
    support: float
    peak: float
    outside: str
    decoder: str

    def __post_init__(self) -> None:
        if self.decoder not in DECODERS:
            raise Misuse(f"task.decoder must be one of {', '.join(DECODERS)}, got {self.decoder}.")
        if self.outside not in ("zero", "window"):
            raise Misuse(f"task.outside must be zero or window, got {self.outside}.")
        if self.sigma <= 0 or self.support <= 0 or self.peak <= 0:
            raise Misuse(
                f"task.sigma, support and peak must be above 0, got {self.sigma}, {self.support}, {self.peak}."
            )

    @property
    def stride(self) -> tuple[float, float]:
        """Pixels from one cell to the next, in x and in y."""
        (height, width), (rows, columns) = self.crop_size, self.heatmap_size
        if self.aligned:
            return (width - 1) / (columns - 1), (height - 1) / (rows - 1)
        return width / columns, height / rows

    def encode(self, keypoints: Tensor, visibility: Tensor) -> tuple[Tensor, Tensor]:
        """Targets and what they weigh.

        Args:
            keypoints: (B, K, 2) [crop px].
            visibility: (B, K); 0 is not labelled.

        Returns:
            (B, K, h, w) float32 heatmaps, a product of two one-dimensional Gaussians each; (B, K) weights, 0 or 1.
        """
        profiles, inside = [], visibility > 0
        for axis, (stride, cells) in enumerate(zip(self.stride, self.heatmap_size[::-1], strict=True)):
            cell = keypoints[..., axis].float() / stride
            nearest = (cell + 0.5).trunc()  # as microsoft's int(): towards zero left of the crop
            profiles.append(self._profile(nearest if self.rounded else cell, nearest, cells))
            if self.outside == "zero":
                inside = inside & (cell >= 0) & (cell < cells)
            else:
                # A Gaussian without an end is given the window it would have had.
                reach = self.sigma * (3 if math.isinf(self.support) else self.support)
                inside = inside & (nearest - reach < cells) & (nearest + reach + 1 >= 0)
        x, y = profiles
        return self.peak * y[..., :, None] * x[..., None, :], inside.float()

    def _profile(self, middle: Tensor, nearest: Tensor, cells: int) -> Tensor:
        """(B, K, cells) Gaussian along one axis."""
        places = torch.arange(cells, device=middle.device, dtype=torch.float32)
        profile = torch.exp(-((places - middle[..., None]) ** 2) / (2 * self.sigma**2))
        if math.isfinite(self.support):
            profile = profile * ((places - nearest[..., None]).abs() <= self.support * self.sigma)
        return profile

    def decode(self, heatmaps: Tensor) -> tuple[Tensor, Tensor]:
        """Where the peaks are.

        Args:
            heatmaps: (B, K, h, w).

        Returns:
            (B, K, 2) keypoints [crop px] and (B, K) scores: the peak's height, 1 for a perfect one.
        """
        heatmaps = heatmaps.float()
        columns = self.heatmap_size[1]
        height, best = heatmaps.flatten(2).max(dim=-1)
        x, y = best % columns, torch.div(best, columns, rounding_mode="floor")
        cell = torch.stack([x, y], dim=-1).float()
        if self.decoder in ("argmax", "quarter"):
            cell = cell * (height > 0)[..., None]  # microsoft: nothing found is (0, 0)
        if self.decoder == "quarter":
            cell = cell + self._quarter(heatmaps, x, y)
        elif self.decoder == "dark":
            cell = cell + self._dark(heatmaps, x, y)
        elif self.decoder == "udp":
            cell = cell + self._udp(heatmaps, x, y)
        return torch.stack([cell[..., axis] * self.stride[axis] for axis in range(2)], dim=-1), height / self.peak

    def _quarter(self, heatmaps: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """A quarter cell towards the higher neighbour where both axes have neighbours to spare."""
        rows, columns = self.heatmap_size
        inner = (x > 1) & (x < columns - 1) & (y > 1) & (y < rows - 1)
        near = _Neighbours(heatmaps, x, y)
        slope = torch.stack([near(1, 0) - near(-1, 0), near(0, 1) - near(0, -1)], dim=-1)
        return 0.25 * slope.sign() * inner[..., None]

    def _dark(self, heatmaps: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Zhang et al. 2020, equations 6 to 9: smooth to the old height, take logarithms, one Newton step."""
        rows, columns = self.heatmap_size
        near = _Neighbours((self._smooth(heatmaps) / self.peak).clamp(min=1e-10).log(), x, y)
        inner = (x > 1) & (x < columns - 2) & (y > 1) & (y < rows - 2)
        dx, dy = (near(1, 0) - near(-1, 0)) / 2, (near(0, 1) - near(0, -1)) / 2
        dxx = (near(2, 0) - 2 * near(0, 0) + near(-2, 0)) / 4
        dyy = (near(0, 2) - 2 * near(0, 0) + near(0, -2)) / 4
        dxy = (near(1, 1) - near(-1, 1) - near(1, -1) + near(-1, -1)) / 4
        return _newton(dx, dy, dxx, dyy, dxy, 0.0) * inner[..., None]

    def _udp(self, heatmaps: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Huang et al. 2020 as published in code: smooth, clip to 0.001..50, logarithm, one Newton step."""
        near = _Neighbours((self._smooth(heatmaps) / self.peak).clamp(1e-3, 50).log(), x, y)
        dx, dy = (near(1, 0) - near(-1, 0)) / 2, (near(0, 1) - near(0, -1)) / 2
        dxx = near(1, 0) - 2 * near(0, 0) + near(-1, 0)
        dyy = near(0, 1) - 2 * near(0, 0) + near(0, -1)
        dxy = (near(1, 1) - near(1, 0) - near(0, 1) + 2 * near(0, 0) - near(-1, 0) - near(0, -1) + near(-1, -1)) / 2
        return _newton(dx, dy, dxx, dyy, dxy, torch.finfo(torch.float32).eps)

    def _smooth(self, heatmaps: Tensor) -> Tensor:
        """Smooth by a Gaussian of 11 cells at sigma 2 (17 at 3), black outside, and give the peaks their old height."""
        size = 2 * round(3 * self.sigma) - 1
        sigma = 0.3 * ((size - 1) * 0.5 - 1) + 0.8  # OpenCV's rule for a kernel of that size
        places = torch.arange(size, device=heatmaps.device, dtype=torch.float32) - size // 2
        kernel = torch.exp(-(places**2) / (2 * sigma**2))
        kernel = (kernel / kernel.sum())[None, None]
        maps = heatmaps.flatten(0, 1)[:, None]
        maps = functional.conv2d(maps, kernel[:, :, None, :], padding=(0, size // 2))
        maps = functional.conv2d(maps, kernel[:, :, :, None], padding=(size // 2, 0))
        smooth = maps[:, 0].view_as(heatmaps)
        top = heatmaps.amax(dim=(2, 3), keepdim=True)
        return smooth * (top / smooth.amax(dim=(2, 3), keepdim=True).clamp(min=1e-30))

    def flip_back(self, heatmaps: Tensor, flip_index: Tensor) -> Tensor:
        """(B, K, h, w) heatmaps of mirrored crops as they would be of the crops themselves.

        Without alignment cell i stands for pixel 4 i, so the mirrored map is 0.75 cells off; moving it by one cell
        leaves 0.25. In UDP's convention there is nothing to correct.
        """
        heatmaps = heatmaps.index_select(1, flip_index).flip(-1)
        if not self.aligned:
            heatmaps = torch.cat([heatmaps[..., :1], heatmaps[..., :-1]], dim=-1)
        return heatmaps


class _Neighbours:
    """Values of (B, K, h, w) maps beside (B, K) cells; beyond the border the border's value counts."""

    def __init__(self, maps: Tensor, x: Tensor, y: Tensor) -> None:
        self.flat = maps.flatten(2)
        self.rows, self.columns = maps.shape[2:]
        self.x, self.y = x, y

    def __call__(self, right: int, down: int) -> Tensor:
        x = (self.x + right).clamp(0, self.columns - 1)
        y = (self.y + down).clamp(0, self.rows - 1)
        return self.flat.gather(2, (y * self.columns + x)[..., None])[..., 0]


def _newton(dx: Tensor, dy: Tensor, dxx: Tensor, dyy: Tensor, dxy: Tensor, ridge: float) -> Tensor:
    """(..., 2) step to the top of the quadratic with this gradient and Hessian; none where it has no top."""
    dxx, dyy = dxx + ridge, dyy + ridge
    determinant = dxx * dyy - dxy**2
    singular = determinant == 0
    determinant = torch.where(singular, 1.0, determinant)
    step = torch.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], dim=-1) / determinant[..., None]
    return torch.where(singular[..., None], 0.0, step)
