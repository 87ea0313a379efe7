"""MotionAGFormer XS and S: a training step, and windows lifted, in torch and as our ONNX file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import cycle

import numpy as np
import torch
from torch import Tensor, nn

from anypose.engine.trainer import Trainer
from anypose.export.network import Options
from anypose.kernels.swap import Kernels
from benchmarks.ceilings import ceilings
from benchmarks.harness import Comparison, Row, Settings, compare
from benchmarks.motion import RandomMotion
from benchmarks.naive_agformer import AGFormer, AGFormerStep
from benchmarks.training import adam_bytes, build_trainer, exported, linear_training_flops, stepping
from pose3d.model.motionagformer import SIZES, MotionAGFormer

BATCH = 16  # as published
CPU_BATCH = {"xs": 8, "s": 2}


def run(settings: Settings) -> Iterator[Row]:
    """The peer is built and trained as the authors' repository does it, in fp32, as its users run it."""
    for size in ("xs",) if settings.quick else ("xs", "s"):
        batch = (1 if settings.quick else CPU_BATCH[size]) if settings.device.type == "cpu" else BATCH
        trainer = _trainer(size, batch, settings)
        yield compare(_step(trainer, size, batch, settings), settings)
        model, reference = _pair(size, settings)
        windows = torch.randn(batch, SIZES[size][2], 17, 2, device=settings.device.torch)
        yield compare(_lift(model, reference, windows, size, settings), settings)
        if settings.device.type == "cpu" and settings.precision == "fp32":
            yield compare(_onnx(model, reference, windows, size, settings), settings)


def _trainer(size: str, batch: int, settings: Settings) -> Trainer:
    frames = SIZES[size][2]
    overrides = ["model=motionagformer", f"model.size={size}", f"trainer.batch_size={batch}"]
    overrides += ["task.flip_augment=false", f"task.train_step={frames}", "task.subset=1.0", "trainer.drop_last=true"]
    return build_trainer(overrides, RandomMotion(4, 3 * batch * frames), settings)


def _reference(model: nn.Module, size: str) -> AGFormer:
    """The peer with the same weights: its parameters come in the same order."""
    network = AGFormer(*SIZES[size], keypoint_channels=2)
    ours = dict(model.named_parameters())
    buffers = dict(model.named_buffers())
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(ours[our_name(name)])
        for name, buffer in network.named_buffers():
            if "norm" in name:
                buffer.copy_(buffers[our_name(name)])
    return network


def our_name(name: str) -> str:
    """Of a weight of the peer's."""
    pairs = (("layers.", "blocks."), (".mixer.others", ".mixer.neighbours"), ("mlp.first", "mlp.0"))
    for theirs, ours in (*pairs, ("mlp.second", "mlp.2"), ("representation.0", "representation")):
        name = name.replace(theirs, ours)
    return name


def _step(trainer: Trainer, size: str, batch: int, settings: Settings) -> Comparison:
    batches = cycle(list(trainer.batches.epoch(0))[:2])
    step = AGFormerStep(_reference(trainer.model, size).to(settings.device.torch), bf16=False)
    theirs = cycle([next(batches) for _ in range(2)])

    def peer() -> None:
        sample = next(theirs)
        step(sample["keypoints"], sample["joints"])

    return Comparison(
        f"training step, {size}, batch {batch}",
        stepping(trainer, batches),
        peer,
        _name("official way", settings),
        difference=lambda: _gradient_difference(size, settings),
        tolerance=0.2 if settings.precision == "bf16" else 1e-3,
        floor=_floor(trainer.model, batch, settings),
    )


