"""From joints to bones that turn: a rest pose of constant lengths, and how each bone is turned against it.

Two joints say where a bone points, not how it is turned about itself. That twist is settled by neighbours: the pelvis
by both hips, the trunk by the shoulders, thigh and shank by the knee's axis, upper arm and forearm by the elbow's. As a
knee straightens its axis fades, and the twist is carried over from the bone before by the shortest turn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from anypose.skeleton import Skeleton

# The rest pose in world axes: the person faces -y, left is +x, up is +z, arms straight out. For the left and the
# middle; the right is its mirror image. A joint that is not here continues the bone before it.
REST = {
    "hip": (0.0, 0.0, 1.0),
    "left_hip": (1.0, 0.0, 0.0),
    "left_knee": (0.0, 0.0, -1.0),
    "left_foot": (0.0, 0.0, -1.0),
    "left_toe": (0.0, -0.95, -0.31),
    "left_big_toe": (0.0, -0.95, -0.31),
    "left_small_toe": (0.37, -0.88, -0.29),
    "left_heel": (0.0, 0.5, -0.87),
    "spine": (0.0, 0.0, 1.0),
    "neck": (0.0, -0.5, 0.87),
    "nose": (0.0, -0.6, 0.8),
    "left_eye": (0.25, -0.6, 0.75),
    "left_ear": (0.5, 0.0, 0.87),
    "head": (0.0, 0.0, 1.0),
    "left_collar": (0.5, 0.0, 0.87),
    "left_shoulder": (1.0, 0.0, 0.0),
    "left_elbow": (1.0, 0.0, 0.0),
    "left_thumb": (0.7, -0.7, 0.0),
}
LATERAL, UP = np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])
# A neighbour settles the twist alone once it stands this far across the bone (sine of the angle), not at all below
# the first: knees and elbows bend by 9 and 27 degrees there.
FAINT, CLEAR = 0.15, 0.45
# How fast a limb's twist follows its hinge [s] and at most [rad/s], and how far a knee may turn out or in [rad].
TWIST_SECONDS, TWIST_SPEED, KNEE_TWIST = 0.05, 12.0, 2.0


def rest_directions(skeleton: Skeleton) -> np.ndarray:
    """(J, 3) unit vectors: where each joint lies from its parent at rest, world axes; the root's is up."""
    directions = np.zeros((skeleton.num_joints, 3))
    for joint in parents_first(skeleton):
        name, parent = skeleton.joints[joint], skeleton.parents[joint]
        mirrored = name.startswith("right_")
        direction = REST.get("left_" + name.removeprefix("right_") if mirrored else name)
        if direction is None:
            directions[joint] = directions[parent] if parent >= 0 else UP
        else:
            directions[joint] = np.array(direction) * ([-1, 1, 1] if mirrored else [1, 1, 1])
    return directions / np.linalg.norm(directions, axis=-1, keepdims=True)


