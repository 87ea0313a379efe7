"""GLB (binary glTF 2.0, Khronos): everybody's skeleton, skinned with a figure of simple bones, and its animation.

y up, at rest facing z, metres; times are kept as they are. Somebody who is away shrinks to nothing. The animation's
arrays lie apart from one another, so the file cannot grow: it is written anew every few seconds and at the end.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from anypose.formats.bvh_writer import to_y_up
from anypose.formats.renewed_file import RenewedFile
from anypose.formats.rig import Rig, build_rig
from anypose.formats.sink import Sink
from anypose.formats.spool import Spool
from anypose.motion import Motion
from anypose.skeleton import Skeleton

FLOAT, UINT16, UINT32 = 5126, 5123, 5125
COLOURS = {"right": (0.78, 0.1, 0.04), "left": (0.02, 0.2, 0.73), "middle": (0.04, 0.06, 0.08)}  # linear RGB


@dataclass(frozen=True, eq=False)
class Mesh:
    """A body in the rest pose, carried by bones.

    Attributes:
        vertices: (V, 3) world axes [m].
        normals: (V, 3) unit.
        faces: for each colour of `COLOURS` (F, 3) vertices, counter-clockwise from outside.
        bones: (V, 4) which joints' bones carry a vertex.
        weights: (V, 4) how much, of sum 1.
    """

    vertices: np.ndarray
    normals: np.ndarray
    faces: dict[str, np.ndarray]
    bones: np.ndarray
    weights: np.ndarray


def bone_mesh(skeleton: Skeleton, rest: np.ndarray) -> Mesh:
    """A long octahedron for each bone of the rest pose (J, 3)."""
    vertices, normals, bones = [], [], []
    faces: dict[str, list[list[int]]] = {colour: [] for colour in COLOURS}
    for child, parent in skeleton.bones:
        start, along = rest[parent], rest[child] - rest[parent]
        length = float(np.linalg.norm(along))
        if length < 1e-4:
            continue
        side = np.cross(along, [0.0, 0.0, 1.0] if abs(along[2]) < 0.8 * length else [1.0, 0.0, 0.0])
        side *= min(0.12 * length, 0.035) / np.linalg.norm(side)
        other = np.cross(along, side) / length
        ring = [start + 0.2 * along + offset for offset in (side, other, -side, -other)]
        colour = "left" if child in skeleton.left else "right" if child in skeleton.right else "middle"
        for i in range(4):
            for corners in ([start, ring[i - 3], ring[i]], [start + along, ring[i], ring[i - 3]]):
                normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
                if normal @ (np.mean(corners, 0) - (start + 0.3 * along)) < 0:
                    corners, normal = corners[::-1], -normal
                faces[colour].append([len(vertices), len(vertices) + 1, len(vertices) + 2])
                vertices += corners
                normals += [normal / np.linalg.norm(normal)] * 3
                bones += [[child, 0, 0, 0]] * 3
    if not vertices:  # nobody was seen yet, and a mesh must have a face
        vertices, normals, bones = [np.zeros(3)] * 3, [np.array([0.0, 0.0, 1.0])] * 3, [[0, 0, 0, 0]] * 3
        faces["middle"] = [[0, 1, 2]]
    weights = np.zeros((len(vertices), 4))
    weights[:, :1] = 1
    return Mesh(
        np.array(vertices).reshape(-1, 3),
        np.array(normals).reshape(-1, 3),
        {colour: np.array(corners) for colour, corners in faces.items() if corners},
        np.array(bones).reshape(-1, 4),
        weights,
    )


class GlbSink(Sink):
    """`NAME.glb`. `mesh` makes a person's body from the skeleton and their rest pose."""

    suffix = ".glb"
    needs = ("world", "rotations", "rest")

    def __init__(
        self, path: str | Path, overwrite: bool = False, mesh: Callable[[Skeleton, np.ndarray], Mesh] = bone_mesh
    ) -> None:
        super().__init__(path, overwrite)
        self.mesh = mesh

    def _begin(self, motion: Motion) -> None:
        self._file = RenewedFile(self.path, ("world", "rotations"), partial(write_glb, mesh=self.mesh))

    def _add(self, motion: Motion, pictures: Sequence[np.ndarray] | None) -> None:
        self._file.append(motion)
        self.files = self._file.files

    def close(self) -> None:
        """Write the last frames."""
        if self._first is not None:
            self._first = None
            self._file.close(last=self.frames > 0)  # or the disk was full before the first chunk


