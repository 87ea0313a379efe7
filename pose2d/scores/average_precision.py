"""COCO's keypoint AP and AR, twice: through pycocotools (the reference, and what is quoted), and vectorised.

The vectorised one gives the same ten numbers, ties, crowds and unlabelled people included; it is for scoring often
(after every epoch) what pycocotools would need seconds for.
"""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

STATISTICS = ("ap", "ap_50", "ap_75", "ap_medium", "ap_large", "ar", "ar_50", "ar_75", "ar_medium", "ar_large")
MAX_DETECTIONS = 20
THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
AREAS = np.array([[0, 1e10], [32**2, 96**2], [96**2, 1e10]], dtype=np.float64)  # all, medium, large [px^2]


def pycocotools_statistics(
    truth: dict[str, Any], results: list[dict[str, Any]], kind: Literal["keypoints", "bbox"], sigmas: np.ndarray | None
) -> np.ndarray:
    """What pycocotools says of COCO-form results: `STATISTICS` for keypoints; -1 where there is nobody to find.

    Args:
        truth: the annotation file as a dictionary.
        results: {image_id, category_id, score} each, with keypoints (3 K numbers) or bbox.
        kind: "keypoints" or "bbox".
        sigmas: (K,) of OKS, for keypoints.

    Raises:
        ValueError: where a result is not finite: pycocotools takes NaN for a perfect keypoint.
    """
    check_finite(np.array([result["score"] for result in results]), f"scores of {kind}")
    check_finite(np.array([result[kind] for result in results], dtype=np.float64), kind)
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise ImportError("COCO's AP needs pycocotools: pip install 'anypose[image]'.") from error

    with contextlib.redirect_stdout(io.StringIO()):
        coco: Any = COCO()
        coco.dataset = truth
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), kind)
        if sigmas is not None:
            evaluation.params.kpt_oks_sigmas = np.asarray(sigmas)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return np.asarray(evaluation.stats, dtype=np.float64)


def check_finite(values: np.ndarray, what: str) -> None:
    """Refuse to score what is no number."""
    broken = int((~np.isfinite(values)).sum())
    if broken:
        raise ValueError(f"{broken} of {values.size} {what} to be scored are NaN or infinite; there is no AP of them.")


@dataclass(frozen=True, eq=False)
class Truth:
    """N annotated people of one category as columns, in the order of their image numbers.

    Attributes:
        image_ids: (I,) all images scored, sorted.
        image: (N,) row of `image_ids`.
        keypoints: (N, K, 2); labelled: (N, K) bool.
        boxes: (N, 4) left, top, width, height; areas: (N,).
        ignored: (N,) bool crowds and people without keypoints; crowd: (N,) bool.
    """

    image_ids: np.ndarray
    image: np.ndarray
    keypoints: np.ndarray
    labelled: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray
    ignored: np.ndarray
    crowd: np.ndarray

    @classmethod
    def of(cls, truth: dict[str, Any], category: int = 1) -> Truth:
        """The columns of an annotation file."""
        image_ids = np.unique([image["id"] for image in truth["images"]])
        people = [a for a in truth["annotations"] if a["category_id"] == category]
        image = np.searchsorted(image_ids, [a["image_id"] for a in people])
        order = np.argsort(image, kind="stable")
        people = [people[i] for i in order]
        keypoints = np.array([a["keypoints"] for a in people], dtype=np.float64).reshape(len(people), -1, 3)
        labelled = keypoints[:, :, 2] > 0
        crowd = np.array([bool(a.get("iscrowd", 0)) for a in people], dtype=bool)
        empty = np.array([a["num_keypoints"] == 0 for a in people], dtype=bool)
        boxes = np.array([a["bbox"] for a in people], dtype=np.float64).reshape(-1, 4)
        areas = np.array([a["area"] for a in people], dtype=np.float64)
        return cls(image_ids, image[order], keypoints[:, :, :2], labelled, boxes, areas, crowd | empty, crowd)


def fast_statistics(
    truth: Truth, image_ids: np.ndarray, keypoints: np.ndarray, scores: np.ndarray, sigmas: np.ndarray
) -> np.ndarray:
    """(10,) `STATISTICS`, equal to `pycocotools_statistics`.

    Args:
        truth: the annotated people.
        image_ids: (D,) of the detections, in the order of the result file.
        keypoints: (D, K, 2) [px].
        scores: (D,).
        sigmas: (K,) of OKS.

    Raises:
        ValueError: where a keypoint or a score is not finite.
    """
    check_finite(scores, "scores of keypoints")
    check_finite(keypoints, "keypoints")
    image = np.searchsorted(truth.image_ids, image_ids)
    order = np.lexsort((-scores, image))  # by image, best first, ties as in the file
    image, keypoints, scores = image[order], keypoints[order], scores[order]
    rank = np.arange(len(image)) - np.searchsorted(image, image)
    kept = rank < MAX_DETECTIONS
    image, keypoints, scores, rank = image[kept], keypoints[kept], scores[kept], rank[kept]

    outside = (truth.areas < AREAS[:, :1]) | (truth.areas > AREAS[:, 1:])
    ignored = truth.ignored | outside  # (A, N)
    matched, match_ignored = _match(truth, ignored, image, keypoints, rank, sigmas)
    extent = keypoints.max(axis=1) - keypoints.min(axis=1) if len(keypoints) else np.zeros((0, 2))
    area = extent[:, 0] * extent[:, 1]
    beyond = (area < AREAS[:, :1]) | (area > AREAS[:, 1:])  # (A, D)
    ignore = np.where(matched, match_ignored, beyond[:, None, :])  # (A, T, D)

    best_first = np.argsort(-scores, kind="stable")
    true = (matched & ~ignore)[:, :, best_first].cumsum(axis=2, dtype=np.float64)
    false = (~matched & ~ignore)[:, :, best_first].cumsum(axis=2, dtype=np.float64)
    num_people = (~ignored).sum(axis=1)
    precision, recall = _curves(true, false, num_people)
    some = num_people > 0
    by_area = [precision[a].mean() if some[a] else -1.0 for a in range(3)]
    recall_by_area = [recall[a].mean() if some[a] else -1.0 for a in range(3)]
    at = [precision[0, t].mean() if some[0] else -1.0 for t in (0, 5)]
    recall_at = [recall[0, t] if some[0] else -1.0 for t in (0, 5)]
    return np.array(
        [by_area[0], *at, *by_area[1:], recall_by_area[0], *recall_at, *recall_by_area[1:]], dtype=np.float64
    )


