"""dataset=mpii: MPII Human Pose from microsoft's JSON lists and the head boxes' MATLAB file, scored by PCKh."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from anypose.formats.mat import read_mat
from anypose.settings import Misuse
from anypose.skeleton import get_skeleton
from pose2d.images.image_files import ImageFiles
from pose2d.images.json_files import fields, file_name, numbers, read_json, shown
from pose2d.people import People, Split

PERSON = 200.0  # pixels of a person whose `scale` is 1
# MPII's keypoints have no published deviations, and PCKh asks for none.
SIGMAS = np.full(16, 0.1)
SAME = 3.0  # as far as the same keypoint lies from itself in two files, rounded [px]
HEAD = (0.05, 1.0)  # a head box's diagonal in heights of a person
log = logging.getLogger(__name__)


class Mpii:
    """A PeopleDataset of a folder with `annot/{train,valid}.json`, `annot/gt_valid.mat` and `images/`.

    Boxes are squares of 200 px times the annotated scale around the annotated centre, moved down by 15 px times the
    scale, as in microsoft's code; the task's padding comes on top. MPII counts pixels from 1, we from 0.

    Args:
        root: the folder.
        train, validation: names of the JSON lists.
        head_boxes: MATLAB file with `headboxes_src`, `jnt_missing` and `pos_gt_src`, in the validation list's order.
        orientation, max_megapixels, max_megabytes: see `pose2d.images.coco_files.Reading`; the lists give no sizes, so
            orientation must be said.
    """

    name = "mpii"
    notes: tuple[str, ...] = ()

    def __init__(
        self,
        root: str,
        train: str,
        validation: str,
        head_boxes: str,
        orientation: str,
        max_megapixels: float,
        max_megabytes: float,
    ) -> None:
        self.root = Path(root).expanduser()
        if orientation == "auto":
            raise Misuse("dataset.orientation=auto needs the sizes of images, which MPII's lists lack. Say stored.")
        self.orientation, self.max_megapixels, self.max_megabytes = orientation, max_megapixels, max_megabytes
        self.names = {"train": train, "validation": validation}
        self.head_boxes = self.root / "annot" / head_boxes
        self.skeleton = get_skeleton("mpii_16")
        for folder in ("annot", "images"):
            if not (self.root / folder).is_dir():
                found = sorted(path.name for path in self.root.iterdir()) if self.root.is_dir() else []
                raise FileNotFoundError(
                    f"dataset.root={root} has no folder '{folder}'. "
                    f"{'Found ' + ', '.join(found[:8]) + '.' if found else 'It does not exist or is empty.'} "
                    "mpii needs annot/train.json, annot/valid.json, annot/gt_valid.mat and images/."
                )

    def people(self, split: Split) -> People:
        path = self.root / "annot" / f"{self.names[split]}.json"
        entries = read_json(path, f"dataset.{split}={self.names[split]}", self.max_megabytes)
        if not isinstance(entries, list):
            raise ValueError(f"{path} must be a list of people, as microsoft's is, got {shown(entries)}.")
        people = [_person(entry, f"{path}: entry {row}") for row, entry in enumerate(entries)]
        keypoints = np.array([person["joints"] for person in people]).reshape(-1, 16, 2) - 1
        visibility = 2 * np.array([person["joints_vis"] for person in people], dtype=np.int64).reshape(-1, 16)
        scale = np.array([person["scale"] for person in people], dtype=np.float64)
        if lost := int((scale <= 0).sum()):
            log.warning("%s: %d of %d people have no scale above 0 and are left out.", path, lost, len(people))
        truth = {}
        if split == "validation":
            listed, listed_visibility = keypoints, visibility
            keypoints, visibility, truth["head_sizes"] = self._truth(len(entries))
            both = (visibility > 0) & (listed_visibility > 0)
            self._check_list(path, np.linalg.norm(keypoints - listed, axis=2)[both], truth["head_sizes"], scale)
        centre = np.array([person["center"] for person in people], dtype=np.float64).reshape(-1, 2)
        centre = centre + np.stack([np.zeros_like(scale), 15 * scale], axis=1) - 1
        half = PERSON / 2 * scale[:, None]
        names = sorted({person["image"] for person in people})
        image = np.searchsorted(names, [person["image"] for person in people])
        usable = np.flatnonzero((visibility > 0).any(axis=1) & (scale > 0))
        rows = usable[np.argsort(image[usable], kind="stable")]
        if len(rows) == 0:
            raise ValueError(f"{path} has no person with labelled keypoints ({len(entries)} entries).")
        folder = self.root / "images"
        images = ImageFiles(folder, names, None, self.orientation, self.max_megapixels)
        images.require(image[rows])
        return People(
            images=images,
            image_ids=np.arange(len(names)),
            image_sizes=np.zeros((len(names), 2), dtype=np.int64),  # the lists do not say
            image=image[rows],
            ids=rows,
            box_xyxy=np.concatenate([centre - half, centre + half], axis=1)[rows],
            box_scores=np.ones(len(rows)),
            keypoints=keypoints[rows],
            visibility=visibility[rows],
            skeleton=self.skeleton,
            sigmas=SIGMAS,
            upper=tuple(range(7, 16)),
            box_source="ground truth",
            truth={name: column[rows] for name, column in truth.items()},
        )

    def _truth(self, entries: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(P, 16, 2) keypoints [px], (P, 16) visibility, (P,) head sizes [px] of the validation list."""
        if not self.head_boxes.is_file():
            raise FileNotFoundError(f"dataset.head_boxes needs {self.head_boxes}, which PCKh is measured by.")
        arrays = read_mat(self.head_boxes)
        shapes = {"headboxes_src": (2, 2, entries), "pos_gt_src": (16, 2, entries), "jnt_missing": (16, entries)}
        for name, shape in shapes.items():
            found = arrays[name].shape if name in arrays else "nothing"
            if found != shape:
                raise ValueError(
                    f"{self.head_boxes}: '{name}' must have shape {shape}, one for each of the {entries} people of "
                    f"the list, got {found}."
                )
        heads = arrays["headboxes_src"].astype(np.float64)
        if not np.isin(arrays["jnt_missing"], (0, 1)).all():
            raise ValueError(f"{self.head_boxes}: 'jnt_missing' must be 0 or 1 each.")
        visibility = np.where(arrays["jnt_missing"].T > 0, 0, 2)
        keypoints = arrays["pos_gt_src"].astype(np.float64).transpose(2, 0, 1) - 1
        keypoints = np.where(visibility[:, :, None] > 0, keypoints, 0.0)
        sizes = np.linalg.norm(heads[1] - heads[0], axis=0)
        labelled = (visibility > 0).any(axis=1)
        bad = np.flatnonzero(labelled & ~((sizes > 0) & np.isfinite(sizes)))
        if len(bad):
            raise ValueError(
                f"{self.head_boxes}: a head box must have an extent, as errors are measured by it; that of entry "
                f"{bad[0]} is {sizes[bad[0]]:g} px ({len(bad)} of {entries} are such)."
            )
        if not np.isfinite(keypoints).all():
            raise ValueError(f"{self.head_boxes}: 'pos_gt_src' holds NaN or infinity where 'jnt_missing' is 0.")
        return keypoints, visibility, sizes

    def _check_list(self, path: Path, apart: np.ndarray, heads: np.ndarray, scale: np.ndarray) -> None:
        """Refuse head boxes of another list, or of it in another order.

        Args:
            path: of the list.
            apart: [px] how far its labelled keypoints are from those of the head boxes' file.
            heads: (P,) their diagonals [px].
            scale: (P,) of the list's people.
        """
        if len(apart) and (off := float(np.median(apart))) > SAME:
            raise ValueError(
                f"{self.head_boxes} is of other people than {path}, or in another order: its keypoints lie {off:.3g} "
                "px from those of the list."
            )
        share = heads[scale > 0] / (PERSON * scale[scale > 0])
        if len(share) and not HEAD[0] <= (usual := float(np.median(share))) <= HEAD[1]:
            raise ValueError(
                f"{self.head_boxes}: a head box's diagonal is {usual:.3g} of a person's height in the median, and "
                f"{HEAD[0]} to {HEAD[1]} of it is a head's. Every error is measured by it."
            )


def _person(entry: Any, where: str) -> dict[str, Any]:
    """An entry of a list, its numbers checked."""
    given = fields(entry, ("image", "center", "scale", "joints", "joints_vis"), where)
    if not isinstance(given["joints"], list) or len(given["joints"]) != 16:
        raise ValueError(f"{where}: joints must be 16 pairs, got {shown(given['joints'])}.")
    flags = numbers(given["joints_vis"], 16, f"{where}: joints_vis")
    if not np.isin(flags, (0, 1)).all():
        raise ValueError(f"{where}: joints_vis must be 0 or 1 each, got {shown(given['joints_vis'])}.")
    return {
        "image": file_name(given["image"], f"{where}: image"),
        "center": numbers(given["center"], 2, f"{where}: center"),
        "scale": float(numbers(given["scale"], 1, f"{where}: scale")[0]),
        "joints": numbers(given["joints"], 32, f"{where}: joints"),
        "joints_vis": flags,
    }
