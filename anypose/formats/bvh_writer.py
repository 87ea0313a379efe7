"""BVH: constant bones that turn, for Blender and every animation program. One file a person.

Axes are BVH's, y up and at rest facing z, units metres, so that Blender's importer with its own settings (forward -z,
up y, scale 1) shows the person upright and as tall as they are. Angles are degrees, applied in the order in which their
channels stand: R = Rz Rx Ry. A BVH file has one frame time; see `anypose.formats.even`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from anypose.formats.even import EvenFrames, frame_step
from anypose.formats.person_files import PersonFiles
from anypose.formats.rig import Rig, build_rig
from anypose.formats.rows import format_rows
from anypose.formats.sink import GrowingFile, Sink
from anypose.motion import Motion
from anypose.quaternions import to_matrix
from anypose.skeleton import Skeleton

# What hangs from a hand, a foot or a head ends this share of its bone further on.
END_SHARE = 0.3
COUNT, STEP = "%10d", "%12.10f"  # numbers that are patched keep their width


class BvhSink(Sink):
    """`NAME.bvh`. A joint has its own name; a bone that turns apart from its neighbours has a node (`formats.rig`)."""

    suffix = ".bvh"
    needs = ("world", "rotations", "rest")

    def __init__(self, path: str | Path, overwrite: bool = False) -> None:
        super().__init__(path, overwrite)
        self._people = PersonFiles(self.path, overwrite, self._open)

    def _begin(self, motion: Motion) -> None:
        self._start, self._step = float(motion.times[0]), frame_step(motion.times)

    def _open(self, path: Path, motion: Motion, p: int) -> BvhFile:
        return BvhFile(path, motion, p, EvenFrames(self._start, self._step))

    def _add(self, motion: Motion, pictures: Sequence[np.ndarray] | None) -> None:
        self._people.add(motion, self.frames)
        self.files = self._people.files

    def close(self) -> None:
        """Finish everybody's file."""
        self._people.close()


class BvhFile:
    """The file of one person. Its frame count and its bones are put right in place whenever frames are added."""

    def __init__(self, path: Path, motion: Motion, p: int, even: EvenFrames) -> None:
        assert motion.skeleton is not None
        assert motion.rest is not None
        self.skeleton, self.even = motion.skeleton, even
        self.rig = build_rig(motion.skeleton)
        self._angles: np.ndarray | None = None
        self._rest = motion.rest[p]
        head = hierarchy(self.rig, self.skeleton, self._rest)
        self._count_place = len(head) + len("MOTION\nFrames: ")
        head += f"MOTION\nFrames: {COUNT % 0}\nFrame Time: {STEP % even.step}\n"
        self.file = GrowingFile(path, head.encode())
        self._pattern = " ".join(["%.5f"] * (3 + 3 * len(self.rig.names))) + "\n"

    def add(self, motion: Motion, p: int, first_frame: int) -> None:
        """Append what the person does; where they are away the grid is filled once they are back."""
        assert motion.world is not None
        assert motion.rotations is not None
        assert motion.rest is not None
        root = self.skeleton.parents.index(-1)
        place = to_y_up(motion.world[:, p, root].astype(np.float64))
        turns = motion.rotations[:, p].astype(np.float64)
        there = np.isfinite(place).all(-1) & np.isfinite(turns).all((-2, -1))
        rows = np.concatenate([place, turns.reshape(len(turns), -1)], -1)[there]
        rows = self.even.add(np.asarray(motion.times)[there], rows)
        if len(rows):
            local = self.rig.turns(rows[:, 3:].reshape(len(rows), -1, 4))
            local[..., 1:] = to_y_up(local[..., 1:])
            angles = np.degrees(euler_zxy(to_matrix(local)))
            angles = np.unwrap(
                angles if self._angles is None else np.concatenate([self._angles, angles]), 180, 0, period=360
            )
            angles = angles[-len(rows) :]
            self._angles = angles[-1:]
            self.file.append(
                format_rows(self._pattern, np.column_stack([rows[:, :3], angles.reshape(len(rows), -1)])).encode()
            )
            self.file.patch(self._count_place, (COUNT % self.even.slots).encode())
        if not np.array_equal(motion.rest[p], self._rest):
            self._rest = motion.rest[p]
            self.file.patch(0, hierarchy(self.rig, self.skeleton, self._rest).encode())


def to_y_up(vectors: np.ndarray) -> np.ndarray:
    """(..., 3) of the world, z up, in BVH's and glTF's axes: y up; who faces -y faces z."""
    return np.stack([vectors[..., 0], vectors[..., 2], -vectors[..., 1]], -1)


def euler_zxy(matrix: np.ndarray) -> np.ndarray:
    """(..., 3) angles a, b, c [rad] of R = Rz(a) Rx(b) Ry(c); b within a quarter turn."""
    flat = np.hypot(matrix[..., 2, 0], matrix[..., 2, 2])
    locked = flat < 1e-7  # looking straight up or down: only the sum of the other two is known
    a = np.where(
        locked, np.arctan2(matrix[..., 1, 0], matrix[..., 0, 0]), np.arctan2(-matrix[..., 0, 1], matrix[..., 1, 1])
    )
    c = np.where(locked, 0.0, np.arctan2(-matrix[..., 2, 0], matrix[..., 2, 2]))
    return np.stack([a, np.arctan2(matrix[..., 2, 1], flat), c], -1)


def hierarchy(rig: Rig, skeleton: Skeleton, rest: np.ndarray) -> str:
    """BVH's first half, as long for one person as for another."""
    offsets = to_y_up(rig.offsets(rest, skeleton))
    lines = ["HIERARCHY"]

    def visit(node: int, depth: int) -> None:
        root = rig.parents[node] < 0
        indent = "\t" * depth
        lines.append(f"{indent}{'ROOT' if root else 'JOINT'} {rig.names[node]}")
        lines.append(indent + "{")
        lines.append(_offset(offsets[node], depth + 1))
        places = "Xposition Yposition Zposition " if root else ""
        lines.append(f"{indent}\tCHANNELS {6 if root else 3} {places}Zrotation Xrotation Yrotation")
        for child, parent in enumerate(rig.parents):
            if parent == node:
                visit(child, depth + 1)
        if node in rig.ends:
            lines.append(f"{indent}\tEnd Site")
            lines.append(indent + "\t{")
            lines.append(_offset(END_SHARE * offsets[node], depth + 2))
            lines.append(indent + "\t}")
        lines.append(indent + "}")

    visit(rig.parents.index(-1), 0)
    return "\n".join(lines) + "\n"


def _offset(offset: np.ndarray, depth: int) -> str:
    x, y, z = np.round(offset.astype(np.float64), 6) + 0.0  # of what rounds to 0 the sign is left out
    return "\t" * depth + f"OFFSET {x:12.6f} {y:12.6f} {z:12.6f}"
