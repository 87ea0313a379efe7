"""Lifting to a mixture of poses: maximum likelihood with a prior on the weights; scored by several rules."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from anypose.settings import Misuse
from pose3d.lifter import Lifter
from pose3d.lifting.annealing import Annealed
from pose3d.lifting.mixture import log_parts, log_prior
from pose3d.lifting.mixture_errors import MixtureErrors, Select
from pose3d.motion.missing_joints import Hide
from pose3d.motion.packed import Packed
from pose3d.motion.sequence import MotionDataset
from pose3d.motion.splits import conditions, evaluation_batches, pack_split, training_batches
from pose3d.motion.windows import SequenceBatches, WindowBatches

Batch = dict[str, Tensor]


class Mixture3D:
    """Train and score a model that gives "means", "sigmas" and "weights" for keypoints.

    The loss is the negative log-likelihood of the standardised pose, less the logarithm of a Dirichlet prior on the
    weights (Li and Lee, equations 5 and 6), in float32 under every precision. It is a density: negative when trained.

    Args:
        model: the lifter.
        prior: concentration of the Dirichlet prior, 2 in the source; null for none ("mdm_5" was trained so).
        distance: weight of the distances of the joints [standardised, summed], of each hypothesis by its share in the
            frame, added to the loss; 0 in the source. The likelihood judges by squares; scores are mean distances.
        temperature: at which annealing begins; 1 in the source. Likelihoods over 48 coordinates are so peaked that a
            frame teaches its nearest hypothesis alone, and hypotheses that begin badly stay unused. A temperature T
            takes T log sum_m exp(log p_m / T) in place of the logarithm of the likelihood, so that hypotheses share a
            frame and part from each other as T falls (deterministic annealing: Rose, Proceedings of the IEEE 86(11),
            1998). At T = 1 it is the source's loss.
        annealing_epochs: over which the temperature falls to 1, by the same factor in every step.
        flip_augment: every training sample comes mirrored, too.
        select: which pose stands for the frame in pictures and files: "likely", or "multiview", the one on which the
            cameras of a take agree; "multiview" is then also a column of the table.
        by_subject: also score each subject.
        parity: "seed" drops the last partial batch of 64 frames of each action, as the original does. The original also
            selects the epoch on the test subjects: `evaluate.py parity=seed` takes best.pt and says so.
    """

    higher_is_better = False
    reads = "sequences"

    def __init__(
        self,
        model: Lifter,
        *,
        prior: float | None,
        distance: float,
        temperature: float,
        annealing_epochs: float,
        flip_augment: bool,
        select: Select,
        by_subject: bool,
        parity: Literal["seed"] | None,
    ) -> None:
        wanted = {"means", "sigmas", "weights"}
        if set(model.io.outputs) != wanted:
            raise Misuse(
                f"task=mixture3d needs a model with outputs 'means, sigmas, weights'; {type(model).__name__} gives "
                f"'{', '.join(model.io.outputs)}'."
            )
        if model.joint_scale() is None or model.keypoint_mean() is None:
            raise Misuse(
                f"task=mixture3d needs a model that standardises keypoints and joints; {type(model).__name__} does not."
            )
        if prior is not None and prior <= 0:
            raise Misuse(f"task.prior must be null or a positive concentration, got {prior}.")
        if distance < 0:
            raise Misuse(f"task.distance must not be negative, got {distance}.")
        if temperature < 1 or annealing_epochs < 0 or (temperature > 1) != (annealing_epochs > 0):
            raise Misuse(
                f"task.temperature={temperature} must be at least 1 and task.annealing_epochs={annealing_epochs} not "
                "negative; to anneal set both, the first above 1 and the second above 0."
            )
        if select not in ("likely", "multiview"):
            raise Misuse(f"task.select must be likely or multiview, got {select!r}.")
        if parity not in (None, "seed"):
            raise Misuse(f"parity must be null or seed, got {parity!r}.")
        self.model = model
        self.select: Select = select
        self.prior, self.distance, self.flip_augment = prior, distance, flip_augment
        self.temperature, self.annealing_epochs = temperature, annealing_epochs
        self.by_subject, self.parity = by_subject, parity
        self.monitor = f"best_of_{model.io.outputs['weights'][-1]}_mpjpe_mm"
        self.hide: Hide | None = None
        self.evaluated: tuple[Packed, MotionDataset] | None = None

    def batches(
        self, dataset: MotionDataset, training: bool, loading: Any, device: torch.device
    ) -> WindowBatches | Annealed | SequenceBatches:
        packed = pack_split(dataset, "train" if training else "validation", self.model, device)
        if not training:
            self.evaluated = packed, dataset
            return evaluation_batches(packed, self.model, loading, device)
        self.model.fit_statistics(packed.keypoints, packed.joints)
        self.hide = Hide(dataset.missing_joints.in_training, self.model, device)
        batches = training_batches(packed, self.model, loading, device, flip=self.flip_augment)
        return Annealed(batches, self.annealing_epochs) if self.annealing_epochs else batches

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        keypoints = self.hide(batch["keypoints"]) if self.hide else batch["keypoints"]
        means, sigmas, weights = (output.float() for output in self.model(keypoints))
        computed, scale = self.model.predicted_joints, self.model.joint_scale()
        assert scale is not None
        target = (batch["joints"][..., computed, :] / scale).flatten(-2)
        means = (means[..., computed, :] / scale).flatten(-2)
        parts = log_parts(target, means, sigmas, weights)
        nll = -parts.logsumexp(-1).mean()
        loss, terms = nll, {"nll": nll.detach()}
        if self.annealing_epochs:
            temperature = (self.temperature ** (1 - batch["progress"])).view(-1, 1, 1)
            parts = parts / temperature
            loss = -(temperature.squeeze(-1) * parts.logsumexp(-1)).mean()
            terms["temperature"] = temperature.mean()
        if self.prior is not None:
            prior = -log_prior(weights, self.prior).mean()
            loss, terms = loss + prior, terms | {"prior": prior.detach()}
        if self.distance:
            off = (target.unsqueeze(-2) - means).unflatten(-1, (-1, 3)).norm(dim=-1).sum(-1)
            distance = (parts.detach().softmax(-1) * off).sum(-1).mean()
            loss, terms = loss + self.distance * distance, terms | {"distance": distance.detach()}
        return loss, terms

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        means, sigmas, weights = self.model(batch["keypoints"])
        return {"means": means, "sigmas": sigmas, "weights": weights}

    def metrics(self) -> MixtureErrors:
        if self.evaluated is None:
            raise ValueError("metrics() scores the evaluation batches made last, and none were made.")
        packed, dataset = self.evaluated
        scale = self.model.joint_scale()
        assert scale is not None
        return MixtureErrors(
            packed,
            scale=scale,
            rows=self.model.predicted_joints,
            select=self.select,
            actions=dataset.actions,
            protocol={
                **conditions(dataset),
                "flip_test": False,
                "alignment": "none but the root (MPJPE), similarity per frame (P-MPJPE)",
            },
            drop_last=self.parity == "seed",
            by_subject=self.by_subject,
        )
