"""Acclaim motion capture, CMU's own format: an .asf skeleton per subject, an .amc motion per take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anypose.formats.files import read_bytes

MAX_ASF_BYTES = 1 << 20
MAX_AMC_BYTES = 1 << 28
MAX_BONES = 500
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
    """

    bones: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: np.ndarray
    axes: np.ndarray
    dofs: tuple[tuple[str, ...], ...]
    metres: float


def read_asf(path: str | Path) -> Asf:
    """Read and check a skeleton. Angles must be in degrees; a unit is 1 / length inches, as CMU's files mean it."""
    sections = _sections(Path(path))
    units = {words[0].lower(): words[1:] for _, words in sections.get("units", ()) if len(words) > 1}
    if (units.get("angle") or ["deg"])[0].lower() not in ("deg", "degrees"):
        raise ValueError(f"{path}: angles must be in deg, found {units['angle'][0][:40]}.")
    scale = _numbers(path, 0, units.get("length", ["1"]), 1)[0]
    if not 1e-3 < scale < 1e3:
        raise ValueError(f"{path}: units length {scale:g} is absurd; CMU's is 0.45.")
    metres = 0.0254 / scale
    root = {words[0].lower(): (line, words[1:]) for line, words in sections.get("root", ()) if words}
    order = tuple(dof.lower() for dof in root.get("order", (0, []))[1])
    if not order or any(dof not in _DOFS[:6] for dof in order):
        raise ValueError(f"{path}: root order must be of TX TY TZ RX RY RZ, found {' '.join(order)[:80] or 'nothing'}.")
    bones: dict[str, _Bone] = {"root": _Bone(np.zeros(3), np.eye(3), order)}
    bones.update(_bones(Path(path), sections.get("bonedata", ())))
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
    )


def read_amc(path: str | Path, asf: Asf) -> np.ndarray:
    """(T, D) numbers of every frame [file's unit, degrees]: the degrees of freedom of all bones in the order of `asf`.

    A frame is its number on a line, then a line for each bone that moves, in the same order every frame.
    """
    path = Path(path)
    lines = _text(path, MAX_AMC_BYTES).splitlines()
    dofs = {bone: len(dofs) for bone, dofs in zip(asf.bones, asf.dofs, strict=True) if dofs}
    body = [line for line in lines if line.strip() and line.lstrip()[0] not in "#:"]
    order = [line.split()[0] for line in body[1 : len(dofs) + 1]]
    sizes = np.array([1, *(1 + dofs.get(bone, 0) for bone in order)])
    words = np.array(" ".join(body).split(), dtype=object)
    if sorted(order) != sorted(dofs) or not len(words) or len(words) % sizes.sum():
        raise _first_error(path, lines, dofs)
    words = words.reshape(-1, sizes.sum())
    starts = np.cumsum(sizes) - sizes
    try:
        values = np.delete(words, starts, axis=1).astype(np.float64)
        counted = (words[:, 0].astype(np.int64) == np.arange(1, len(words) + 1)).all()
    except ValueError:
        raise _first_error(path, lines, dofs) from None
    if (
        not counted
        or not (words[:, starts[1:]] == np.array(order, dtype=object)).all()
        or not np.isfinite(values).all()
    ):
        raise _first_error(path, lines, dofs)
    columns = {bone: start - i - 1 for i, (bone, start) in enumerate(zip(order, starts[1:], strict=True))}
    return values[:, [columns[bone] + k for bone in asf.bones if bone in dofs for k in range(dofs[bone])]]


def _first_error(path: Path, lines: list[str], dofs: dict[str, int]) -> ValueError:
    """What is wrong with a motion that could not be read at once, line by line."""
    frame, order, seen = 0, [], []
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words or words[0][0] in "#:":
            continue
        place = f"{path}, line {number}"
        if len(seen) == len(dofs) or not frame:
            frame, order, seen = frame + 1, order or seen, []
            if words != [str(frame)]:
                return ValueError(f"{place}: the number {frame} of a frame is wanted, found '{line[:40]}'.")
            continue
        expected = order[len(seen)] if order else None
        if words[0] not in dofs or words[0] in seen or words[0] != (expected or words[0]):
            return ValueError(
                f"{place}: {expected or 'a bone that moves'} is wanted in frame {frame}, found '{words[0][:40]}'."
            )
        try:
            _numbers(path, number, words[1:], dofs[words[0]])
        except ValueError as error:
            return error
        if len(words) != 1 + dofs[words[0]]:
            return ValueError(f"{place}: {dofs[words[0]]} numbers of {words[0]} are wanted, found {len(words) - 1}.")
        seen.append(words[0])
    return ValueError(
        f"{path}: frame {frame} lacks {', '.join(sorted(set(dofs) - set(seen)))[:80]}; the file is cut off."
    )


