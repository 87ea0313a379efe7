"""The figure that total capture's Ascend port reports, beside what it has to be compared with.

The port gives the mean of its last ten losses, each of one crop. A network that predicts nothing has a loss, too, and
ten crops are few: what nothing costs is said for the same ten crops and for many.
"""

from __future__ import annotations

import itertools
import logging
from collections import deque
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from pose3d.capture.loss import heatmap_error
from pose3d.capture.scenes import Batch, Scenes

log = logging.getLogger(__name__)
LAST = 10
_PUBLISHED = "The Ascend port reports 0.0038 and 0.0043 on two kinds of device"


class Figure:
    """Watches the losses of a training and tells what became of them.

    Args:
        samples: crops that predicting nothing is measured on.
        makers: for each kind of mask, gives the training's batches, of one crop each.
        targets: what a batch teaches.
        tells: whether this process speaks; those that share a run watch alike.
    """

    def __init__(
        self,
        samples: int,
        makers: Mapping[str, Callable[[], Scenes]],
        targets: Callable[[Batch], dict[str, Tensor]],
        tells: bool,
    ) -> None:
        self.samples, self.makers, self.targets, self.tells = samples, makers, targets, tells
        self.losses: deque[Tensor] = deque(maxlen=LAST)
        self.nothing: deque[Tensor] = deque(maxlen=LAST)
        self.measured: dict[str, list[float]] = {}

    def watch(self, loss: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        """Note a step's loss; return what predicting nothing costs on the same crops."""
        nothing = cost_of_nothing(targets)
        self.losses.append(loss.detach())
        self.nothing.append(nothing)
        return nothing

    def tell(self) -> str:
        """Log and return the comparison, "" before there is one; many crops are walked the first time only."""
        if not self.losses or not self.tells:
            return ""
        for kind, make in self.makers.items():
            if kind not in self.measured:
                self.measured[kind] = self._measure(make())
        losses, same = (torch.stack(list(values)).double().cpu().numpy() for values in (self.losses, self.nothing))
        kinds = "; ".join(
            f"{np.mean(found):.5f} with mask={kind} (deviation of a crop {np.std(found):.5f})"
            for kind, found in self.measured.items()
        )
        text = (
            f"Mean of the last {len(losses)} losses: {losses.mean():.5f} (deviation {losses.std():.5f}). Predicting "
            f"nothing costs {same.mean():.5f} on the same crops (deviation {same.std():.5f}). {_PUBLISHED}.\n"
            f"Predicting nothing costs over {self.samples} crops: {kinds}."
        )
        log.info("%s", text)
        return text

    def _measure(self, batches: Scenes) -> list[float]:
        endless = itertools.chain.from_iterable(batches.epoch(number) for number in itertools.count())
        crops = itertools.islice(endless, self.samples)
        return [float(cost_of_nothing(self.targets(batch))) for batch in crops]


def cost_of_nothing(targets: Mapping[str, Tensor]) -> Tensor:
    """The heatmaps' error of a network whose maps are zero everywhere."""
    zero = torch.zeros_like(targets["heatmaps"])[:, None]
    return heatmap_error(zero, targets["heatmaps"], targets["mask"], targets["joints"])
