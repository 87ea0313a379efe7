"""VideoPose3D in use: the Ascend guide's 2 x 6115 frames at once, and frame by frame.

The ratio is of time. Frames/s as the vendor counts them are 2 x T over it, poses/s half of T - 242.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle

import numpy as np
import torch
from torch import Tensor, nn

from anypose.export.network import DType, Options
from anypose.kernels.blockwise import Blockwise
from anypose.kernels.frame_by_frame import FrameByFrame
from anypose.kernels.swap import Kernels
from benchmarks import naive_tcn, peers
from benchmarks.ceilings import ceilings
from benchmarks.harness import Comparison, Row, Settings, compare
from benchmarks.training import exported
from pose3d.lifting.published import from_published
from pose3d.model.videopose3d import VideoPose3D

LONG = [3, 3, 3, 3, 3]
SHORT = [3, 3, 3]


def run(settings: Settings) -> Iterator[Row]:
    """The peer is VideoPose3D's dilated model, eager, or the reference, which is built like it."""
    frames = 242 + 2 * 486 if settings.quick else 6115
    reference, name = _reference(settings)
    ours = _model(LONG, reference.state_dict(), causal=False).to(settings.device.torch)
    keypoints = torch.randn(2, frames, 17, 2, device=settings.device.torch)
    yield compare(_whole(ours, reference, keypoints, name, settings), settings)
    if settings.device.type == "cpu" and settings.precision == "fp32":
        yield compare(_onnx(ours, reference, keypoints, name, "float32", settings), settings)
        yield compare(_onnx(ours, reference, keypoints, name, "int8", settings), settings)
        yield compare(_stream(settings), settings)


def _reference(settings: Settings) -> tuple[nn.Module, str]:
    """The peer with batch norms that have seen something, so that folding them is no empty exercise."""
    network: nn.Module = naive_tcn.TemporalNetwork(LONG, strided=False)
    name = "plain dilated"
    if settings.peers and (module := peers.load(settings.peers, peers.VIDEOPOSE3D, "common/model.py")):
        network, name = module.TemporalModel(17, 2, 17, LONG), "VideoPose3D"
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.normal_(module.running_mean, 0, 0.1)  # pyright: ignore[reportArgumentType]
            nn.init.uniform_(module.running_var, 0.5, 1.5)  # pyright: ignore[reportArgumentType]
    return network.eval().to(settings.device.torch), name


def _model(kernel_sizes: list[int], weights: dict[str, Tensor] | None, causal: bool) -> VideoPose3D:
    model = VideoPose3D(
        kernel_sizes=kernel_sizes,
        channels=1024,
        dropout=0.25,
        causal=causal,
        dense=False,
        input_skeleton="h36m_17",
        output_skeleton="h36m_17",
        keypoint_channels=2,
    ).eval()
    if weights is not None:
        model.load_state_dict(from_published(weights))
    return model


def _whole(model: VideoPose3D, reference: nn.Module, keypoints: Tensor, name: str, settings: Settings) -> Comparison:
    bf16 = settings.precision == "bf16"
    form = Blockwise(model.streaming()).to(keypoints.device).eval()
    if bf16:
        form, lowered = form.bfloat16(), keypoints.bfloat16()
    else:
        lowered = keypoints
    Kernels("auto", form)  # as a session does; decided by the first call, which is not timed

    def ours() -> Tensor:
        with torch.inference_mode():
            return form(lowered)

    def peer() -> Tensor:
        with torch.no_grad():
            return reference(keypoints)

    return Comparison(
        f"2 x {keypoints.shape[1]} frames, window 243",
        ours,
        peer,
        f"{name}, fp32" if bf16 else name,
        difference=lambda: float((ours().float() - peer()).abs().max() / peer().abs().max()),
        tolerance=0.03 if bf16 else 1e-5,
        floor=_floor(keypoints, settings),
    )


def _onnx(
    model: VideoPose3D, reference: nn.Module, keypoints: Tensor, name: str, dtype: DType, settings: Settings
) -> Comparison:
    """Our exported file under ONNX Runtime."""
    sizes = {"B": 2, "T": keypoints.shape[1]}
    options = Options(opset=11, dtype=dtype, sizes=sizes, dynamic=[], conv2d=False, streaming=False)
    session = exported(model, options, settings)
    array = keypoints.numpy()

    def ours() -> np.ndarray:
        return session.run({"2d_poses": array})["3d_preds"]

    def peer() -> Tensor:
        with torch.no_grad():
            return reference(keypoints)

    return Comparison(
        f"2 x {keypoints.shape[1]} frames, our ONNX file, {dtype}",
        ours,
        peer,
        name,
        difference=lambda: float((torch.from_numpy(ours()) - peer()).abs().max() / peer().abs().max()),
        tolerance=0.3 if dtype == "int8" else 1e-5,
        floor=_floor(keypoints, settings),
    )


def _stream(settings: Settings) -> Comparison:
    """One frame of a causal network of 27 frames, fp32: with what it remembers, or with the whole window again."""
    model = _model(SHORT, None, causal=True)
    stream = FrameByFrame(model.streaming())
    video = torch.randn(60, 1, 17, 2)
    frames = cycle(list(video.numpy()))
    window = video[-27:].transpose(0, 1).contiguous()

    def ours() -> np.ndarray:
        return stream.step(next(frames))

    def peer() -> Tensor:
        with torch.no_grad():
            return model(window)

    def difference() -> float:
        last = [stream.step(frame) for frame in video.numpy()][-1]
        return float((torch.from_numpy(last) - peer()[:, 0]).abs().max() / peer().abs().max())

    return Comparison(
        "one frame of a stream, window 27",
        ours,
        peer,
        "whole window",
        difference,
        tolerance=1e-5,
        floor=ceilings(settings).floor(2 * naive_tcn.multiplications(SHORT, strided=False), 4 * _weights_read(SHORT)),
    )


def _weights_read(kernel_sizes: list[int]) -> float:
    """Weights that one frame needs: those of earlier taps only once for as many frames as lie between taps."""
    channels, spacing, total = 34, 1, 51 * 1024.0
    for i, width in enumerate(kernel_sizes):
        total += 1024 * (channels * (1 + (width - 1) / spacing) + (1024 if i else 0))
        channels, spacing = 1024, spacing * width
    return total


def _floor(keypoints: Tensor, settings: Settings) -> float:
    """Every frame once through every layer, tap by tap."""
    flops = 2 * len(keypoints) * keypoints.shape[1] * naive_tcn.multiplications(LONG, strided=False)
    return ceilings(settings).floor(flops, 4 * 17e6)
