"""From a dataset to batches for a lifting model: which frames, which windows, told by the model itself."""

from __future__ import annotations

from typing import Any

import torch

from pose3d.lifter import Lifter
from pose3d.packed import JointFrame, Packed, pack
from pose3d.sequence import MotionDataset, Split
from pose3d.subset import subset
from pose3d.windows import EVALUATION_FRAMES, SequenceBatches, WindowBatches


def pack_split(
    dataset: MotionDataset,
    split: Split,
    model: Lifter,
    device: torch.device,
    joint_frame: JointFrame = "camera",
    share: float = 1.0,
) -> Packed:
    """The sequences of a split, or a `share` of each, in the model's skeletons and keypoint frame."""
    return pack(
        subset(dataset.sequences(split), share),
        input_skeleton=model.input_skeleton,
        output_skeleton=model.output_skeleton,
        keypoint_frame=model.keypoint_frame,
        keypoint_channels=model.keypoint_channels,
        joint_frame=joint_frame,
        device=device,
    )


def training_batches(
    packed: Packed,
    model: Lifter,
    loading: Any,
    device: torch.device,
    *,
    stride: int = 1,
    flip: bool = False,
    trajectory: bool = False,
) -> WindowBatches:
    """Shuffled windows as long as the model's receptive field asks; `loading` is `engine.task.Loading`."""
    return WindowBatches(
        packed,
        receptive_field=model.receptive_field,
        causal=model.causal,
        batch_size=loading.batch_size,
        seed=loading.seed,
        device=device,
        stride=stride,
        flip=flip,
        trajectory=trajectory,
        drop_last=loading.drop_last,
        rank=loading.rank,
        world_size=loading.world_size,
    )


def evaluation_batches(packed: Packed, model: Lifter, loading: Any, device: torch.device) -> SequenceBatches:
    """Every frame in order, at least `EVALUATION_FRAMES` in a batch."""
    return SequenceBatches(
        packed,
        receptive_field=model.receptive_field,
        causal=model.causal,
        device=device,
        rank=loading.rank,
        world_size=loading.world_size,
        frames_per_batch=max(loading.batch_size, EVALUATION_FRAMES),
    )


def conditions(dataset: MotionDataset) -> dict[str, Any]:
    """What a dataset contributes to the protocol that is printed with every number."""
    return {"dataset": dataset.name, "keypoints": dataset.keypoint_source, "notes": "; ".join(dataset.notes)}
