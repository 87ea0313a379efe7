"""Acclaim skeletons, CMU's own format: an .asf for each subject."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anypose.formats.bvh import decode
from anypose.formats.files import LARGEST, plain_number, read_bytes

MAX_ASF_BYTES = 1 << 20
MAX_BONES = 500
NEARLY = 0.05  # one unit: files round directions, to six digits mostly
_DOFS = ("tx", "ty", "tz", "rx", "ry", "rz", "l")


@dataclass(frozen=True, eq=False)
class Asf:
    """A skeleton of bones; each starts where its parent ends.

    Attributes:
        bones: names, parents first; the first is "root", which has no length.
        parents: index of each bone's parent, -1 for the root.
        offsets: (B, 3) from the bone's start to its end at rest, in the world's axes [m].
        axes: (B, 3, 3) the bone's own axes in the world's, about which its degrees of freedom turn.
        dofs: per bone, in the order of the numbers in a motion's line, e.g. ("rx", "rz").
        metres: length of the file's unit [m].
        degrees: of the unit of its angles.
        root_order: "xyz", the axes about which the root turns, the first first.
    """

    bones: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: np.ndarray
    axes: np.ndarray
    dofs: tuple[tuple[str, ...], ...]
    metres: float
    degrees: float = 1.0
    root_order: str = "xyz"


def read_asf(path: str | Path, metres: float | None = None) -> Asf:
    """Read and check a skeleton.

    Args:
        path: the file.
        metres: length of a unit in place of what the file says, which is 1 / length inches, as CMU's files mean it.
    """
    sections = _sections(Path(path))
    units = {words[0].lower(): words[1:] for _, words in sections.get("units", ()) if len(words) > 1}
    turn = radians_of((units.get("angle") or ["deg"])[0], f"{path}: angle of its units")
    if metres is None:
        if "length" not in units:
            raise ValueError(f"{path} says no length of its units. Say what they are with dataset.unit=.")
        scale = finite_numbers(path, 0, units["length"], 1)[0]
        if not 1e-3 < scale < 1e3:
            raise ValueError(f"{path}: units length {scale:g} is absurd; CMU's is 0.45. Or say dataset.unit=.")
        metres = 0.0254 / scale
    order, root = _root(Path(path), sections.get("root", ()))
    bones: dict[str, _Bone] = {"root": _Bone(np.zeros(3), np.eye(3), order)}
    bones.update(_bones(Path(path), sections.get("bonedata", ()), turn))
    parents = _parents(Path(path), sections.get("hierarchy", ()), bones)
    names = ["root"]
    for name in names:
        names += [child for child, parent in parents.items() if parent == name]
    if missing := [name for name in bones if name not in names]:
        raise ValueError(f"{path}: {', '.join(missing[:8])} hang on nothing in the hierarchy.")
    return Asf(
        bones=tuple(names),
        parents=tuple(names.index(parents[name]) if name in parents else -1 for name in names),
        offsets=np.stack([bones[name].offset * metres for name in names]),
        axes=np.stack([bones[name].axes for name in names]),
        dofs=tuple(bones[name].dofs for name in names),
        metres=metres,
        degrees=math.degrees(turn),
        root_order=root,
    )


def euler_xyz(angles: np.ndarray) -> np.ndarray:
    """(..., 3, 3) of angles (..., 3) [rad]: about x first, then the fixed y, then the fixed z."""
    (cx, cy, cz), (sx, sy, sz) = np.moveaxis(np.cos(angles), -1, 0), np.moveaxis(np.sin(angles), -1, 0)
    rows = [
        [cy * cz, sx * sy * cz - cx * sz, cx * sy * cz + sx * sz],
        [cy * sz, sx * sy * sz + cx * cz, cx * sy * sz - sx * cz],
        [-sy, sx * cy, cx * cy],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)


@dataclass(frozen=True, eq=False)
class _Bone:
    offset: np.ndarray
    axes: np.ndarray
    dofs: tuple[str, ...]


def acclaim_text(path: Path, most_bytes: int) -> str:
    """What the file says, its lines ended by newlines."""
    return decode(read_bytes(path, "an Acclaim motion capture file", most_bytes))


def radians_of(word: str, where: str) -> float:
    """Radians of the unit of angles that `word` names."""
    if word.lower() in ("deg", "degree", "degrees"):
        return math.radians(1.0)
    if word.lower() in ("rad", "radian", "radians"):
        return 1.0
    raise ValueError(f"{where} must be degrees or radians, found '{word[:40]}'.")


def _root(path: Path, lines: Sequence[tuple[int, list[str]]]) -> tuple[tuple[str, ...], str]:
    """The order of the root's numbers in a motion, and of its turns.

    Where the root stands at rest is added by some programs and not by others, so it must stand at the origin.
    """
    root = {words[0].lower(): words[1:] for _, words in lines if words}
    order = tuple(dof.lower() for dof in root.get("order", []))
    if not order or any(dof not in _DOFS[:6] for dof in order) or len(set(order)) < len(order):
        raise ValueError(f"{path}: root order must be of TX TY TZ RX RY RZ, found {' '.join(order)[:80] or 'nothing'}.")
    axis = "".join(root.get("axis", ["xyz"])).lower()
    listed = "".join(dof[1] for dof in order if dof[0] == "r")
    if sorted(axis) != ["x", "y", "z"] or (len(listed) == 3 and listed not in ("xyz", axis)):
        raise ValueError(
            f"{path}: the root turns about {axis.upper()[:20]} by its axis and about {listed.upper()} by its order; "
            "they must be the same, or the order RX RY RZ."
        )
    for key in ("position", "orientation"):
        if any(finite_numbers(path, 0, root[key], 3) if key in root else ()):
            raise ValueError(
                f"{path}: root {key} must be 0 0 0, found {' '.join(root[key])[:80]}: programs differ in what it means."
            )
    return order, axis


def _sections(path: Path) -> dict[str, list[tuple[int, list[str]]]]:
    """{":bonedata" without colon: its lines, as (number, words)}; what follows the keyword on its line is dropped."""
    sections: dict[str, list[tuple[int, list[str]]]] = {}
    lines: list[tuple[int, list[str]]] = []
    for number, line in enumerate(acclaim_text(path, MAX_ASF_BYTES).split("\n"), start=1):
        words = line.partition("#")[0].split()
        if words and words[0].startswith(":"):
            lines = sections.setdefault(words[0][1:].lower(), [])
        elif words:
            lines.append((number, words))
    if missing := [name for name in ("root", "bonedata", "hierarchy") if name not in sections]:
        raise ValueError(f"{path} has no section :{missing[0]}; the file is cut off or is not ASF.")
    return sections


def _bones(path: Path, lines: Sequence[tuple[int, list[str]]], turn: float) -> dict[str, _Bone]:
    bones: dict[str, _Bone] = {}
    held: dict[str, tuple[int, list[str]]] | None = None
    for number, words in lines:
        key = words[0].lower()
        if key == "begin":
            held = {}
        elif held is None:
            raise ValueError(f"{path}, line {number}: 'begin' is wanted, found '{words[0][:40]}'.")
        elif key == "end":
            name = " ".join(held.get("name", (number, []))[1])
            if not name or name in bones or len(bones) >= MAX_BONES:
                raise ValueError(
                    f"{path}, line {number}: bone '{name[:40]}' has no name or another's, or there are too many."
                )
            direction, length, axis = (
                finite_numbers(path, *held.get(key, (number, [])), size)
                for key, size in (("direction", 3), ("length", 1), ("axis", 3))
            )
            if length[0] < 0 or (length[0] > 0 and abs(math.hypot(*direction) - 1) > NEARLY):
                raise ValueError(
                    f"{path}, line {number}: direction of {name[:40]} must be one unit long, its length not below 0, "
                    f"found {' '.join(map(str, direction))} and {length[0]:g}."
                )
            dofs = tuple(dof.lower() for dof in held.get("dof", (number, []))[1])
            if any(dof not in _DOFS[3:6] for dof in dofs) or len(set(dofs)) < len(dofs):
                raise ValueError(
                    f"{path}, line {number}: dof of {name[:40]} must be of rx ry rz, found {' '.join(dofs)[:40]}."
                )
            if held["axis"][1][3:] not in ([], ["XYZ"]):
                raise ValueError(f"{path}, line {held['axis'][0]}: axis of {name[:40]} must be in the order XYZ.")
            bones[name] = _Bone(np.array(direction) * length[0], euler_xyz(turn * np.array(axis)), dofs)
            held = None
        else:
            held.setdefault(key, (number, words[1:]))
    return bones


def _parents(path: Path, lines: Sequence[tuple[int, list[str]]], bones: dict[str, _Bone]) -> dict[str, str]:
    parents: dict[str, str] = {}
    for number, words in lines:
        if words[0].lower() in ("begin", "end"):
            continue
        for name in words:
            if name not in bones:
                raise ValueError(f"{path}, line {number}: '{name[:40]}' is not a bone.")
        for child in words[1:]:
            if child in parents or child == "root":
                raise ValueError(f"{path}, line {number}: '{child[:40]}' hangs on two bones.")
            parents[child] = words[0]
    return parents


def finite_numbers(path: str | Path, line: int, words: Sequence[str], count: int) -> list[float]:
    """The first `count` words as finite numbers."""
    try:
        numbers = [plain_number(word) for word in words[:count]]
    except ValueError:
        numbers = []
    if len(numbers) != count or not all(abs(number) <= LARGEST for number in numbers):
        raise ValueError(f"{path}, line {line}: {count} finite numbers are wanted, found '{' '.join(words)[:80]}'.")
    return numbers
