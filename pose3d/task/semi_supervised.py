"""Learning from keypoints without joints: what is predicted for them must project back onto them.

Pavllo et al., CVPR 2019, section 4 and figure 3. A second network predicts where the root is, because a projection
needs a place. Labelled windows teach both networks; unlabelled ones go through both and back through the lens.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from anypose.camera import project_points
from anypose.metrics import mpjpe
from anypose.settings import Misuse, check_range
from anypose.skeleton import mirror
from pose3d.lifter import Lifter
from pose3d.lifting.trajectory import ROOT, LabelledAndUnlabelled, PoseAndTrajectory, TrajectoryErrors, bone_lengths
from pose3d.motion.packed import Packed, mirror_keypoints, pack
from pose3d.motion.sequence import MotionDataset, PoseSequence, require_motion
from pose3d.motion.splits import check_layout, conditions, evaluation_batches, training_batches
from pose3d.motion.subset import subset
from pose3d.motion.windows import SequenceBatches

Batch = dict[str, Tensor]


class SemiSupervised:
    """Train a lifter and its trajectory network on a few labelled and many unlabelled sequences.

    Args:
        model: the pose network. It must read the screen and be able to make the trajectory network (`sibling`).
        loss: "mpjpe"; the other terms are distances, too, and added to it.
        labelled_subjects: whose sequences have labels, none named: everybody's.
        labelled_share: the share of each labelled sequence's frames that is used.
        warmup_epochs: epochs on labelled windows alone.
        reprojection: "lens" projects with distortion, "linear" without; None leaves the term out, and with it all that
            is learnt of the trajectory from unlabelled windows.
        bone_length: mean bone lengths of labelled and unlabelled predictions shall be equal.
        stride: output frames per training sample.
        flip_augment: every training sample comes mirrored, too.
        flip_test: average the prediction with that of the mirrored keypoints.
        by_subject: also score each subject.
    """

    monitor = "mpjpe_mm"
    higher_is_better = False
    reads = "sequences"

    def __init__(
        self,
        model: Lifter,
        *,
        loss: Literal["mpjpe"],
        labelled_subjects: list[str],
        labelled_share: float,
        warmup_epochs: int,
        reprojection: Literal["lens", "linear"] | None,
        bone_length: bool,
        stride: int,
        flip_augment: bool,
        flip_test: bool,
        by_subject: bool,
    ) -> None:
        sibling = getattr(model, "sibling", None)
        if sibling is None or model.keypoint_frame != "screen":
            raise Misuse(
                f"task=semi_supervised needs a model that reads the screen and can be made again with another output "
                f"(`sibling`), such as model=videopose3d; {type(model).__name__} cannot."
            )
        if loss != "mpjpe":
            raise Misuse(f"task.loss must be mpjpe with task=semi_supervised, got {loss!r}.")
        if reprojection not in ("lens", "linear", None):
            raise Misuse(f"task.reprojection must be lens, linear or null, got {reprojection!r}.")
        if reprojection is None and not bone_length:
            raise Misuse("task.reprojection=null and task.bone_length=false leave nothing to learn unlabelled.")
        check_range("task", 0, 1, without_low=True, labelled_share=labelled_share)
        check_range("task", 0, math.inf, warmup_epochs=warmup_epochs)
        check_range("task", 1, math.inf, stride=stride)
        self.model = PoseAndTrajectory(model, sibling(ROOT))
        self.lifter = model
        self.labelled_subjects, self.labelled_share = list(labelled_subjects), labelled_share
        self.warmup_epochs, self.reprojection, self.bone_length = warmup_epochs, reprojection, bone_length
        self.stride, self.flip_augment, self.flip_test = stride, flip_augment, flip_test
        self.by_subject = by_subject
        # Joints that are both seen and predicted, by name.
        common = [name for name in model.output_skeleton.joints if name in model.input_skeleton.joints]
        self.seen = [model.input_skeleton.index(name) for name in common]
        self.predicted = [model.output_skeleton.index(name) for name in common]
        self.evaluated: tuple[Packed, MotionDataset] | None = None

    # Data

    def batches(
        self, dataset: MotionDataset, training: bool, loading: Any, device: torch.device
    ) -> LabelledAndUnlabelled | SequenceBatches:
        """Windows with and without labels for training, whole sequences for evaluation."""
        require_motion(dataset, "task=semi_supervised")
        dataset.missing_joints.check(self.lifter)
        if not training:
            sequences = dataset.sequences("validation")
            check_layout(dataset, sequences, self.lifter)
            packed = self._pack(sequences, device)
            self.evaluated = packed, dataset
            return evaluation_batches(packed, self.lifter, loading, device)
        labelled, unlabelled = self.split(dataset.sequences("train"), getattr(dataset, "unlabelled", list)())
        check_layout(dataset, [*labelled, *unlabelled], self.lifter)
        sample = {"stride": self.stride, "flip": self.flip_augment, "trajectory": True}
        stream = replace(loading, seed=loading.seed + 1, drop_last=False)
        return LabelledAndUnlabelled(
            training_batches(self._pack(labelled, device), self.lifter, loading, device, **sample),
            training_batches(self._pack(unlabelled, device), self.lifter, stream, device, **sample),
            self.warmup_epochs,
        )

    def split(
        self, sequences: list[PoseSequence], more: list[PoseSequence] | None = None
    ) -> tuple[list[PoseSequence], list[PoseSequence]]:
        """The labelled sequences, cut to their share, and the unlabelled ones, whole.

        Unlabelled are the subjects that are not labelled, and `more`, whose joints nobody knows. Where there are none,
        every sequence also serves without its labels.
        """
        subjects = list(dict.fromkeys(sequence.subject for sequence in sequences))
        if unknown := [subject for subject in self.labelled_subjects if subject not in subjects]:
            raise Misuse(
                f"task.labelled_subjects names {', '.join(unknown)}; the training split has {', '.join(subjects)}."
            )
        chosen = self.labelled_subjects or subjects
        labelled = [sequence for sequence in sequences if sequence.subject in chosen]
        unlabelled = [sequence for sequence in sequences if sequence.subject not in chosen] + (more or [])
        return subset(labelled, self.labelled_share), unlabelled or sequences

    def _pack(self, sequences: list[PoseSequence], device: torch.device) -> Packed:
        lifter = self.lifter
        return pack(
            sequences,
            input_skeleton=lifter.input_skeleton,
            output_skeleton=lifter.output_skeleton,
            keypoint_frame=lifter.keypoint_frame,
            keypoint_channels=lifter.keypoint_channels,
            device=device,
        )

    # Training

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Pose + trajectory, and for unlabelled windows + reprojection + bone length, all of weight 1."""
        count = len(batch["joints"])
        unlabelled = "unlabelled_keypoints" in batch
        keypoints = batch["keypoints"]
        if unlabelled:
            keypoints = torch.cat([keypoints, batch["unlabelled_keypoints"]])
        joints, trajectory = (self.model[name](keypoints).float() for name in ("pose", "trajectory"))
        root = batch["root"]
        # What is far away is seen less well: its error weighs less.
        place = (trajectory[:count, :, 0] - root).norm(dim=-1) / root[..., 2]
        terms = {"pose": mpjpe(joints[:count], batch["joints"]).mean(), "trajectory": place.mean()}
        if unlabelled and self.reprojection:
            image = self.project(joints[count:] + trajectory[count:], batch["unlabelled_intrinsics"])
            terms["reprojection"] = (image - self._seen(keypoints[count:])).norm(dim=-1).mean()
        if unlabelled and self.bone_length:
            lengths = bone_lengths(joints, self.lifter.output_skeleton)
            known, guessed = (part.mean(dim=(0, 1)) for part in (lengths[:count], lengths[count:]))
            terms["bone_length"] = (known - guessed).abs().mean()
        loss = torch.stack(list(terms.values())).sum()
        return loss, {name: term.detach() for name, term in terms.items()}

    def project(self, points: Tensor, intrinsics: Tensor) -> Tensor:
        """(B, T, J, 3) camera frame -> (B, T, J', 2) on the screen, the joints that are seen."""
        if self.reprojection == "linear":
            intrinsics = torch.cat([intrinsics[:, :4], torch.zeros_like(intrinsics[:, 4:])], dim=1)
        return project_points(points[..., self.predicted, :], intrinsics)

    def _seen(self, keypoints: Tensor) -> Tensor:
        """(B, T - R + 1, J', 2) the keypoints at the output frames."""
        field = self.lifter.receptive_field
        past = field - 1 if self.lifter.causal else (field - 1) // 2
        return keypoints[:, past : keypoints.shape[1] - (field - 1 - past), self.seen, :2]

    # Scoring

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        """The pose, and how far the place and the image of the pose are off (always through the whole lens)."""
        keypoints, index = batch["keypoints"], batch["index"]
        joints, trajectory = self.model(keypoints)
        if self.flip_test:
            mirrored = mirror_keypoints(keypoints, batch["mirror"], self.lifter.input_skeleton)
            reflection, place = self.model(mirrored)
            joints = (joints + mirror(reflection, self.lifter.output_skeleton)) / 2
            trajectory = (trajectory + mirror(place, ROOT)) / 2
        assert self.evaluated is not None
        packed = self.evaluated[0]
        rows = index.clamp(min=0)
        intrinsics = packed.intrinsics[packed.sequence[rows]].flatten(0, 1)
        points = (joints + trajectory)[..., self.predicted, :].flatten(0, 1)
        image = project_points(points, intrinsics).unflatten(0, index.shape)
        return {
            "joints": joints,
            "trajectory": trajectory[..., 0, :],
            "trajectory_error": (trajectory[..., 0, :] - packed.root[rows]).norm(dim=-1),
            "reprojection_error": (image - self._seen(keypoints)).norm(dim=-1).mean(dim=-1),
        }

    def metrics(self) -> TrajectoryErrors:
        """A fresh accumulator for the evaluation batches made last."""
        if self.evaluated is None:
            raise ValueError("metrics() scores the evaluation batches made last, and none were made.")
        packed, dataset = self.evaluated
        labelled = ", ".join(self.labelled_subjects) or "all subjects"
        protocol = {
            **conditions(dataset),
            "labels": f"{100 * self.labelled_share:g} % of {labelled}",
            "flip_test": self.flip_test,
            "alignment": "none but the root (MPJPE), similarity per frame (P-MPJPE), scale per frame (N-MPJPE)",
        }
        return TrajectoryErrors(
            packed, actions=dataset.actions, protocol=protocol, drop_last=False, by_subject=self.by_subject
        )
