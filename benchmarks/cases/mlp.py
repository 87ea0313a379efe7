"""3d-pose-baseline: a training step at batch 64, its data, and both together as the trainer runs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from anypose.engine.trainer import Trainer
from benchmarks import naive, peers
from benchmarks.ceilings import ceilings, write_seconds
from benchmarks.harness import Comparison, Row, Settings, compare
from benchmarks.motion import RandomMotion
from benchmarks.training import adam_bytes, build_trainer, endless, linear_training_flops, stepping
from pose3d.motion.windows import WindowBatches

BATCH = 64
# As published, not as the embedded recipe trains: dropout costs both sides, mirrored poses would be ours alone.
OURS = ["model=baseline3d", f"trainer.batch_size={BATCH}", "model.dropout=0.5", "task.flip_augment=false"]
STEPS = 20  # of the loop, in one call


def run(settings: Settings) -> Iterator[Row]:
    """Same batches; the peer is weigq's port or the eager reference, which has its structure.

    In bf16 the step stands beside the peer's in bf16, and beside the one in fp32 that its users run.
    """
    trainer = build_trainer(OURS, RandomMotion(4 if settings.quick else 60, 800), settings)
    for peer_precision in ("bf16", "fp32") if settings.precision == "bf16" else (settings.precision,):
        yield compare(_step(trainer, peer_precision, settings), settings)
    yield compare(_data(trainer, settings), settings)
    yield compare(_loop(trainer, settings), settings)


def _step(trainer: Trainer, peer_precision: str, settings: Settings) -> Comparison:
    batches = cycle(list(trainer.batches.epoch(0))[:8])
    theirs = cycle([_standardised(trainer.model, next(batches)) for _ in range(8)])
    step, peer_name = _eager_step(peer_precision, settings)

    return Comparison(
        f"training step, batch {BATCH}",
        stepping(trainer, batches),
        peer=lambda: step(*next(theirs)),
        peer_name=peer_name,
        difference=lambda: _gradient_difference(settings),
        tolerance=0.1 if settings.precision == "bf16" else 1e-4,
        floor=_floor(trainer.model, settings),
    )


def _data(trainer: Trainer, settings: Settings) -> Comparison:
    """Shuffled batches; both sides hand over the same samples, and which is checked by value."""
    windows = trainer.batches
    assert isinstance(windows, WindowBatches)
    keypoints, joints = _arrays(windows)
    our_stream, their_stream = endless(windows), naive.frame_batches(keypoints, joints, BATCH)
    device = settings.device.torch
    batch = next(our_stream)

    def difference() -> float:
        dataset = naive.FrameDataset(keypoints, joints)
        rows = batch["index"].tolist()
        pairs = [dataset[row] for row in rows]
        found = [torch.stack([pair[side] for pair in pairs]).to(device) for side in (0, 1)]
        sides = (batch["keypoints"][:, 0], batch["joints"][:, 0])
        return max(float((a - b).abs().max()) for a, b in zip(sides, found, strict=True))

    return Comparison(
        f"batch of {BATCH} frames",
        ours=lambda: next(our_stream),
        peer=lambda: [tensor.to(device) for tensor in next(their_stream)],
        peer_name="DataLoader",
        difference=difference,
        tolerance=0.0,
        floor=write_seconds(batch["keypoints"].nbytes + batch["joints"].nbytes, settings),
    )


def _loop(trainer: Trainer, settings: Settings) -> Comparison:
    """The trainer's own loop with schedule, reports and data, beside loader and step."""
    windows = trainer.batches
    assert isinstance(windows, WindowBatches)
    step, peer_name = _eager_step(settings.precision, settings)
    device, bar = settings.device.torch, tqdm(total=STEPS, disable=True)
    stream = naive.frame_batches(*_arrays(windows), BATCH)

    def ours() -> None:
        trainer.done.step = trainer.done.batch = 0
        trainer.steps = STEPS
        trainer.train_epoch(bar, [])

    def peer() -> None:
        for _ in range(STEPS):
            keypoints, joints = next(stream)
            step(keypoints.to(device)[:, :16].flatten(1), joints.to(device)[:, 1:].flatten(1))

    return Comparison(
        f"{STEPS} steps of the loop, batch {BATCH}",
        ours,
        peer,
        f"DataLoader, {peer_name}",
        difference=lambda: 0.0 if _learns(trainer, ours) else float("inf"),
        tolerance=0.0,
        floor=STEPS * _floor(trainer.model, settings),
    )


def _arrays(windows: WindowBatches) -> tuple[np.ndarray, np.ndarray]:
    """The frames as the original's preprocessing leaves them, in float64."""
    frames = windows.frames
    return frames.keypoints.cpu().double().numpy(), frames.joints.cpu().double().numpy()


def _eager_step(precision: str, settings: Settings) -> tuple[Callable[[Tensor, Tensor], None], str]:
    network: nn.Module = naive.ResidualNetwork()
    name = "eager step"
    if settings.peers and (module := peers.load(settings.peers, peers.PORT, "src/model.py")):
        network, name = module.LinearModel(), "weigq"
    step = naive.EagerStep(network.to(settings.device.torch), precision == "bf16")
    return step, name if precision == settings.precision else f"{name}, {precision}"


def _standardised(model: Any, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """A batch as the original's files hold it: (B, 32) and (B, 48), mean 0 and deviation 1."""
    keypoints = model.keypoint_statistics(batch["keypoints"])
    statistics = model.joint_statistics
    joints = (batch["joints"][:, :, model.predicted_joints] - statistics.mean) / statistics.std
    return keypoints.flatten(1), joints.flatten(1)


def _gradient_difference(settings: Settings) -> float:
    """Largest difference of a gradient as a share of the largest gradient; without dropout, with the weight clip."""
    trainer = build_trainer([*OURS, "model.dropout=0"], RandomMotion(2, 200), settings)
    reference = naive.ResidualNetwork(dropout=0.0, max_weight_norm=1.0).to(settings.device.torch)
    ours = list(trainer.model.parameters())
    with torch.no_grad():
        for copy, parameter in zip(reference.in_order(), ours, strict=True):
            copy.copy_(parameter)
    batch = next(trainer.batches.epoch(0))
    trainer.model.train()
    trainer.loss(batch)[0].backward()
    naive.EagerStep(reference, settings.precision == "bf16").loss(*_standardised(trainer.model, batch)).backward()
    theirs = [parameter.grad for parameter in reference.in_order()]
    scale = max(float(g.abs().max()) for g in theirs if g is not None)
    pairs = [(p.grad, g) for p, g in zip(ours, theirs, strict=True) if p.grad is not None and g is not None]
    return max(float((a - b).abs().max()) for a, b in pairs) / scale


def _learns(trainer: Trainer, steps: Callable[[], None]) -> bool:
    """Whether the steps move every weight and leave it finite."""
    before = [parameter.detach().clone() for parameter in trainer.model.parameters()]
    steps()
    after = list(trainer.model.parameters())
    return all(bool(p.isfinite().all()) and not torch.equal(p, b) for p, b in zip(after, before, strict=True))


def _floor(model: nn.Module, settings: Settings) -> float:
    return ceilings(settings).floor(linear_training_flops(model, BATCH), adam_bytes(model))
