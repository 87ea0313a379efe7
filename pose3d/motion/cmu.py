"""Facts of the Carnegie Mellon motion capture database: joints, actions, and what to cut away.

Its figures have hip joints 15 to 18 cm apart (26 in Human3.6M), other shoulders and no nose; what stands for
Human3.6M's neck and head is said at `THORAX_TO_NECK`. So errors are comparable within CMU, not with Human3.6M's.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from anypose.formats.amc import bone_ends
from anypose.formats.asf import Asf
from anypose.formats.bvh import Bvh, forward_kinematics
from anypose.formats.files import require_file
from anypose.skeleton import H36M_17
from pose3d.motion.units import METRES, metres_per_unit
from pose3d.motion.upright import from_z_up

# What stands for neck and head in figures without a nose, hung as in Human3.6M: (left, up, forward) [m] from the base
# of the neck to the neck, turning with the file's neck, and from the neck to the head, turning with its head. At rest
# that puts the neck in the lower face and the head 17 cm over the thorax; the eyes of the Daz figure lie at 15.
THORAX_TO_NECK = (0.0, 0.086, 0.087)
NECK_TO_HEAD = (0.0, 0.080, -0.069)


@dataclass(frozen=True)
class Figure:
    """How one form of the database names its points.

    Attributes:
        points: for Human3.6M's joints except neck and head, the file's whose middle they are.
        neck: what the neck turns with.
        head: what the head turns with.
        toes: what may touch the floor besides the ankles; need not be there.
    """

    points: dict[str, tuple[str, ...]]
    neck: str
    head: str
    toes: tuple[str, ...]


def _points(
    middle: dict[str, tuple[str, ...]], limbs: dict[str, str], sides: tuple[str, str]
) -> dict[str, tuple[str, ...]]:
    """`middle`, and the limbs' names with what stands for left and right put in front; the hip is between the hips."""
    points = {
        f"{side}_{joint}": (mark + name,)
        for side, mark in zip(("left", "right"), sides, strict=True)
        for joint, name in limbs.items()
    }
    return {**points, **middle, "hip": points["left_hip"] + points["right_hip"]}


# cgspeed's "Daz-friendly" BVH.
DAZ = Figure(
    points=_points(
        {"spine": ("abdomen", "chest"), "thorax": ("neck",)},
        {"hip": "Thigh", "knee": "Shin", "foot": "Foot", "shoulder": "Shldr", "elbow": "ForeArm", "wrist": "Hand"},
        ("l", "r"),
    ),
    neck="neck",
    head="head",
    toes=("lFoot end", "rFoot end"),
)
# The database's own bones, each named for its end.
ACCLAIM = Figure(
    points=_points(
        {"spine": ("lowerback", "upperback"), "thorax": ("lowerneck",)},
        {
            "hip": "hipjoint",
            "knee": "femur",
            "foot": "tibia",
            "shoulder": "clavicle",
            "elbow": "humerus",
            "wrist": "radius",
        },
        ("l", "r"),
    ),
    neck="upperneck",
    head="head",
    toes=("ltoes", "rtoes"),
)

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


def joints_of_bvh(bvh: Bvh, unit: str | None = None, where: str = "this BVH", z_up: bool = False) -> np.ndarray:
    """(T, 17, 3) float64 joints of `H36M_17` [m], z up, without the frames that lead in from the T-pose.

    Args:
        bvh: the take. The conversion is in centimetres, but programs save it again in what they like.
        unit: of its lengths, see `units.METRES`; None for the one that makes a person.
        where: the file, for errors.
        z_up: the file's world has z up, not y as the conversion's.
    """
    names = _names(DAZ, bvh.joints, where)
    turning = np.array([channel.endswith("rotation") for channels in bvh.channels for channel in channels])
    _check_turns(bvh.values[REST_FRAMES:, turning], where, "Write it in degrees")
    positions, turns = forward_kinematics(bvh, names)
    if z_up:
        positions, turns = from_z_up(positions, turns, _at_rest(DAZ.neck, bvh.joints, bvh.parents, bvh.offsets))
    metres = metres_per_unit(_limbs(DAZ, names, positions), H36M_17, unit, where, METRES)
    return _joints(DAZ, names, metres * positions[REST_FRAMES:], turns[REST_FRAMES:])


