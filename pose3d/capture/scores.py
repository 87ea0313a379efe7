"""How well everyone in an image was found and lifted: COCO's AP, angles of limbs, errors of joints in 3D."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from anypose.metrics import mpjpe, n_mpjpe, p_mpjpe
from anypose.whole import write_text
from pose2d.people import People
from pose2d.scores.average_precision import STATISTICS, Truth, fast_statistics, pycocotools_statistics, table_row
from pose3d.capture.fields import limb_vectors
from pose3d.capture.layout import BODY
from pose3d.capture.people import Targets, coco_from_body

log = logging.getLogger(__name__)
MATCH = 0.5  # OKS from which on a person counts as found
SHOWN = 5  # images whose maps are kept for pictures: the first, not chosen ones


class CaptureScores:
    """Implements `anypose.engine.task.Metrics`.

    "ap" ... are COCO's. "angle_deg" is the mean over limbs of the mean angle between the field along an annotated limb
    and that limb: a property of the fields alone, over all people, found or not; where the field is zero it is 90
    degrees. "mpjpe_mm", "n_mpjpe_mm" and "p_mpjpe_mm" are of the people found (OKS from 0.5 on), over their joints
    found, relative to the neck; the second is free of the person's size, which one image does not show. Where bodies
    were fitted, "fitted_mpjpe_mm" ... are the same joints of the same people on their bodies; who has none counts as
    lifted.

    Args:
        people: everyone annotated.
        targets: their joints in the body layout.
        protocol: what else the scores were measured under.
        unreadable: names of images that could not be read, filled while the batches are made.
        stride: crop pixels a cell of the maps.
        evaluator: "pycocotools" or "fast".
        results: file for the people found in COCO's result format, or None.
        fitted: whether predictions have "fitted", the joints of bodies.
    """

    def __init__(
        self,
        people: People,
        targets: Targets,
        protocol: Mapping[str, Any],
        unreadable: Mapping[str, str],
        stride: int,
        evaluator: str,
        results: str | None,
        fitted: bool = False,
    ) -> None:
        self.people, self.targets, self.unreadable = people, targets, unreadable
        self.in_space = ("joints", "fitted") if fitted else ("joints",)
        self.measured_under = dict(protocol)
        self.stride, self.evaluator, self.results = stride, evaluator, results
        self.collected: dict[str, list[Tensor]] = {}
        self.found_people: tuple[int, int] = (0, 0)
        self.without_body = 0
        self.shown: list[tuple[dict[str, Tensor], dict[str, Tensor]]] = []

    def update(self, prediction: dict[str, Tensor], batch: dict[str, Tensor]) -> None:
        for row in range(min(SHOWN - len(self.shown), len(batch["index"]))):
            seen, given = ({k: v[row : row + 1].cpu() for k, v in part.items()} for part in (prediction, batch))
            self.shown.append((seen, given))
        angle, weight = limb_angles(prediction["fields"], batch, self.stride)
        row = {name: prediction[name] for name in ("keypoints", "scores", "person_scores", *self.in_space)}
        row |= {"index": batch["index"], "angle": angle, "weight": weight, "broken": _broken(prediction)}
        for name, tensor in row.items():
            self.collected.setdefault(name, []).append(tensor)

    def state(self) -> dict[str, Tensor]:
        J, L = BODY.num_joints, BODY.num_limbs
        empty = {
            "keypoints": torch.zeros(0, 1, J, 2), "scores": torch.zeros(0, 1, J), "person_scores": torch.zeros(0, 1),
            "index": torch.zeros(0).long(), "angle": torch.zeros(0, L), "weight": torch.zeros(0, L),
            "broken": torch.zeros(0).bool(), **{name: torch.zeros(0, 1, J, 3) for name in self.in_space},
        }  # fmt: skip
        return {name: torch.cat(parts) for name, parts in self.collected.items()} or empty

    def load(self, state: dict[str, Tensor]) -> None:
        self.collected = {name: [tensor] for name, tensor in state.items()}

    def found(self) -> dict[str, np.ndarray]:
        """Everyone found, image by image: "image" (D,) rows, "keypoints", "scores", "person_scores", "joints" ...."""
        state = {name: tensor.cpu().numpy() for name, tensor in self.state().items()}
        row, place = np.nonzero(state["person_scores"] > 0)
        names = ("keypoints", "scores", "person_scores", *self.in_space)
        return {"image": state["index"][row], **{name: state[name][row, place].astype(np.float64) for name in names}}

    def coco_results(self, found: dict[str, np.ndarray]) -> list[dict[str, Any]]:
        """The people found in COCO's result format."""
        keypoints, scores = coco_from_body(found["keypoints"]), coco_from_body(found["scores"])
        # COCO has no way to say that a joint was not found; a wrong place near the person leaves its size as it is.
        some = (found["scores"] > 0)[..., None]
        middle = (found["keypoints"] * some).sum(1, keepdims=True) / np.maximum(some.sum(1, keepdims=True), 1)
        keypoints = np.where((scores > 0)[..., None], keypoints, middle)
        points = np.concatenate([keypoints, scores[..., None]], axis=2).reshape(len(keypoints), 51).round(3)
        image_ids = self.people.image_ids[found["image"]]
        return [
            {"image_id": image_id, "category_id": 1, "keypoints": person, "score": score}
            for image_id, person, score in zip(
                image_ids.tolist(), points.tolist(), found["person_scores"].tolist(), strict=True
            )
        ]

    def non_finite(self) -> str:
        """In which images a prediction is NaN or infinite, in words; "" where none is. Then there is no score."""
        state = self.state()
        broken = state["index"][state["broken"]].cpu().numpy()
        if not len(broken):
            return ""
        first = self.people.images.name(int(broken[0]))
        return f"the predictions of {len(broken)} of {len(state['index'])} images, first {first}: there is no score"

    def compute(self) -> dict[str, float]:
        if broken := self.non_finite():
            log.warning("Not finite: %s%s.", broken, f"; {self.results} is not written" if self.results else "")
            return dict.fromkeys(("ap", "angle_deg", *STATISTICS[1:]), math.nan)
        found = self.found()
        results = self.coco_results(found)
        if self.results is not None:
            write_text(Path(self.results), json.dumps(results))
        truth, sigmas = self.people.truth["coco"], self.people.sigmas
        if self.evaluator == "pycocotools" and results:
            statistics = pycocotools_statistics(truth, results, "keypoints", sigmas)
        else:  # pycocotools cannot read an empty list; the numbers are the same
            ids = np.array([result["image_id"] for result in results], dtype=np.int64)
            keypoints = np.array([result["keypoints"] for result in results]).reshape(-1, 17, 3)[:, :, :2]
            statistics = fast_statistics(Truth.of(truth), ids, keypoints, found["person_scores"], sigmas)
        angles = self.angles()
        seen = ~np.isnan(angles)  # limbs that somebody has
        scores = table_row(statistics)
        chosen = {"ap": scores.pop("ap"), "angle_deg": float(angles[seen].mean()) if seen.any() else math.nan}
        return chosen | self.joint_errors(found) | scores

    def angles(self) -> np.ndarray:
        """(L,) mean angle of each limb [deg]; NaN for limbs nobody has."""
        state = self.state()
        total, count = (state[name].sum(0).cpu().double().numpy() for name in ("angle", "weight"))
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    def joint_errors(self, found: dict[str, np.ndarray]) -> dict[str, float]:
        """MPJPE and P-MPJPE of those matched; nothing where the truth has no 3D or nobody was matched."""
        pairs = match_people(found, self.people)
        annotated = (self.targets.labelled.sum(axis=1) > 0).sum()
        self.found_people, self.without_body = (len(pairs), int(annotated)), 0
        errors: dict[str, list[list[float]]] = {name: [] for name in self.in_space}
        for person, row in pairs:
            lifted, true = found["joints"][person], self.targets.joints[row]
            both = np.isfinite(lifted).all(-1) & np.isfinite(true).all(-1)
            if not both[BODY.root] or both.sum() < 4:  # three points always fit some rotation too well
                continue
            for name in self.in_space:
                predicted = found[name][person]
                if not np.isfinite(predicted[both]).all():
                    predicted, self.without_body = lifted, self.without_body + 1
                root = int(both[: BODY.root].sum())
                a, b = (torch.from_numpy(joints[both] - joints[both][root]) for joints in (predicted, true))
                errors[name].append([float(metric(a, b)) for metric in (mpjpe, n_mpjpe, p_mpjpe)])
        scores = {}
        for name, rows in errors.items():
            before = "fitted_" if name == "fitted" else ""
            if rows:
                means = (1000 * np.mean(rows, axis=0)).tolist()
                scores |= dict(
                    zip((f"{before}{m}" for m in ("mpjpe_mm", "n_mpjpe_mm", "p_mpjpe_mm")), means, strict=True)
                )
        return scores

    def rows(self) -> list[dict[str, Any]]:
        count = self.state()["weight"].sum(0).cpu().numpy()
        return [
            {"limb": f"{BODY.joints[a]} to {BODY.joints[b]}", "angle_deg": float(angle), "limbs": int(number)}
            for (a, b), angle, number in zip(BODY.limbs, self.angles(), count, strict=True)
            if number
        ]

    def protocol(self) -> dict[str, Any]:
        matched, annotated = self.found_people
        measured = self.measured_under | {
            "images": len(self.people.image_ids),
            "people annotated": annotated,
            "people found (OKS >= 0.5)": matched,
            "angles": "in space" if self.targets.spatial.all() else "in the image where 3D is not known",
            "scored by": self.evaluator,
            "non_finite": self.non_finite(),
        }
        if "fitted" in self.in_space:
            measured["people without a body, scored as lifted"] = self.without_body
        if self.unreadable:
            measured["images that could not be read"] = len(self.unreadable)
        return measured

    def arrays(self) -> dict[str, np.ndarray]:
        found = self.found()
        return {
            "image_id": self.people.image_ids[found.pop("image")],
            **{f"predicted_{k}": v for k, v in found.items()},
        }


