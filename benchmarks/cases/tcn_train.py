"""VideoPose3D: a training step at 27 and 243 frames, and the step with the batches that feed it.

On a CPU the batch is 256 or 64 windows, enough to keep it busy; elsewhere it is the paper's 1024.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import cycle

import torch
from torch import Tensor, nn

from anypose.engine.trainer import Trainer
from anypose.skeleton import H36M_17
from benchmarks import naive, naive_tcn, peers
from benchmarks.ceilings import ceilings
from benchmarks.harness import Comparison, Row, Settings, compare
from benchmarks.motion import RandomMotion
from benchmarks.training import adam_bytes, build_trainer, endless, stepping
from pose3d.motion.windows import WindowBatches

KERNELS = {27: [3, 3, 3], 243: [3, 3, 3, 3, 3]}
FLIP = list(H36M_17.flip_index)


def run(settings: Settings) -> Iterator[Row]:
    """Same windows, same weights; the peer is VideoPose3D's strided model or the reference, which is built like it.

    In bf16 the step stands beside the peer's in bf16, and beside the one in fp32 that its users run.
    """
    for field in (27, 243):
        batch = _batch_size(field, settings)
        trainer = _trainer(field, batch, settings)
        for peer_precision in ("bf16", "fp32") if settings.precision == "bf16" else (settings.precision,):
            yield compare(_step(trainer, field, batch, peer_precision, settings), settings)
        yield compare(_loop(trainer, field, batch, settings), settings)


def _batch_size(field: int, settings: Settings) -> int:
    if settings.device.type != "cpu":
        return 1024
    full = {27: 256, 243: 64}[field]
    return full // 8 if settings.quick else full


def _trainer(field: int, batch: int, settings: Settings, dropout: float = 0.25) -> Trainer:
    overrides = ["model=videopose3d", f"model.kernel_sizes={KERNELS[field]}", "model.channels=1024"]
    overrides += [f"model.dropout={dropout}", f"trainer.batch_size={batch}", "trainer.drop_last=true"]
    return build_trainer(overrides, RandomMotion(4 if settings.quick else 20, 400), settings)


def _step(trainer: Trainer, field: int, batch: int, peer_precision: str, settings: Settings) -> Comparison:
    batches = cycle(list(trainer.batches.epoch(0))[:4])
    step, peer_name = _plain_step(field, peer_precision, settings)

    def peer() -> None:
        sample = next(batches)
        step(sample["keypoints"], sample["joints"])

    return Comparison(
        f"training step, {field} frames, batch {batch}",
        stepping(trainer, batches),
        peer,
        peer_name if peer_precision == settings.precision else f"{peer_name}, {peer_precision}",
        difference=lambda: _gradient_difference(field, settings),
        tolerance=0.2 if settings.precision == "bf16" else 1e-3,
        floor=_floor(trainer.model, field, batch, settings),
    )


def _loop(trainer: Trainer, field: int, batch: int, settings: Settings) -> Comparison:
    """With the windows: gathered on the device, or sliced, padded and mirrored one by one."""
    windows = trainer.batches
    assert isinstance(windows, WindowBatches)
    step, peer_name = _plain_step(field, settings.precision, settings)
    device = settings.device.torch
    ours_stream, their_stream = endless(windows), _sliced(field, batch)

    def ours() -> None:
        trainer.train_step(next(ours_stream))

    def peer() -> None:
        joints, keypoints = (torch.from_numpy(array.astype("float32")).to(device) for array in next(their_stream))
        step(keypoints, joints)

    return Comparison(
        f"batch and step, {field} frames, batch {batch}",
        ours,
        peer,
        f"generator, {peer_name}",
        difference=lambda: _gradient_difference(field, settings),
        tolerance=0.2 if settings.precision == "bf16" else 1e-3,
        floor=_floor(trainer.model, field, batch, settings),
    )


def _plain_step(field: int, precision: str, settings: Settings) -> tuple[Callable[[Tensor, Tensor], None], str]:
    network: nn.Module = naive_tcn.TemporalNetwork(KERNELS[field], strided=True)
    name = "plain step"
    if settings.peers and (module := peers.load(settings.peers, peers.VIDEOPOSE3D, "common/model.py")):
        network, name = module.TemporalModelOptimized1f(17, 2, 17, KERNELS[field]), "VideoPose3D"
    return naive_tcn.TemporalStep(network.to(settings.device.torch), precision == "bf16"), name


def _sliced(field: int, batch: int) -> Iterator[tuple]:
    """The reference generator over the same motion."""
    sequences = RandomMotion(4, 400).sequences("train")
    keypoints = [sequence.keypoints / 500 - 1 for sequence in sequences]
    joints = [sequence.joints for sequence in sequences]
    generator = naive.ChunkBatches(keypoints, joints, batch, field // 2, (FLIP, FLIP), shuffle=True)
    while True:
        yield from generator.next_epoch()


def _gradient_difference(field: int, settings: Settings) -> float:
    """How far all gradients together are apart, as a share of their length; no dropout, the same weights."""
    trainer = _trainer(field, 16, settings, dropout=0.0)
    reference = naive_tcn.TemporalNetwork(KERNELS[field], strided=True, dropout=0.0).to(settings.device.torch)
    reference.load_state_dict(trainer.model.state_dict())
    batch = next(trainer.batches.epoch(0))
    trainer.model.train()
    trainer.loss(batch)[0].backward()
    step = naive_tcn.TemporalStep(reference, settings.precision == "bf16")
    step.loss(batch["keypoints"], batch["joints"]).backward()
    theirs = {name: p.grad for name, p in reference.named_parameters() if p.grad is not None}
    ours = {name: p.grad for name, p in trainer.model.named_parameters() if p.grad is not None}
    apart = torch.cat([(gradient - theirs[name]).flatten() for name, gradient in ours.items()])
    return float(apart.norm() / torch.cat([gradient.flatten() for gradient in theirs.values()]).norm())


def _floor(model: nn.Module, field: int, batch: int, settings: Settings) -> float:
    """Three products of the same size for each layer, but no input gradient for the first."""
    window = naive_tcn.multiplications(KERNELS[field], strided=True)
    first = field // 3 * 1024 * 3 * 34
    return ceilings(settings).floor(2.0 * batch * (3 * window - first), adam_bytes(model))
