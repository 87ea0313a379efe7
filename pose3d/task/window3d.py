"""Lifting of whole windows: a pose for every frame, by distance, motion and shape.

The loss is that of MotionAGFormer (Mehraban et al., WACV 2024, section 3.4) and of MotionBERT before it.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from anypose.metrics import mpjpe, n_mpjpe
from anypose.settings import Misuse, check_range
from anypose.skeleton import mirror
from pose2d.network.weight_files import read_weights
from pose3d.lifter import Lifter
from pose3d.lifting.bone_lengths import LIMBS, has_limbs
from pose3d.lifting.errors import PoseErrors
from pose3d.lifting.published_agformer import from_published_agformer, size_of
from pose3d.lifting.redrawing import Redrawn, RedrawnBatches, check_plain
from pose3d.motion.clips import ClipBatches
from pose3d.motion.missing_joints import Hide
from pose3d.motion.packed import Packed, mirror_keypoints
from pose3d.motion.sequence import MotionDataset
from pose3d.motion.splits import conditions, pack_split, training_batches
from pose3d.motion.windows import WindowBatches

Batch = dict[str, Tensor]

log = logging.getLogger(__name__)


class Window3D:
    """Train and score a model that gives a pose for every frame of a window.

    Args:
        model: a lifter of whole windows.
        velocity: weight of the distance between true and predicted steps from frame to frame.
        scaled: weight of the distance after each frame's best scaling (N-MPJPE).
        train_step: frames between the starts of two training windows of a sequence, None for a third of a window.
        step: frames taken from each window when scoring, None for all: windows that do not overlap.
        causal: when scoring, take the last frames of a window: no later frame is seen.
        flip_augment: every training window comes mirrored, too.
        flip_test: average the prediction with that of the mirrored keypoints.
        bones: score with the bones of each sequence held to one length, see `pose3d.lifting.bone_lengths`.
        subset: the share of every training sequence's frames that is used, one stretch of them.
        by_subject: also score each subject.
    """

    monitor = "mpjpe_mm"
    higher_is_better = False

    def __init__(
        self,
        model: Lifter,
        *,
        velocity: float,
        scaled: float,
        train_step: int | None,
        step: int | None,
        causal: bool,
        flip_augment: bool,
        flip_test: bool,
        subset: float,
        by_subject: bool,
        bones: bool,
    ) -> None:
        if not model.whole_window:
            raise Misuse(
                f"task=window3d needs a model that gives a pose for every frame of its window, such as "
                f"model=motionagformer; {type(model).__name__} gives one for the window. Use task=lifting3d."
            )
        if bones and not has_limbs(model.output_skeleton):
            raise Misuse(f"task.bones needs {', '.join(LIMBS)}; {model.output_skeleton.name} has not all of them.")
        if min(velocity, scaled) < 0:
            raise Misuse(f"task.velocity and task.scaled must be 0 or more, got {velocity} and {scaled}.")
        check_range("task", 0, 1, without_low=True, subset=subset)
        window = model.receptive_field
        for name, value in (("train_step", train_step), ("step", step)):
            if value is not None and not 1 <= value <= window:
                raise Misuse(f"task.{name} must be from 1 to the {window} frames of a window, got {value}.")
        self.model, self.bones = model, bones
        self.velocity, self.scaled = velocity, scaled
        self.train_step = self._third() if train_step is None else train_step
        self.step, self.causal = window if step is None else step, causal
        self.flip_augment, self.flip_test = flip_augment, flip_test
        self.subset, self.by_subject = subset, by_subject
        self.hide: Hide | None = None
        self.evaluated: tuple[Packed, MotionDataset] | None = None

    def batches(
        self, dataset: MotionDataset, training: bool, loading: Any, device: torch.device
    ) -> WindowBatches | ClipBatches | RedrawnBatches:
        if training and isinstance(dataset, Redrawn):
            return self._redrawn(dataset, loading, device)
        if training:
            packed = pack_split(dataset, "train", self.model, device, share=self.subset)
            self.model.fit_statistics(packed.keypoints, packed.joints)
            self._compare_lengths(packed.end - packed.start)
            self.hide = Hide(dataset.missing_joints.in_training, self.model, device)
            return training_batches(packed, self.model, loading, device, step=self.train_step, flip=self.flip_augment)
        packed = pack_split(dataset, "validation", self.model, device)
        self.evaluated = packed, dataset
        return ClipBatches(
            packed,
            window=self.model.receptive_field,
            step=self.step,
            causal=self.causal,
            batch_size=loading.batch_size,
            device=device,
            rank=loading.rank,
            world_size=loading.world_size,
        )

    def _redrawn(self, dataset: MotionDataset, loading: Any, device: torch.device) -> RedrawnBatches:
        assert isinstance(dataset, Redrawn)
        step = None if self.train_step == self._third() else self.train_step
        settings = {"train_step": (step, None), "subset": (self.subset, 1.0)}
        check_plain(dataset.name, settings | {"flip_augment": (self.flip_augment, False)})
        batches = RedrawnBatches(dataset.sequences("train"), dataset.redraw, self.model, loading, device)
        self.model.fit_statistics(*batches.statistics())
        self.hide = Hide(dataset.missing_joints.in_training, self.model, device)
        return batches

    def _third(self) -> int:
        return max(1, self.model.receptive_field // 3)

    def _compare_lengths(self, frames: Tensor) -> None:
        """Say which takes a window is longer than: their last frame is repeated, and nothing moves there.

        Raises:
            ValueError: where it is longer than all.
        """
        window, longest = self.model.receptive_field, int(frames.max())
        if longest < window:
            more = f", or a larger task.subset than {self.subset}" if self.subset < 1 else ""
            raise ValueError(
                f"A window of {window} frames is longer than every training take: the longest has {longest} frames. "
                f"Choose a smaller model.size or model.num_frames, or a smaller dataset.frame_step{more}."
            )
        if short := int((frames < window).sum()):
            log.warning(
                "%d of %d training takes are shorter than a window of %d frames; their last frame is repeated.",
                short,
                len(frames),
                window,
            )

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        keypoints = self.hide(batch["keypoints"]) if self.hide else batch["keypoints"]
        predicted, target = self.model(keypoints).float(), batch["joints"]
        terms = {
            "position": mpjpe(predicted, target).mean(),
            "velocity": mpjpe(predicted.diff(dim=1), target.diff(dim=1)).mean(),
            "scaled": n_mpjpe(predicted, target).mean(),
        }
        loss = terms["position"] + self.velocity * terms["velocity"] + self.scaled * terms["scaled"]
        return loss, {name: term.detach() for name, term in terms.items()}

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        keypoints = batch["keypoints"]
        if self.flip_test:
            mirrored = mirror_keypoints(keypoints, batch["mirror"], self.model.input_skeleton)
            joints, reflection = self.model(torch.cat([keypoints, mirrored])).chunk(2)
            joints = (joints + mirror(reflection, self.model.output_skeleton)) / 2
        else:
            joints = self.model(keypoints)
        root = self.model.output_skeleton.root
        if root is not None:  # joints are relative to the root by definition; the network gives it, too, about zero
            joints = joints.index_fill(-2, torch.tensor(root, device=joints.device), 0.0)
        return {"joints": joints}

    def take_weights(self, path: Path, setting: str) -> str:
        """Load a network that the authors' code trained, wholly; say whose it is.

        Raises:
            ValueError: naming what is missing or has another shape: a checkpoint of another size.
        """
        state = from_published_agformer(read_weights(path, setting))
        wanted = self.model.state_dict()
        wrong = [
            f"{name} {tuple(state[name].shape) if name in state else 'missing'} for {tuple(tensor.shape)}"
            for name, tensor in wanted.items()
            if name not in state or state[name].shape != tensor.shape
        ]
        if more := sorted(state.keys() - wanted.keys()):
            wrong.append(f"{len(more)} more, first {more[0]}")
        if wrong:
            ours, theirs = size_of(wanted), size_of(state)
            other = [
                f"model.{word}={value} (here {ours[word]})" for word, value in theirs.items() if value != ours[word]
            ]
            hint = f" The file was trained with {', '.join(other)}." if other else ""
            raise ValueError(
                f"{setting}={path} does not fit this MotionAGFormer: {len(wrong)} differences, "
                f"{'; '.join(wrong[:3])}.{hint} Choose model.size and the rest as it was trained."
            )
        self.model.load_state_dict(state)
        return "MotionAGFormer, authors' code"

    def metrics(self) -> PoseErrors:
        if self.evaluated is None:
            raise ValueError("metrics() scores the evaluation batches made last, and none were made.")
        packed, dataset = self.evaluated
        window = self.model.receptive_field
        end = "last" if self.causal else "middle"
        protocol = {
            **conditions(dataset),
            "flip_test": self.flip_test,
            "windows": f"{window} frames, the {end} {self.step} taken of each"
            if self.step < window
            else f"{window} frames",
            "alignment": "none but the root (MPJPE), similarity per frame (P-MPJPE), scale per frame (N-MPJPE)",
        }
        return PoseErrors(
            packed,
            actions=dataset.actions,
            protocol=protocol,
            drop_last=False,
            by_subject=self.by_subject,
            bones=self.bones,
        )
