"""Scores of a model that gives several poses: each column says by which rule one number came out of many."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from pose.metrics import mpjpe, p_mpjpe
from pose3d.errors import FrameErrors, Frames
from pose3d.mixture import consistent, log_density, mass_above, most_likely, weighted_mean
from pose3d.packed import Packed

CALIBRATED_FRAMES = 10_000  # coverage is estimated on about so many, evenly spaced: the others would say the same
NOISE_SAMPLES = 256  # per hypothesis, drawn anew for every so many frames, so that their errors average out:
FRAMES_PER_NOISE = 128
FRAMES_AT_ONCE = 1024

Select = Literal["likely", "multiview"]


class MixtureErrors(FrameErrors):
    """Scores of "means" (..., M, J, 3), "sigmas" (..., M) and "weights" (..., M).

    best_of_M takes in each frame the hypothesis nearest to the truth: a bound on any rule, not a prediction.
    most_likely and weighted_mean use the weights alone; multiview the other cameras of the same frame.

    Args:
        scale: (J', 3) metres of one standardised unit, for the joints of `rows`.
        rows: the joints that the mixture is about.
        select: the rule behind "joints", the one pose per frame that pictures and files show.
        **common: as `FrameErrors`.
    """

    def __init__(self, packed: Packed, *, scale: Tensor, rows: slice, select: Select, **common: Any) -> None:
        super().__init__(packed, **common)
        self.scale, self.rows_scored, self.select = scale.cpu(), rows, select
        self.calibrated_every = max(1, len(self.packed) // CALIBRATED_FRAMES)
        if select == "multiview" and self.views().shape[1] == 1:
            raise ValueError(
                "task.select=multiview needs several cameras of the same take, and the validation split has one each. "
                "Use task.select=likely."
            )

    def frames(self) -> Frames:
        """As collected, and "joints", the pose that `select` takes."""
        state = super().frames()
        likely = most_likely(state["means"], state["weights"])
        return state | {"joints": likely if self.select == "likely" else self._agreed(state)}

    def frame_scores(self, predicted: Frames, truth: Tensor) -> Frames:
        means, sigmas, weights = predicted["means"], predicted["sigmas"], predicted["weights"]
        each = truth.unsqueeze(1).expand_as(means)
        best = f"best_of_{means.shape[1]}"
        scores = {
            f"{best}_mpjpe_mm": mpjpe(means, each).amin(-1) * 1000,
            f"{best}_p_mpjpe_mm": p_mpjpe(means, each).amin(-1) * 1000,
            "most_likely_mpjpe_mm": mpjpe(most_likely(means, weights), truth) * 1000,
            "weighted_mean_mpjpe_mm": mpjpe(weighted_mean(means, weights), truth) * 1000,
        }
        if self.select == "multiview":
            scores["multiview_mpjpe_mm"] = mpjpe(predicted["joints"], truth) * 1000
        # Both sides less the same mean, so only the scale is needed.
        target = (truth[:, self.rows_scored] / self.scale).flatten(1)
        centres = (means[:, :, self.rows_scored] / self.scale).flatten(2)
        scores["nll_nats"] = -log_density(target, centres, sigmas, weights)
        some = slice(None, None, self.calibrated_every)
        above = self._mass_above(target[some], centres[some], sigmas[some], weights[some])
        for percent in (50, 90):
            covered = torch.full((len(truth),), torch.nan)
            covered[some] = (above <= percent / 100).float() * 100
            scores[f"coverage{percent}_percent"] = covered
        return scores

    def _mass_above(self, target: Tensor, means: Tensor, sigmas: Tensor, weights: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        above = []
        for start in range(0, len(target), FRAMES_PER_NOISE):
            part = slice(start, start + FRAMES_PER_NOISE)
            noise = torch.randn(NOISE_SAMPLES, target.shape[-1], generator=generator)
            above.append(mass_above(target[part], means[part], sigmas[part], weights[part], noise))
        return torch.cat(above)

    # Several cameras

    def views(self) -> Tensor:
        """(F, V) rows of `packed` that show the same instant, -1 where a take has fewer cameras."""
        takes: dict[tuple[str, str, str], list[int]] = {}
        for number, (subject, action, take, _) in enumerate(self.packed.names):
            takes.setdefault((subject, action, take), []).append(number)
        width = max(len(sequences) for sequences in takes.values())
        start, end = self.packed.start.cpu(), self.packed.end.cpu()
        tables = []
        for sequences in takes.values():
            length = int((end - start)[sequences].max())
            table = torch.full((length, width), -1)
            for column, number in enumerate(sequences):
                rows = torch.arange(int(start[number]), int(end[number]))
                table[: len(rows), column] = rows
            tables.append(table)
        return torch.cat(tables)

    def _agreed(self, state: Frames) -> Tensor:
        """(n, J, 3) the pose the cameras agree on, turned into each row's own camera."""
        index, order = state["index"], state["weights"].argsort(-1, descending=True)
        rotation = self.packed.rotation.cpu()[self.packed.sequence.cpu()[index]]  # (n, 3, 3) world to camera
        position = torch.full((len(self.packed) + 1,), -1)  # of a row among the scored ones; the last for row -1
        position[index] = torch.arange(len(index))
        views = position[self.views()]
        views = views[(views >= 0).any(1)]
        agreed = torch.empty_like(state["means"][:, 0])
        for rows in views.split(FRAMES_AT_ONCE):
            seen, flat = rows >= 0, rows.clamp(min=0)
            # Heavier hypotheses first: they win where the views cannot tell, as where there is only one.
            means = torch.take_along_dim(state["means"][flat], order[flat][..., None, None], dim=2)
            world = torch.einsum("fvmjc,fvcd->fvmjd", means, rotation[flat])
            pose = consistent(world, seen)
            own = torch.einsum("fjd,fvcd->fvjc", pose, rotation[flat])
            agreed[rows[seen]] = own[seen]
        return agreed

    def protocol(self) -> dict[str, Any]:
        protocol = super().protocol()
        rules = {
            "best_of": "per frame the hypothesis nearest to the truth: uses ground truth",
            "most_likely": "the hypothesis with the largest weight",
            "weighted_mean": "the mean of the mixture",
            "nll": "of the truth, in standardised units",
            "coverage": f"truths in the densest 50 and 90 % of the mass, from one frame in {self.calibrated_every}",
        }
        if self.select == "multiview":
            rules["multiview"] = "mean over the cameras of the hypotheses that agree"
        return protocol | rules
