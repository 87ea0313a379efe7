"""TRC: markers over time as OpenSim, Sports2D and Pose2Sim write and read them, one person a file.

Tables divided by tabs: five lines of header, then frame, time [s] and x, y, z of every marker [m], y up; an empty cell
where a marker is not seen. Times are kept as they are, frames in which the person is away are left out.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anypose.bounds import largest_of, limit
from anypose.formats.bvh import decode
from anypose.formats.bvh_writer import to_y_up
from anypose.formats.even import frame_step
from anypose.formats.files import LARGEST, plain_number, read_bytes
from anypose.formats.marker_names import marker_of
from anypose.formats.person_files import PersonFiles
from anypose.formats.rows import format_rows
from anypose.formats.sink import GrowingFile, Sink
from anypose.motion import Motion

log = logging.getLogger(__name__)
MAX_BYTES = 1 << 28
MAX_MARKERS = 1_000
COUNT = "%8d"
LONGEST = 5.0  # a motion's frames are never so far apart in the median [s]
APART = 3.0  # times: frames may be left out, but milliseconds are a thousand times as many
METRES = {"m": 1.0, "mm": 1e-3, "cm": 1e-2}


class TrcSink(Sink):
    """`NAME.trc` with the joints in the world."""

    suffix = ".trc"
    needs = ("world",)

    def __init__(self, path: str | Path, overwrite: bool = False) -> None:
        super().__init__(path, overwrite)
        self._people = PersonFiles(self.path, overwrite, lambda path, motion, p: TrcFile(path, motion, self._rate))

    def _begin(self, motion: Motion) -> None:
        self._rate = 1 / frame_step(motion.times)

    def _add(self, motion: Motion, pictures: Sequence[np.ndarray] | None) -> None:
        self._people.add(motion, self.frames)
        self.files = self._people.files

    def close(self) -> None:
        """Finish everybody's file."""
        self._people.close()


class TrcFile:
    """The file of one person; its frame count is put right in place whenever frames are added."""

    def __init__(self, path: Path, motion: Motion, rate: float) -> None:
        assert motion.skeleton is not None
        names = [marker_of(joint) for joint in motion.skeleton.joints]
        head = f"PathFileType\t4\t(X/Y/Z)\t{path.name}\n"
        head += "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames\n"
        head += f"{rate:.6f}\t{rate:.6f}\t"
        self._places = [len(head)]
        head += f"{COUNT % 0}\t{len(names)}\tm\t{rate:.6f}\t1\t"
        self._places.append(len(head))
        head += f"{COUNT % 0}\n"
        head += "Frame#\tTime\t" + "\t\t\t".join(names) + "\t\t\n"
        head += "\t" + "".join([f"\tX{i}\tY{i}\tZ{i}" for i in range(1, len(names) + 1)]) + "\n"
        self._pattern = "%d\t%.6f" + "\t%.5f" * (3 * len(names)) + "\n"
        self.file = GrowingFile(path, head.encode())
        self._frames = 0

    def add(self, motion: Motion, p: int, first_frame: int) -> None:
        """Append the frames in which the person is there."""
        assert motion.world is not None
        places = to_y_up(motion.world[:, p]).reshape(len(motion), -1)
        there = np.isfinite(places).any(-1)
        numbers = np.arange(first_frame + 1, first_frame + len(motion) + 1)
        rows = np.column_stack([numbers, motion.times, places])[there]
        self.file.append(format_rows(self._pattern, rows).replace("nan", "").encode())
        self._frames += len(rows)
        for place in self._places:
            self.file.patch(place, (COUNT % self._frames).encode())


@dataclass(frozen=True, eq=False)
class Trc:
    """Markers of one file.

    Attributes:
        markers: their M names.
        times: (T,) [s].
        points: (T, M, 3) in `units`, NaN where a marker is not seen; y up in metric files.
        units: as the header says: "m", "mm", "px".
    """

    markers: tuple[str, ...]
    times: np.ndarray
    points: np.ndarray
    units: str


