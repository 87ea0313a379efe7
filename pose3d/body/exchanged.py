"""Frames from which on somebody else is seen, or the same person with left and right exchanged."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from anypose.motion import stretches
from anypose.skeleton import H36M_17, Skeleton
from pose3d.body.seen import Seen, human, mean_of

FASTEST, FARTHER = 12.0, 0.3  # nobody runs so fast [m/s]; what is nearer may be a lifter's error [m]
FACING, AT_ONCE = -0.5, 0.1  # cosine of a turn by 120 degrees, which takes longer than this [s]
CONTINUES = 0.25  # of how far sided points jump where sides are exchanged, they move when they are put back
FACES = 0.1  # a nose that moves farther in the same frame, against head and trunk, faces about, too [m]
POSE_STEP = 0.12  # joints about their middle that move so far in a frame, on average [m] ...
QUIETER = 2.5  # ... and so many times as far as in any of the three frames before and after, are another pose
# Of two half seconds side by side, how much the logarithms of limbs' lengths differ on average, at least, and how many
# times as much as they scatter in each. In 18 takes lifted by `released_video`, one person each, 3.3 is the most.
OF_OTHERS, HALF, MORE = 0.02, 0.5, 4.0
LIMBS = (("hip", "knee"), ("knee", "foot"), ("shoulder", "elbow"), ("elbow", "wrist"))
BENT, MANY = 0.04, 10  # how far a bent knee lies off the line from hip to ankle [m], and how many must to tell a side
ACROSS = (("left_hip", "right_hip"), ("left_shoulder", "right_shoulder"), ("hip", "thorax"), ("thorax", "head"))


def jumps(seen: Seen) -> list[int]:
    """Frames at which somebody is suddenly elsewhere."""
    middle = mean_of(np.asarray(seen.joints))
    known = np.flatnonzero(np.isfinite(middle).all(-1))
    if len(known) < 2:
        return []
    far = np.linalg.norm(np.diff(middle[known], axis=0), axis=-1)
    return known[1:][(far > FASTEST * np.diff(seen.times[known])) & (far > FARTHER)].tolist()


def about_turns(seen: Seen) -> list[int]:
    """Frames at which the hips suddenly point the other way."""
    joints = human(seen)
    across = joints[:, H36M_17.index("left_hip")] - joints[:, H36M_17.index("right_hip")]
    across = across / np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-9)
    about = (across[1:] * across[:-1]).sum(-1) < FACING
    return (1 + np.flatnonzero(about & (np.diff(seen.times) < AT_ONCE))).tolist()


def other_poses(seen: Seen) -> list[int]:
    """Frames at which the pose is suddenly another one, before and after which it moves much less."""
    joints = np.asarray(seen.joints)
    about = joints - mean_of(joints)[:, None]
    step = np.nan_to_num(mean_of(np.linalg.norm(np.diff(about, axis=0), axis=-1)[..., None])[:, 0])
    if len(step) < 3:
        return []
    beside = sliding_window_view(np.pad(step, 3), 7)[:, [0, 1, 2, 4, 5, 6]].max(-1)
    return (1 + np.flatnonzero((step > POSE_STEP) & (step > QUIETER * beside))).tolist()


def other_proportions(seen: Seen) -> list[tuple[int, float]]:
    """Frames from which on limbs have other lengths, and by how much: the mean of ratios' logarithms."""
    joints = human(seen)
    if len(joints) < 4:
        return []
    each = max(3, round(HALF / float(np.median(np.diff(seen.times)))))
    if len(joints) < 2 * each:
        return []
    windows = sliding_window_view(np.log(limb_lengths(joints)), each, axis=0)
    there = np.asarray(np.isfinite(windows).all((1, 2)))
    middle, scatter = np.median(windows, axis=-1), np.maximum(windows.std(-1), OF_OTHERS / 8)
    apart = middle[each:] - middle[:-each]
    usual = np.sqrt((scatter[each:] ** 2 + scatter[:-each] ** 2) / 2)
    size, times = np.sqrt((apart**2).mean(-1)), np.sqrt((apart**2 / usual**2).mean(-1))
    other = np.asarray(there[each:] & there[:-each] & (size > OF_OTHERS) & (times > MORE))
    found = [start + int(np.argmax(times[start:end])) for start, end in stretches(other)]
    return [(each + at, float(size[at])) for at in found]


def limb_lengths(joints: np.ndarray) -> np.ndarray:
    """(T, 8) of joints (T, 17, 3), both sides' limbs as one [m]."""

    def length(start: str, end: str) -> np.ndarray:
        apart = joints[:, H36M_17.index(start)] - joints[:, H36M_17.index(end)]
        return np.asarray(np.maximum(np.linalg.norm(apart, axis=-1), 1e-3))

    sided = [(length(f"left_{a}", f"left_{b}") + length(f"right_{a}", f"right_{b}")) / 2 for a, b in LIMBS]
    return np.stack([*sided, *(length(*ends) for ends in ACROSS)], axis=-1)