class _Binary:
    """The binary part while it is laid out: what lies where."""

    def __init__(self) -> None:
        self.size = 0
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []
        self.ready: list[tuple[int, bytes]] = []

    def place(self, shape: tuple[int, ...], component: int, kind: str, **extra: Any) -> int:
        """Room for an array that is filled in later; gives its accessor."""
        width = 2 if component == UINT16 else 4
        length = int(np.prod(shape)) * width
        self.views.append({"buffer": 0, "byteOffset": self.size, "byteLength": length})
        accessor = {"bufferView": len(self.views) - 1, "componentType": component, "count": shape[0], "type": kind}
        self.accessors.append(accessor | extra)
        self.size += -(-length // 4) * 4
        return len(self.accessors) - 1

    def put(self, array: np.ndarray, component: int, kind: str, **extra: Any) -> int:
        """An array that is known; gives its accessor."""
        accessor = self.place(array.shape, component, kind, **extra)
        types = {FLOAT: "<f4", UINT16: "<u2", UINT32: "<u4"}
        self.ready.append((self.offset(accessor), np.ascontiguousarray(array, types[component]).tobytes()))
        return accessor

    def offset(self, accessor: int) -> int:
        """Where an accessor's array begins."""
        return self.views[self.accessors[accessor]["bufferView"]]["byteOffset"]


def write_glb(file: IO[bytes], spool: Spool, mesh: Callable[[Skeleton, np.ndarray], Mesh] = bone_mesh) -> None:
    """Write what a spool of `world` and `rotations` holds, front to back in two passes."""
    last = spool.last
    assert last is not None
    assert last.skeleton is not None
    skeleton, rig, binary = last.skeleton, build_rig(last.skeleton), _Binary()
    times = np.concatenate(spool.times)
    times = times - times[0]
    clock = binary.put(times[:, None], FLOAT, "SCALAR", min=[0.0], max=[float(np.float32(times[-1]))])
    scene: dict[str, Any] = {"nodes": [], "meshes": [], "skins": []}
    channels: list[dict[str, Any]] = []
    samplers: list[dict[str, Any]] = []
    tracks: list[list[int]] = []
    roots = []
    T = len(times)
    for person in spool.ids:
        roots.append(len(scene["nodes"]))
        first, rest = roots[-1] + 1, spool.rest[person]
        _add_person(scene, binary, rig, skeleton, rest, mesh(skeleton, rest), person)
        paths = [(node, "rotation", 4) for node in range(len(rig.names)) if node not in rig.ends]
        track = []
        for node, path, width in [*paths, (0, "translation", 3), (-1, "scale", 3)]:
            track.append(binary.place((T, width), FLOAT, f"VEC{width}"))
            way = "STEP" if path == "scale" else "LINEAR"
            samplers.append({"input": clock, "output": track[-1], "interpolation": way})
            channels.append({"sampler": len(samplers) - 1, "target": {"node": first + node, "path": path}})
        tracks.append(track)
    document = scene | {
        "asset": {"version": "2.0", "generator": "anypose"},
        "scene": 0,
        "scenes": [{"name": last.name, "nodes": roots}],
        "materials": [
            {"name": name, "pbrMetallicRoughness": {"baseColorFactor": [*colour, 1], "metallicFactor": 0}}
            for name, colour in COLOURS.items()
        ],
        "animations": [{"name": last.name, "channels": channels, "samplers": samplers}],
        "accessors": binary.accessors,
        "bufferViews": binary.views,
        "buffers": [{"byteLength": binary.size}],
    }
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    start = 12 + 8 + len(text) + 8
    file.write(struct.pack("<4sII", b"glTF", 2, start + binary.size))
    file.write(struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", binary.size, b"BIN\0"))
    file.truncate(start + binary.size)
    for offset, data in binary.ready:
        file.seek(start + offset)
        file.write(data)
    _write_tracks(file, start, spool, rig, binary, tracks)


def _add_person(
    scene: dict[str, Any],
    binary: _Binary,
    rig: Rig,
    skeleton: Skeleton,
    rest: np.ndarray,
    mesh: Mesh,
    person: int,
) -> None:
    """The person's nodes, skin and body."""
    first, offsets = len(scene["nodes"]) + 1, to_y_up(rig.offsets(rest, skeleton))
    scene["nodes"].append({"name": f"person{person}", "children": [first, first + len(offsets)]})
    places = np.zeros((len(offsets), 3))
    for node, parent in enumerate(rig.parents):
        places[node] = offsets[node] + (places[parent] if parent >= 0 else 0)
        children = [first + child for child, above in enumerate(rig.parents) if above == node]
        entry = {"name": rig.names[node], "translation": offsets[node].tolist()}
        scene["nodes"].append(entry | ({"children": children} if children else {}))
    bind = np.tile(np.eye(4), (len(places), 1, 1))
    bind[:, 3, :3] = -places  # column by column, as glTF wants it
    carriers = {rig.bones[node]: node for node in reversed(range(len(rig.names))) if node not in rig.ends}
    nodes = np.vectorize(lambda bone: carriers.get(bone, 0), otypes=[int])(mesh.bones)
    vertices = to_y_up(mesh.vertices)
    attributes = {
        "POSITION": binary.put(vertices, FLOAT, "VEC3", min=vertices.min(0).tolist(), max=vertices.max(0).tolist()),
        "NORMAL": binary.put(to_y_up(mesh.normals), FLOAT, "VEC3"),
        "JOINTS_0": binary.put(nodes, UINT16, "VEC4"),
        "WEIGHTS_0": binary.put(mesh.weights, FLOAT, "VEC4"),
    }
    primitives = [
        {
            "attributes": attributes,
            "indices": binary.put(faces.reshape(-1, 1), UINT32, "SCALAR"),
            "material": list(COLOURS).index(colour),
        }
        for colour, faces in mesh.faces.items()
    ]
    inverse = binary.put(bind.reshape(-1, 16), FLOAT, "MAT4")
    scene["meshes"].append({"name": f"person{person}", "primitives": primitives})
    scene["skins"].append(
        {"inverseBindMatrices": inverse, "joints": list(range(first, first + len(places))), "skeleton": first}
    )
    scene["nodes"].append({"name": f"body{person}", "mesh": len(scene["meshes"]) - 1, "skin": len(scene["skins"]) - 1})


def _write_tracks(
    file: IO[bytes], start: int, spool: Spool, rig: Rig, binary: _Binary, tracks: list[list[int]]
) -> None:
    """Every array of the animation, a piece of each for each block of the spool."""
    root = rig.joints[rig.parents.index(-1)]
    turning = [node for node in range(len(rig.names)) if node not in rig.ends]
    before = [np.concatenate([np.tile([0.0, 0, 0, 1], len(turning)), np.zeros(3)]) for _ in tracks]
    done = 0
    for world, rotations in zip(spool.blocks("world"), spool.blocks("rotations"), strict=True):
        for p, track in enumerate(tracks):
            place = to_y_up(world[:, p, root].astype(np.float64))
            local = rig.turns(rotations[:, p])[:, turning]
            local = np.concatenate([to_y_up(local[..., 1:]), local[..., :1]], -1)  # glTF writes x, y, z, w
            rows = np.concatenate([local.reshape(len(local), -1), place], -1)
            there = np.asarray(np.isfinite(rows).all(-1))
            rows = np.concatenate([before[p][None], rows])
            latest = np.maximum.accumulate(np.where(np.r_[True, there], np.arange(len(rows)), 0))[1:]
            rows = rows[latest]
            before[p] = rows[-1]
            pieces = [rows[:, 4 * i : 4 * i + 4] for i in range(len(turning))]
            pieces += [rows[:, -3:], np.repeat(there[:, None], 3, 1)]
            for accessor, piece in zip(track, pieces, strict=True):
                file.seek(start + binary.offset(accessor) + done * piece.shape[1] * 4)
                file.write(np.ascontiguousarray(piece, "<f4").tobytes())
        done += len(world)
