"""SimpleBaseline with ResNet-50 at 256x192: a training step."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import repeat

import torch
from hydra.utils import instantiate
from torch.utils.flop_counter import FlopCounterMode

from anypose.engine.trainer import Trainer
from benchmarks.ceilings import ceilings
from benchmarks.harness import Comparison, Row, Settings, compare
from benchmarks.naive2d import JointLoop
from benchmarks.training import adam_bytes, build_trainer, compose, stepping
from pose2d.task.topdown2d import TopDown2D

PROTOCOL = "experiment=simplebaseline_coco_msra"
FEW_PEOPLE = {"train_images": 8, "validation_images": 1, "bodies": 2}


def run(settings: Settings) -> Iterator[Row]:
    """The peer is the same network, eager, with the loss joint by joint, Adam's loop over parameters, and `.item()`.

    In bf16 the step stands beside the peer's in fp32, which is what its users run.
    """
    batch_size = 2 if settings.quick else 8 if settings.device.type == "cpu" else 32
    dataset = instantiate(compose(["dataset=synthetic_people"]).dataset, **FEW_PEOPLE)
    overrides = [PROTOCOL, f"trainer.batch_size={batch_size}", "trainer.workers=0"]
    trainer = build_trainer(overrides, dataset, settings)
    yield compare(_step(trainer, batch_size, settings), settings)


def _step(trainer: Trainer, batch_size: int, settings: Settings) -> Comparison:
    task, device = trainer.task, settings.device.torch
    assert isinstance(task, TopDown2D)
    batch = next(trainer.batches.epoch(0))
    target, weight = task.coding.encode(batch["keypoints"], batch["visibility"])
    theirs = instantiate(compose([PROTOCOL]).model).to(device)
    theirs.load_state_dict(task.model.state_dict())
    image = batch["image"].contiguous()
    criterion = JointLoop()
    optimizer = torch.optim.Adam(theirs.parameters(), 1e-3, foreach=False)

    def difference() -> float:
        """Of the losses on the same batch, relative, before anything was trained."""
        ours, plain = copy.deepcopy(task.model), copy.deepcopy(theirs)
        with torch.no_grad():
            loss = (
                task.loss_factor * (weight[..., None, None] * (ours(batch["image"]).float() - target).square()).mean()
            )
            expected = criterion(plain(image), target, weight[..., None])
        return abs(float(loss - expected)) / float(expected)

    def peer() -> float:
        loss = criterion(theirs(image), target, weight[..., None])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return Comparison(
        f"training step, ResNet-50, batch {batch_size}",
        stepping(trainer, repeat(batch), 1000),
        peer,
        "eager step, fp32",
        difference,
        tolerance=0.05 if settings.precision == "bf16" else 1e-4,
        floor=_floor(theirs, batch_size, settings),
    )


def _floor(network: torch.nn.Module, batch_size: int, settings: Settings) -> float:
    """Three passes of the same size, and Adam's bytes."""
    with torch.device("meta"):
        shadow = copy.deepcopy(network).to("meta")
        counter = FlopCounterMode(display=False)
        with counter:
            shadow(torch.empty(batch_size, 3, 256, 192))
    return ceilings(settings).floor(3.0 * counter.get_total_flops(), adam_bytes(network))