def knees_bend_backwards(joints: np.ndarray) -> bool:
    """Whether the bent knees of (T, 17, 3) joints mostly lie behind the line from hip to ankle."""
    at = dict(zip(H36M_17.joints, np.moveaxis(joints, 1, 0), strict=True))
    ahead = np.cross(at["left_hip"] - at["right_hip"], at["thorax"] - at["hip"])
    ahead = ahead / np.maximum(np.linalg.norm(ahead, axis=-1, keepdims=True), 1e-9)
    off = np.stack([at[f"{s}_knee"] - (at[f"{s}_hip"] + at[f"{s}_foot"]) / 2 for s in ("left", "right")], axis=1)
    forward = (off * ahead[:, None]).sum(-1)
    bent = forward[np.linalg.norm(off, axis=-1) > BENT]
    bent = bent[np.abs(np.nan_to_num(bent)) > BENT / 2]
    return len(bent) >= MANY and float((bent < 0).mean()) > 0.8


def put_back(seen: Seen) -> tuple[Seen, np.ndarray]:
    """What is seen with its sides as they go on over time, and (T,) in which frames they were exchanged.

    Where the hips face about within a frame, the face does not, and all sided points go on when left and right are
    exchanged, they were. Most frames are right; of two halves that whose knees bend forwards.
    """
    assert seen.skeleton is not None
    exchanged = np.zeros(len(seen), bool)
    for start in about_turns(seen):
        goes_on = goes_on_exchanged(np.asarray(seen.joints), seen.skeleton, start) < CONTINUES
        if goes_on and middle_moves(human(seen), start) < FACES:
            exchanged[start:] = ~exchanged[start:]
    if not exchanged.any():
        return seen, exchanged
    readings = [exchanged, ~exchanged] if exchanged.mean() <= 0.5 else [~exchanged, exchanged]
    for frames in readings:
        turned = with_sides_exchanged(seen, frames)
        if not knees_bend_backwards(human(turned)):
            return turned, frames
    return with_sides_exchanged(seen, readings[0]), readings[0]


def goes_on_exchanged(points: np.ndarray, skeleton: Skeleton, at: int) -> float:
    """How far sided points (T, J, D) move at a frame when they are exchanged there, as a share of what they move."""
    sided, turned = [*skeleton.left, *skeleton.right], [*skeleton.right, *skeleton.left]
    before = points[at - 1, sided]
    moved, moved_turned = (np.linalg.norm(points[at, rows] - before, axis=-1) for rows in (sided, turned))
    known = np.isfinite(moved) & np.isfinite(moved_turned)
    return float(moved_turned[known].sum() / max(float(moved[known].sum()), 1e-9)) if known.any() else 1.0


def middle_moves(joints: np.ndarray, at: int) -> float:
    """How far one of the joints in the middle (T, 17, 3) moves at a frame against the others [m]."""
    sided = {*H36M_17.left, *H36M_17.right}
    middle = joints[at - 1 : at + 1, [row for row in range(H36M_17.num_joints) if row not in sided]]
    moved = np.linalg.norm(np.diff(middle - mean_of(middle)[:, None], axis=0), axis=-1)
    return float(np.nan_to_num(moved).max())


def with_sides_exchanged(seen: Seen, frames: np.ndarray) -> Seen:
    """What is seen with left and right exchanged in some frames; keypoints only if they, too, go on so."""
    assert seen.skeleton is not None
    flip = list(seen.skeleton.flip_index)
    joints = np.asarray(seen.joints)
    parts = {"joints": np.where(frames[:, None, None], joints[:, flip], joints)}
    if seen.hypotheses is not None:
        parts["hypotheses"] = np.where(frames[:, None, None, None], seen.hypotheses[:, :, flip], seen.hypotheses)
    if seen.contacts is not None:
        parts["contacts"] = np.where(frames[:, None], seen.contacts[:, ::-1], seen.contacts)
    if seen.directions is not None:
        others = [other_side(limb) for limb in seen.limbs]
        rows = [seen.limbs.index(limb) if limb in seen.limbs else -1 for limb in others]
        padded = np.concatenate([seen.directions, np.full_like(seen.directions[:, :1], np.nan)], axis=1)
        parts["directions"] = np.where(frames[:, None, None], padded[:, rows], seen.directions)
    if seen.keypoints is not None and seen.keypoint_skeleton is not None:
        starts = (1 + np.flatnonzero(np.diff(frames))).tolist()
        places, layout = seen.keypoints[..., :2], seen.keypoint_skeleton
        if np.mean([goes_on_exchanged(places, layout, start) for start in starts]) < 1:
            turned = seen.keypoints[:, list(layout.flip_index)]
            parts["keypoints"] = np.where(frames[:, None, None], turned, seen.keypoints)
    return replace(seen, **parts)


def other_side(limb: tuple[str, str]) -> tuple[str, str]:
    """The limb of the other side; one in the middle is its own."""
    swapped = {"left_": "right_", "right_": "left_"}
    start, end = (re.sub("^(left|right)_", lambda side: swapped[side[0]], name) for name in limb)
    return start, end