def _broken(prediction: dict[str, Tensor]) -> Tensor:
    """(B,) images with a map or a person that is not finite. Joints may be NaN: those were not found."""
    names = ("heatmaps", "fields", "keypoints", "scores", "person_scores")
    finite = [prediction[name].isfinite().flatten(1).all(1) for name in names if name in prediction]
    return ~torch.stack([*finite, ~prediction["joints"].isinf().flatten(1).any(1)]).all(0)


def limb_angles(fields: Tensor, batch: dict[str, Tensor], stride: int) -> tuple[Tensor, Tensor]:
    """Angles between the fields along annotated limbs and the limbs, summed over an image's people.

    Args:
        fields: (B, 3 L, h, w).
        batch: "keypoints", "labelled", "directions" and "spatial" as `pose3d.capture.scenes` makes them.
        stride: crop pixels a cell.

    Returns:
        (B, L) sums [deg] and (B, L) how many.
    """
    total = count = torch.zeros(0)
    first, second = (list(side) for side in zip(*BODY.limbs, strict=True))
    for person in range(batch["keypoints"].shape[1]):
        keypoints, true = batch["keypoints"][:, person], batch["directions"][:, person]
        vectors = limb_vectors(BODY, fields, keypoints, stride)
        # Where only 2D is known it is the angle in the image.
        vectors = torch.where(batch["spatial"][:, person, None, None], vectors, vectors * vectors.new_tensor([1, 1, 0]))
        cosine = (vectors * true).sum(-1) / (vectors.norm(dim=-1) * true.norm(dim=-1)).clamp_min(1e-9)
        angle = torch.rad2deg(torch.arccos(cosine.clamp(-1, 1)))
        inside = (keypoints >= 0).all(-1) & (keypoints < fields.shape[-1] * stride).all(-1)
        usable = batch["labelled"][:, person] & inside
        counted = (usable[:, first] & usable[:, second]).float()
        total, count = (total + angle * counted, count + counted) if person else (angle * counted, counted)
    return total, count