def read_trc(path: str | Path) -> Trc:
    """Read and check one file.

    Raises:
        ValueError: with file and line, for anything that is not a whole TRC file.
    """
    path = Path(path)
    lines = decode(read_bytes(path, "a TRC file", MAX_BYTES)).split("\n")
    if len(lines) < 6 or not lines[0].startswith("PathFileType"):
        raise ValueError(f"{path} is not a TRC file: it must start with PathFileType and five lines of header.")
    names, values = ([cell.strip() for cell in line.split("\t")] for line in lines[1:3])
    header = dict(zip(names, values, strict=False))
    markers = tuple(name for name in lines[3].rstrip().split("\t")[2:] if name.strip())
    if not 0 < len(markers) <= MAX_MARKERS or len(set(markers)) != len(markers):
        raise ValueError(f"{path}, line 4: 1 to {MAX_MARKERS} different markers must be named, found {len(markers)}.")
    rows = _rows(lines, 2 + 3 * len(markers), path)
    _check_header(header, len(rows), len(markers), path)
    times, points = rows[:, 1], rows[:, 2:].reshape(len(rows), -1, 3)
    if not np.isfinite(times).all() or (np.abs(points) > LARGEST).any() or (np.diff(times) <= 0).any():
        raise ValueError(f"{path}: times must be finite and increase, coordinates must be within {LARGEST:g}.")
    _check_times(header, times, path)
    return Trc(markers, times, points, header.get("Units", "").lower())


def _check_header(header: Mapping[str, str], frames: int, markers: int, path: Path) -> None:
    """Refuse a file that holds less than it announces; where it holds more frames, they stand."""
    for key, found in (("NumFrames", frames), ("NumMarkers", markers)):
        if not header.get(key):
            continue
        try:
            announced = plain_number(header[key])
        except ValueError as error:
            raise ValueError(f"{path}, line 3, {key}: {error}") from None
        if key == "NumFrames" and found > announced:
            log.warning("%s: NumFrames says %g, and %d frames follow, which are read.", path, announced, found)
        elif found != announced:
            raise ValueError(
                f"{path}: {key} says {announced:g}, and the file has {found}. It is cut off, or its header is of "
                "another file."
            )


def _check_times(header: Mapping[str, str], times: np.ndarray, path: Path) -> None:
    """Refuse times that are no seconds: frames are then further apart, or closer, than the header's rate says."""
    if len(times) < 2:
        return
    step = float(np.median(np.diff(times)))
    try:
        rate = plain_number(header.get("DataRate", ""))
    except ValueError:
        rate = 0.0
    if step > LONGEST or (0 < rate <= LARGEST and not 1 / APART < step * rate < APART):
        said = f", and DataRate says {rate:g} a second" if rate > 0 else ""
        raise ValueError(
            f"{path}: times must be seconds, and its frames are {step:g} apart{said}. Put right which of them is wrong."
        )


def _rows(lines: Sequence[str], columns: int, path: Path) -> np.ndarray:
    """(T, columns) numbers of the lines after the header, NaN where cells are empty or left out at the end."""
    body = [(number, line) for number, line in enumerate(lines[5:], start=6) if line.strip()]
    if not body:
        raise ValueError(f"{path} has no frames.")
    if 8 * columns * len(body) > (most := largest_of(path.stat().st_size)):
        raise ValueError(f"{path}: {len(body)} frames of {columns} numbers are more than {limit(most)}.")
    rows = np.full((len(body), columns), np.nan)
    for row, (number, line) in zip(rows, body, strict=True):
        cells = line.split("\t", columns)[:columns]
        if len(cells) < 2:
            raise ValueError(f"{path}, line {number}: {columns} cells are expected, found {len(cells)}.")
        try:
            row[: len(cells)] = [plain_number(cell) if cell.strip() else np.nan for cell in cells]
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from None
        there = (~np.isnan(row[2:])).reshape(-1, 3).sum(1)
        if len(half := np.flatnonzero((there != 0) & (there != 3))):
            raise ValueError(
                f"{path}, line {number}: marker {half[0] + 1} has {there[half[0]]} of its three numbers. Is the line "
                "cut off?"
            )
    return rows
