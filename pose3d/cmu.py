"""Facts of the Carnegie Mellon motion capture database: joints, actions, and what to cut away.

Its figures have hip joints 18 cm apart (26 in Human3.6M), nearer shoulders and no nose; what stands for Human3.6M's
neck and head is said at `THORAX_TO_NECK`. So errors are comparable within CMU, not with Human3.6M's.
"""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import numpy as np

from pose.skeleton import CMU_21, H36M_17, convert
from pose3d.bvh import Bvh, forward_kinematics
from pose3d.files import require_file

# cgspeed's "Daz-friendly" BVH: our name -> the file's.
BVH_JOINTS = {
    "hip": "hip",
    "abdomen": "abdomen",
    "chest": "chest",
    "thorax": "neck",
    "upper_neck": "head",
    **{
        f"{side}_{ours}": side[0] + theirs
        for side in ("left", "right")
        for ours, theirs in {
            "hip": "Thigh",
            "knee": "Shin",
            "foot": "Foot",
            "collar": "Collar",
            "shoulder": "Shldr",
            "elbow": "ForeArm",
            "wrist": "Hand",
        }.items()
    },
    "left_eye": "leftEye",
    "right_eye": "rightEye",
}

# What stands for neck and head in figures without a nose, hung as in Human3.6M: (left, up, forward) [cm] from the
# base of the neck to the neck, turning with the file's neck joint, and from the neck to the head, turning with its head
# joint. At rest that puts the neck in the lower face and the head 17 cm over the thorax, the eyes at 15.
THORAX_TO_NECK = (0.0, 8.6, 8.7)
NECK_TO_HEAD = (0.0, 8.0, -6.9)

# The rows of the table and the words of the index that put a take there; the first row that fits wins.
ACTIONS = {
    "Climbing": ("playground", "climb"),
    "Dancing": ("dance", "salsa", "ballet", "charleston"),
    "Basketball": ("basketball", "dribble"),
    "Soccer": ("soccer", "kick ball", "football"),
    "Fighting": ("punch", "sword", "strike", "boxing", "kick", "tai chi", "martial", "karate"),
    "Jumping": ("jump", "hop", "leap"),
    "Running": ("run", "jog"),
    "Walking": ("walk", "navigate", "stride", "march"),
    "Everyday": ("wash", "bend", "sit", "sweep", "drink", "eat", "talk", "phone", "wait", "pick up", "carry"),
    "Other": ("",),
}

TAKE = re.compile(r"(\d{2,3})_(\d{2,3})")
# The first frame of a converted take is a T-pose, the next three swing from it into the motion.
REST_FRAMES = 4


def read_index(path: str | Path) -> dict[str, str]:
    """{take: description} of the database's index: lines of `02_01  walk`, anything else is skipped."""
    text = require_file(path, "the CMU index, lines of '02_01  walk'", 16 << 20).read_text("utf-8", errors="replace")
    lines = (re.fullmatch(r"(\d{2,3}_\d{2,3})\s+(\S.*)", line.strip()) for line in text.splitlines())
    return {line[1]: line[2] for line in lines if line}


def action_of(description: str) -> str:
    """The row of `ACTIONS` a take's description falls into."""
    words = description.lower()
    return next(action for action, keys in ACTIONS.items() if any(key in words for key in keys))


def joints_of_bvh(bvh: Bvh) -> np.ndarray:
    """(T, 17, 3) float64 joints of `H36M_17` [m], z up, without the frames that lead in from the T-pose.

    The floor, z = 0, is put where the lower ankle or toe end is in the lowest percent of the frames: volumes were
    calibrated differently, and some takes lie a metre below the floor.
    """
    names = [BVH_JOINTS[joint] for joint in CMU_21.joints]
    toes = [name for name in ("lFoot end", "rFoot end") if name in bvh.joints]
    positions, rotations = forward_kinematics(bvh, names + toes)
    # The file's hip joint lies 2.6 cm below the hip joints' middle, which is what "hip" means here.
    positions[:, CMU_21.index("hip")] = positions[:, [CMU_21.index("left_hip"), CMU_21.index("right_hip")]].mean(1)
    joints = convert(positions[:, : len(names)], CMU_21, H36M_17)
    thorax, skull, neck, head = (
        CMU_21.index("thorax"),
        CMU_21.index("upper_neck"),
        H36M_17.index("neck"),
        H36M_17.index("head"),
    )
    joints[:, neck] = positions[:, thorax] + rotations[:, thorax] @ np.array(THORAX_TO_NECK)
    joints[:, head] = joints[:, neck] + rotations[:, skull] @ np.array(NECK_TO_HEAD)
    lowest = positions[REST_FRAMES:, ..., 1].min(1)
    joints = 0.01 * np.stack([joints[..., 0], -joints[..., 2], joints[..., 1]], -1)[REST_FRAMES:]
    if len(joints):
        joints[..., 2] -= 0.01 * np.percentile(lowest, 1)
    return joints


def whole_pieces(joints: np.ndarray, fps: float, max_speed: float, min_seconds: float) -> list[slice]:
    """The stretches of (T, J, 3) joints [m] in which no joint jumps.

    A joint faster than `max_speed` [m/s] is a capture or retargeting error (feet flip over at 60 m/s in CMU's dances;
    a hard kick is 12). The take is cut there, and pieces shorter than `min_seconds` are left out.
    """
    speed = np.linalg.norm(np.diff(joints, axis=0), axis=-1).max(-1) * fps
    cuts = [0, *(np.flatnonzero(speed > max_speed) + 1).tolist(), len(joints)]
    pieces = [slice(start, stop) for start, stop in pairwise(cuts)]
    return [piece for piece in pieces if piece.stop - piece.start >= max(min_seconds * fps, 1)]


def resample(joints: np.ndarray, fps: float, wanted_fps: float) -> np.ndarray:
    """(T, J, 3) at `fps` -> (T', J, 3) at `wanted_fps`, linear between frames; slower recordings stay as they are."""
    if fps <= wanted_fps:
        return joints
    times = np.arange(int((len(joints) - 1) * wanted_fps / fps) + 1) * (fps / wanted_fps)
    first = np.minimum(times.astype(int), max(len(joints) - 2, 0))
    weight = (times - first)[:, None, None]
    return joints[first] * (1 - weight) + joints[np.minimum(first + 1, len(joints) - 1)] * weight
