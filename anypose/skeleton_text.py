"""A person's own skeleton in YAML: names, parents, left and right.

name: mine
joints: [pelvis, left_hip, left_knee, right_hip, right_knee, neck]
parents: [null, pelvis, left_hip, pelvis, right_hip, pelvis]
left: [left_hip, left_knee]
right: [right_hip, right_knee]
root: pelvis            # what joints are measured from; if it is not said: hip, or the joint without a parent
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from anypose.plain_yaml import read_yaml, shown
from anypose.skeleton import SKELETONS, Skeleton

KEYS = ("name", "joints", "parents", "left", "right", "root")
MOST_JOINTS = 1000
# A word for a side at the head, between marks, or at the end of a name: l_hip, lhip, LeftHip, rig:RArm, hip.R.
SIDE = re.compile(
    r"(?:(?<=^)|(?<=[_ .:-]))"
    r"(?:([Ll]eft|[Rr]ight|LEFT|RIGHT)(?=[_ .A-Z-]|$)|[lLrR](?=[_ .-]|$|[A-Z][a-z])|[lr](?=[a-z]))"
)
OTHER = {"left": "right", "Left": "Right", "LEFT": "RIGHT", "l": "r", "L": "R"}


def skeleton_of(skeleton: str | Skeleton, where: str = "the skeleton") -> Skeleton:
    """The skeleton that is meant by a name of `anypose.skeletons`, or by a text as above.

    Raises:
        ValueError: with `where` and what is wrong.
    """
    if isinstance(skeleton, Skeleton):
        return skeleton
    if skeleton in SKELETONS:
        return SKELETONS[skeleton]
    if ":" not in skeleton:
        if skeleton.endswith((".yaml", ".yml")):
            raise ValueError(
                f"{where}: the file {skeleton[:200]} does not exist. It is to hold joints, parents, left and right of "
                "your own skeleton; dataset=custom takes it as dataset.skeleton=FILE."
            )
        raise ValueError(
            f"{where}: there is no skeleton '{skeleton[:80]}', and no YAML file of that name. There are "
            f"{', '.join(SKELETONS)}; one of your own is a YAML file with joints, parents, left and right, which "
            "dataset=custom takes as dataset.skeleton=FILE."
        )
    # Models get the text alone, before the dataset is read: people know it by the key that they typed.
    return parse_skeleton(skeleton, where if where.startswith("dataset.") else f"{where}, from dataset.skeleton")


def parse_skeleton(text: str, where: str) -> Skeleton:
    """The skeleton that the YAML `text` describes; `where` names it in errors."""
    held = read_yaml(text, where)
    if not isinstance(held, dict) or not {"joints", "parents"} <= set(held):
        found = ", ".join(map(str, held))[:80] if isinstance(held, dict) else type(held).__name__
        raise ValueError(f"{where} must have {', '.join(KEYS)} (joints and parents at least), found {found}.")
    if unknown := [str(key) for key in held if key not in KEYS]:
        raise ValueError(f"{where} has {', '.join(unknown)[:80]}; a skeleton has {', '.join(KEYS)}.")
    joints = _names(held["joints"], "joints", where)
    if not 2 <= len(joints) <= MOST_JOINTS or len(set(joints)) < len(joints):
        twice = sorted({name for name in joints if joints.count(name) > 1})
        raise ValueError(f"{where}: joints must be 2 to {MOST_JOINTS} different names, found {twice or len(joints)}.")
    parents = _parents(held["parents"], joints, where)
    left, right = (_names(held.get(side) or [], side, where) for side in ("left", "right"))
    unknown = [name for name in (*left, *right) if name not in joints]
    if unknown or len(left) != len(right) or len({*left, *right}) < len(left) + len(right):
        raise ValueError(
            f"{where}: left and right must name as many joints each, in the same order and none twice, found "
            f"left {', '.join(left)[:200] or 'none'}; right {', '.join(right)[:200] or 'none'}"
            f"{f'; {unknown[0]} is no joint' if unknown else ''}."
        )
    if apart := unpaired(joints, list(zip(left, right, strict=True))):
        raise ValueError(
            f"{where}: {' and '.join(apart[0])[:200]} sound like two sides, and left and right do not say so. Put them "
            "in the same place of both lists: in a mirror they change places."
        )
    name = str(held.get("name") or "own")
    if name in SKELETONS:
        raise ValueError(f"{where}: name '{name}' is one of this project's own skeletons. Choose another.")
    root = str(held.get("root") or ("hip" if "hip" in joints else joints[parents.index(-1)]))
    if root not in joints:
        raise ValueError(f"{where}: root '{root[:80]}' is no joint; joints are {', '.join(joints)[:200]}.")
    sides = [tuple(joints.index(joint) for joint in side) for side in (left, right)]
    return Skeleton(name, tuple(joints), parents, *sides, root_joint=root)


def unpaired(joints: Sequence[str], pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Names that differ by a side alone, (left, right), and are none of the `pairs`."""
    there = set(joints)
    sided = [(name, SIDE.sub(lambda found: OTHER.get(found[0], found[0]), name)) for name in joints]
    return [pair for pair in sided if pair[0] != pair[1] and pair[1] in there and pair not in pairs]


def _names(value: Any, key: str, where: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) and name.strip() for name in value):
        raise ValueError(f"{where}: {key} must be a list of names, found {shown(value)}.")
    return value


def _parents(value: Any, joints: list[str], where: str) -> tuple[int, ...]:
    """Index of each joint's parent, -1 for the one without, from a list beside `joints` or from {joint: parent}."""
    if isinstance(value, dict):
        if unknown := [str(name) for name in value if name not in joints]:
            raise ValueError(f"{where}: parents has {', '.join(unknown)[:80]}, which are no joints.")
        value = [value.get(name) for name in joints]
    if not isinstance(value, list) or len(value) != len(joints):
        found = f"{len(value)} of them" if isinstance(value, list) else type(value).__name__
        raise ValueError(f"{where}: parents must name one, or null, for each of {len(joints)} joints, found {found}.")
    unknown = [str(name) for name in value if name is not None and name not in joints]
    if unknown or value.count(None) != 1:
        found = f"{unknown[0]!r}" if unknown else f"{value.count(None)} joints without one"
        raise ValueError(f"{where}: parents must be joints, and null for exactly one, found {found}.")
    parents = tuple(-1 if name is None else joints.index(name) for name in value)
    for joint in range(len(joints)):
        at, steps = joint, 0
        while at >= 0:
            at, steps = parents[at], steps + 1
            if steps > len(joints):
                raise ValueError(f"{where}: parents go round in a circle at '{joints[joint]}'.")
    return parents
