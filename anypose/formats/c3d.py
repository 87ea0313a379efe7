"""C3D: points over time as gait laboratories keep them (www.c3d.org), one person a file, y up [mm].

Blocks of 512 bytes: a header, parameters, then per frame four floats a point, the last negative where it is not seen.
There is one frame rate; see `anypose.formats.even`. Frames are appended and their number is put right in place.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from anypose.formats.bvh_writer import to_y_up
from anypose.formats.even import EvenFrames, frame_step
from anypose.formats.marker_names import marker_of
from anypose.formats.person_files import PersonFiles
from anypose.formats.sink import GrowingFile, Sink
from anypose.motion import Motion

BLOCK = 512
INTEL = 84  # little endian, IEEE floats
MOST = 65535  # frames that a header's 16 bits can count; parameters count the rest
MILLIMETRES = 1000.0


class C3dSink(Sink):
    """`NAME.c3d` with the joints in the world, named as in TRC."""

    suffix = ".c3d"
    needs = ("world",)

    def __init__(self, path: str | Path, overwrite: bool = False) -> None:
        super().__init__(path, overwrite)
        self._people = PersonFiles(self.path, overwrite, self._open)

    def _begin(self, motion: Motion) -> None:
        self._start, self._step = float(motion.times[0]), frame_step(motion.times)

    def _open(self, path: Path, motion: Motion, p: int) -> C3dFile:
        return C3dFile(path, motion, EvenFrames(self._start, self._step))

    def _add(self, motion: Motion, pictures: Sequence[np.ndarray] | None) -> None:
        self._people.add(motion, self.frames)
        self.files = self._people.files

    def close(self) -> None:
        """Finish everybody's file."""
        self._people.close()


class C3dFile:
    """The file of one person."""

    def __init__(self, path: Path, motion: Motion, even: EvenFrames) -> None:
        assert motion.skeleton is not None
        self.even = even
        self._last = even.start - even.step
        names = [marker_of(joint) for joint in motion.skeleton.joints]
        parameters, self._counts = _parameters(names, 1 / even.step)
        data_block = 2 + len(parameters) // BLOCK
        head = struct.pack("<BBHHHHHfHHf", 2, 0x50, len(names), 0, 1, 0, 0, -1.0, data_block, 0, 1 / even.step)
        self.file = GrowingFile(path, head.ljust(BLOCK, b"\0") + parameters)

    def add(self, motion: Motion, p: int, first_frame: int) -> None:
        """Append the person's frames; those in which they are away have no valid point."""
        assert motion.world is not None
        points = to_y_up(motion.world[:, p].astype(np.float64)) * MILLIMETRES
        times, rows = np.asarray(motion.times), points.reshape(len(points), -1)
        step = self.even.step
        if times[0] - self._last > 1.75 * step:  # Nobody was there: nothing is made up across that gap.
            edges = np.array([self._last + step, times[0] - step])[: 1 + (times[0] - self._last > 2.5 * step)]
            times, rows = (
                np.concatenate([edges, times]),
                np.concatenate([np.full((len(edges), rows.shape[1]), np.nan), rows]),
            )
        self._last = float(times[-1])
        rows = self.even.add(times, rows).reshape(-1, points.shape[1], 3)
        seen = np.isfinite(rows).all(-1, keepdims=True)
        data = np.concatenate([np.where(seen, rows, 0), np.where(seen, 0, -1)], -1)
        self.file.append(data.astype("<f4").tobytes())
        frames = self.even.slots
        self.file.patch(8, struct.pack("<H", min(frames, MOST)))
        for place, kind in self._counts.items():
            value = min(frames, MOST) if kind == "<H" else frames
            self.file.patch(BLOCK + place, struct.pack(kind, value))


def _parameters(names: list[str], rate: float) -> tuple[bytes, dict[int, str]]:
    """The parameter blocks, and where in them the number of frames stands as which type."""
    width = max(map(len, names))
    labels = b"".join(name.ljust(width).encode() for name in names)
    groups: list[tuple[str, list[tuple[str, int, tuple[int, ...], bytes]]]] = [
        (
            "POINT",
            [
                ("USED", 2, (), struct.pack("<h", len(names))),
                ("SCALE", 4, (), struct.pack("<f", -1.0)),
                ("RATE", 4, (), struct.pack("<f", rate)),
                ("FRAMES", 2, (), struct.pack("<H", 0)),
                ("LONG_FRAMES", 4, (), struct.pack("<f", 0)),
                ("DATA_START", 2, (), struct.pack("<h", 0)),
                ("LABELS", -1, (width, len(names)), labels),
                ("UNITS", -1, (2,), b"mm"),
                ("X_SCREEN", -1, (2,), b"+X"),
                ("Y_SCREEN", -1, (2,), b"+Y"),
            ],
        ),
        (
            "TRIAL",
            [
                ("ACTUAL_START_FIELD", 2, (2,), struct.pack("<hh", 1, 0)),
                ("ACTUAL_END_FIELD", 2, (2,), struct.pack("<I", 0)),
                ("CAMERA_RATE", 4, (), struct.pack("<f", rate)),
            ],
        ),
        (
            "ANALOG",
            [
                ("USED", 2, (), struct.pack("<h", 0)),
                ("GEN_SCALE", 4, (), struct.pack("<f", 1.0)),
                ("RATE", 4, (), struct.pack("<f", rate)),
            ],
        ),
        ("FORCE_PLATFORM", [("USED", 2, (), struct.pack("<h", 0))]),
    ]
    data = bytearray(4)
    places: dict[str, int] = {}
    for number, (group, parameters) in enumerate(groups, start=1):
        data += struct.pack("<bb", len(group), -number) + group.encode() + struct.pack("<hB", 3, 0)
        for name, kind, shape, value in parameters:
            body = struct.pack("<bB", kind, len(shape)) + bytes(shape)
            data += struct.pack("<bb", len(name), number) + name.encode()
            data += struct.pack("<h", 2 + len(body) + len(value) + 1) + body
            places[f"{group}:{name}"] = len(data)
            data += value + b"\0"
    data += b"\0\0"
    blocks = -(-len(data) // BLOCK)
    data[:4] = bytes([1, 0x50, blocks, INTEL])
    data[places["POINT:DATA_START"] : places["POINT:DATA_START"] + 2] = struct.pack("<h", 2 + blocks)
    counts = {"POINT:FRAMES": "<H", "POINT:LONG_FRAMES": "<f", "TRIAL:ACTUAL_END_FIELD": "<I"}
    return bytes(data.ljust(blocks * BLOCK, b"\0")), {places[name]: kind for name, kind in counts.items()}
