"""Lifting to a mixture of poses: maximum likelihood with a prior on the weights; scored by several rules."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from pose3d.lifter import Lifter
from pose3d.mixture import log_density, log_prior
from pose3d.mixture_errors import MixtureErrors, Select
from pose3d.packed import Packed
from pose3d.sequence import MotionDataset
from pose3d.splits import conditions, evaluation_batches, pack_split, training_batches
from pose3d.windows import SequenceBatches, WindowBatches

Batch = dict[str, Tensor]

# The joints a detector loses first; 3d-pose-baseline's 2D joints 2, 3, 5, 6, 11, 12, 14, 15.
LIMB_ENDS = tuple(f"{side}_{joint}" for side in ("right", "left") for joint in ("knee", "foot", "elbow", "wrist"))


class Mixture3D:
    """Train and score a model that gives "means", "sigmas" and "weights" for keypoints.

    The loss is the negative log-likelihood of the standardised pose, less the logarithm of a Dirichlet prior on the
    weights (Li and Lee, equations 5 and 6), in float32 under every precision. It is a density: negative when trained.

    Args:
        model: the lifter.
        prior: concentration of the Dirichlet prior, 2 in the source; null for none ("mdm_5" was trained so).
        missing_joints: how many random knees, feet, elbows and wrists of every frame are hidden: their keypoints are
            replaced by their mean. In the released code this option does nothing.
        missing_in: "train", "test" or "both".
        select: which pose stands for the frame in pictures and files: "likely", or "multiview", the one on which the
            cameras of a take agree; "multiview" is then also a column of the table.
        by_subject: also score each subject.
        parity: "seed" drops the last partial batch of 64 frames of each action, and selects the epoch on the evaluated
            subjects, as the original does.
    """

    higher_is_better = False

    def __init__(
        self,
        model: Lifter,
        *,
        prior: float | None,
        missing_joints: Literal[0, 1, 2],
        missing_in: Literal["train", "test", "both"],
        select: Select,
        by_subject: bool,
        parity: Literal["seed"] | None,
    ) -> None:
        wanted = {"means", "sigmas", "weights"}
        if set(model.io.outputs) != wanted:
            raise ValueError(
                f"task=mixture3d needs a model with outputs 'means, sigmas, weights'; {type(model).__name__} gives "
                f"'{', '.join(model.io.outputs)}'."
            )
        if model.joint_scale() is None or model.keypoint_mean() is None:
            raise ValueError(
                f"task=mixture3d needs a model that standardises keypoints and joints; {type(model).__name__} does not."
            )
        if prior is not None and prior <= 0:
            raise ValueError(f"task.prior must be null or a positive concentration, got {prior}.")
        if missing_joints not in (0, 1, 2):
            raise ValueError(f"task.missing_joints must be 0, 1 or 2, got {missing_joints}.")
        if missing_in not in ("train", "test", "both"):
            raise ValueError(f"task.missing_in must be train, test or both, got {missing_in!r}.")
        if select not in ("likely", "multiview"):
            raise ValueError(f"task.select must be likely or multiview, got {select!r}.")
        if parity not in (None, "seed"):
            raise ValueError(f"parity must be null or seed, got {parity!r}.")
        self.model = model
        self.select: Select = select
        self.prior, self.by_subject, self.parity = prior, by_subject, parity
        self.missing_joints, self.missing_in = missing_joints, missing_in
        self.monitor = f"best_of_{model.io.outputs['weights'][-1]}_mpjpe_mm"
        self.limb_ends = torch.tensor([model.input_skeleton.index(name) for name in LIMB_ENDS])
        self.evaluated: tuple[Packed, MotionDataset] | None = None
        self.hidden: Tensor | None = None

    def batches(
        self, dataset: MotionDataset, training: bool, loading: Any, device: torch.device
    ) -> WindowBatches | SequenceBatches:
        packed = pack_split(dataset, "train" if training else "validation", self.model, device)
        self.limb_ends = self.limb_ends.to(device)
        if training:
            self.model.fit_statistics(packed.keypoints, packed.joints)
            return training_batches(packed, self.model, loading, device)
        self.evaluated = packed, dataset
        if self.missing_joints and self.missing_in != "train":
            generator = torch.Generator().manual_seed(loading.seed)
            draws = torch.rand(len(packed), len(LIMB_ENDS), generator=generator)
            self.hidden = self._random_joints(draws.to(device))
        return evaluation_batches(packed, self.model, loading, device)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        keypoints = batch["keypoints"]
        if self.missing_joints and self.missing_in != "test":
            draws = torch.rand(*keypoints.shape[:2], len(LIMB_ENDS), device=keypoints.device)
            keypoints = self._hide(keypoints, self._random_joints(draws))
        means, sigmas, weights = (output.float() for output in self.model(keypoints))
        computed, scale = self.model.predicted_joints, self.model.joint_scale()
        assert scale is not None
        target = (batch["joints"][..., computed, :] / scale).flatten(-2)
        nll = -log_density(target, (means[..., computed, :] / scale).flatten(-2), sigmas, weights).mean()
        if self.prior is None:
            return nll, {"nll": nll.detach()}
        prior = -log_prior(weights, self.prior).mean()
        return nll + prior, {"nll": nll.detach(), "prior": prior.detach()}

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        keypoints = batch["keypoints"]
        if self.hidden is not None:
            keypoints = self._hide(keypoints, self.hidden[batch["index"]])
        means, sigmas, weights = self.model(keypoints)
        return {"means": means, "sigmas": sigmas, "weights": weights}

    def metrics(self) -> MixtureErrors:
        if self.evaluated is None:
            raise ValueError("metrics() scores the evaluation batches made last, and none were made.")
        packed, dataset = self.evaluated
        protocol = {
            **conditions(dataset),
            "flip_test": False,
            "missing_joints": f"{self.missing_joints} ({self.missing_in})" if self.missing_joints else 0,
        }
        if self.parity == "seed":
            protocol["selection"] = "the best epoch on the scored subjects, as the original does"
        scale = self.model.joint_scale()
        assert scale is not None
        return MixtureErrors(
            packed,
            scale=scale,
            rows=self.model.predicted_joints,
            select=self.select,
            actions=dataset.actions,
            protocol=protocol,
            drop_last=self.parity == "seed",
            by_subject=self.by_subject,
        )

    def _random_joints(self, draws: Tensor) -> Tensor:
        """(..., K) bool, true for the keypoints whose draws (..., 8) are the `missing_joints` largest."""
        chosen = draws.topk(self.missing_joints, dim=-1).indices
        hidden = torch.zeros(*draws.shape[:-1], self.model.input_skeleton.num_joints, device=draws.device)
        return hidden.scatter(-1, self.limb_ends[chosen], 1.0).bool()

    def _hide(self, keypoints: Tensor, hidden: Tensor) -> Tensor:
        """The keypoints (..., K, 2) with their mean where `hidden` (..., K): zero to the network."""
        mean = self.model.keypoint_mean()
        assert mean is not None
        return torch.where(hidden[..., None], mean, keypoints)
