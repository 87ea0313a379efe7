"""Windows for temporal models: batches of 1024, mirrored ones among them, ready for the network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch

from anypose.skeleton import H36M_17
from benchmarks import naive, peers
from benchmarks.ceilings import write_seconds
from benchmarks.harness import Comparison, Row, Settings, compare
from benchmarks.motion import RandomMotion
from benchmarks.training import endless
from pose3d.motion.packed import Packed, pack
from pose3d.motion.windows import WindowBatches

BATCH = 1024
FLIP = list(H36M_17.flip_index)


class Generator(Protocol):
    """What both the reference and VideoPose3D's ChunkedGenerator are."""

    def next_epoch(self) -> Iterator[tuple]:
        """Batches as numpy arrays; the last two are joints (B, 1, J, 3) and keypoints (B, W, K, 2)."""
        ...


def run(settings: Settings) -> Iterator[Row]:
    """27 and 243 frames to one pose, VideoPose3D's short and long models."""
    for receptive_field in (27, 243):
        yield compare(_comparison(receptive_field, settings), settings)


def _comparison(receptive_field: int, settings: Settings) -> Comparison:
    device = settings.device.torch
    packed = _pack(RandomMotion(8 if settings.quick else 60, 800), settings)
    windows = _windows(packed, receptive_field, settings)
    generator, peer_name = _generator(packed, receptive_field, settings, shuffle=True)
    our_stream, their_stream = endless(windows), _tensors(generator, device)
    batch = next(our_stream)
    size = batch["keypoints"].nbytes + batch["joints"].nbytes
    return Comparison(
        f"batch of {BATCH} windows, {receptive_field} frames",
        ours=lambda: next(our_stream),
        peer=lambda: next(their_stream),
        peer_name=peer_name,
        difference=lambda: _difference(receptive_field, settings),
        tolerance=0.0,
        floor=write_seconds(size, settings),
    )


def _pack(dataset: RandomMotion, settings: Settings) -> Packed:
    return pack(
        dataset.sequences("train"),
        input_skeleton=H36M_17,
        output_skeleton=H36M_17,
        keypoint_frame="screen",
        device=settings.device.torch,
    )


def _windows(packed: Packed, receptive_field: int, settings: Settings) -> WindowBatches:
    device = settings.device.torch
    return WindowBatches(
        packed, receptive_field=receptive_field, batch_size=BATCH, seed=0, device=device, flip=True, drop_last=False
    )


def _tensors(generator: Generator, device: torch.device) -> Iterator[tuple[torch.Tensor, ...]]:
    """What their training loop makes of a batch: float32 on the device."""
    while True:
        for batch in generator.next_epoch():
            yield tuple(torch.from_numpy(array.astype("float32")).to(device) for array in batch[-2:])


def _generator(packed: Packed, receptive_field: int, settings: Settings, shuffle: bool) -> tuple[Generator, str]:
    """The peer over the same frames."""
    rows = [slice(start, end) for start, end in zip(packed.start.tolist(), packed.end.tolist(), strict=True)]
    keypoints, joints = packed.keypoints.cpu().numpy(), packed.joints.cpu().numpy()
    sequences = [keypoints[row] for row in rows], [joints[row] for row in rows]
    past = receptive_field // 2
    if settings.peers and (module := peers.load(settings.peers, peers.VIDEOPOSE3D, "common/generators.py")):
        left, right = list(H36M_17.left), list(H36M_17.right)
        options = {"shuffle": shuffle, "augment": True, "kps_left": left, "kps_right": right}
        options |= {"joints_left": left, "joints_right": right}
        return module.ChunkedGenerator(BATCH, None, sequences[1], sequences[0], 1, pad=past, **options), "VideoPose3D"
    return naive.ChunkBatches(*sequences, BATCH, past, (FLIP, FLIP), shuffle), "generator"


def _difference(receptive_field: int, settings: Settings) -> float:
    """Over every window of a few short sequences: mirrored ones, and padded ones on both sides."""
    packed = _pack(RandomMotion(3, 300), settings)
    windows = _windows(packed, receptive_field, settings)
    # The peers take each sequence plain and then mirrored; we have all plain ones first.
    spans = list(zip(packed.start.tolist(), packed.end.tolist(), strict=True))
    picks = [torch.arange(start, end) + offset for start, end in spans for offset in (0, len(packed))]
    ours = windows.batch(torch.cat(picks).to(packed.device))
    generator, _ = _generator(packed, receptive_field, settings, shuffle=False)
    joints, keypoints = zip(*((batch[-2].copy(), batch[-1].copy()) for batch in generator.next_epoch()), strict=True)
    return max(
        float(np.abs(ours["joints"].cpu().numpy() - np.concatenate(joints)).max()),
        float(np.abs(ours["keypoints"].cpu().numpy() - np.concatenate(keypoints)).max()),
    )
