"""People as the capture network is taught: its own 20 joints, who is a target, where crops lie."""

from __future__ import annotations

import dataclasses

import numpy as np

from anypose.settings import Misuse
from pose2d.people import People
from pose2d.synthesis.figure import coco_keypoints
from pose3d.capture.layout import BODY

# COCO's keypoints by the names of the body layout; neck and chest are derived, head top COCO does not have.
_FROM_COCO = {
    "nose": 0, "right_shoulder": 6, "right_elbow": 8, "right_wrist": 10, "left_shoulder": 5, "left_elbow": 7,
    "left_wrist": 9, "right_hip": 12, "right_knee": 14, "right_ankle": 16, "left_hip": 11, "left_knee": 13,
    "left_ankle": 15, "right_eye": 2, "left_eye": 1, "right_ear": 4, "left_ear": 3,
}  # fmt: skip
_SOURCES = {name: (index,) for name, index in _FROM_COCO.items()} | {
    "neck": (5, 6),
    "chest": (5, 6, 11, 12),
    "head_top": (),
}
_DERIVED = [BODY.joints.index(name) for name in ("neck", "chest", "head_top")]
_HEAD_TOP = BODY.joints.index("head_top")
_H36M_HEAD = 10
_COCO_ORDER = [BODY.joints.index(name) for name in sorted(_FROM_COCO, key=lambda name: _FROM_COCO[name])]


