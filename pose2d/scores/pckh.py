"""MPII's score: the share of keypoints within half a head size of the truth (PCKh@0.5)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from anypose.settings import Misuse
from pose2d.people import People
from pose2d.scores.collected import Collected

HEAD_FACTOR = 0.6  # of the diagonal of the annotated head box
# Which keypoints of mpii_16 share a column; pelvis and thorax have none and no part in the mean.
COLUMNS = {
    "head": ("head_top",),
    "shoulder": ("left_shoulder", "right_shoulder"),
    "elbow": ("left_elbow", "right_elbow"),
    "wrist": ("left_wrist", "right_wrist"),
    "hip": ("left_hip", "right_hip"),
    "knee": ("left_knee", "right_knee"),
    "ankle": ("left_foot", "right_foot"),
}
LEFT_OUT = ("hip", "shoulders")


class HeadScores(Collected):
    """Implements `anypose.engine.task.Metrics`: PCKh in percent, at exactly the thresholds named.

    `pckh` is the mean at 0.5 over all keypoints but pelvis and thorax, weighted by how often each is labelled;
    `pckh_10` the same at 0.1. (microsoft's "Mean@0.1" is taken at 0.11 and so is some five points higher.)

    `people.truth["head_sizes"]` are (P,) diagonals of head boxes [px].
    """

    def __init__(self, people: People, protocol: Mapping[str, Any], unreadable: Mapping[str, str]) -> None:
        if "head_sizes" not in people.truth:
            raise Misuse("task.metric=pckh needs head boxes, which only dataset=mpii has. Use task.metric=ap.")
        threshold = f"0.5 of {HEAD_FACTOR} x the head box's diagonal"
        super().__init__(people, {**protocol, "threshold": threshold}, unreadable)

    def within(self, threshold: float) -> tuple[np.ndarray, np.ndarray]:
        """(K,) how often a keypoint was within `threshold` head sizes, and (K,) how often it was labelled."""
        index, keypoints, _ = self.found()
        error = np.linalg.norm(keypoints - self.people.keypoints[index], axis=2)
        size = HEAD_FACTOR * self.people.truth["head_sizes"][index]
        labelled = self.people.visibility[index] > 0
        return ((error <= threshold * size[:, None]) & labelled).sum(axis=0), labelled.sum(axis=0)

    def compute(self) -> dict[str, float]:
        if self.non_finite():
            return {"pckh": math.nan, "pckh_10": math.nan}
        scored = np.array([joint not in LEFT_OUT for joint in self.people.skeleton.joints])
        scores = {}
        for name, threshold in {"pckh": 0.5, "pckh_10": 0.1}.items():
            hits, labelled = self.within(threshold)
            scores[name] = 100 * float(hits[scored].sum() / max(labelled[scored].sum(), 1))
        return scores

    def rows(self) -> list[dict[str, Any]]:
        hits, labelled = self.within(0.5)
        columns = {}
        for name, joints in COLUMNS.items():
            which = [self.people.skeleton.index(joint) for joint in joints]
            # The mean of the two sides, as MPII's own script has it.
            columns[name] = 100 * float((hits[which] / np.maximum(labelled[which], 1)).mean())
        if self.non_finite():
            columns = dict.fromkeys(columns, math.nan)
        return [{"boxes": self.people.box_source, **columns, **self.compute(), "people": len(self.found()[0])}]