def _gradient_difference(size: str, settings: Settings) -> float:
    """How far all gradients together are apart, as a share of their length; two windows, the same weights."""
    trainer = _trainer(size, 2, settings)
    batch = next(trainer.batches.epoch(0))
    spread(trainer.model)
    step = AGFormerStep(_reference(trainer.model, size).to(settings.device.torch), bf16=False)
    trainer.model.train()
    trainer.loss(batch)[0].backward()
    step.loss(batch["keypoints"], batch["joints"]).backward()
    ours = {name: p.grad for name, p in trainer.model.named_parameters()}
    theirs = {our_name(name): p.grad for name, p in step.network.named_parameters()}
    apart = torch.cat([(ours[name] - gradient).flatten() for name, gradient in theirs.items()])  # pyright: ignore
    return float(apart.norm() / torch.cat([gradient.flatten() for gradient in theirs.values()]).norm())  # pyright: ignore


def spread(model: nn.Module) -> None:
    """Weights that begin at zero, near it or at one would hide mistakes: draw them."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if any(part in name for part in ("scale", "norm", "position", "fusion")):
                parameter.copy_(torch.rand(parameter.shape, generator=generator) * 0.7 + 0.2)


def _pair(size: str, settings: Settings) -> tuple[MotionAGFormer, AGFormer]:
    """Ours and the peer's with the same weights, in evaluation."""
    model = _trainer(size, 1, settings).model
    assert isinstance(model, MotionAGFormer)
    spread(model)
    return model.eval(), _reference(model, size).to(settings.device.torch).eval()


def _lift(model: MotionAGFormer, reference: AGFormer, windows: Tensor, size: str, settings: Settings) -> Comparison:
    bf16 = settings.precision == "bf16"
    Kernels("auto", model)  # as a session does; decided by the first call, which is not timed

    def ours() -> Tensor:
        with torch.inference_mode(), torch.autocast(windows.device.type, torch.bfloat16, enabled=bf16):
            return model(windows)

    return Comparison(
        f"{len(windows)} windows, {size}",
        ours,
        _peer(reference, windows),
        _name("official way", settings),
        difference=lambda: _difference(ours().float(), reference, windows),
        tolerance=0.1 if bf16 else 1e-4,
        floor=_floor(model, len(windows), settings, training=False),
    )


def _onnx(model: MotionAGFormer, reference: AGFormer, windows: Tensor, size: str, settings: Settings) -> Comparison:
    """Our exported file under ONNX Runtime."""
    options = Options(opset=16, dtype="float32", sizes={"B": 2}, dynamic=["B"], conv2d=False, streaming=False)
    session = exported(model, options, settings)
    (port,), array = session.inputs, windows.numpy()

    def ours() -> np.ndarray:
        (joints,) = session.run({port.name: array}).values()
        return joints

    return Comparison(
        f"{len(windows)} windows, {size}, our ONNX file",
        ours,
        _peer(reference, windows),
        _name("official way", settings),
        difference=lambda: _difference(torch.from_numpy(ours()), reference, windows),
        tolerance=1e-4,
        floor=_floor(model, len(windows), settings, training=False),
    )


def _peer(reference: AGFormer, windows: Tensor) -> Callable[[], Tensor]:
    def lift() -> Tensor:
        with torch.no_grad():
            return reference(windows)

    return lift


def _difference(joints: Tensor, reference: AGFormer, windows: Tensor) -> float:
    """Of the window in the middle: which frames are most alike is a choice, and rounding turns one here and there."""
    with torch.no_grad():
        expected = reference(windows)
    apart = (joints - expected).abs().flatten(1).amax(1) / expected.abs().max()
    return float(apart.median())


def _name(peer: str, settings: Settings) -> str:
    return peer if settings.precision == "fp32" else f"{peer}, fp32"


def _floor(model: nn.Module, batch: int, settings: Settings, training: bool = True) -> float:
    """The linear layers, over all joints of all frames."""
    assert isinstance(model, MotionAGFormer)
    rows = batch * model.receptive_field * model.output_skeleton.num_joints
    flops = linear_training_flops(model, rows)
    return ceilings(settings).floor(flops, adam_bytes(model)) if training else ceilings(settings).floor(flops / 3, 0.0)
