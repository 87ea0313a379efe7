"""The figure that seed 004 reports, beside what it has to be compared with.

    python -m deploy.capture_figure runs/total_capture/2026-01-31_12-00-00 --samples 2000

The seed gives the mean of its last ten losses, each of one crop. A network that predicts nothing has a loss, too,
and ten crops are few: both are printed, over the crops of the run and over many.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from engine.device import Device as Device  # before torch: it makes importing torch safe  # isort: skip

import numpy as np
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from engine.results import format_table
from engine.task import Loading
from pose3d.field_loss import heatmap_error


def read_losses(folder: Path) -> list[float]:
    """The losses of a run, step by step.

    Raises:
        ValueError: where lines of metrics.jsonl are means over more than one step.
    """
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    steps = [line["step"] for line in lines if line["split"] == "train"]
    if steps != list(range(1, len(steps) + 1)):
        raise ValueError(f"{folder}/metrics.jsonl must have a line for every step. Train with trainer.log_every=1.")
    return [line["loss"] for line in lines if line["split"] == "train"]


def zero_losses(config: Any, samples: int) -> list[float]:
    """What a network that predicts zero costs, crop by crop, in the order of the run; stops after `samples` crops."""
    config.trainer.batch_size = 1
    task = instantiate(config.task, model=instantiate(config.model), weights=None)
    loading = Loading(1, config.seed, workers=config.trainer.workers)
    batches = task.batches(instantiate(config.dataset), True, loading, torch.device("cpu"))
    found: list[float] = []
    epoch = 0
    while len(found) < samples:
        for batch in batches.epoch(epoch):
            truth = task.targets(batch)
            nothing = torch.zeros_like(truth["heatmaps"])[:, None]
            found.append(float(heatmap_error(nothing, truth["heatmaps"], truth["mask"], truth["joints"])))
            if len(found) == samples:
                break
        epoch += 1
    return found


def table(losses: list[float], nothing: list[float]) -> list[dict[str, Any]]:
    """Rows to print: the network's and the zero predictor's means and how far single crops scatter."""
    same, last = nothing[: len(losses)], slice(-10, None)
    parts = (
        ("last ten losses", losses[last]),
        ("zero predictor, the same crops", same[last]),
        ("all losses", losses),
        ("zero predictor, the same crops as all losses", same),
        ("zero predictor", nothing),
    )
    return [
        {"of": name, "mean": f"{np.mean(part):.5f}", "deviation": f"{np.std(part):.5f}", "crops": len(part)}
        for name, part in parts
    ]


def main() -> None:
    """Read a run, measure the zero predictor, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # pyright: ignore[reportOptionalMemberAccess]
    parser.add_argument("run", type=Path, help="folder of a run with experiment=total_capture_seed")
    parser.add_argument("--samples", type=int, default=2000, help="crops for the zero predictor")
    arguments = parser.parse_args()
    config = OmegaConf.load(arguments.run / "config.yaml")
    losses = read_losses(arguments.run)
    if config.trainer.batch_size != 1 or config.task.pof2d:
        raise ValueError(
            f"{arguments.run} was trained with trainer.batch_size={config.trainer.batch_size} and task.pof2d="
            f"{config.task.pof2d}; the figure is of single crops and of heatmaps alone, experiment=total_capture_seed."
        )
    print(f"mask: {config.task.mask}, resolution: {config.task.resolution}")
    print(format_table(table(losses, zero_losses(config, max(arguments.samples, len(losses))))))


if __name__ == "__main__":
    main()
