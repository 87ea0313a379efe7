"""SimpleBaseline with ResNet-50 at 256x192: heatmaps of one crop and of eight, as shipped, beside eager torch."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import hydra
import torch
from hydra.utils import instantiate

from anypose.engine.command import CONF
from anypose.export.network import Options
from anypose.export.session import OnnxSession
from anypose.export.write import export_onnx
from benchmarks.harness import Comparison, Row, Settings, compare
from benchmarks.training import compose
from pose2d.task.topdown2d import TopDown2D


def run(settings: Settings) -> Iterator[Row]:
    """ONNX Runtime on our export against the eager network that a user of a checkpoint has."""
    cfg = compose(["experiment=simplebaseline_coco_msra"])
    torch.manual_seed(0)
    task: TopDown2D = instantiate(cfg.task, model=instantiate(cfg.model))
    task.model.eval()
    for batch_size in (1,) if settings.quick else (1, 8):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "simplebaseline.onnx"
            export_onnx(task, path, _options(batch_size), {}, None)
            yield compare(_forward(task, path, batch_size, settings), settings)


def _options(batch_size: int) -> Options:
    """As `export.py` writes a network that is told nothing but its batch."""
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        cfg = hydra.compose("export", [f"sizes.B={batch_size}"])
    sizes = {letter: size for letter, size in cfg.sizes.items() if size is not None}
    plain = {field.name: cfg[field.name] for field in fields(Options)}
    return Options(**(plain | {"sizes": sizes, "dynamic": list(cfg.dynamic)}))


def _forward(task: TopDown2D, path: Path, batch_size: int, settings: Settings) -> Comparison:
    device = settings.device.torch
    session = OnnxSession(path, settings.device.type, threads=settings.threads)
    model = task.model.to(device)
    image = torch.randn(batch_size, 3, 256, 192)
    array, on_device = image.numpy(), image.to(device)
    (name,) = [port.name for port in session.inputs]

    def peer() -> torch.Tensor:
        with torch.no_grad():
            return model(on_device).cpu()

    def ours() -> torch.Tensor:
        return torch.from_numpy(next(iter(session.run({name: array}).values())))

    return Comparison(
        f"heatmaps of {batch_size} crop(s)",
        ours,
        peer,
        "eager torch",
        difference=lambda: float((ours() - peer()).abs().max() / peer().abs().max()),
        tolerance=1e-3,
    )
