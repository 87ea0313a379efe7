"""dataset=coco: COCO 2017 keypoints in COCO's own layout, with annotated or detected boxes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from anypose.skeleton import get_skeleton
from pose2d.images.coco_files import Reading, annotated_people, read_annotations
from pose2d.images.detections import with_boxes
from pose2d.people import COCO_SIGMAS, COCO_UPPER, People, Split


class Coco:
    """A PeopleDataset of a folder with `annotations/person_keypoints_<name>.json` and `images/<name>/` (or `<name>/`).

    Args:
        root: the folder.
        train, validation: names of the splits, e.g. "train2017".
        boxes: "ground_truth", or a detector's result file in COCO's format under `root`, used for validation.
        min_box_score: detected boxes must score more.
        orientation, max_megapixels, max_megabytes: see `pose2d.images.coco_files.Reading`.
    """

    name = "coco"
    notes: tuple[str, ...] = ()

    def __init__(
        self,
        root: str,
        train: str,
        validation: str,
        boxes: str,
        min_box_score: float,
        orientation: str,
        max_megapixels: float,
        max_megabytes: float,
    ) -> None:
        self.root = Path(root).expanduser()
        self.names = {"train": train, "validation": validation}
        self.boxes = boxes
        self.min_box_score = min_box_score
        self.reading = Reading(orientation, max_megapixels, max_megabytes)
        self.skeleton = get_skeleton("coco_17")
        if not (self.root / "annotations").is_dir():
            found = sorted(path.name for path in self.root.iterdir()) if self.root.is_dir() else []
            raise FileNotFoundError(
                f"dataset.root={root} has no folder 'annotations'. "
                f"{'Found ' + ', '.join(found[:8]) + '.' if found else 'It does not exist or is empty.'} COCO 2017 "
                "unpacks to annotations/person_keypoints_{train,val}2017.json and {train,val}2017/, here or in images/."
            )

    def people(self, split: Split) -> People:
        name = self.names[split]
        path = self.root / "annotations" / f"person_keypoints_{name}.json"
        setting, reading = f"dataset.{split}={name}", self.reading
        truth = read_annotations(path, self.skeleton, setting, reading)
        folder = self._images(name)
        people = annotated_people(truth, folder, self.skeleton, COCO_SIGMAS, COCO_UPPER, str(path), reading)
        people = replace(people, truth={**people.truth, "silhouettes": partial(self._silhouettes, path)})
        return with_boxes(people, split, self.root / self.boxes, self.boxes, self.min_box_score, reading)

    def _silhouettes(self, path: Path) -> dict[int, Any]:
        """Everyone's by the number of the annotation: most of the file, and few want them."""
        truth = read_annotations(path, self.skeleton, path.name, self.reading, silhouettes=True)
        return {entry["id"]: entry["segmentation"] for entry in truth["annotations"] if "segmentation" in entry}

    def _images(self, name: str) -> Path:
        places = [self.root / "images" / name, self.root / name]
        for place in places:
            if place.is_dir():
                return place
        raise FileNotFoundError(f"The images of {name} are in neither {places[0]} nor {places[1]}. Unpack {name}.zip.")
