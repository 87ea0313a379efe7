"""What the joints of an array are: the `Skeleton` record, mirroring, and conversion from one skeleton to another.

Joints are matched by name, never by position or by number, and a name means one place of the body in every
skeleton (`anypose.skeletons` has the tables):

    hip          middle between the two hip joints
    foot         the ankle, as Human3.6M names it; toes and heels have names of their own
    spine        half-way from hip to thorax
    shoulders    middle between the two shoulder joints
    thorax       base of the neck, some 5 cm above that
    upper_neck   where neck and skull meet
    neck         Human3.6M's "Neck/Nose": a point of the lower face, in front of the neck
    head         middle of the skull at the height of the ears
    head_top     the crown
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, TypeVar

import numpy as np
import torch

from anypose.skeletons import RIGS, TREES

Points = TypeVar("Points", np.ndarray, torch.Tensor)


@dataclass(frozen=True)
class Skeleton:
    """Names, tree and symmetry of the joints of an array (..., J, D).

    Attributes:
        name: e.g. "h36m_17".
        joints: a name for each of the J joints, unique.
        parents: index of each joint's parent; -1 for the one joint that has none.
        left: indices of the joints on the person's left.
        right: their counterparts on the right, in the same order.
        root_joint: what joints are measured from; not every skeleton has it.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    root_joint: str = "hip"

    @classmethod
    def parse(cls, name: str, tree: str) -> Skeleton:
        """Build from a table of `anypose.skeletons`; the prefixes left_ and right_ tell the sides.

        Args:
            name: of the skeleton.
            tree: its joints in order, a word each, "knee<hip" for one that hangs on another.
        """
        pairs = [word.partition("<")[::2] for word in tree.split()]
        joints = tuple(joint for joint, _ in pairs)
        index = {joint: i for i, joint in enumerate(joints)}
        left = tuple(i for i, joint in enumerate(joints) if joint.startswith("left_"))
        return cls(
            name,
            joints,
            parents=tuple(index[parent] if parent else -1 for _, parent in pairs),
            left=left,
            right=tuple(index[joints[i].replace("left_", "right_", 1)] for i in left),
        )

    @property
    def num_joints(self) -> int:
        """J."""
        return len(self.joints)

    @property
    def root(self) -> int | None:
        """Index of the root joint, or None where the skeleton has none."""
        return self._indices.get(self.root_joint)

    @cached_property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """(child, parent) of each of the L bones."""
        return tuple((child, parent) for child, parent in enumerate(self.parents) if parent >= 0)

    @cached_property
    def flip_index(self) -> tuple[int, ...]:
        """points[..., flip_index, :] has left and right exchanged."""
        swapped = list(range(self.num_joints))
        for left, right in zip(self.left, self.right, strict=True):
            swapped[left], swapped[right] = right, left
        return tuple(swapped)

    def index(self, joint: str) -> int:
        """Where `joint` is in an array of this skeleton.

        Raises:
            ValueError: for a joint that there is none of, with those that there are.
        """
        if joint not in self._indices:
            raise ValueError(f"Skeleton {self.name} has no joint '{joint}'. It has {', '.join(self.joints)}.")
        return self._indices[joint]

    @cached_property
    def _indices(self) -> dict[str, int]:
        return {joint: i for i, joint in enumerate(self.joints)}


SKELETONS = {name: Skeleton.parse(name, tree) for name, tree in TREES.items()}
H36M_32 = SKELETONS["h36m_32"]
H36M_17 = SKELETONS["h36m_17"]
H36M_16 = SKELETONS["h36m_16"]
H36M_14 = SKELETONS["h36m_14"]
SH_16 = SKELETONS["sh_16"]
SH_H36M_16 = SKELETONS["sh_h36m_16"]
MPII_16 = SKELETONS["mpii_16"]
COCO_17 = SKELETONS["coco_17"]
BODY_25 = SKELETONS["body_25"]
OPENPOSE_18 = SKELETONS["openpose_18"]
OPENPOSE_15 = SKELETONS["openpose_15"]
BODY_25B = SKELETONS["body_25b"]
HALPE_26 = SKELETONS["halpe_26"]
BLAZEPOSE_33 = SKELETONS["blazepose_33"]
COMMON_16 = SKELETONS["common_16"]
MPI_INF_3DHP_28 = SKELETONS["mpi_inf_3dhp_28"]
MPI_INF_3DHP_17 = SKELETONS["mpi_inf_3dhp_17"]
HUMANEVA_15 = SKELETONS["humaneva_15"]
CMU_21 = SKELETONS["cmu_21"]
ANNY_38 = Skeleton.parse("anny_38", RIGS["anny_38"])


def get_skeleton(name: str) -> Skeleton:
    """The skeleton called `name`.

    Raises:
        ValueError: for a name that there is none of, with the nearest that there are.
    """
    if name == ANNY_38.name:
        return ANNY_38
    if name not in SKELETONS:
        near = difflib.get_close_matches(str(name).lower(), SKELETONS, n=2)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise ValueError(f"There is no skeleton '{name}'.{hint} There are {', '.join(SKELETONS)}.")
    return SKELETONS[name]


def mirror(points: Points, skeleton: Skeleton) -> Points:
    """Turn a person into the mirror image: negate x and exchange left and right.

    Right for camera-frame joints and for screen coordinates, whose x is zero in the middle. Twice is the identity.

    Args:
        points: (..., J, D), numpy or torch; x is the first of the D.
        skeleton: what the J joints are.
    """
    _check_joints(points, skeleton)
    mirrored: Any = points[..., list(skeleton.flip_index), :]
    mirrored[..., 0] *= -1
    return mirrored


