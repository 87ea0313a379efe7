"""The ceilings of this device: matrix product, memory, and what one small operation costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from benchmarks.ceilings import COPY_BYTES, copy, product_flops, products, side
from benchmarks.harness import Row, Settings, time_alone


def run(settings: Settings) -> Iterator[Row]:
    """One row a ceiling; the rate is part of the name, since there is no peer."""
    n = side(settings)
    for name, spread in products(settings).items():
        rate = product_flops(settings) / spread.median
        yield Row(f"{n} x {n} {name}: {rate / 1e9:.0f} GFLOP/s", "", spread)
    spread = copy(COPY_BYTES, settings)
    yield Row(f"copy {COPY_BYTES >> 20} MiB: {2 * COPY_BYTES / spread.median / 1e9:.0f} GB/s", "", spread)
    one = torch.zeros((), device=settings.device.torch)
    yield Row("one operation on one number", "", time_alone(lambda: one.add_(1), settings))
    if settings.device.type == "cuda":
        yield Row("the same 100 times in a replayed graph", "", time_alone(_graph(one), settings))


def _graph(one: torch.Tensor) -> Callable[[], None]:
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(100):
            one.add_(1)
    return graph.replay
