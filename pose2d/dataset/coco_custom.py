"""dataset=coco_custom: your own images and keypoints in COCO's annotation form, described by one YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from anypose.skeleton import Skeleton
from pose2d.images.coco_files import annotated_people, read_annotations, read_detections
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
    ) -> None:
        self.root = Path(root).expanduser()
        self.annotations = {"train": train_annotations, "validation": validation_annotations}
        self.images = {"train": train_images, "validation": validation_images}
        self.boxes = boxes
        self.min_box_score = min_box_score
        self.category = category
        self.skeleton = _skeleton(skeleton, flip_pairs)
        self.sigmas = tuple(sigmas)
        if len(self.sigmas) != self.skeleton.num_joints or min(self.sigmas) <= 0:
            raise ValueError(
                f"dataset.sigmas needs {self.skeleton.num_joints} numbers above 0, one for each keypoint of "
                f"dataset.skeleton; got {list(self.sigmas)}."
            )
        self.upper = tuple(self.skeleton.index(name) for name in upper)
        self.notes = (f"{self.skeleton.num_joints} keypoints with sigmas of the dataset's own",)

    def people(self, split: Split) -> People:
        path = self.root / self.annotations[split]
        num_keypoints = self.skeleton.num_joints
        truth = read_annotations(path, num_keypoints, f"dataset.{split}_annotations", self.category)
        folder = self.root / self.images[split]
        people = annotated_people(truth, folder, self.skeleton, self.sigmas, self.upper, str(path))
        if split == "train" or self.boxes == "ground_truth":
            return people
        return read_detections(self.root / self.boxes, people, self.min_box_score, f"dataset.boxes={self.boxes}")


def _skeleton(tree: Mapping[str, str | None], flip_pairs: Sequence[Sequence[str]]) -> Skeleton:
    joints = tuple(tree)
    named = {parent for parent in tree.values() if parent is not None} | {name for pair in flip_pairs for name in pair}
    unknown = sorted(named - set(joints))
    if unknown:
        raise ValueError(f"dataset.skeleton has no keypoint {', '.join(unknown)}. It has {', '.join(joints)}.")
    parents = tuple(-1 if parent is None else joints.index(parent) for parent in tree.values())
    left, right = (tuple(joints.index(pair[side]) for pair in flip_pairs) for side in (0, 1))
    if len({*left, *right}) != 2 * len(flip_pairs):
        raise ValueError(f"dataset.flip_pairs must name a keypoint once at most, got {[list(p) for p in flip_pairs]}.")
    return Skeleton("coco_custom", joints, parents, left, right)
