"""From a dataset to batches for a lifting model: which frames, which windows, told by the model itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from anypose.settings import Misuse
from anypose.skeleton import derivable
from pose3d.lifter import Lifter
from pose3d.motion.missing_joints import Hide
from pose3d.motion.packed import JointFrame, Packed, pack
from pose3d.motion.sequence import MotionDataset, PoseSequence, Split, require_motion
from pose3d.motion.subset import subset
from pose3d.motion.windows import EVALUATION_FRAMES, SequenceBatches, WindowBatches


def pack_split(
    dataset: MotionDataset,
    split: Split,
    model: Lifter,
    device: torch.device,
    joint_frame: JointFrame = "camera",
    share: float = 1.0,
) -> Packed:
    """The sequences of a split, or a `share` of each, in the model's skeletons and keypoint frame.

    Keypoints that `dataset.missing_joints` hides in the test are hidden here, the same in every run; those hidden in
    training are drawn anew for every batch, which is the task's to do.
    """
    require_motion(dataset, f"A lifter ({type(model).__name__})")
    dataset.missing_joints.check(model)
    if unlabelled := getattr(dataset, "unlabelled_subjects", ()):
        raise Misuse(
            f"dataset.unlabelled_subjects={list(unlabelled)} are known in 2D alone: only task=semi_supervised learns "
            "from them. Set that task, or dataset.unlabelled_subjects=[]."
        )
    sequences = dataset.sequences(split)
    check_layout(dataset, sequences, model)
    packed = pack(
        subset(sequences, share),
        input_skeleton=model.input_skeleton,
        output_skeleton=model.output_skeleton,
        keypoint_frame=model.keypoint_frame,
        keypoint_channels=model.keypoint_channels,
        keypoints_may_miss=model.keypoints_may_miss,
        joint_frame=joint_frame,
        device=device,
    )
    if split == "train":
        return packed
    hide = Hide(dataset.missing_joints.in_test, model, packed.device)
    return replace(packed, keypoints=hide(packed.keypoints, torch.Generator().manual_seed(0)))


def check_layout(dataset: MotionDataset, sequences: Sequence[PoseSequence], model: Lifter) -> None:
    """Refuse a detector's keypoints for a model of another layout, where the dataset is a protocol's.

    What a detector calls a shoulder or a spine is its own, and a model learns that, too: a figure is a protocol's only
    with the layout that the model was trained on.
    """
    if getattr(dataset, "convert_keypoints", True):
        return
    for source in {sequence.keypoint_skeleton.name: sequence.keypoint_skeleton for sequence in sequences}.values():
        derived = [joint for joint in model.input_skeleton.joints if joint not in source.joints]
        if model.keypoints_may_miss:  # what nothing gives stays missing, and is not made up
            derived = [joint for joint in derived if joint in derivable(source, model.input_skeleton)]
        if derived:
            raise Misuse(
                f"dataset={dataset.name} has {source.name} keypoints ({dataset.keypoint_source}), and the model reads "
                f"{model.input_skeleton.name}: {', '.join(derived)} would have to be made up. Take a model of this "
                f"layout (model.input_skeleton={source.name} when it is trained), or say that keypoints may be derived "
                "with dataset.convert_keypoints=true."
            )


def training_batches(
    packed: Packed,
    model: Lifter,
    loading: Any,
    device: torch.device,
    *,
    stride: int = 1,
    step: int | None = None,
    flip: bool = False,
    trajectory: bool = False,
) -> WindowBatches:
    """Shuffled windows as long as the model's receptive field asks; `loading` is `anypose.engine.task.Loading`."""
    return WindowBatches(
        packed,
        receptive_field=1 if model.whole_window else model.receptive_field,
        causal=model.causal,
        batch_size=loading.batch_size,
        seed=loading.seed,
        device=device,
        stride=model.receptive_field if model.whole_window else stride,
        step=step,
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
    return {
        "dataset": dataset.name,
        "keypoints": dataset.keypoint_source,
        "missing_joints": str(dataset.missing_joints),
        "notes": "; ".join(dataset.notes),
    }
