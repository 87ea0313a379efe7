"""Scores of a model that gives several poses: each column says by which rule one number came out of many."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from anypose.metrics import mpjpe, p_mpjpe
from anypose.settings import Misuse
from pose3d.lifting.errors import FrameErrors, Frames
from pose3d.lifting.mixture import consistent, log_density, mass_above, most_likely, weighted_mean
from pose3d.motion.packed import Packed

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
            raise Misuse(
                "task.select=multiview needs several cameras of the same take, and the validation split has one each. "
                "Use task.select=likely."
            )

    def frames(self) -> Frames:
        """As collected, and "joints", the pose that `select` takes."""
        state = super().frames()
        likely = most_likely(state["means"], state["weights"])
        return state | {"joints": likely if self.select == "likely" else self._agreed(state)}

    def frame_scores(self, predicted: Frames, truth: Tensor) -> Frames:
        means, weights = predicted["means"], predicted["weights"]
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
        scores["nll_nats"] = -log_density(*self._standardised(predicted, truth))
        above = self._mass_above(predicted, truth)
        for percent in (50, 90):
            scores[f"coverage{percent}_percent"] = (above <= percent / 100).float().where(~above.isnan(), above) * 100
        return scores

    def _standardised(self, predicted: Frames, truth: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Truth (n, D), means (n, M, D), sigmas and weights. Means and truth lack the same offset: it cancels."""
        means = predicted["means"][:, :, self.rows_scored] / self.scale
        truth = truth[:, self.rows_scored] / self.scale
        return truth.flatten(1), means.flatten(2), predicted["sigmas"], predicted["weights"]

    def _mass_above(self, predicted: Frames, truth: Tensor) -> Tensor:
        """(n,) the mass where the density is higher than at the truth, NaN for frames that calibration leaves out."""
        generator = torch.Generator().manual_seed(0)
        above = torch.full((len(truth),), torch.nan)
        some = torch.arange(0, len(truth), self.calibrated_every)
        mixture = [part[some].split(FRAMES_PER_NOISE) for part in self._standardised(predicted, truth)]
        for rows, *part in zip(some.split(FRAMES_PER_NOISE), *mixture, strict=True):
            target, means, sigmas, weights = part
            noise = torch.randn(NOISE_SAMPLES, target.shape[-1], generator=generator)
            above[rows] = mass_above(target, means, sigmas, weights, noise)
        return above

    def calibration(self, shares: Tensor) -> Tensor:
        """(n,) the share of truths in the densest `shares` (n,) of the mass: `shares` itself, were the model honest.

        Averaged over the frames of an action, then over actions, as the table is.
        """
        state = self.frames()
        index = state["index"]
        above = self._mass_above(state, self.packed.joints.cpu()[index])
        action = self.group(index, 1, self.actions)
        rows = [above[(action == i) & ~above.isnan()] for i in action.unique()]
        return torch.stack([(row[:, None] <= shares).float().mean(0) for row in rows if len(row)]).mean(0)

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
        index = state["index"]
        rotation = self.packed.rotation.cpu()[self.packed.sequence.cpu()[index]]  # (n, 3, 3) world to camera
        # One number for all coordinates: the views' axes differ.
        spreads, dimensions = state["sigmas"] * self.scale.mean(), self.scale.numel()
        position = torch.full((len(self.packed) + 1,), -1)  # of a row among the scored ones; the last for row -1
        position[index] = torch.arange(len(index))
        views = position[self.views()]
        views = views[(views >= 0).any(1)]
        agreed = torch.empty_like(state["means"][:, 0])
        for rows in views.split(FRAMES_AT_ONCE):
            seen, flat = rows >= 0, rows.clamp(min=0)
            world = torch.einsum("fvmjc,fvcd->fvmjd", state["means"][flat], rotation[flat])
            pose = consistent(world, spreads[flat], state["weights"][flat], seen, dimensions)
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
            rules["multiview"] = "mean over the cameras of the hypotheses that all of them together find likeliest"
        return protocol | rules
