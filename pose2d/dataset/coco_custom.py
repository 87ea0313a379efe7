"""dataset=coco_custom: your own images and keypoints in COCO's annotation form, described by one YAML."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from anypose.settings import Misuse
from anypose.skeleton import Skeleton
from anypose.skeleton_text import unpaired
from pose2d.images.coco_files import Reading, annotated_people, read_annotations
from pose2d.images.detections import with_boxes
from pose2d.people import People, Split


class CocoCustom:
    """A PeopleDataset of any keypoints.

    Args:
        root: the folder that the other paths start from.
        train_annotations, validation_annotations: JSON files.
        train_images, validation_images: folders that `file_name` starts from.
        boxes, min_box_score: as in dataset=coco.
        category: number of the annotations' category.
        skeleton: every keypoint in the order of the annotations, with the one it hangs from; one has none.
        flip_pairs: [left, right] pairs of names that change places in a mirror.
        sigmas: OKS's deviation of each keypoint, in its order; COCO's run from 0.025 (eyes) to 0.107 (hips).
        upper: names of the upper body, for half-body crops; may be empty.
        orientation, max_megapixels, max_megabytes: see `pose2d.images.coco_files.Reading`.
    """

    name = "coco_custom"

    def __init__(
        self,
        root: str,
        train_annotations: str,
        validation_annotations: str,
        train_images: str,
        validation_images: str,
        boxes: str,
        min_box_score: float,
        category: int,
        skeleton: Mapping[str, str | None],
        flip_pairs: Sequence[Sequence[str]],
        sigmas: Sequence[float],
        upper: Sequence[str],
        orientation: str,
        max_megapixels: float,
        max_megabytes: float,
    ) -> None:
        self.root = Path(root).expanduser()
        self.annotations = {"train": train_annotations, "validation": validation_annotations}
        self.images = {"train": train_images, "validation": validation_images}
        self.boxes = boxes
        self.min_box_score = min_box_score
        self.category = category
        self.reading = Reading(orientation, max_megapixels, max_megabytes)
        self.skeleton = _skeleton(skeleton, flip_pairs)
        self.sigmas = tuple(sigmas)
        numeric = all(isinstance(s, (int, float)) and 0 < s < math.inf for s in self.sigmas)
        if len(self.sigmas) != self.skeleton.num_joints or not numeric:
            raise Misuse(
                f"dataset.sigmas needs {self.skeleton.num_joints} numbers above 0, one for each keypoint of "
                f"dataset.skeleton; got {list(self.sigmas)}."
            )
        self.upper = tuple(self.skeleton.index(name) for name in upper)
        self.notes = (f"{self.skeleton.num_joints} keypoints with sigmas of the dataset's own",)

    def people(self, split: Split) -> People:
        path = self.root / self.annotations[split]
        reading = self.reading
        truth = read_annotations(path, self.skeleton, f"dataset.{split}_annotations", reading, self.category)
        folder = self.root / self.images[split]
        people = annotated_people(truth, folder, self.skeleton, self.sigmas, self.upper, str(path), reading)
        return with_boxes(people, split, self.root / self.boxes, self.boxes, self.min_box_score, reading)


def _skeleton(tree: Mapping[str, str | None], flip_pairs: Sequence[Sequence[str]]) -> Skeleton:
    joints = tuple(tree)
    if any(isinstance(pair, str) or len(pair) != 2 for pair in flip_pairs):
        raise Misuse(f"dataset.flip_pairs must be [left, right] pairs of names, got {list(flip_pairs)}.")
    pairs = [(pair[0], pair[1]) for pair in flip_pairs]
    named = {parent for parent in tree.values() if parent is not None} | {name for pair in pairs for name in pair}
    unknown = sorted(map(str, named - set(joints)))
    if unknown:
        raise Misuse(f"dataset.skeleton has no keypoint {', '.join(unknown)}. It has {', '.join(joints)}.")
    parents = tuple(-1 if parent is None else joints.index(parent) for parent in tree.values())
    if parents.count(-1) != 1 or not _is_tree(parents):
        raise Misuse(
            "dataset.skeleton must be a tree: one keypoint without a parent, from which all others hang; got "
            f"{', '.join(f'{joint}: {parent}' for joint, parent in tree.items())}."
        )
    left, right = (tuple(joints.index(pair[side]) for pair in pairs) for side in (0, 1))
    if len({*left, *right}) != 2 * len(pairs):
        raise Misuse(f"dataset.flip_pairs must name a keypoint once at most, got {[list(p) for p in pairs]}.")
    for joint, other in unpaired(joints, [*pairs, *((second, first) for first, second in pairs)]):
        raise Misuse(
            f"dataset.flip_pairs must have [{joint}, {other}]: in a mirrored image they change places. It has "
            f"{[list(pair) for pair in pairs]}."
        )
    return Skeleton("coco_custom", joints, parents, left, right)


def _is_tree(parents: Sequence[int]) -> bool:
    """Whether every keypoint leads to the one without a parent."""
    reached = set(range(len(parents)))
    for _ in parents:
        reached = {parents[joint] for joint in reached if parents[joint] >= 0}
    return not reached
