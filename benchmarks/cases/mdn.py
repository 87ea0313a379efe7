"""GMH-MDN: what several poses cost over one, in training and in scoring."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from anypose.engine.trainer import Trainer
from anypose.metrics import mpjpe
from benchmarks.ceilings import ceilings
from benchmarks.harness import Comparison, Row, Settings, compare
from benchmarks.motion import RandomMotion
from benchmarks.training import adam_bytes, build_trainer, linear_training_flops, stepping
from pose3d.lifting.mixture import log_density

BATCH = 64
PUBLISHED = [f"trainer.batch_size={BATCH}", "model.dropout=0.5", "task.flip_augment=false"]
HYPOTHESES, FRAMES = 5, 2000


def run(settings: Settings) -> Iterator[Row]:
    """The peer of the step is our own baseline3d step: the ratio is to stay above 1 / 1.2."""
    motion = RandomMotion(4 if settings.quick else 30, 800)
    several, one = (
        build_trainer([f"model={name}", *PUBLISHED], motion, settings) for name in ("gmh_mdn", "baseline3d")
    )
    flops = linear_training_flops(several.model, BATCH)
    yield compare(
        Comparison(
            f"training step, batch {BATCH}",
            ours=_step(several),
            peer=_step(one),
            peer_name="baseline3d step",
            difference=lambda: _likelihood_difference(several),
            tolerance=1e-4,
            floor=ceilings(settings).floor(flops, adam_bytes(several.model)),
            peer_is_ours=True,
        ),
        settings,
    )
    means, truth = _hypotheses()
    yield compare(
        Comparison(
            f"best of {HYPOTHESES}, {FRAMES:,} frames",
            ours=lambda: mpjpe(means, truth.unsqueeze(1).expand_as(means)).amin(-1).mean().item(),
            peer=lambda: _frame_by_frame(means.numpy(), truth.numpy()),
            peer_name="numpy by frame",
            difference=lambda: abs(
                mpjpe(means, truth.unsqueeze(1).expand_as(means)).amin(-1).mean().item()
                - _frame_by_frame(means.numpy(), truth.numpy())
            ),
            tolerance=1e-6,  # a micrometre
        ),
        settings,
    )


def _step(trainer: Trainer) -> Callable[[], None]:
    return stepping(trainer, cycle(list(trainer.batches.epoch(0))[:8]))


def _likelihood_difference(trainer: Trainer) -> float:
    """The loss beside torch.distributions in float64, as a share of the loss."""
    model: Any = trainer.model.eval()
    batch = next(iter(trainer.batches.epoch(0)))
    with torch.no_grad():
        means, sigmas, weights = (output[:, 0].double().cpu() for output in model(batch["keypoints"]))
    scale = model.joint_scale().double().cpu()
    rows = model.predicted_joints
    target = (batch["joints"][:, 0, rows].double().cpu() / scale).flatten(1)
    centres = (means[:, :, rows] / scale).flatten(2)
    spread = Independent(Normal(centres, sigmas.unsqueeze(-1).expand_as(centres)), 1)
    theirs = MixtureSameFamily(Categorical(weights), spread).log_prob(target).mean()
    ours = log_density(target.float(), centres.float(), sigmas.float(), weights.float()).mean()
    model.train()
    return float(((ours - theirs) / theirs).abs())


def _hypotheses() -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(0)
    truth = rng.normal(scale=0.3, size=(FRAMES, 17, 3))
    means = truth[:, None] + rng.normal(scale=0.05, size=(FRAMES, HYPOTHESES, 17, 3))
    return torch.from_numpy(means).float(), torch.from_numpy(truth).float()


def _frame_by_frame(means: np.ndarray, truth: np.ndarray) -> float:
    """As the original scores: a loop over frames and hypotheses."""
    best = []
    for hypotheses, pose in zip(means, truth, strict=True):
        best.append(min(np.sqrt(((one - pose) ** 2).sum(1)).mean() for one in hypotheses))
    return float(np.mean(best))
