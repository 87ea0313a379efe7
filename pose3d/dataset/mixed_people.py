"""dataset=mixed_people: people known in 2D, mostly photographs, and people known in 3D, shuffled together."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from anypose.settings import Misuse
from pose2d.people import Images, People, PeopleDataset, Split, require_people


class JoinedImages:
    """Implements `pose2d.people.Images`: the images of one source, then those of another."""

    def __init__(self, first: Images, second: Images) -> None:
        self.first, self.second = first, second

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    def name(self, index: int) -> str:
        """What the image is called in its own source."""
        return self.first.name(index) if index < len(self.first) else self.second.name(index - len(self.first))

    def read(self, index: int, reduce: int = 1) -> np.ndarray:
        """The pixels, from the source that has them."""
        here = index < len(self.first)
        return self.first.read(index, reduce) if here else self.second.read(index - len(self.first), reduce)


class MixedPeople:
    """A PeopleDataset that trains on two others at once and is scored on one of them.

    Args:
        flat: people known in 2D.
        spatial: people known in 3D, in the same skeleton.
        validation: "flat" or "spatial".
    """

    def __init__(self, flat: PeopleDataset, spatial: PeopleDataset, validation: str) -> None:
        if validation not in ("flat", "spatial"):
            raise Misuse(f"dataset.validation must be flat or spatial, got {validation}.")
        require_people(flat, "dataset.flat")
        require_people(spatial, "dataset.spatial")
        if flat.skeleton.name != spatial.skeleton.name:
            raise Misuse(
                f"dataset.flat and dataset.spatial must share a skeleton, got {flat.skeleton.name} ({flat.name}) and "
                f"{spatial.skeleton.name} ({spatial.name})."
            )
        self.flat, self.spatial = flat, spatial
        self.validation = flat if validation == "flat" else spatial
        self.name = f"{self.validation.name}, trained on {flat.name} and {spatial.name}"
        self.skeleton = flat.skeleton
        self.notes = (*flat.notes, *spatial.notes)

    def people(self, split: Split) -> People:
        """Everyone of both in training; of the one to be scored on in validation."""
        if split == "validation":
            return self.validation.people(split)
        return join(self.flat.people(split), self.spatial.people(split))


def join(first: People, second: People) -> People:
    """One table of both; images and annotations of the second get numbers after those of the first.

    "joints" and "lenses" are NaN where only the other has them; "sources" (I,) tells the two apart.
    """
    images, annotations = int(first.image_ids.max()), _last_annotation(first)

    def both(name: str) -> np.ndarray:
        return np.concatenate([getattr(first, name), getattr(second, name)])

    def known(name: str, rows: tuple[int, int], shape: tuple[int, ...]) -> np.ndarray:
        parts = zip((first, second), rows, strict=True)
        return np.concatenate([people.truth.get(name, np.full((count, *shape), np.nan)) for people, count in parts])

    def silhouettes() -> dict[int, Any]:
        mine, theirs = (people.truth.get("silhouettes", dict)() for people in (first, second))
        return mine | {number + annotations: outline for number, outline in theirs.items()}

    renumbered = {
        "images": [image | {"id": image["id"] + images} for image in second.truth["coco"]["images"]],
        "annotations": [
            entry | {"id": entry["id"] + annotations, "image_id": entry["image_id"] + images}
            for entry in second.truth["coco"]["annotations"]
        ],
    }
    coco = {name: [*first.truth["coco"][name], *renumbered[name]] for name in renumbered}
    return dataclasses.replace(
        first,
        images=JoinedImages(first.images, second.images),
        image_ids=np.concatenate([first.image_ids, second.image_ids + images]),
        image_sizes=both("image_sizes"),
        image=np.concatenate([first.image, second.image + len(first.image_ids)]),
        ids=np.concatenate([first.ids, second.ids + annotations]),
        box_xyxy=both("box_xyxy"),
        box_scores=both("box_scores"),
        keypoints=both("keypoints"),
        visibility=both("visibility"),
        truth={
            "coco": coco | {"categories": first.truth["coco"]["categories"]},
            "joints": known("joints", (len(first), len(second)), (17, 3)),
            "lenses": known("lenses", (len(first.image_ids), len(second.image_ids)), (3,)),
            "silhouettes": silhouettes,
            "sources": np.repeat([0, 1], [len(first.image_ids), len(second.image_ids)]),
        },
    )


def _last_annotation(people: People) -> int:
    return max(entry["id"] for entry in people.truth["coco"]["annotations"])
