"""From a box in an image to a crop and back: matrices, and the warp that follows them.

The centre of the first pixel is (0, 0). A matrix is (2, 3) and maps (x, y, 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pose2d.images.decoding import cv2

_WHOLE = 2  # an image up to so many times as large as the crop is not worth cutting up
_LONGEST, _LARGEST = 2**15 - 1, 2**26  # side and pixels up to which OpenCV's warp counts without an overflow


def fit_aspect(size: np.ndarray, aspect: float, padding: float) -> np.ndarray:
    """(P, 2) widths and heights, the short side grown to `aspect` = width / height, then both by `padding`."""
    width = np.maximum(size[:, 0], size[:, 1] * aspect)
    return np.stack([width, width / aspect], axis=1) * padding


def crop_matrices(
    centre: np.ndarray,
    width: np.ndarray,
    rotation: np.ndarray,
    flip: np.ndarray,
    crop_size: tuple[int, int],
    aligned: bool,
) -> np.ndarray:
    """(P, 2, 3) float64 from image pixels to crop pixels.

    The scale is that of the widths alone. `aligned` is UDP's convention (Huang et al. 2020): lengths are counted
    between pixel centres, so `width` spans W - 1 intervals and its middle falls on (W - 1) / 2. Otherwise
    `width` spans W pixels and its middle falls on W / 2, as in the original networks.

    Args:
        centre: (P, 2) of the crop in the image [px].
        width: (P,) of the crop in the image [px].
        rotation: (P,) by which the person is turned counter-clockwise in the crop [rad].
        flip: (P,) bool; mirrors the crop as if the image had been mirrored first.
        crop_size: (H, W) of the crop [px].
        aligned: see above.
    """
    height_out, width_out = crop_size
    span = np.array([width_out, height_out], dtype=np.float64) - (1.0 if aligned else 0.0)
    scale = span[0] / width
    cos, sin = np.cos(rotation) * scale, np.sin(rotation) * scale
    mirror = np.where(flip, -1.0, 1.0)
    linear = np.stack([cos * mirror, sin, -sin * mirror, cos], axis=1).reshape(-1, 2, 2)
    offset = span / 2 - np.einsum("pij,pj->pi", linear, centre)
    return np.concatenate([linear, offset[:, :, None]], axis=2)


def invert(matrices: np.ndarray) -> np.ndarray:
    """(P, 2, 3) maps turned round."""
    a, b, c, d = (matrices[:, i, j] for i in range(2) for j in range(2))
    linear = np.stack([d, -b, -c, a], axis=1).reshape(-1, 2, 2) / (a * d - b * c)[:, None, None]
    return np.concatenate([linear, -linear @ matrices[:, :, 2:]], axis=2)


def compose(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """(..., 2, 3) map that does `first`, then `second`."""
    linear = second[..., :2] @ first[..., :2]
    return np.concatenate([linear, second[..., :2] @ first[..., 2:] + second[..., 2:]], axis=-1)


def transform(points, matrices):
    """(P, K, 2) points under (P, 2, 3) matrices; both numpy or both torch."""
    # Not a matrix product: on some devices that rounds its factors to ten bits.
    return (points[:, :, None] * matrices[:, None, :, :2]).sum(-1) + matrices[:, None, :, 2]


@dataclass(frozen=True, eq=False)
class Windows:
    """P pieces of images of different sizes, end to end in one buffer: what a worker hands over.

    Attributes:
        pixels: (N, 3) uint8 RGB, row by row, window after window.
        start: (P,) int64 first row of each window in `pixels`.
        size: (P, 2) int64 (height, width).
        matrices: (P, 2, 3) float32 from crop pixels to pixels of the window.
    """

    pixels: Tensor
    start: Tensor
    size: Tensor
    matrices: Tensor

    def to(self, device: torch.device) -> Windows:
        parts = (self.pixels, self.start, self.size, self.matrices)
        return Windows(*(part.to(device, non_blocking=True) for part in parts))

    def pin_memory(self) -> Windows:
        return Windows(*(part.pin_memory() for part in (self.pixels, self.start, self.size, self.matrices)))


def needed_window(
    to_image: np.ndarray, crop_size: tuple[int, int], image_size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of the part of the image that a crop samples, empty where it samples none.

    Args:
        to_image: (2, 3) from crop to image pixels.
    """
    # A few numbers for one crop at a time: as floats of Python they cost a fifth of what they cost as arrays.
    height, width = crop_size
    bounds = []
    for (across, down, start), size in zip(to_image.tolist(), reversed(image_size), strict=True):
        across, down = across * (width - 1), down * (height - 1)
        first = max(math.floor(start + min(across, 0.0) + min(down, 0.0)), 0)
        last = math.floor(start + max(across, 0.0) + max(down, 0.0)) + 1  # the neighbour that bilinear weights reach
        bounds.append((first, max(min(last + 1, size), first)))
    (left, right), (top, bottom) = bounds
    return left, top, right, bottom


