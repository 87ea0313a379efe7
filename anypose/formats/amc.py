"""Acclaim motion capture, CMU's own format: an .amc for each take, its skeleton being `anypose.formats.asf`'s."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from anypose.formats.asf import Asf, acclaim_text, euler_xyz, finite_numbers, radians_of
from anypose.formats.files import LARGEST

MAX_AMC_BYTES = 1 << 26  # hours; its words take thirty times as much


def read_amc(path: str | Path, asf: Asf) -> np.ndarray:
    """(T, D) numbers of every frame [file's unit, degrees]: the degrees of freedom of all bones in the order of `asf`.

    A frame is its number on a line, then a line for each bone that moves, in the same order every frame.
    """
    path = Path(path)
    lines = acclaim_text(path, MAX_AMC_BYTES).split("\n")
    dofs = {bone: len(dofs) for bone, dofs in zip(asf.bones, asf.dofs, strict=True) if dofs}
    body = [line for line in lines if line.strip() and line.lstrip()[0] not in "#:"]
    order = [line.split()[0] for line in body[1 : len(dofs) + 1]]
    sizes = np.array([1, *(1 + dofs.get(bone, 0) for bone in order)])
    words = np.array(" ".join(body).split(), dtype=object)
    if sorted(order) != sorted(dofs) or not len(words) or len(words) % sizes.sum():
        raise _first_error(path, lines, dofs)
    words = words.reshape(-1, sizes.sum())
    starts = np.cumsum(sizes) - sizes
    numbers = np.delete(words, starts, axis=1)
    try:
        values = numbers.astype(np.float64)
        if not (joined := "".join(numbers.flat)).isascii() or "_" in joined:
            raise ValueError  # which Python alone reads
        counted = (words[:, 0].astype(np.int64) == np.arange(1, len(words) + 1)).all()
    except (ValueError, OverflowError):
        raise _first_error(path, lines, dofs) from None
    if (
        not counted
        or not (words[:, starts[1:]] == np.array(order, dtype=object)).all()
        or not (np.abs(values) <= LARGEST).all()
    ):
        raise _first_error(path, lines, dofs)
    columns = {bone: start - i - 1 for i, (bone, start) in enumerate(zip(order, starts[1:], strict=True))}
    values = values[:, [columns[bone] + k for bone in asf.bones if bone in dofs for k in range(dofs[bone])]]
    turns = np.array([dof[0] == "r" for kinds in asf.dofs for dof in kinds])
    # The motion's own header decides; without one it is as its skeleton.
    header = [line.split()[0][1:].lower() for line in lines if line.lstrip().startswith(":")]
    said = [word for word in header if word.startswith(("deg", "rad"))]
    if len({word[:3] for word in said}) > 1:
        raise ValueError(f"{path}: its header says :DEGREES and :RADIANS. Leave one.")
    degrees = math.degrees(radians_of(said[0], f"{path}: header")) if said else asf.degrees
    first = len(asf.dofs[0])  # of the root, who may turn round and round; joints do not
    largest = float(np.abs(values[:, first:][:, turns[first:]]).max(initial=0.0))
    if degrees != 1 and largest > 2 * math.pi:
        raise ValueError(
            f"{path}: angles up to {largest:.0f} cannot be radians, which {'its header says' if said else 'ASF says'}. "
            "Write :DEGREES or :RADIANS at its head."
        )
    values[:, turns] *= degrees
    return values


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
            finite_numbers(path, number, words[1:], dofs[words[0]])
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
        angles = np.radians(np.stack([numbers.get(f"r{axis}", zero) for axis in "xyz"], -1))
        motion = euler_xyz(angles) if parent >= 0 else _euler(angles, asf.root_order)
        turn = asf.axes[i] @ motion @ asf.axes[i].T
        moved = np.stack([numbers.get(f"t{axis}", zero) for axis in "xyz"], -1) * asf.metres
        if parent >= 0:
            turn = turns[parent] @ turn
            moved = moved + ends[parent]
        turns.append(turn)
        ends.append(moved + turn @ asf.offsets[i])
    chosen = [asf.bones.index(name) for name in bones]
    return np.stack([ends[i] for i in chosen], 1), np.stack([turns[i] for i in chosen], 1)


def _euler(angles: np.ndarray, order: str) -> np.ndarray:
    """(..., 3, 3) of angles (..., 3) about x, y, z [rad], the fixed axes of `order` one after the other."""
    turn = np.broadcast_to(np.eye(3), (*angles.shape[:-1], 3, 3))
    for axis in order:
        alone = np.zeros_like(angles)
        alone[..., "xyz".index(axis)] = angles[..., "xyz".index(axis)]
        turn = euler_xyz(alone) @ turn
    return turn