def turn_bones(joints: np.ndarray, times: np.ndarray, skeleton: Skeleton, twists: Twists) -> np.ndarray:
    """Turns of the bones that end in each joint against the rest pose; the root's is the pelvis's.

    Args:
        joints: (T, P, J, 3) in the world, z up [m]. A bone of which one end is NaN goes on as the bone before it; all
            are NaN where the root is.
        times: (T,) [s].
        skeleton: what they are; it must hang from the hip and have both hip joints.
        twists: of the limbs before the first of these frames; changed to those after the last.

    Returns:
        (T, P, J, 3, 3) float64.
    """
    root = root_of(skeleton)
    rest = rest_directions(skeleton)
    points = np.asarray(joints, dtype=np.float64)
    parents = np.array(skeleton.parents)
    bones = _unit(points - points[..., np.where(parents < 0, root, parents), :])
    trunk = [joint for joint in _children(skeleton, root) if rest[joint] @ UP > 0.9]
    up = bones[..., trunk[0], :] if trunk else np.broadcast_to(UP, bones[..., 0, :].shape)
    hips = _unit(points[..., skeleton.index("left_hip"), :] - points[..., skeleton.index("right_hip"), :])
    shoulders = hips
    if {"left_shoulder", "right_shoulder"} <= set(skeleton.joints):
        left, right = skeleton.index("left_shoulder"), skeleton.index("right_shoulder")
        across = _unit(points[..., left, :] - points[..., right, :])
        shoulders = np.where(np.isfinite(across), across, hips)
    hinges = hinges_of(skeleton)

    turns = np.empty((*points.shape, 3))
    turns[..., root, :, :] = _frames(hips, up, UP) @ _frames(LATERAL, UP, UP).T
    for joint in parents_first(skeleton):
        if joint == root:
            continue
        before, direction, bone = turns[..., parents[joint], :, :], rest[joint], bones[..., joint, :]
        sideways = abs(direction @ LATERAL) > 0.8  # from the middle to a hip or a shoulder
        axis = hinges[joint][1] if joint in hinges else UP if sideways else LATERAL
        # The axis as the bone before would carry it: turned with that bone, then the shortest way with this one.
        twist = carried = _swing(before @ direction, bone, before @ _across(axis, direction))
        if joint in hinges:
            seen, over = _cross(bone, bones[..., hinges[joint][0], :]), _cross(bone, carried)
            cos, sin = (seen * carried).sum(-1), (seen * over).sum(-1)
            angle = twists.follow(list(hinges).index(joint), cos, sin, times, knee=axis is LATERAL)[..., None]
            twist = np.cos(angle) * carried + np.sin(angle) * over
        elif not _in_limb(joint, skeleton):
            line = hips if parents[joint] == root else shoulders
            seen = before @ UP if axis is UP else line
            seen = seen - (seen * bone).sum(-1, keepdims=True) * bone
            clear = _clear(np.linalg.norm(seen, axis=-1, keepdims=True))
            twist = clear * np.nan_to_num(_unit(seen)) + (1 - clear) * carried
        turned = _frames(bone, twist, carried) @ _frames(direction, axis, _across(axis, direction)).T
        turns[..., joint, :, :] = np.where(np.isfinite(turned).all((-2, -1), keepdims=True), turned, before)
    return turns


@dataclass(eq=False)
class Twists:
    """How far thighs and upper arms are turned about themselves, away from how the trunk would carry them.

    A bent knee or elbow shows it, a straight one does not and keeps what it had: the twist follows what is seen, the
    faster the clearer the bend, and never faster than a limb turns.

    Attributes:
        angles: (P, limbs) the last [rad], NaN before the person was seen.
        time: of the last frame [s].
    """

    angles: np.ndarray
    time: float

    def follow(self, limb: int, cos: np.ndarray, sin: np.ndarray, times: np.ndarray, knee: bool) -> np.ndarray:
        """(T, P) twists [rad] where the bend shows (T, P) `cos` and `sin`, together as long as the sine of the bend."""
        seen, clear = np.arctan2(sin, cos), _clear(np.hypot(sin, cos))
        if knee:  # Nobody's knee looks backwards: such a bend is an overstretched knee.
            clear = np.where(np.abs(seen) > KNEE_TWIST, 0, clear)
        steps = np.diff(times, prepend=max(self.time, times[0] - 1))
        gains = clear * (1 - np.exp(-steps / TWIST_SECONDS))[:, None]
        limits = (TWIST_SPEED * steps).tolist()
        known = np.isfinite(seen)
        shown, gains = np.where(known, seen, 0), np.where(known, gains, 0)
        angles = np.zeros_like(seen)
        for p in range(seen.shape[1]):
            start, angle = 0, float(self.angles[p, limb])
            if math.isnan(angle):
                if not known[:, p].any():
                    continue
                start = int(known[:, p].argmax())
                angle = float(seen[start, p]) if clear[start, p] > 0 else 0.0
            followed = []
            columns = (shown[start:, p].tolist(), gains[start:, p].tolist(), limits[start:])
            for show, gain, limit in zip(*columns, strict=True):  # floats: ten times as quick as small arrays
                turn = gain * ((show - angle + math.pi) % (2 * math.pi) - math.pi)
                angle += limit if turn > limit else -limit if turn < -limit else turn
                followed.append(angle)
            angles[start:, p] = followed
            self.angles[p, limb] = angle
        return angles


