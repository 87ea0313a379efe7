"""dataset=coco_legacy: COCO.json, the people that the Caffe trainings of part affinity fields and the Ascend port read.

The file has a list `root` with an entry for each person that a crop is made of: its own keypoints, and those of the
others in the image. Its visibility codes are 1 visible, 0 labelled but hidden, 2 not labelled. Coordinates are taken as
COCO has them, from 0. Whom COCO did not annotate it does not say: that is in mask images beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from anypose.settings import Misuse
from anypose.skeleton import get_skeleton
from pose2d.images.coco_files import Reading, annotated_people
from pose2d.images.image_files import ImageFiles
from pose2d.images.json_files import LARGEST, fields, file_name, numbers, read_json, whole
from pose2d.people import COCO_SIGMAS, COCO_UPPER, People, Split, coco_truth

_VISIBILITY = np.array([1, 2, 0])  # COCO's for the file's 0, 1, 2
_REQUIRED = (
    "isValidation", "img_paths", "img_width", "img_height", "image_id", "bbox", "segment_area", "joint_self",
)  # fmt: skip
_OTHERS = (("joint_others", 51), ("bbox_other", 4), ("segment_area_other", 1))


class CocoLegacy:
    """A PeopleDataset of a COCO.json and the images it names.

    Args:
        root: folder that the other paths start from.
        annotations: the file.
        images: folder that its `img_paths` start from.
        masks: where an image's mask is, an image file that is not black where the annotation can be trusted, with the
            fields image_id and split (train2014 for train2014/COCO_train2014_000000000009.jpg); or null for none.
        orientation, max_megapixels, max_megabytes: see `pose2d.images.coco_files.Reading`.
    """

    name = "coco_legacy"

    def __init__(
        self,
        root: str,
        annotations: str,
        images: str,
        masks: str | None,
        orientation: str,
        max_megapixels: float,
        max_megabytes: float,
    ) -> None:
        self.root = Path(root).expanduser()
        self.path, self.images, self.masks = self.root / annotations, self.root / images, masks
        if not self.path.is_file():
            raise FileNotFoundError(f"dataset.root={root} has no file {annotations} (dataset.annotations).")
        self.reading = Reading(orientation, max_megapixels, max_megabytes)
        self._mask(9, "train2014")
        self.skeleton = get_skeleton("coco_17")
        self.notes = ("COCO.json, main people and their company",)
        if masks is None:
            self.notes += ("no masks: whom nobody annotated counts as background",)

    def people(self, split: Split) -> People:
        """Everyone in the images of a split; `truth` says who is a "main" person and names the "masks"."""
        content = read_json(self.path, "dataset.annotations", self.reading.max_megabytes)
        entries = content.get("root") if isinstance(content, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise ValueError(f"{self.path} must have a list 'root' of people, as COCO.json has.")
        truth = collect(entries, split, str(self.path))
        where, reading = str(self.path), self.reading
        people = annotated_people(truth, self.images, self.skeleton, COCO_SIGMAS, COCO_UPPER, where, reading)
        if self.masks is None:
            return people
        names = [self._mask(image["id"], image["file_name"].partition("/")[0]) for image in truth["images"]]
        masks = ImageFiles(self.root, names, people.image_sizes, reading.orientation, reading.max_megapixels)
        masks.require(people.image)
        return replace(people, truth={**people.truth, "masks": masks})

    def _mask(self, image_id: int, split: str) -> str:
        """Where an image's mask is, "" for no masks."""
        try:
            return (self.masks or "").format(image_id=image_id, split=split)
        except (KeyError, IndexError, ValueError, AttributeError) as error:
            raise Misuse(
                f"dataset.masks={self.masks} must be a path with the fields {{image_id}} and {{split}}; {error} "
                "cannot be filled in."
            ) from error


