"""Where motion goes: every format asked for, chunk by chunk, in one folder.

    with open_sinks("runs/predict/now", ["bvh", "csv"], "walk") as sinks:
        for motion in chunks:
            sinks.write(motion)
    sinks.summary()

Bones are turned (`pose3d.predict.rig`) for the formats that need it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from anypose.drawing.side_by_side import VideoSink
from anypose.drawing.viewer import ViewerSink
from anypose.formats.bvh_writer import BvhSink
from anypose.formats.c3d import C3dSink
from anypose.formats.coco_results import CocoSink
from anypose.formats.glb import GlbSink, Mesh
from anypose.formats.motion_csv import CsvSink
from anypose.formats.motion_json import JsonSink
from anypose.formats.motion_npz import NpzSink
from anypose.formats.sink import Sink
from anypose.formats.trc import TrcSink
from anypose.motion import Motion
from anypose.settings import Misuse
from anypose.skeleton import Skeleton
from pose3d.predict.rig import Rig

SINKS: dict[str, type[Sink]] = {
    "npz": NpzSink,
    "csv": CsvSink,
    "json": JsonSink,
    "bvh": BvhSink,
    "trc": TrcSink,
    "c3d": C3dSink,
    "glb": GlbSink,
    "coco": CocoSink,
    "html": ViewerSink,
    "mp4": VideoSink,
}


def open_sinks(folder: str | Path, names: Sequence[str] | None, stem: str, overwrite: bool = False) -> Sinks:
    """Sinks that write `folder/stem.*`, nothing of it before the first frame.

    Args:
        folder: made when it is needed.
        names: formats, see `SINKS`; None for all that can hold the motion.
        stem: of the files' names, the source's.
        overwrite: whether files that are there already may be replaced.
    """
    every = names is None
    names = list(SINKS) if names is None else names
    unknown = [name for name in names if name not in SINKS]
    if unknown or len(set(names)) != len(names):
        raise Misuse(f"formats must be some of {', '.join(SINKS)}, each once; found {', '.join(unknown or names)}.")
    return Sinks({name: SINKS[name](Path(folder) / f"{stem}{SINKS[name].suffix}", overwrite) for name in names}, every)


class Sinks:
    """Several sinks as one. A context manager; whatever ends it, what was written stays usable.

    Attributes:
        sinks: by the names of their formats.
        left_out: formats that cannot hold this motion, and why; only where nobody asked for them by name.
    """

    def __init__(self, sinks: dict[str, Sink], every: bool = False) -> None:
        self.sinks = sinks
        self.left_out: dict[str, str] = {}
        self._every = every
        self._rig = Rig()
        self._stack = ExitStack()

    def __enter__(self) -> Sinks:
        for sink in self.sinks.values():
            self._stack.enter_context(sink)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def write(self, motion: Motion, pictures: Sequence[np.ndarray] | None = None) -> None:
        """Append a chunk to every file.

        Args:
            motion: later than all before it.
            pictures: T of (H, W, 3) uint8 RGB, for the formats that show them.
        """
        turn = any("rotations" in sink.needs for sink in self.sinks.values())
        if turn and motion.rotations is None and motion.world is not None:
            try:
                motion = self._rig(motion)
            except ValueError:
                if not self._every:
                    raise  # and otherwise the formats that hold turned bones are left out
        for name, sink in list(self.sinks.items()):
            try:
                sink.write(motion, pictures)
            except (ValueError, ImportError) as error:
                if not self._every or sink.frames or sink.files:
                    raise
                self.left_out[name] = str(error)
                del self.sinks[name]

    def dress(self, mesh: Callable[[Skeleton, np.ndarray], Mesh] | None) -> None:
        """Files that hold a skin take this one; None leaves theirs."""
        for sink in self.sinks.values():
            if mesh is not None and isinstance(sink, GlbSink | ViewerSink):
                sink.mesh = mesh

    @property
    def files(self) -> list[Path]:
        """Every file there is so far."""
        return [file for sink in self.sinks.values() for file in sink.files]

    def summary(self) -> list[dict[str, Any]]:
        """What was written: format, path, frames, bytes and what its reader should know."""
        return [
            {
                "format": name,
                "path": str(file),
                "frames": sink.frames,
                "bytes": file.stat().st_size,
                "notes": sink.notes,
            }
            for name, sink in self.sinks.items()
            for file in sink.files
        ]


def save(motion: Motion, path: str | Path, overwrite: bool = False) -> list[Path]:
    """Write one motion to one file, in the format of its suffix; gives the files."""
    path = Path(path)
    name = path.suffix.removeprefix(".").lower()
    if name not in SINKS:
        raise ValueError(f"{path} must end in {', '.join(f'.{name}' for name in SINKS if name != 'coco')}.")
    with Sinks({name: SINKS[name](path, overwrite)}) as sinks:
        sinks.write(motion)
    return sinks.files