def joints_of_amc(
    asf: Asf, values: np.ndarray, unit: str | None = None, where: str = "this AMC", z_up: bool = False
) -> np.ndarray:
    """(T, 17, 3) float64 joints of `H36M_17` [m], z up; there is no T-pose in .amc files.

    Args:
        asf: the skeleton, which says its unit; a person must come out.
        values: of `read_amc`.
        unit: given where `dataset.unit` said it.
        where: the file, for errors.
        z_up: the file's world has z up, not y as the database's.
    """
    names = _names(ACCLAIM, asf.bones, where)
    turning = np.array([dof[0] == "r" for dofs in asf.dofs for dof in dofs])
    _check_turns(values[:, turning], where, "Write :RADIANS at its head")
    positions, turns = bone_ends(asf, values, names)
    if z_up:
        positions, turns = from_z_up(positions, turns, _at_rest(ACCLAIM.neck, asf.bones, asf.parents, asf.offsets))
    # Lengths are in metres already; a unit that was stated is only doubted.
    limbs = _limbs(ACCLAIM, names, positions)
    metres_per_unit(limbs / METRES[unit or "m"], H36M_17, unit, where, {"its skeleton's length": 1.0}, fine=True)
    return _joints(ACCLAIM, names, positions, turns)


def _names(figure: Figure, there: tuple[str, ...], where: str) -> list[str]:
    names = [name for points in figure.points.values() for name in points] + [figure.neck, figure.head]
    if missing := [name for name in dict.fromkeys(names) if name not in there]:
        raise ValueError(
            f"{where} has no joint {', '.join(missing[:8])}; it has {', '.join(there[:20])}. dataset=cmu reads CMU's "
            "own figures alone (cgspeed's Daz-friendly BVH, or ASF and AMC)."
        )
    return list(dict.fromkeys(names + [toe for toe in figure.toes if toe in there]))


def _check_turns(degrees: np.ndarray, where: str, hint: str) -> None:
    """Refuse angles of which none goes beyond what radians do."""
    if 0 < (farthest := float(np.abs(degrees).max(initial=0.0))) <= 2 * math.pi:
        raise ValueError(
            f"{where}: nothing in it turns farther than {farthest:.2g} of what should be degrees, and nobody stands so "
            f"stiff. Radians? {hint}."
        )


def _at_rest(name: str, names: tuple[str, ...], parents: tuple[int, ...], offsets: np.ndarray) -> np.ndarray:
    """(3,) from the root to a joint in the rest pose, in the file's unit."""
    index, place = names.index(name), np.zeros(3)
    while parents[index] >= 0:
        place, index = place + offsets[index], parents[index]
    return place


def _limbs(figure: Figure, names: list[str], positions: np.ndarray) -> np.ndarray:
    """(T, 17, 3) of the named points (T, N, 3), without neck and head."""
    joints = np.zeros((len(positions), H36M_17.num_joints, 3))
    for joint, points in figure.points.items():
        joints[:, H36M_17.index(joint)] = positions[:, [names.index(name) for name in points]].mean(1)
    return joints


def _joints(figure: Figure, names: list[str], positions: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """From the named points (T, N, 3) [m] and turns (T, N, 3, 3) of a figure in a world with y up.

    The floor, z = 0, is put where the lowest ankle or toe is in the lowest percent of the frames: volumes were
    calibrated differently, and some takes lie a metre below the floor.
    """
    joints = _limbs(figure, names, positions)
    thorax, neck, head = (H36M_17.index(joint) for joint in ("thorax", "neck", "head"))
    joints[:, neck] = joints[:, thorax] + turns[:, names.index(figure.neck)] @ np.array(THORAX_TO_NECK)
    joints[:, head] = joints[:, neck] + turns[:, names.index(figure.head)] @ np.array(NECK_TO_HEAD)
    upright = np.stack([joints[..., 0], -joints[..., 2], joints[..., 1]], -1)
    if len(positions):
        upright[..., 2] -= np.percentile(positions[..., 1].min(1), 1)
    return upright


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
