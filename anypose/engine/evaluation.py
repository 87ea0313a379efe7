"""Scoring: every validation sample exactly once, whatever the number of processes."""

from __future__ import annotations

from itertools import islice

import torch
from tqdm import tqdm

from anypose.engine.checkpoint import to_cpu
from anypose.engine.device import Device
from anypose.engine.distributed import World
from anypose.engine.task import Batches, Metrics, Task


def evaluate(
    task: Task, batches: Batches, device: Device, world: World, most: int | None = None
) -> tuple[Metrics, dict[str, float]]:
    """Predict every batch; return the metrics, which hold all predictions on rank 0, and the scores, on every rank.

    Runs without TF32 or HF32 unless the device's settings ask for them.

    Args:
        task, batches, device, world: what is scored, on what, where.
        most: batches of each process that are scored; None scores all.
    """
    task.model.eval()
    world.share_buffers(task.model)
    metrics = task.metrics()
    count = len(batches) if most is None else min(most, len(batches))
    progress = tqdm(islice(batches.epoch(0), count), total=count, desc="evaluate", leave=False, disable=world.no_bar)
    with torch.no_grad(), device.exact():
        seen = False
        for batch in progress:
            metrics.update(task.predict(batch), batch)
            seen = True
        if world.size > 1:
            # With fewer batches than processes some have nothing to hand in.
            parts = [part for part in world.collect(to_cpu(metrics.state()) if seen else {}) if part]
            if parts:
                metrics.load({name: torch.cat([part[name] for part in parts]) for name in parts[0]})
        scores = metrics.compute() if world.rank == 0 else {}
    return metrics, world.broadcast(scores)
