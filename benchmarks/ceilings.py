"""What this machine can do at best, measured the way everything else is: matrix products and memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch

from anypose.kernels.linear import onednn_is_right
from benchmarks.harness import Settings, Spread, time_alone

COPY_BYTES = 256 << 20


@dataclass(frozen=True)
class Ceilings:
    """flops: multiplications and additions a second in a product of matrices; bytes: read or written a second.

    The memory is the large, slow one; what fits a cache has `write_seconds` or `copy_seconds` as its floor.
    """

    flops: float
    bytes: float

    def floor(self, flops: float, bytes: float) -> float:
        """Seconds for so much of both, perfectly overlapped."""
        return max(flops / self.flops, bytes / self.bytes)


@lru_cache
def ceilings(settings: Settings) -> Ceilings:
    """The fastest way found on this device at this precision."""
    product = min(spread.median for spread in products(settings).values())
    return Ceilings(product_flops(settings) / product, 2 * COPY_BYTES / copy(COPY_BYTES, settings).median)


@lru_cache
def copy_seconds(size: int, settings: Settings) -> float:
    """To copy `size` bytes, again and again, so from the cache where they fit in."""
    return copy(size, settings).median


@lru_cache
def write_seconds(size: int, settings: Settings) -> float:
    """To write `size` bytes, again and again, so into the cache where they fit in."""
    target = torch.empty(max(size // 4, 1), device=settings.device.torch)
    return time_alone(lambda: target.fill_(1.0), settings).median


def side(settings: Settings) -> int:
    """Of the square matrices multiplied."""
    return 8192 if settings.device.type != "cpu" else 1024


def product_flops(settings: Settings) -> float:
    """Of one product."""
    return 2.0 * side(settings) ** 3


def products(settings: Settings) -> dict[str, Spread]:
    """Seconds for one product, by the library that computes it."""
    n, device = side(settings), settings.device.torch
    dtype = torch.bfloat16 if settings.precision == "bf16" else torch.float32
    a, b = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
    ways = {"torch.mm": lambda: torch.mm(a, b)}
    if device.type == "cpu" and onednn_is_right(dtype):
        # A private operator; it reaches oneDNN where torch.mm goes to MKL, which is slow on some processors. Without
        # bf16 instructions it has no bf16 product.
        linear = torch.ops.mkldnn._linear_pointwise
        ways["oneDNN"] = lambda: linear(a, b, None, "none", [], "")
    return {name: time_alone(way, settings) for name, way in ways.items()}


def copy(size: int, settings: Settings) -> Spread:
    """Seconds to copy `size` bytes, which reads and writes as many."""
    source = torch.ones(max(size // 4, 1), device=settings.device.torch)
    target = torch.empty_like(source)
    return time_alone(lambda: target.copy_(source), settings)
