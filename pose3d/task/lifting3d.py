"""Lifting: one pose from the keypoints of a window, by squared standardised error or by distance."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor

from anypose.metrics import mpjpe
from anypose.settings import Misuse, check_range
from anypose.skeleton import mirror
from pose3d.lifter import Lifter
from pose3d.lifting.bone_lengths import LIMBS, has_limbs
from pose3d.lifting.errors import PoseErrors
from pose3d.lifting.redrawing import Redrawn, RedrawnBatches, check_plain
from pose3d.motion.missing_joints import Hide
from pose3d.motion.packed import JointFrame, Packed, mirror_keypoints
from pose3d.motion.sequence import MotionDataset
from pose3d.motion.splits import conditions, evaluation_batches, pack_split, training_batches
from pose3d.motion.windows import SequenceBatches, WindowBatches

Batch = dict[str, Tensor]


class Lifting3D:
    """Train and score a model that gives "joints" for keypoints.

    Args:
        model: the lifter; it says which window, skeletons and keypoint frame it needs.
        loss: "standardised_mse" (3d-pose-baseline: squared error in units of the joints' standard deviation, over
            the joints the network computes) or "mpjpe" (VideoPose3D: mean distance over all joints [m]).
        stride: output frames per training sample.
        subset: the share of every training sequence's frames that is used, one stretch of them.
        flip_augment: every training sample comes mirrored, too.
        flip_test: average the prediction with that of the mirrored keypoints.
        bones: score with the bones of each sequence held to one length, see `pose3d.lifting.bone_lengths`.
        joint_frame: axes of the joints, "camera" or "world" (3d-pose-baseline without its `--camera_frame`).
        by_subject: also score each subject.
        parity: "seed" drops the last partial batch of 64 frames of each action when scoring, as the original does.
    """

    monitor = "mpjpe_mm"
    higher_is_better = False
    reads = "sequences"

    def __init__(
        self,
        model: Lifter,
        *,
        loss: Literal["standardised_mse", "mpjpe"],
        stride: int,
        subset: float,
        flip_augment: bool,
        flip_test: bool,
        joint_frame: JointFrame,
        by_subject: bool,
        parity: Literal["seed"] | None,
        bones: bool,
    ) -> None:
        if "joints" not in model.io.outputs:
            raise Misuse(
                f"task=lifting3d needs a model with output 'joints'; {type(model).__name__} gives "
                f"'{', '.join(model.io.outputs)}'."
            )
        if model.whole_window:
            raise Misuse(
                f"task=lifting3d needs a model that gives one pose for a window, and {type(model).__name__} gives "
                "one for every frame of it. Use task=window3d."
            )
        if loss not in ("standardised_mse", "mpjpe"):
            raise Misuse(f"task.loss must be standardised_mse or mpjpe, got {loss!r}.")
        if joint_frame not in ("camera", "world"):
            raise Misuse(f"task.joint_frame must be camera or world, got {joint_frame!r}.")
        if loss == "standardised_mse" and model.joint_scale() is None:
            raise Misuse(
                f"task.loss=standardised_mse needs a model that standardises its joints; {type(model).__name__} does "
                "not. Use task.loss=mpjpe."
            )
        if joint_frame == "world" and (flip_augment or flip_test):
            raise Misuse(
                "task.flip_augment and task.flip_test mirror the picture, which says nothing about joints in the world "
                "frame. Set both to false, or task.joint_frame=camera."
            )
        if bones and joint_frame == "world":
            raise Misuse("task.bones goes along lines of sight, which joints in the world frame do not have.")
        if bones and not has_limbs(model.output_skeleton):
            raise Misuse(f"task.bones needs {', '.join(LIMBS)}; {model.output_skeleton.name} has not all of them.")
        if parity not in (None, "seed"):
            raise Misuse(f"parity must be null or seed, got {parity!r}.")
        check_range("task", 1, math.inf, stride=stride)
        check_range("task", 0, 1, without_low=True, subset=subset)
        self.model, self.bones = model, bones
        self.loss_name, self.stride, self.subset = loss, stride, subset
        self.joint_frame: JointFrame = joint_frame
        self.flip_augment, self.flip_test = flip_augment, flip_test
        self.by_subject, self.parity = by_subject, parity
        self.hide: Hide | None = None
        self.evaluated: tuple[Packed, MotionDataset] | None = None

    def batches(
        self, dataset: MotionDataset, training: bool, loading: Any, device: torch.device
    ) -> WindowBatches | SequenceBatches | RedrawnBatches:
        if not training:
            packed = pack_split(dataset, "validation", self.model, device, self.joint_frame)
            self.evaluated = packed, dataset
            return evaluation_batches(packed, self.model, loading, device)
        if isinstance(dataset, Redrawn):
            return self._redrawn(dataset, loading, device)
        packed = pack_split(dataset, "train", self.model, device, self.joint_frame, self.subset)
        self.model.fit_statistics(packed.keypoints, packed.joints)
        self.hide = Hide(dataset.missing_joints.in_training, self.model, device)
        return training_batches(packed, self.model, loading, device, stride=self.stride, flip=self.flip_augment)

    def _redrawn(self, dataset: MotionDataset, loading: Any, device: torch.device) -> RedrawnBatches:
        assert isinstance(dataset, Redrawn)
        plain = {"stride": 1, "subset": 1.0, "flip_augment": False, "joint_frame": "camera"}
        check_plain(dataset.name, {key: (getattr(self, key), value) for key, value in plain.items()})
        batches = RedrawnBatches(dataset.sequences("train"), dataset.redraw, self.model, loading, device)
        self.model.fit_statistics(*batches.statistics())
        self.hide = Hide(dataset.missing_joints.in_training, self.model, device)
        return batches

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        keypoints = self.hide(batch["keypoints"]) if self.hide else batch["keypoints"]
        predicted, target = self.model(keypoints).float(), batch["joints"]
        if self.loss_name == "mpjpe":
            loss = mpjpe(predicted, target).mean()
        else:
            computed = self.model.predicted_joints
            loss = ((predicted - target)[..., computed, :] / self.model.joint_scale()).square().mean()
        return loss, {self.loss_name: loss.detach()}

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        keypoints = batch["keypoints"]
        if not self.flip_test:
            return {"joints": self.model(keypoints)}
        mirrored = mirror_keypoints(keypoints, batch["mirror"], self.model.input_skeleton)
        joints, reflection = self.model(torch.cat([keypoints, mirrored])).chunk(2)
        return {"joints": (joints + mirror(reflection, self.model.output_skeleton)) / 2}

    def metrics(self) -> PoseErrors:
        if self.evaluated is None:
            raise ValueError("metrics() scores the evaluation batches made last, and none were made.")
        packed, dataset = self.evaluated
        protocol = {
            **conditions(dataset),
            "flip_test": self.flip_test,
            "alignment": "none but the root (MPJPE), similarity per frame (P-MPJPE), scale per frame (N-MPJPE)",
        }
        return PoseErrors(
            packed,
            actions=dataset.actions,
            protocol=protocol,
            drop_last=self.parity == "seed",
            by_subject=self.by_subject,
            bones=self.bones,
        )