def _clear(sine: np.ndarray) -> np.ndarray:
    """0..1, how far a neighbour settles the twist that stands across the bone with this sine; 0 for NaN."""
    share = np.clip((sine - FAINT) / (CLEAR - FAINT), 0, 1)
    return np.nan_to_num(share * share * (3 - 2 * share))


def hinges_of(skeleton: Skeleton) -> dict[int, tuple[int, np.ndarray]]:
    """Of thighs and upper arms: the bone after the hinge, and the hinge's axis at rest.

    A knee bends backwards about the lateral axis, an elbow of outstretched arms forwards about the vertical one.
    """
    hinges = {}
    for side, upwards in (("left", -UP), ("right", UP)):
        for middle, end, axis in (("knee", "foot", LATERAL), ("elbow", "wrist", upwards)):
            upper, lower = f"{side}_{middle}", f"{side}_{end}"
            if {upper, lower} <= set(skeleton.joints):
                hinges[skeleton.index(upper)] = skeleton.index(lower), axis
    return hinges


def _in_limb(joint: int, skeleton: Skeleton) -> bool:
    """Whether the bone hangs from a knee or an elbow, which carry it."""
    return any(_descends(joint, hinge, skeleton) for hinge in hinges_of(skeleton))


def root_of(skeleton: Skeleton) -> int:
    """Index of the hip that the skeleton hangs from."""
    if skeleton.root is None or skeleton.parents[skeleton.root] >= 0 or "left_hip" not in skeleton.joints:
        raise ValueError(
            f"Bones can turn only in a skeleton that hangs from the hip, and {skeleton.name} does not: "
            "convert the joints first, to h36m_17 for example."
        )
    return skeleton.root


def _children(skeleton: Skeleton, joint: int) -> list[int]:
    return [child for child, parent in skeleton.bones if parent == joint]


def _descends(joint: int, above: int, skeleton: Skeleton) -> bool:
    while joint >= 0 and joint != above:
        joint = skeleton.parents[joint]
    return joint == above


def parents_first(skeleton: Skeleton) -> list[int]:
    """All joints, each after the one that it hangs from."""
    order = [j for j, parent in enumerate(skeleton.parents) if parent < 0]
    for joint in order:
        order.extend(_children(skeleton, joint))
    return order


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Unit vectors; NaN where there is no length."""
    length = np.sqrt((vectors * vectors).sum(-1, keepdims=True))
    return vectors / np.where(length > 1e-9, length, np.nan)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(..., 3) products; np.cross spends most of its time on arguments."""
    x = a[..., 1] * b[..., 2] - a[..., 2] * b[..., 1]
    y = a[..., 2] * b[..., 0] - a[..., 0] * b[..., 2]
    z = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return np.stack([x, y, z], -1)


def _across(axis: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """The part of `axis` at right angles to `direction` (both constant), unit."""
    return _unit(axis - (axis @ direction) * direction)


def _frames(first: np.ndarray, second: np.ndarray, instead: np.ndarray) -> np.ndarray:
    """(..., 3, 3) columns: `first`, the part of `second` across it or else that of `instead`, their product."""
    second = np.where(np.isfinite(second), second, instead)
    across = second - (second * first).sum(-1, keepdims=True) * first
    length = np.linalg.norm(across, axis=-1, keepdims=True)
    other = instead - (instead * first).sum(-1, keepdims=True) * first
    across = _unit(np.where(length > 1e-6, across, other))
    return np.stack([first, across, _cross(first, across)], -1)


def _swing(start: np.ndarray, end: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """`vector`, at right angles to `start`, turned the shortest way that takes `start` to `end`; all (N, 3), unit."""
    # Rodrigues for the half turn between the two; opposite ones turn about `vector` itself.
    between = 1 + (start * end).sum(-1, keepdims=True)
    turned = vector - (vector * end).sum(-1, keepdims=True) / np.maximum(between, 1e-9) * (start + end)
    return np.where(between > 1e-6, turned, vector)