def bone_ends(asf: Asf, values: np.ndarray, bones: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Where the named bones end and how they are turned, in the file's world.

    With a bone's axes C and its angles' rotation M, R = R_parent C M C^T, and the bone runs along R times its offset.
    M turns about x first, then y, then z.

    Args:
        asf: the skeleton.
        values: (T, D) of `read_amc`.
        bones: names; "root" ends where it is.

    Returns:
        (T, len(bones), 3) [m] and (T, len(bones), 3, 3), float64.
    """
    missing = [name for name in bones if name not in asf.bones]
    if missing:
        raise ValueError(f"No bone {', '.join(missing)} in this skeleton; it has {', '.join(asf.bones)}.")
    columns = np.cumsum([0, *map(len, asf.dofs)])
    ends: list[np.ndarray] = []
    turns: list[np.ndarray] = []
    for i, parent in enumerate(asf.parents):
        numbers = dict(zip(asf.dofs[i], values[:, columns[i] : columns[i + 1]].T, strict=True))
        zero = np.zeros(len(values))
        motion = euler_xyz(np.radians(np.stack([numbers.get(f"r{axis}", zero) for axis in "xyz"], -1)))
        turn = asf.axes[i] @ motion @ asf.axes[i].T
        moved = np.stack([numbers.get(f"t{axis}", zero) for axis in "xyz"], -1) * asf.metres
        if parent >= 0:
            turn = turns[parent] @ turn
            moved = moved + ends[parent]
        turns.append(turn)
        ends.append(moved + turn @ asf.offsets[i])
    chosen = [asf.bones.index(name) for name in bones]
    return np.stack([ends[i] for i in chosen], 1), np.stack([turns[i] for i in chosen], 1)


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


def _text(path: Path, most_bytes: int) -> str:
    return read_bytes(path, "an Acclaim motion capture file", most_bytes).decode("utf-8", errors="replace")


def _sections(path: Path) -> dict[str, list[tuple[int, list[str]]]]:
    """{":bonedata" without colon: its lines, as (number, words)}; what follows the keyword on its line is dropped."""
    sections: dict[str, list[tuple[int, list[str]]]] = {}
    lines: list[tuple[int, list[str]]] = []
    for number, line in enumerate(_text(path, MAX_ASF_BYTES).splitlines(), start=1):
        words = line.partition("#")[0].split()
        if words and words[0].startswith(":"):
            lines = sections.setdefault(words[0][1:].lower(), [])
        elif words:
            lines.append((number, words))
    if missing := [name for name in ("root", "bonedata", "hierarchy") if name not in sections]:
        raise ValueError(f"{path} has no section :{missing[0]}; the file is cut off or is not ASF.")
    return sections


def _bones(path: Path, lines: Sequence[tuple[int, list[str]]]) -> dict[str, _Bone]:
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
                _numbers(path, *held.get(key, (number, [])), size)
                for key, size in (("direction", 3), ("length", 1), ("axis", 3))
            )
            dofs = tuple(dof.lower() for dof in held.get("dof", (number, []))[1])
            if any(dof not in _DOFS[3:6] for dof in dofs) or len(set(dofs)) < len(dofs):
                raise ValueError(
                    f"{path}, line {number}: dof of {name[:40]} must be of rx ry rz, found {' '.join(dofs)[:40]}."
                )
            if held["axis"][1][3:] not in ([], ["XYZ"]):
                raise ValueError(f"{path}, line {held['axis'][0]}: axis of {name[:40]} must be in the order XYZ.")
            bones[name] = _Bone(np.array(direction) * length[0], euler_xyz(np.radians(axis)), dofs)
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


def _numbers(path: str | Path, line: int, words: Sequence[str], count: int) -> list[float]:
    """The first `count` words as finite numbers."""
    try:
        numbers = [float(word) for word in words[:count]]
    except ValueError:
        numbers = []
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise ValueError(f"{path}, line {line}: {count} finite numbers are wanted, found '{' '.join(words)[:80]}'.")
    return numbers
