"""dataset=coco_legacy: COCO.json, what the Caffe trainings of part affinity fields and the seed read their people from.

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

from anypose.skeleton import get_skeleton
from pose2d.images.coco_files import annotated_people, read_json
from pose2d.images.image import ImageFiles
from pose2d.people import COCO_SIGMAS, COCO_UPPER, People, Split

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
    """

    name = "coco_legacy"

    def __init__(self, root: str, annotations: str, images: str, masks: str | None) -> None:
        self.root = Path(root).expanduser()
        self.path, self.images, self.masks = self.root / annotations, self.root / images, masks
        if not self.path.is_file():
            raise FileNotFoundError(f"dataset.root={root} has no file {annotations} (dataset.annotations).")
        self.skeleton = get_skeleton("coco_17")
        self.notes = ("COCO.json, main people and their company",)
        if masks is None:
            self.notes += ("no masks: whom nobody annotated counts as background",)

    def people(self, split: Split) -> People:
        """Everyone in the images of a split; `truth` says who is a "main" person and names the "masks"."""
        content = read_json(self.path, "dataset.annotations")
        entries = content.get("root") if isinstance(content, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise ValueError(f"{self.path} must have a list 'root' of people, as COCO.json has.")
        truth = collect(entries, split, str(self.path))
        people = annotated_people(truth, self.images, self.skeleton, COCO_SIGMAS, COCO_UPPER, str(self.path))
        if self.masks is None:
            return people
        names = [
            self.masks.format(image_id=image["id"], split=image["file_name"].partition("/")[0])
            for image in truth["images"]
        ]
        masks = ImageFiles(self.root, names)
        masks.require(people.image)
        return replace(people, truth={**people.truth, "masks": masks})


def collect(entries: Sequence[dict[str, Any]], split: Split, source: str) -> dict[str, Any]:
    """The entries of a split as a COCO dictionary, each person once; "main" are those with an entry of their own.

    Raises:
        ValueError: naming the entry that lacks something or whose arrays have another size than they must.
    """
    images: dict[int, dict[str, Any]] = {}
    people: dict[tuple[int, bytes], dict[str, Any]] = {}
    for number, entry in enumerate(entries):
        where = f"{source}: entry {number}"
        if missing := [key for key in _REQUIRED if key not in entry]:
            raise ValueError(f"{where} lacks {', '.join(missing)}; is it a COCO.json?")
        if bool(entry["isValidation"]) != (split == "validation"):
            continue
        image_id = int(entry["image_id"])
        size = {"height": int(entry["img_height"]), "width": int(entry["img_width"])}
        images.setdefault(image_id, {"id": image_id, "file_name": str(entry["img_paths"]), **size})
        for main, person in _people(entry, where):
            key = (image_id, np.round(person["points"], 2).tobytes())
            annotation = people.setdefault(key, _annotation(image_id, person))
            annotation["main"] = annotation.get("main", False) or main
    if not people:
        raise ValueError(f"{source} has no person for {split}: isValidation of all {len(entries)} entries says so.")
    annotations = [{"id": number, **person} for number, person in enumerate(people.values(), start=1)]
    categories = [{"id": 1, "name": "person"}]
    return {"images": list(images.values()), "annotations": annotations, "categories": categories}


def _people(entry: dict[str, Any], where: str) -> Iterator[tuple[bool, dict[str, Any]]]:
    """An entry's own person (True), then the others; MATLAB wrote one other person without the outer list."""
    own = {"points": entry["joint_self"], "box": entry["bbox"], "area": entry["segment_area"]}
    count = int(entry.get("numOtherPeople", 0))
    others = []
    for key, size in _OTHERS if count else ():
        values = _numbers(entry.get(key), where, key)
        if values.size < count * size:
            raise ValueError(f"{where}: {key} must hold {count} x {size} numbers (numOtherPeople), has {values.size}.")
        others.append(values[: count * size].reshape(count, size))  # some files pad to 20 people
    rows = [own, *(dict(zip(own, row, strict=True)) for row in zip(*others, strict=True))]
    for person in rows:
        points = _numbers(person["points"], where, "joint_self").reshape(-1, 3)
        box = _numbers(person["box"], where, "bbox")
        if points.shape != (17, 3) or box.shape != (4,) or not np.isin(points[:, 2], [0, 1, 2]).all():
            raise ValueError(
                f"{where}: a person needs 17 x 3 keypoints with codes 0, 1, 2 and a box of four numbers, found "
                f"{points.shape[0]} x 3, codes {sorted(set(points[:, 2].tolist()))[:4]} and {box.size} numbers."
            )
        yield person is own, {"points": points, "box": box, "area": float(np.ravel(person["area"])[0])}


def _numbers(values: Any, where: str, key: str) -> np.ndarray:
    try:
        array = np.asarray(values, dtype=np.float64).ravel()
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {key} must hold numbers: {error}") from error
    if not np.isfinite(array).all():
        raise ValueError(f"{where}: {key} holds NaN or infinity.")
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
