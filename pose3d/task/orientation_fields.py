"""Monocular Total Capture: everyone's heatmaps and 3D orientation fields, assembled to people and lifted to 3D."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from anypose.settings import Misuse, check_range
from pose2d.images.affine import transform
from pose2d.images.augment import Augmentation
from pose2d.images.crops import MOST_SIDE, CropRules, Crops
from pose2d.images.image import Normalization
from pose2d.images.kept_images import KeptImages, check_kept
from pose2d.people import People, PeopleDataset, require_people
from pose3d.body.captured import CapturedBodies, require_body
from pose3d.capture.assembly import assemble
from pose3d.capture.fields import draw_fields, draw_heatmaps, enlarge, limb_vectors
from pose3d.capture.figure import Figure
from pose3d.capture.layout import BODY
from pose3d.capture.lifting import lift_perspective
from pose3d.capture.loss import field_error, heatmap_error
from pose3d.capture.people import Targets, crops_of, main_people, mean_limb_lengths, targets_of, whole_images
from pose3d.capture.region_masks import RegionMasks, outside_boxes
from pose3d.capture.scenes import ASSUMED_FOCAL, Company, Scenes, sources_of
from pose3d.capture.scores import CaptureScores
from pose3d.capture.weights import load_capture_weights

Batch = dict[str, Tensor]
# The network reads grey levels / 255 - 0.5.
_NORMALIZATION = Normalization("rgb", (127.5,) * 3, (255.0,) * 3)


class OrientationFields:
    """Train and score a model that gives "heatmaps" and "fields" of the capture layout's body for "image".

    Args:
        model: the network.
        metric: what picks the best checkpoint: "ap", or "angle_deg".
        weights: file of another project to start from (`pose3d.capture.weights` says which), or None.
        size: side of the square crops, a multiple of 8 [px].
        evaluation_size: side of the squares that whole images are evaluated in, a multiple of 8 [px].
        padding: a crop reaches this much farther than the person.
        reduced_decode, unreadable: see `pose2d.images.crops.CropRules`.
        keep_images: megabytes of images that stay in memory, in each process that reads them; 0 reads every time.
        shuffle: "person", or "image": people of an image stay together, so that it is decoded once an epoch.
        augment: the settings of `pose2d.images.augment.Augmentation`, or None for none.
        people: whose crops are trained on: "all", or "main", the original's choice.
        alone: only a crop's own person is a target, and others' boxes are masked, as in the original.
        visible_only: labelled but hidden keypoints do not count, as in the original.
        channels: which heatmaps and fields a sample teaches: "dataset", all that its dataset labels; or
            "person", those labelled for its own person, as in the original.
        mask: "miss", "all" or "none", see `pose3d.capture.region_masks`.
        resolution: where losses are taken: "maps", an eighth of the crop, or "crop", after TF1's bicubic enlargement.
        field_weight: of the fields' loss relative to the heatmaps'.
        pof2d: samples of which only 2D is known teach the fields, too; not in the port's training.
        off_limb: see `pose3d.capture.loss.field_error`.
        baseline: crops on which the loss of predicting nothing is measured, to be told beside the training's own
            (`pose3d.capture.figure`); 0 does not.
        peak_threshold, min_joints, most_people: see `pose3d.capture.assembly.assemble`.
        pixel_sigma, limb_sigma: see `pose3d.capture.lifting.lift_perspective`.
        fit_body: fit a body to everyone found (`pose3d.body.captured`) and score its joints beside the lifted ones.
        evaluator: "pycocotools", or "fast" for the same numbers sooner.
        results: file for the people found in COCO's result format, or None.
    """

    reads = "people"

    def __init__(
        self,
        model: Any,  # an nn.Module with `io`, `stride` and `limb_lengths`
        *,
        metric: str,
        weights: str | None,
        size: int,
        evaluation_size: int,
        padding: float,
        reduced_decode: bool,
        unreadable: str,
        keep_images: float,
        shuffle: str,
        augment: Mapping[str, Any] | None,
        people: str,
        alone: bool,
        visible_only: bool,
        channels: str,
        mask: str,
        resolution: str,
        field_weight: float,
        pof2d: bool,
        off_limb: bool,
        baseline: int,
        peak_threshold: float,
        min_joints: int,
        most_people: int,
        pixel_sigma: float,
        limb_sigma: float,
        fit_body: bool,
        evaluator: str,
        results: str | None,
    ) -> None:
        layout = getattr(model, "layout", None)
        if layout is not BODY:
            raise Misuse(
                "task=orientation_fields trains model=total_capture with model.part=body; "
                f"{type(model).__name__} gives {layout.name if layout else ', '.join(model.io.outputs)}. "
                "There is no dataset of hands."
            )
        for name, value, known in (
            ("metric", metric, ("ap", "angle_deg")),
            ("people", people, ("all", "main")),
            ("channels", channels, ("dataset", "person")),
            ("resolution", resolution, ("maps", "crop")),
            ("evaluator", evaluator, ("pycocotools", "fast")),
        ):
            if value not in known:
                raise Misuse(f"task.{name} must be {' or '.join(known)}, got {value}.")
        check_range("task", 0, math.inf, keep_images=keep_images, field_weight=field_weight, baseline=baseline)
        check_kept(keep_images)
        check_range("task", 0, math.inf, without_low=True, pixel_sigma=pixel_sigma, limb_sigma=limb_sigma)
        check_range("task", 0, 1, peak_threshold=peak_threshold)
        check_range("task", 1, 1e4, min_joints=min_joints, most_people=most_people)
        for name, side in (("size", size), ("evaluation_size", evaluation_size)):
            if not 8 <= side <= MOST_SIDE or side % 8:
                raise Misuse(f"task.{name} must be a multiple of 8 up to {MOST_SIDE}, got {side}.")
        if fit_body:
            require_body("task.fit_body=true")
        self.model, self.layout, self.fit_body = model, BODY, fit_body
        self.monitor, self.higher_is_better = metric, metric == "ap"
        self.weights = weights
        self.keep_images = keep_images
        self.rules = CropRules((size, size), padding, False, reduced_decode, unreadable)
        self.whole = CropRules((evaluation_size, evaluation_size), 1.0, False, True, unreadable)
        self.shuffle = shuffle
        self.augmentation = None if augment is None else Augmentation(**augment)
        self.people, self.alone, self.visible_only, self.channels = people, alone, visible_only, channels
        self.mask, self.field_weight = mask, field_weight
        if model.stride == 1 and resolution == "maps":
            raise Misuse("model.enlarged=true gives maps of the crop's size: set task.resolution=crop.")
        self.stride = 1 if resolution == "crop" else 8
        self.pof2d, self.off_limb, self.baseline = pof2d, off_limb, baseline
        self.figure: Figure | None = None
        self.bodies: CapturedBodies | None = None  # the body is read when somebody was found
        self.peak_threshold, self.min_joints, self.most_people = peak_threshold, min_joints, most_people
        self.pixel_sigma, self.limb_sigma = pixel_sigma, limb_sigma
        self.evaluator, self.results = evaluator, results
        self.known: Tensor | None = None  # (N, J) joints that each of N training datasets can label
        self.evaluated: tuple[People, Targets, dict[str, Any], Crops] | None = None

    def batches(self, dataset: PeopleDataset, training: bool, loading: Any, device: torch.device) -> Scenes:
        require_people(dataset, "task=orientation_fields")
        everyone = dataset.people("train" if training else "validation")
        targets = targets_of(everyone, self.visible_only and training, dataset.name)
        if training:
            rows = main_people(everyone) if self.people == "main" else np.arange(len(everyone))
            shown, own = crops_of(everyone, rows, targets), rows
            if self.weights is not None:
                load_capture_weights(self.model, self.weights)
            source = sources_of(everyone)[everyone.image]
            kinds = [targets.labelled[source == kind].any(axis=0) for kind in range(source.max() + 1)]
            self.known = torch.from_numpy(np.stack(kinds)).to(device)
            if targets.spatial.any():
                self.model.limb_lengths.copy_(torch.from_numpy(mean_limb_lengths(targets)))
        else:
            shown = whole_images(everyone)
            own = np.full(len(shown), -1)
        if self.keep_images:
            shown = replace(shown, images=KeptImages(shown.images, self.keep_images))

        def scenes(mask: str, loading: Any) -> Scenes:
            rules = self.rules if training else self.whole
            masks = RegionMasks(shown, mask, rules.size, self.stride)
            company = Company(masks, shown.image, own, everyone)
            augmentation = self.augmentation if training else None
            crops = Crops(
                shown, rules, _NORMALIZATION, augmentation, training, loading, device, self.shuffle, extra=company
            )
            return Scenes(crops, everyone, targets, device)

        batches = scenes(self.mask if training else "none", loading)
        if training and self.baseline:
            single = replace(loading, batch_size=1, rank=0, world_size=1)
            makers = {kind: partial(scenes, kind, single) for kind in (self.mask, "miss")}
            self.figure = Figure(self.baseline, makers, self.targets, tells=loading.rank == 0)
        if not training:
            protocol = {
                "dataset": dataset.name,
                "input": f"whole images in {self.whole.size[0]}x{self.whole.size[1]}, one scale",
                "focal length": "known" if "lenses" in everyone.truth else f"assumed {ASSUMED_FOCAL} x longer side",
                "notes": "; ".join(dataset.notes),
            }
            self.evaluated = everyone, targets, protocol, batches.crops
        return batches

    def targets(self, batch: Batch) -> dict[str, Tensor]:
        """What a batch teaches: "heatmaps", "fields", "mask", valid "joints" (B, J) and "limbs" (B, L), "spatial"."""
        size = self.rules.size[0] // self.stride
        # The original knows one person a crop, and masks the others' boxes.
        people = slice(0, 1) if self.alone else slice(None)
        keypoints, labelled, directions = (batch[name][:, people] for name in ("keypoints", "labelled", "directions"))
        first, second = (torch.tensor(side, device=labelled.device) for side in zip(*self.layout.limbs, strict=True))
        heatmaps = draw_heatmaps(keypoints, labelled, size, size, self.stride)
        limbs = labelled[:, :, first] & labelled[:, :, second]
        fields = draw_fields(self.layout, keypoints, directions, limbs, size, size, self.stride)
        spatial = batch["spatial"].any(1)
        if self.channels == "person":
            joints = labelled[:, 0]
        else:
            assert self.known is not None
            joints = self.known[batch["source"]]
        mask = batch["mask"]
        if self.alone:
            mask = mask * outside_boxes(batch["boxes"][:, 1:], batch["to_image"], size, self.stride)
        return {
            "heatmaps": heatmaps[:, : self.layout.num_joints],
            "fields": fields,
            "mask": mask,
            "joints": joints,
            "limbs": joints[:, first] & joints[:, second],
            "spatial": spatial,
        }

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        heatmaps, fields = (maps.float() for maps in self.model(batch["image"]))
        if self.stride < self.model.stride:
            heatmaps, fields = enlarge(heatmaps), enlarge(fields)
        truth = self.targets(batch)
        mask = truth["mask"]
        heat = heatmap_error(heatmaps, truth["heatmaps"], mask, truth["joints"])
        field = field_error(fields, truth["fields"], mask, truth["limbs"], truth["spatial"], self.off_limb, self.pof2d)
        loss = heat + self.field_weight * field
        terms = {"heatmap_error": heat.detach(), "field_error": field.detach()}
        if self.figure is not None:
            terms["error_of_nothing"] = self.figure.watch(loss, truth)
        return loss, terms

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        """Everyone in whole images (crops neither turned nor mirrored), K = most_people at most, best first.

        Returns:
            "heatmaps" (B, J + 1, h, w) and "fields" (B, 3 L, h, w) of the last stage; "keypoints" (B, K, J, 2)
            [image px], "scores" (B, K, J), 0 where a joint was not found; "person_scores" (B, K), 0 for nobody;
            "vectors" (B, K, L, 3) mean orientations; "joints" (B, K, J, 3) camera frame [m], NaN where not found;
            with `fit_body` "fitted" (B, K, J, 3) of the bodies, NaN where none could be fitted.
        """
        heatmaps, fields = (maps[:, -1].float().contiguous() for maps in self.model(batch["image"]))
        B, K, J, L = len(fields), self.most_people, self.layout.num_joints, self.layout.num_limbs
        keypoints, scores = fields.new_zeros(B, K, J, 2), fields.new_zeros(B, K, J)
        person_scores, vectors = fields.new_zeros(B, K), fields.new_zeros(B, K, L, 3)
        for row in range(B):
            people = assemble(
                self.layout, heatmaps[row], fields[row], self.model.stride, self.peak_threshold, self.min_joints, K
            )
            count = min(K, len(people))
            for target, found in (
                (keypoints, people.keypoints),
                (scores, people.scores),
                (person_scores, people.person_scores),
            ):
                target[row, :count] = torch.from_numpy(found[:count]).to(target)
            maps = fields[row].expand(count, -1, -1, -1)
            vectors[row, :count] = limb_vectors(self.layout, maps, keypoints[row, :count], self.model.stride)
        found = scores > 0
        placed = transform(keypoints.flatten(1, 2), batch["to_image"]).view_as(keypoints) * found[..., None]
        joints = self._lift(placed, vectors, found, batch["lens"])
        if self.fit_body and self.bodies is None:
            self.bodies = CapturedBodies(self.model.limb_lengths.cpu().double().numpy())  # pyright: ignore
        fitted = {"fitted": self.bodies.everyone(joints, placed, scores, vectors, batch["lens"])} if self.bodies else {}
        return fitted | {
            "heatmaps": heatmaps,
            "fields": fields,
            "keypoints": placed,
            "scores": scores,
            "person_scores": person_scores,
            "vectors": vectors,
            "joints": joints,
        }

    def _lift(self, keypoints: Tensor, vectors: Tensor, found: Tensor, lens: Tensor) -> Tensor:
        """(B, K, J, 3) joints in the camera frame [m], NaN where there is nobody or a joint was not found.

        On the host, where people were assembled: it solves in float64, which some chips cannot.
        """
        device = keypoints.device
        keypoints, vectors, found, lens = (tensor.cpu() for tensor in (keypoints, vectors, found, lens))
        joints = torch.full((*found.shape, 3), torch.nan)
        image, person = found.any(-1).nonzero(as_tuple=True)
        if len(image):
            joints[image, person] = lift_perspective(
                self.layout,
                keypoints[image, person],
                vectors[image, person],
                found[image, person],
                self.model.limb_lengths.cpu(),  # pyright: ignore
                lens[image, :1].expand(-1, 2),
                lens[image, 1:],
                pixel_sigma=self.pixel_sigma,
                limb_sigma=self.limb_sigma,
            ).to(joints.dtype)
        return joints.to(device)

    def metrics(self) -> CaptureScores:
        if self.evaluated is None:
            raise ValueError("metrics() scores the evaluation batches made last, and none were made.")
        people, targets, protocol, crops = self.evaluated
        if self.figure is not None:
            self.figure.tell()
        return CaptureScores(
            people, targets, protocol, crops.unreadable, self.model.stride, self.evaluator, self.results, self.fit_body
        )