def warp_one(
    image: np.ndarray, to_image: np.ndarray, crop_size: tuple[int, int], out: np.ndarray | None = None
) -> np.ndarray:
    """(H, W, 3) uint8 crop by OpenCV, in `out` where given: bilinear, black outside. What `warp` must agree with."""
    height, width = crop_size
    if image.shape[0] * image.shape[1] > _WHOLE * height * width:
        left, top, right, bottom = needed_window(to_image, crop_size, (image.shape[0], image.shape[1]))
        rows, columns, step = bottom - top, right - left, 1
        while max(rows, columns) > step * _LONGEST or rows * columns > step * step * _LARGEST:
            step += 1  # the crop is so much smaller that it skips more pixels than these anyway
        margin = step - 1
        image, to_image = image[top : bottom + margin : step, left : right + margin : step], to_image.copy()
        to_image[:, 2] -= left, top
        to_image /= step
    if image.size == 0:
        crop = np.empty((height, width, 3), np.uint8) if out is None else out
        crop.fill(0)
        return crop
    # Pixels of four bytes are warped in half the time, and what was just copied is still in the processor's cache.
    wide = cv2.warpAffine(
        cv2.cvtColor(image, cv2.COLOR_RGB2RGBA),
        to_image,
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
    )
    return cv2.cvtColor(wide, cv2.COLOR_RGBA2RGB, dst=out)


def warp(windows: Windows, crop_size: tuple[int, int]) -> Tensor:
    """(P, H, W, 3) float32 grey levels: every crop of a batch at once, on the device of the windows.

    Bilinear, black outside, as `warp_one`, without its rounding. Each of the four neighbours is one gather
    of pixels from the common buffer, so windows of any size need no padding.
    """
    height, width = crop_size
    device = windows.pixels.device
    u = torch.arange(width, device=device, dtype=torch.float32)
    v = torch.arange(height, device=device, dtype=torch.float32)[:, None]
    m = windows.matrices[:, :, :, None, None]
    x = m[:, 0, 0] * u + m[:, 0, 1] * v + m[:, 0, 2]  # (P, H, W)
    y = m[:, 1, 0] * u + m[:, 1, 1] * v + m[:, 1, 2]
    left, top = x.floor(), y.floor()
    x, y = x - left, y - top
    # Far outside is as black as just outside; clamping first keeps the integers small.
    size = windows.size[:, :, None, None]
    left = torch.minimum(left.clamp(min=-2), size[:, 1] + 1).long()
    top = torch.minimum(top.clamp(min=-2), size[:, 0] + 1).long()
    start = windows.start[:, None, None]
    crop = torch.zeros(len(windows.start), height, width, 3, device=device)
    if len(windows.pixels) == 0:
        return crop
    for down in (0, 1):
        row = top + down
        weight_y = y if down else 1 - y
        row_inside = (row >= 0) & (row < size[:, 0])
        for right in (0, 1):
            column = left + right
            inside = row_inside & (column >= 0) & (column < size[:, 1])
            weight = weight_y * (x if right else 1 - x) * inside
            index = torch.where(inside, start + row * size[:, 1] + column, 0)
            pixels = windows.pixels.index_select(0, index.flatten()).view_as(crop)
            crop.addcmul_(pixels.float(), weight[..., None])
    return crop
