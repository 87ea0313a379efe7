"""Object keypoint similarity: suppressing double detections, and scoring a run as COCO does."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from anypose.settings import Misuse
from anypose.whole import write_text
from pose2d.people import People
from pose2d.scores.average_precision import STATISTICS, Truth, fast_statistics, pycocotools_statistics, table_row
from pose2d.scores.collected import Collected

log = logging.getLogger(__name__)
CATEGORY = 1  # COCO's number for a person, and that of the one category of a custom dataset


def oks_between(
    first: np.ndarray, others: np.ndarray, area: float, areas: np.ndarray, sigmas: np.ndarray
) -> np.ndarray:
    """(D,) similarity of one detection (K, 2) to others (D, K, 2) over all keypoints, sizes averaged [px^2]."""
    squared = ((others - first) ** 2).sum(axis=2)
    size = ((area + areas) / 2 + np.spacing(1))[:, None]
    return np.exp(-squared / (2 * sigmas) ** 2 / size / 2).mean(axis=1)


def oks_nms(
    keypoints: np.ndarray, scores: np.ndarray, areas: np.ndarray, sigmas: np.ndarray, threshold: float
) -> np.ndarray:
    """Rows of one image's detections that stay, best first: none is more than `threshold` similar to a better one.

    Args:
        keypoints: (D, K, 2) [px].
        scores: (D,).
        areas: (D,) [px^2].
        sigmas: (K,).
        threshold: on OKS.
    """
    waiting = np.argsort(-scores, kind="stable")
    kept = []
    while len(waiting):
        best, waiting = waiting[0], waiting[1:]
        kept.append(best)
        similar = oks_between(keypoints[best], keypoints[waiting], float(areas[best]), areas[waiting], sigmas)
        waiting = waiting[similar <= threshold]
    return np.array(kept, dtype=np.int64)


def rescore(scores: np.ndarray, box_scores: np.ndarray, threshold: float) -> np.ndarray:
    """(P,) scores of people: their box's times the mean of the keypoint scores (P, K) above `threshold`, or 0."""
    counted = scores > threshold
    return box_scores * (scores * counted).sum(axis=1) / np.maximum(counted.sum(axis=1), 1)


class KeypointScores(Collected):
    """Implements `anypose.engine.task.Metrics`: COCO's ten numbers in percent, after rescoring and OKS-NMS.

    Args:
        people: what was evaluated; `people.truth["coco"]` are the annotations in COCO's form.
        areas: (P,) size of each row's crop in the image [px^2], which OKS-NMS compares by.
        evaluator: "pycocotools", or "fast" for the same numbers sooner.
        nms_threshold: OKS above which the weaker of two detections goes.
        score_threshold: keypoints below it do not count for a person's score.
        results: file for the detections in COCO's result format, or None.
        protocol: what else the scores were measured under.
        unreadable: names of images that could not be read, filled while the batches are made.
    """

    def __init__(
        self,
        people: People,
        areas: np.ndarray,
        evaluator: str,
        nms_threshold: float,
        score_threshold: float,
        results: str | None,
        protocol: Mapping[str, Any],
        unreadable: Mapping[str, str],
    ) -> None:
        if evaluator not in ("pycocotools", "fast"):
            raise Misuse(f"task.evaluator must be pycocotools or fast, got {evaluator}.")
        super().__init__(people, {**protocol, "OKS-NMS": nms_threshold, "scored by": evaluator}, unreadable)
        self.areas = areas
        self.evaluator = evaluator
        self.nms_threshold = nms_threshold
        self.score_threshold = score_threshold
        self.results = results
        self.scored: tuple[int, dict[str, float]] | None = None  # scoring takes seconds, and is asked for repeatedly

    def detections(self) -> dict[str, np.ndarray]:
        """People that survive OKS-NMS: "index" (D,) rows, "keypoints" (D, K, 2), "scores" (D, K), "score" (D,)."""
        index, keypoints, scores = self.found()
        score = rescore(scores, self.people.box_scores[index], self.score_threshold)
        image, area = self.people.image[index], self.areas[index]
        order = np.argsort(image, kind="stable")
        kept = [
            rows[oks_nms(keypoints[rows], score[rows], area[rows], self.people.sigmas, self.nms_threshold)]
            for rows in np.split(order, np.flatnonzero(np.diff(image[order])) + 1)
        ]
        rows = np.concatenate(kept)
        return {"index": index[rows], "keypoints": keypoints[rows], "scores": scores[rows], "score": score[rows]}

    def coco_results(self) -> list[dict[str, Any]]:
        """The detections in COCO's result format; COCO's evaluation ignores the third value of a keypoint."""
        found = self.detections()
        image_ids = self.people.image_ids[self.people.image[found["index"]]]
        points = np.concatenate([found["keypoints"], found["scores"][:, :, None]], axis=2).reshape(len(image_ids), -1)
        return [
            {"image_id": image_id, "category_id": CATEGORY, "keypoints": keypoints, "score": score}
            for image_id, keypoints, score in zip(
                image_ids.tolist(), points.round(3).tolist(), found["score"].tolist(), strict=True
            )
        ]

    def compute(self) -> dict[str, float]:
        if self.scored is None or self.scored[0] != self.version:
            self.scored = self.version, self._score()
        return dict(self.scored[1])

    def _score(self) -> dict[str, float]:
        if broken := self.non_finite():
            # COCO's evaluation would take NaN for a perfect keypoint.
            log.warning("Not finite: %s%s.", broken, f"; {self.results} is not written" if self.results else "")
            return dict.fromkeys(STATISTICS, math.nan)
        if self.results is not None:
            write_text(Path(self.results), json.dumps(self.coco_results()))
        truth, sigmas = self.people.truth["coco"], self.people.sigmas
        if self.evaluator == "pycocotools":
            statistics = pycocotools_statistics(truth, self.coco_results(), "keypoints", sigmas)
        else:
            found = self.detections()
            image_ids = self.people.image_ids[self.people.image[found["index"]]]
            keypoints = found["keypoints"].round(3)
            statistics = fast_statistics(Truth.of(truth, CATEGORY), image_ids, keypoints, found["score"], sigmas)
        if statistics[0] < 0:
            raise ValueError(
                f"COCO's AP is -1: none of the {len(truth['images'])} images of the annotations has a person with "
                "labelled keypoints that is no crowd. Annotations of a test set, or of another split than the boxes?"
            )
        return table_row(statistics)

    def rows(self) -> list[dict[str, Any]]:
        return [{"boxes": self.people.box_source, **self.compute(), "people": len(self.found()[0])}]
