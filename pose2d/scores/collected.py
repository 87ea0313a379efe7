"""What every 2D metric does alike: keep the predictions of an evaluation until all are there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pose2d.people import People


class Collected:
    """The part of `anypose.engine.task.Metrics` that has nothing to do with the score.

    A prediction is {"keypoints": (B, K, 2) [image px], "scores": (B, K)}; its batch has "index", rows of `people`.

    Args:
        people: what is evaluated.
        protocol: what the scores are measured under, beyond boxes and people.
        unreadable: images that could not be read, filled while the batches are made.

    Attributes:
        look: for a row of `people` the crop (H, W, 3) uint8 RGB and the heatmaps (K, h, w) that the network has for
            it, for pictures; None where nothing can be looked at.
    """

    look: Callable[[int], tuple[np.ndarray, np.ndarray]] | None = None

    def __init__(self, people: People, protocol: Mapping[str, Any], unreadable: Mapping[str, str]) -> None:
        self.people = people
        self.measured_under = dict(protocol)
        self.unreadable = unreadable
        self.collected: dict[str, list[Tensor]] = {"index": [], "keypoints": [], "scores": []}
        self.version = 0  # of what is collected

    def update(self, prediction: dict[str, Tensor], batch: dict[str, Tensor]) -> None:
        self.version += 1
        self.collected["index"].append(batch["index"])
        self.collected["keypoints"].append(prediction["keypoints"])
        self.collected["scores"].append(prediction["scores"])

    def state(self) -> dict[str, Tensor]:
        K = self.people.skeleton.num_joints
        empty = {"index": torch.zeros(0).long(), "keypoints": torch.zeros(0, K, 2), "scores": torch.zeros(0, K)}
        return {name: torch.cat(parts) if parts else empty[name] for name, parts in self.collected.items()}

    def load(self, state: dict[str, Tensor]) -> None:
        self.version += 1
        self.collected = {name: [tensor] for name, tensor in state.items()}

    def found(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(N,) rows of `people`, their (N, K, 2) float64 keypoints and (N, K) float64 scores."""
        state = {name: tensor.cpu().numpy() for name, tensor in self.state().items()}
        return state["index"], state["keypoints"].astype(np.float64), state["scores"].astype(np.float64)

    def non_finite(self) -> str:
        """Whose predictions hold NaN or infinity, in words; "" where nobody's do. Then there is no score."""
        index, keypoints, scores = self.found()
        broken = np.flatnonzero(~(np.isfinite(keypoints).all(axis=(1, 2)) & np.isfinite(scores).all(axis=1)))
        if not len(broken):
            return ""
        row = int(index[broken[0]])
        where = f"person {self.people.ids[row]} in {self.people.images.name(int(self.people.image[row]))}"
        return f"the predictions of {len(broken)} of {len(index)} people, first {where}: there is no score"

    def protocol(self) -> dict[str, Any]:
        measured = {"boxes": self.people.box_source, "people": len(self.people), "images": len(self.people.image_ids)}
        measured |= self.measured_under
        measured["non_finite"] = self.non_finite()
        if self.unreadable:
            measured["images that could not be read"] = len(self.unreadable)
        return measured

    def arrays(self) -> dict[str, np.ndarray]:
        index, keypoints, scores = self.found()
        people = self.people
        return {
            "image_id": people.image_ids[people.image[index]],
            "person_id": people.ids[index],
            "box_xyxy": people.box_xyxy[index],
            "predicted_keypoints": keypoints,
            "predicted_scores": scores,
            "true_keypoints": people.keypoints[index],
            "true_visibility": people.visibility[index],
        }