# How a joint follows from others: for each, the recipes to try in order, each {joint: weight} with weights of sum 1.
# A recipe may name a joint that itself has to be derived.
_DERIVED: dict[str, tuple[dict[str, float], ...]] = {
    "hip": ({"left_hip": 0.5, "right_hip": 0.5},),
    "shoulders": ({"left_shoulder": 0.5, "right_shoulder": 0.5},),
    # In Human3.6M's mean training pose the thorax is 1.14 times as far from the hip as the shoulders' middle is.
    "thorax": ({"shoulders": 1.14, "hip": -0.14},),
    # There the spine is 0.48 of the way from hip to thorax; in a CMU figure at rest the first recipe gives 0.49.
    "spine": ({"abdomen": 0.5, "chest": 0.5}, {"hip": 0.5, "thorax": 0.5}),
    "neck": (
        {"nose": 1.0},
        # CMU has eyes but no nose: as far from the base of the neck as the eyes are from the base of the skull.
        {"thorax": 1.0, "left_eye": 0.5, "right_eye": 0.5, "upper_neck": -1.0},
    ),
    "head": (
        {"left_ear": 0.5, "right_ear": 0.5},
        # Human3.6M's mean head is 15 cm over its thorax, and a detector's crown another 10 cm higher.
        {"thorax": 0.4, "head_top": 0.6},
        {"upper_neck": 1.0, "left_eye": 0.25, "right_eye": 0.25, "thorax": -0.5},
    ),
}


def convert(points: Points, source: Skeleton, target: Skeleton) -> Points:
    """Give the points of `source` the joints and the order of `target`.

    Joints that both have are copied bit for bit; hip, spine, thorax, neck and head are derived where
    that is defensible (`_DERIVED`). Left stays left.

    Args:
        points: (..., J, D) float, numpy or torch, J joints of `source`; any D: pixels, metres or (x, y, score).
        source: what the joints are.
        target: what they shall be.

    Returns:
        (..., J', D), the same type and dtype, never a view.

    Raises:
        ValueError: naming the joint of `target` that `source` has no way to.
    """
    _check_joints(points, source)
    if not (points.is_floating_point() if isinstance(points, torch.Tensor) else points.dtype.kind == "f"):
        raise ValueError(f"Points to convert must be floating point, got {points.dtype}.")
    recipes = _recipes(source, target)
    converted: Any = points[..., [next(iter(recipe)) for recipe in recipes], :]
    for j, recipe in enumerate(recipes):
        if len(recipe) > 1:
            converted[..., j, :] = sum(weight * points[..., i, :] for i, weight in recipe.items())
    return converted


def is_convertible(source: Skeleton, target: Skeleton) -> bool:
    """Whether `convert` has a way to every joint of `target`."""
    return all(_recipe(joint, source) is not None for joint in target.joints)


def convert_known(points: Points, source: Skeleton, target: Skeleton) -> tuple[Points, tuple[bool, ...]]:
    """As `convert`, for a target that need not be whole: what `source` has no way to is NaN.

    Returns:
        (..., J', D) points, and for each of the J' joints whether `source` gives it.

    Raises:
        ValueError: where `source` gives none of them.
    """
    _check_joints(points, source)
    found = [_recipe(joint, source) for joint in target.joints]
    known = tuple(recipe is not None for recipe in found)
    if not any(known):
        raise ValueError(
            f"{source.name} has no point of {target.name}: {', '.join(source.joints)} give none of "
            f"{', '.join(target.joints)}."
        )
    converted: Any = points[..., [next(iter(recipe)) if recipe else 0 for recipe in found], :]
    for j, recipe in enumerate(found):
        if recipe is None:
            converted[..., j, :] = float("nan")
        elif len(recipe) > 1:
            converted[..., j, :] = sum(weight * points[..., i, :] for i, weight in recipe.items())
    return converted, known


def derivable(source: Skeleton, target: Skeleton) -> tuple[str, ...]:
    """The joints of `target` that `source` has or gives, see `convert_known`."""
    return tuple(joint for joint in target.joints if _recipe(joint, source) is not None)


@lru_cache
def _recipes(source: Skeleton, target: Skeleton) -> tuple[dict[int, float], ...]:
    """For each joint of `target`: {index in `source`: weight}."""
    recipes = []
    for joint in target.joints:
        recipe = _recipe(joint, source)
        if recipe is None:
            raise ValueError(
                f"{source.name} cannot be converted to {target.name}: '{joint}' is neither in {source.name} "
                f"nor derivable from its joints ({', '.join(source.joints)})."
            )
        recipes.append(recipe)
    return tuple(recipes)


def _recipe(joint: str, source: Skeleton) -> dict[int, float] | None:
    if joint in source.joints:
        return {source.index(joint): 1.0}
    for rule in _DERIVED.get(joint, ()):
        recipe: dict[int, float] = {}
        for part, weight in rule.items():
            inner = _recipe(part, source)
            if inner is None:
                break
            for i, share in inner.items():
                recipe[i] = recipe.get(i, 0.0) + weight * share
        else:
            return recipe
    return None


def _check_joints(points: np.ndarray | torch.Tensor, skeleton: Skeleton) -> None:
    if points.ndim < 2 or points.shape[-2] != skeleton.num_joints:
        raise ValueError(
            f"Points of skeleton {skeleton.name} must have shape (..., {skeleton.num_joints}, D), "
            f"got {tuple(points.shape)}."
        )
