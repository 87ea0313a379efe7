"""Pixels: what a network expects its input to be.

Images are RGB, uint8, (H, W, 3), wherever they are held; a network that wants BGR says so in its `Normalization`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

from anypose.settings import Misuse

IMAGENET_MEAN = (123.675, 116.28, 103.53)  # R, G, B in grey levels
IMAGENET_STD = (58.395, 57.12, 57.375)


@dataclass(frozen=True)
class Normalization:
    """What a network expects of its input: channel order, and (grey level - mean) / std in that order.

    Attributes:
        channels: "rgb" or "bgr".
        mean: grey levels, for the network's first, second and third channel.
        std: grey levels; 1 where the network divides by nothing.
    """

    channels: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.channels not in ("rgb", "bgr"):
            raise Misuse(f"task.channels must be rgb or bgr, got {self.channels}.")
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise Misuse(f"task.mean and task.std need three numbers, std above 0; got {self.mean}, {self.std}.")

    def apply(self, crop: Tensor) -> Tensor:
        """(B, H, W, 3) RGB grey levels to (B, 3, H, W) float32 input of the network (in channels-last memory)."""
        if self.channels == "bgr":
            crop = crop.flip(-1)
        scale, shift = _factors(self, crop.shape[2], crop.device)
        pixels = crop.float()
        # A batch is larger than the processor's cache: where it has just been made it is written over.
        own = pixels is not crop and not torch.jit.is_tracing()
        return torch.addcmul(shift, pixels, scale, out=pixels if own else None).permute(0, 3, 1, 2)

    def undo(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) input of the network back to (B, H, W, 3) uint8 RGB, to look at."""
        mean, std = (torch.tensor(numbers, device=image.device) for numbers in (self.mean, self.std))
        crop = (image.permute(0, 2, 3, 1) * std + mean).round().clamp(0, 255).to(torch.uint8)
        return crop.flip(-1) if self.channels == "bgr" else crop

    def aipp(self, height: int, width: int) -> str:
        """Ascend's preprocessing (`atc --insert_op_conf`) that does the same to uint8 RGB pixels on the chip.

        The chip computes (grey level - mean_chn - min_chn) * var_reci_chn after exchanging channels; mean_chn
        is an integer, so the mean goes into min_chn.
        """
        lines = [
            "aipp_mode: static",
            "related_input_rank: 0",
            "input_format: RGB888_U8",
            f"src_image_size_w: {width}",
            f"src_image_size_h: {height}",
            "csc_switch: false",
            f"rbuv_swap_switch: {'true' if self.channels == 'bgr' else 'false'}",
        ]
        for channel in range(3):
            lines += [
                f"mean_chn_{channel}: 0",
                f"min_chn_{channel}: {self.mean[channel]:.7g}",
                f"var_reci_chn_{channel}: {1 / self.std[channel]:.9g}",
            ]
        return "aipp_op {\n" + "".join(f"    {line}\n" for line in lines) + "}\n"


@lru_cache
def _factors(normalization: Normalization, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """(W, 3) what to multiply a row of pixels by, and what to add then; repeated, as rows of three are slow to walk."""
    mean, std = (torch.tensor(numbers, dtype=torch.float64) for numbers in (normalization.mean, normalization.std))
    factor, addend = (row.float().expand(width, 3).contiguous().to(device) for row in (1 / std, -mean / std))
    return factor, addend


class FromPixels(nn.Module):
    """A network with its normalisation in front: (B, H, W, 3) uint8 RGB in. For export."""

    def __init__(self, model: nn.Module, normalization: Normalization) -> None:
        super().__init__()
        self.model = model
        self.normalization = normalization

    def forward(self, pixels: Tensor) -> Tensor:
        return self.model(self.normalization.apply(pixels))