def match_people(found: dict[str, np.ndarray], people: People) -> list[tuple[int, int]]:
    """(found, annotated) rows that belong together: the best found first, each takes the most similar free person.

    Similar is COCO's OKS over the annotated keypoints that were found, at least three, and at least `MATCH`.
    """
    areas = {annotation["id"]: annotation["area"] for annotation in people.truth["coco"]["annotations"]}
    size = np.array([areas[number] for number in people.ids.tolist()]) + np.spacing(1)
    keypoints, known = coco_from_body(found["keypoints"]), coco_from_body(found["scores"]) > 0
    pairs, free = [], np.ones(len(people), bool)
    for person in np.argsort(-found["person_scores"], kind="stable").tolist():
        rows = np.flatnonzero(free & (people.image == found["image"][person]))
        both = (people.visibility[rows] > 0) & known[person]
        squared = ((people.keypoints[rows] - keypoints[person]) ** 2).sum(-1)
        similarity = np.exp(-squared / (2 * people.sigmas) ** 2 / size[rows, None] / 2)
        oks = (similarity * both).sum(1) / np.maximum(both.sum(1), 1) * (both.sum(1) >= 3)
        if len(rows) and oks.max() >= MATCH:
            row = int(rows[oks.argmax()])
            free[row] = False
            pairs.append((person, row))
    return pairs
