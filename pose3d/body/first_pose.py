"""How bones are turned in a pose that is given as joints: where a fit begins, and how motion gets another body.

Pelvis, chest and head are turned as their joints lie. A thigh or an upper arm points to its hinge and turns about
itself as the hinge's bend shows; where the limb is straight, as the trunk would carry it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from anypose.skeleton import H36M_17
from pose3d.body.keypoint_body import KeypointBody, Shape
from pose3d.body.points import points_of

FAINT, CLEAR = 0.1, 0.4  # sines of the bend between which a hinge begins to tell the twist, and tells it alone
LIMBS = (
    ("{}Arm", "{}ForeArm", "{}_shoulder", "{}_elbow", "{}_wrist", "Spine1"),
    ("{}UpLeg", "{}Leg", "{}_hip", "{}_knee", "{}_foot", "Hips"),
)


class Poser:
    """Turns joints of Human3.6M's layout into turns of the bones of `body`, which shares the rig."""

    def __init__(self, body: KeypointBody) -> None:
        self.body = body
        self.human = KeypointBody(points_of(H36M_17), body.anny)

    def rest(self, words: np.ndarray) -> tuple[Shape, np.ndarray]:
        """The person of `words` and their (17, 3) joints at rest [m]."""
        shape = self.human.shape(words)
        turns = np.tile(np.eye(3), (1, len(self.body.bones), 1, 1))
        return shape, self.human.pose(shape, turns, shape.heads[:1])[0]

    def __call__(self, joints: np.ndarray, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Turns (T, F, 3, 3) and root (T, 3), as `KeypointBody.place` takes them.

        Args:
            joints: (T, 17, 3) in any axes [m]; a bone whose joints are NaN goes with the one before it.
            words: (6,) of the person.
        """
        shape, rest = self.rest(words)
        joints = np.asarray(joints, dtype=np.float64)
        turns = world_turns(joints, rest[None], self.body.bones)
        above = self.body.parents
        relative = turns.copy()
        relative[:, 1:] = np.swapaxes(turns[:, above[1:]], -1, -2) @ turns[:, 1:]
        middle = (rest[H36M_17.index("left_hip")] + rest[H36M_17.index("right_hip")]) / 2 - shape.heads[0]
        hips = (joints[:, H36M_17.index("left_hip")] + joints[:, H36M_17.index("right_hip")]) / 2
        return relative, hips - turns[:, 0] @ middle


def world_turns(joints: np.ndarray, rest: np.ndarray, bones: Sequence[str]) -> np.ndarray:
    """(N, F, 3, 3) how bones are turned in the world, of bodies that are posed as joints lie.

    Args:
        joints: (N, 17, 3) of Human3.6M's layout in any axes [m]; a bone whose joints are NaN goes with the one before.
        rest: (N, 17, 3) of each body at rest, or (1, 17, 3) of the one body [m].
        bones: names of the F.
    """
    seen, still = _named(joints), _named(rest)
    world = {"Hips": _turn(_trunk(seen, "hip"), _trunk(still, "hip"), None)}
    world["Spine1"] = _turn(_trunk(seen, "shoulder"), _trunk(still, "shoulder"), world["Hips"])
    world["LowerBack"] = _between(world["Hips"], world["Spine1"])
    world["Head"] = _turn(_head(seen), _head(still), world["Spine1"])
    world["Neck"] = _between(world["Spine1"], world["Head"])
    for side, low in (("Left", "left"), ("Right", "right")):
        world[f"{side}Shoulder"] = world["Spine1"]
        for upper, lower, *names, above in LIMBS:
            a, b, c = (name.format(low) for name in names)
            turns = _limb(seen, still, a, b, c, world[above])
            world[upper.format(side)], world[lower.format(side)] = turns
        world[f"{side}Hand"], world[f"{side}Foot"] = world[f"{side}ForeArm"], world[f"{side}Leg"]
    return np.stack([world[bone] for bone in bones], axis=1)


def _named(joints: np.ndarray) -> dict[str, np.ndarray]:
    return {name: joints[:, row] for row, name in enumerate(H36M_17.joints)}


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Of length 1, NaN where there is none."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(length > 1e-6, length, np.nan)


def _frame(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(T, 3, 3) columns: `first`, the part of `second` across it, their product."""
    first = _unit(first)
    second = _unit(second - (second * first).sum(-1, keepdims=True) * first)
    return np.stack([first, second, np.cross(first, second)], axis=-1)


def _trunk(joints: dict[str, np.ndarray], kind: str) -> np.ndarray:
    return _frame(joints[f"left_{kind}"] - joints[f"right_{kind}"], joints["thorax"] - joints["hip"])


def _head(joints: dict[str, np.ndarray]) -> np.ndarray:
    up = joints["head"] - joints["thorax"]
    return _frame(up, joints["neck"] - joints["head"])


def _turn(seen: np.ndarray, still: np.ndarray, instead: np.ndarray | None) -> np.ndarray:
    """(T, 3, 3) from the frame at rest to the one that is seen; unknown ones are those of `instead`, or none."""
    turn = seen @ np.swapaxes(still, -1, -2)
    known = np.isfinite(turn).all((-2, -1), keepdims=True)
    return np.where(known, turn, np.eye(3) if instead is None else instead)


def _between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Half the way from the turn `a` to `b`."""
    step = Rotation.from_matrix(np.swapaxes(a, -1, -2) @ b).as_rotvec()
    return a @ Rotation.from_rotvec(step / 2).as_matrix()


def _limb(
    seen: dict[str, np.ndarray], still: dict[str, np.ndarray], a: str, b: str, c: str, above: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Turns of both bones of a limb of joints a, b, c that hangs from a bone turned by `above`."""
    rest_upper, rest_lower = _unit(still[b] - still[a]), _unit(still[c] - still[b])
    rest_hinge = _unit(np.cross(rest_upper, rest_lower))
    upper, lower = _unit(seen[b] - seen[a]), _unit(seen[c] - seen[b])
    # The hinge as the trunk would carry it: turned with the trunk, then the shortest way with the bone.
    start = (above @ rest_upper[..., None])[..., 0], (above @ rest_hinge[..., None])[..., 0]
    between = 1 + (start[0] * upper).sum(-1, keepdims=True)
    carried = start[1] - (start[1] * upper).sum(-1, keepdims=True) / np.maximum(between, 1e-3) * (start[0] + upper)
    bend = np.cross(upper, lower)
    share = np.clip((np.linalg.norm(bend, axis=-1, keepdims=True) - FAINT) / (CLEAR - FAINT), 0, 1)
    hinge = np.where(np.isfinite(bend), share * np.nan_to_num(_unit(bend)) + (1 - share) * carried, carried)
    first = _turn(_frame(upper, hinge), _frame(rest_upper, rest_hinge), above)
    return first, _turn(_frame(lower, hinge), _frame(rest_lower, rest_hinge), first)