def _pairs(truth_image: np.ndarray, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers (detection, person) of all pairs within an image, detection by detection."""
    first = np.searchsorted(truth_image, image, side="left")
    count = np.searchsorted(truth_image, image, side="right") - first
    detection = np.repeat(np.arange(len(image)), count)
    offset = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    return detection, first[detection] + offset


def pair_oks(truth: Truth, person: np.ndarray, keypoints: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
    """(Q,) OKS of detections (Q, K, 2) with the annotated people of rows `person` (Q,), by COCO's definition.

    To someone without labelled keypoints it is the distance to a box three times as wide and high that counts.
    """
    difference = keypoints - truth.keypoints[person]
    labelled = truth.labelled[person]
    empty = np.asarray(~labelled.any(axis=1))
    if empty.any():
        boxes = truth.boxes[person[empty]][:, None]
        low, high = boxes[..., :2] - boxes[..., 2:], boxes[..., :2] + 2 * boxes[..., 2:]
        detected = keypoints[empty]
        difference[empty] = np.maximum(0, low - detected) + np.maximum(0, detected - high)
        labelled = labelled | empty[:, None]
    error = (difference**2).sum(axis=2) / (2 * sigmas) ** 2 / (truth.areas[person] + np.spacing(1))[:, None] / 2
    return (np.exp(-error) * labelled).sum(axis=1) / labelled.sum(axis=1)


def _match(
    truth: Truth,
    ignored: np.ndarray,
    image: np.ndarray,
    keypoints: np.ndarray,
    rank: np.ndarray,
    sigmas: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """(A, T, D) bool: which detections found someone, and whether that one is to be ignored.

    COCO's greedy rule: detections choose in the order of their scores, the person with the highest OKS above the
    threshold who is free (a crowd always is); those to be ignored only when there is nobody else; of equals the last.
    """
    shape = (len(AREAS), len(THRESHOLDS), len(image))
    matched, match_ignored = np.zeros(shape, bool), np.zeros(shape, bool)
    detection, person = _pairs(truth.image, image)
    if len(detection) == 0:
        return matched, match_ignored
    oks = pair_oks(truth, person, keypoints[detection], np.asarray(sigmas))
    near = oks >= THRESHOLDS[0]
    detection, person, oks = detection[near], person[near], oks[near]
    free = np.ones((*shape[:2], len(truth.image)), bool)
    thresholds = np.minimum(THRESHOLDS, 1 - 1e-10)
    pair_rank = rank[detection]
    for turn in range(MAX_DETECTIONS):
        now = pair_rank == turn
        if not now.any():
            continue
        d, p, value = detection[now], person[now], oks[now]
        open_ = (free[:, :, p] | truth.crowd[p]) & (value >= thresholds[:, None])
        # Whoever counts comes before whoever is ignored; a power of two keeps every bit of the OKS.
        preference = np.where(open_, np.where(ignored[:, None, p], value * 2.0**-10, value), -1.0)
        start = np.flatnonzero(np.diff(d, prepend=-1))
        best = np.maximum.reduceat(preference, start, axis=2)
        is_best = preference == np.repeat(best, np.diff(start, append=len(d)), axis=2)
        last = np.maximum.reduceat(np.where(is_best, np.arange(len(d)), -1), start, axis=2)
        a, t, group = np.nonzero(best >= 0)
        chosen = p[last[a, t, group]]
        row = d[start][group]
        matched[a, t, row] = True
        match_ignored[a, t, row] = ignored[a, chosen]
        free[a, t, chosen] = False
    return matched, match_ignored


def _curves(true: np.ndarray, false: np.ndarray, num_people: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Precision (A, T, 101) at the recalls of COCO, and the last recall (A, T)."""
    areas, thresholds, detections = true.shape
    precision, recall = np.zeros((areas, thresholds, len(RECALLS))), np.zeros((areas, thresholds))
    if detections == 0:
        return precision, recall
    reached = true / np.maximum(num_people, 1)[:, None, None]
    height = true / (true + false + np.spacing(1))
    envelope = np.maximum.accumulate(height[:, :, ::-1], axis=2)[:, :, ::-1]
    for a in range(areas):
        for t in range(thresholds):
            place = np.searchsorted(reached[a, t], RECALLS, side="left")
            inside = place < detections
            precision[a, t, inside] = envelope[a, t, place[inside]]
    return precision, reached[:, :, -1]


def table_row(statistics: np.ndarray) -> dict[str, float]:
    """The ten numbers by name, in percent; -1 where there is nobody of that size."""
    percent = np.where(statistics < 0, -1.0, 100 * statistics)
    return dict(zip(STATISTICS, percent.tolist(), strict=True))