def body_from_coco(points: np.ndarray, labelled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """COCO's 17 keypoints, 2D or 3D, as the 20 joints of the body layout.

    The neck is the middle of the shoulders, the chest that of shoulders and hips; each needs all it is made of.

    Args:
        points: (P, 17, D).
        labelled: (P, 17) bool.

    Returns:
        (P, 20, D) and (P, 20) bool.
    """
    joints = np.zeros((len(points), BODY.num_joints, points.shape[-1]), points.dtype)
    known = np.zeros((len(points), BODY.num_joints), bool)
    for row, name in enumerate(BODY.joints):
        sources = list(_SOURCES[name])
        if sources:
            joints[:, row] = points[:, sources].mean(axis=1)
            known[:, row] = labelled[:, sources].all(axis=1)
    return joints, known


def coco_from_body(keypoints: np.ndarray) -> np.ndarray:
    """(P, 20, ...) of the body layout in COCO's order, (P, 17, ...): what `body_from_coco` took from there."""
    return keypoints[:, _COCO_ORDER]


@dataclasses.dataclass(frozen=True, eq=False)
class Targets:
    """What P people teach, in the body layout.

    Attributes:
        keypoints: (P, 20, 2) [image px].
        labelled: (P, 20) bool.
        joints: (P, 20, 3) camera frame [m]; NaN for people of whom only 2D is known.
    """

    keypoints: np.ndarray
    labelled: np.ndarray
    joints: np.ndarray

    @property
    def spatial(self) -> np.ndarray:
        """(P,) bool, whose joints are known in 3D."""
        return np.isfinite(self.joints).reshape(len(self.joints), -1).all(axis=1)  # pyright: ignore


def targets_of(people: People, visible_only: bool, source: str) -> Targets:
    """Targets of everyone annotated; 3D where `people.truth` has "joints" and "lenses".

    Derived joints of people known in 3D are projected, so the head top is known, too, where the image shows it.

    Args:
        people: of a dataset in COCO's skeleton.
        visible_only: labelled but hidden keypoints do not count.
        source: where they are from, for messages.
    """
    if people.skeleton.name != "coco_17":
        raise Misuse(f"task=orientation_fields needs people in skeleton coco_17; {source} has {people.skeleton.name}.")
    labels = people.visibility == 2 if visible_only else people.visibility > 0
    keypoints, labelled = body_from_coco(people.keypoints, labels)
    joints = np.full((len(people), BODY.num_joints, 3), np.nan)
    h36m = people.truth.get("joints")
    if h36m is None:
        return Targets(keypoints, labelled, joints)
    rows = np.flatnonzero(~np.isnan(h36m).any(axis=(1, 2)))
    face_and_limbs = np.stack([coco_keypoints(person) for person in h36m[rows]]) if len(rows) else np.zeros((0, 17, 3))
    joints[rows], _ = body_from_coco(face_and_limbs, np.ones(face_and_limbs.shape[:2], bool))
    joints[rows, _HEAD_TOP] = h36m[rows, _H36M_HEAD]
    lens = people.truth["lenses"][people.image[rows]]
    derived = joints[rows][:, _DERIVED]
    projected = derived[..., :2] / derived[..., 2:] * lens[:, None, :1] + lens[:, None, 1:]
    height, width = people.image_sizes[people.image[rows]].T
    inside = (projected >= 0).all(-1) & (projected < np.stack([width, height], axis=1)[:, None]).all(-1)
    keypoints[rows[:, None], _DERIVED] = projected
    labelled[rows, _HEAD_TOP] = inside[:, -1] & (derived[:, -1, 2] > 0)
    if len(rows):
        check_sides(joints[rows], source)
    return Targets(keypoints, labelled, joints)


def check_sides(joints: np.ndarray, source: str) -> None:
    """Raise where left and right of the legs are swapped against the shoulders, as in a known family of annotations.

    Args:
        joints: (P, 20, 3) camera-frame joints.
        source: where they are from, for the message.
    """

    def across(name: str) -> np.ndarray:
        return joints[:, BODY.joints.index(f"right_{name}")] - joints[:, BODY.joints.index(f"left_{name}")]

    agreement = float((across("hip") * across("shoulder")).sum(-1).mean())
    if not agreement > 0:
        raise ValueError(
            f"{source} has its left and right legs swapped: over {len(joints)} people the mean of "
            f"(right hip - left hip) . (right shoulder - left shoulder) is {agreement:.4f} m^2; it must be positive."
        )


def mean_limb_lengths(targets: Targets) -> np.ndarray:
    """(L,) mean length of the body's limbs over everyone known in 3D [m]."""
    first, second = (list(side) for side in zip(*BODY.limbs, strict=True))
    known = targets.joints[targets.spatial]
    return np.linalg.norm(known[:, second] - known[:, first], axis=-1).mean(axis=0)


def main_people(people: People) -> np.ndarray:
    """Rows of the people the original makes crops of, by its rules.

    Five keypoints and more, more than three of them visible, an area from 32^2 px on, and a centre not within 0.3 of
    the longer side of the box of one already chosen in the same image. Where the annotations say who is "main", as the
    original's own file does, only the keypoints that are visible still matter.
    """
    listed = {entry["id"]: entry["main"] for entry in people.truth["coco"]["annotations"] if "main" in entry}
    if listed:
        main = np.array([listed.get(number, False) for number in people.ids.tolist()])
        return np.flatnonzero(main & ((people.visibility == 2).sum(axis=1) > 3))
    areas = {annotation["id"]: annotation["area"] for annotation in people.truth["coco"]["annotations"]}
    area = np.array([areas[number] for number in people.ids.tolist()])
    enough = ((people.visibility > 0).sum(axis=1) >= 5) & ((people.visibility == 2).sum(axis=1) > 3) & (area >= 32**2)
    centre = (people.box_xyxy[:, :2] + people.box_xyxy[:, 2:]) / 2
    reach = 0.3 * (people.box_xyxy[:, 2:] - people.box_xyxy[:, :2]).max(axis=1)
    chosen: list[int] = []
    for row in np.flatnonzero(enough).tolist():
        rivals = [other for other in chosen if people.image[other] == people.image[row]]
        if all(np.linalg.norm(centre[other] - centre[row]) >= reach[other] for other in rivals):
            chosen.append(row)
    return np.array(chosen, dtype=np.int64)


def crops_of(people: People, rows: np.ndarray, targets: Targets) -> People:
    """The people of `rows`, their boxes the squares the original crops by (before its zoom of 1.8).

    Centred on the hips, or on the middle of the keypoints where a hip is not labelled, and reaching to the farthest
    labelled keypoint. Departure: at least to a quarter of the longer side of the box, which matters for people of whom
    next to nothing is labelled.
    """
    keypoints, labelled = targets.keypoints[rows], targets.labelled[rows]
    hips = [BODY.joints.index(name) for name in ("right_hip", "left_hip")]
    low = np.where(labelled[..., None], keypoints, np.inf).min(axis=1)
    high = np.where(labelled[..., None], keypoints, -np.inf).max(axis=1)
    box = people.box_xyxy[rows]
    some = labelled.any(axis=1, keepdims=True)
    middle = np.where(some, low + high, box[:, :2] + box[:, 2:]) / 2
    middle = np.where(labelled[:, hips].all(axis=1, keepdims=True), keypoints[:, hips].mean(axis=1), middle)
    reach = np.where(labelled, np.abs(keypoints - middle[:, None]).max(axis=-1), 0).max(axis=1)
    reach = np.maximum(reach, (box[:, 2:] - box[:, :2]).max(axis=1) / 4)[:, None]
    return dataclasses.replace(
        people,
        image=people.image[rows],
        ids=people.ids[rows],
        box_xyxy=np.concatenate([middle - reach, middle + reach], axis=1),
        box_scores=people.box_scores[rows],
        keypoints=people.keypoints[rows],
        visibility=people.visibility[rows],
    )


def whole_images(people: People) -> People:
    """One row an image, its box the whole image: what a network that finds everyone is evaluated on."""
    count, K = len(people.image_ids), people.skeleton.num_joints
    size = people.image_sizes[:, ::-1].astype(np.float64)
    return dataclasses.replace(
        people,
        image=np.arange(count),
        ids=np.full(count, -1),
        box_xyxy=np.concatenate([np.zeros_like(size), size], axis=1),
        box_scores=np.ones(count),
        keypoints=np.zeros((count, K, 2)),
        visibility=np.zeros((count, K), np.int64),
        box_source="none: everyone in the image is searched for",
    )