def collect(entries: Sequence[dict[str, Any]], split: Split, source: str) -> dict[str, Any]:
    """The entries of a split as a COCO dictionary, each person once; "main" are those with an entry of their own.

    Raises:
        ValueError: naming the entry that lacks something or whose arrays have another size than they must.
    """
    images: dict[int, dict[str, Any]] = {}
    people: dict[tuple[int, bytes], dict[str, Any]] = {}
    for number, entry in enumerate(entries):
        where = f"{source}: entry {number}"
        fields(entry, _REQUIRED, where)
        if bool(numbers(entry["isValidation"], 1, f"{where}: isValidation")[0]) != (split == "validation"):
            continue
        image_id = whole(entry["image_id"], f"{where}: image_id")
        image = {
            "id": image_id,
            "file_name": file_name(entry["img_paths"], f"{where}: img_paths"),
            "height": whole(entry["img_height"], f"{where}: img_height", 1),
            "width": whole(entry["img_width"], f"{where}: img_width", 1),
        }
        if images.setdefault(image_id, image) != image:
            raise ValueError(f"{where}: image {image_id} is {image}, and before it was {images[image_id]}.")
        for main, person in _people(entry, where):
            key = (image_id, np.round(person["points"], 2).tobytes())
            annotation = people.setdefault(key, _annotation(image_id, person))
            annotation["main"] = annotation.get("main", False) or main
    if not people:
        raise ValueError(f"{source} has no person for {split}: isValidation of all {len(entries)} entries says so.")
    annotations = [{"id": number, **person} for number, person in enumerate(people.values(), start=1)]
    return coco_truth(list(images.values()), annotations)


def _people(entry: dict[str, Any], where: str) -> Iterator[tuple[bool, dict[str, Any]]]:
    """An entry's own person (True), then the others; MATLAB wrote one other person without the outer list."""
    own = {"points": entry["joint_self"], "box": entry["bbox"], "area": entry["segment_area"]}
    count = whole(entry.get("numOtherPeople", 0), f"{where}: numOtherPeople", 0)
    others = []
    for key, size in _OTHERS if count else ():
        values = _numbers(entry.get(key), where, key)
        if values.size < count * size:
            raise ValueError(f"{where}: {key} must hold {count} x {size} numbers (numOtherPeople), has {values.size}.")
        others.append(values[: count * size].reshape(count, size))  # some files pad to 20 people
    rows = [own, *(dict(zip(own, row, strict=True)) for row in zip(*others, strict=True))]
    for person in rows:
        points = _numbers(person["points"], where, "joint_self")
        box = _numbers(person["box"], where, "bbox")
        codes = sorted(set(points[2::3].tolist()))
        if points.size != 51 or box.shape != (4,) or not set(codes) <= {0, 1, 2}:
            raise ValueError(
                f"{where}: a person needs 17 x 3 keypoints with codes 0, 1, 2 and a box of four numbers, found "
                f"{points.size / 3:g} x 3, codes {codes[:4]} and {box.size} numbers."
            )
        points = points.reshape(17, 3)
        area = numbers(np.ravel(person["area"])[:1].tolist(), 1, f"{where}: segment_area")
        yield person is own, {"points": points, "box": box, "area": float(area[0])}


def _numbers(values: Any, where: str, key: str) -> np.ndarray:
    try:
        array = np.asarray(values, dtype=np.float64).ravel()
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{where}: {key} must hold numbers: {error}") from error
    if not (np.abs(array) < LARGEST).all():
        raise ValueError(f"{where}: {key} holds NaN or infinity, or numbers as large.")
    return array


def _annotation(image_id: int, person: dict[str, Any]) -> dict[str, Any]:
    points = person["points"].copy()
    points[:, 2] = _VISIBILITY[points[:, 2].astype(int)]
    points[points[:, 2] == 0] = 0
    return {
        "image_id": image_id,
        "category_id": 1,
        "iscrowd": 0,
        "num_keypoints": int((points[:, 2] > 0).sum()),
        "keypoints": points.ravel().tolist(),
        "bbox": person["box"].tolist(),
        "area": person["area"],
    }
