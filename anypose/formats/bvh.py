"""BVH motion capture files: a parser that trusts nothing, and forward kinematics over all frames at once."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anypose.formats.files import LARGEST, plain_number, require_file

MAX_BYTES = 1 << 28  # a day at 120 frames per second; as numbers and text it takes ten times as much
MAX_FRAMES = 2_000_000
MAX_JOINTS = 1_000
# Programs differ in capitals and blanks, and in whether a brace stands on its own line.
_CHANNEL = re.compile(r"([XYZ])(position|rotation)", re.IGNORECASE)
_NAMED = re.compile(r"(ROOT|JOINT)\s([^{]+)(\{.*)?", re.IGNORECASE)
_MOTION = re.compile(r"^[ \t]*MOTION[ \t]*$", re.MULTILINE | re.IGNORECASE)
_FRAMES = re.compile(r"\s*Frames\s*:\s*(\d+)\s*", re.IGNORECASE)
_FRAME_TIME = re.compile(r"\s*Frame\s*Time\s*:\s*(\S+)\s*", re.IGNORECASE)
_BLANK = re.compile(r"^[ \t]*$", re.MULTILINE)
SLOWEST, FASTEST = 4.9, 1001.0  # frames per second of what is a recording of motion


@dataclass(frozen=True, eq=False)
class Bvh:
    """One take: a tree of joints and their channels over time.

    Attributes:
        joints: names in file order, parents first; an End Site is called "<parent> end".
        parents: index of the parent, -1 for the root.
        offsets: (J, 3) from the parent, in the file's unit of length.
        channels: per joint, e.g. ("Zrotation", "Xrotation", "Yrotation"), in the order they are applied.
        values: (T, C) all channels of all joints in file order [file's unit, degrees].
        fps: frames per second.
    """

    joints: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: np.ndarray
    channels: tuple[tuple[str, ...], ...]
    values: np.ndarray
    fps: float

    def __len__(self) -> int:
        return len(self.values)


def read_bvh(path: str | Path, rate: float | None = None) -> Bvh:
    """Read and check one file.

    Args:
        path: the file, in UTF-8, UTF-16 or Latin-1, with any line ends.
        rate: frames per second in place of what the file says.

    Raises:
        ValueError: with file and line, for anything that is not a whole, finite BVH file of sane size.
    """
    path = require_file(path, "a BVH file", MAX_BYTES)
    text = decode(path.read_bytes())
    start = _MOTION.search(text)
    if start is None:
        raise ValueError(f"{path}: no line 'MOTION'; the file is cut off or is not BVH.")
    joints, parents, offsets, channels = _parse_hierarchy(text[: start.start()], path)
    first_line = text.count("\n", 0, start.end()) + 2
    values, fps = _parse_motion(text[start.end() + 1 :], sum(map(len, channels)), first_line, path, rate)
    return Bvh(tuple(joints), tuple(parents), np.array(offsets), tuple(channels), values, fps)


def decode(data: bytes) -> str:
    """The text of a motion file, its lines ended by newlines: UTF-16 and UTF-8 by their marks, else by what fits."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = data.decode("utf-16", errors="replace")
    elif b"\0" in data[:64]:
        text = data.decode("utf-16-le" if data[1:2] == b"\0" else "utf-16-be", errors="replace")
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("latin-1")
    return text.replace("\r\r\n", "\n").replace("\r\n", "\n").replace("\r", "\n")


def forward_kinematics(bvh: Bvh, joints: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Where the named joints are and how they are turned, in the file's world and unit.

    Rotations are intrinsic in channel order: R = R_first R_second R_third. Position channels replace the joint's
    offset, as MotionBuilder writes and Blender reads them.

    Args:
        bvh: a take.
        joints: names, see `Bvh.joints`. Only these and their ancestors are computed.

    Returns:
        (T, len(joints), 3) positions and (T, len(joints), 3, 3) joint-to-world rotations, float64.
    """
    missing = [name for name in joints if name not in bvh.joints]
    if missing:
        raise ValueError(f"No joint {', '.join(missing)} in this BVH; it has {', '.join(bvh.joints)}.")
    wanted = [bvh.joints.index(name) for name in joints]
    needed = set(wanted)
    for index in reversed(range(len(bvh.joints))):
        if index in needed and bvh.parents[index] >= 0:
            needed.add(bvh.parents[index])
    columns = np.cumsum([0, *map(len, bvh.channels)])
    world: dict[int, tuple[np.ndarray, np.ndarray]] = {-1: (np.zeros(3), np.eye(3))}
    for index in sorted(needed):
        translation = np.broadcast_to(bvh.offsets[index], (len(bvh), 3)).copy()
        rotation = np.broadcast_to(np.eye(3), (len(bvh), 3, 3)).copy()
        for column, channel in enumerate(bvh.channels[index], start=columns[index]):
            axis = "XYZ".index(channel[0])
            if channel.endswith("position"):
                translation[:, axis] = bvh.values[:, column]
            else:
                _turn(rotation, axis, np.radians(bvh.values[:, column]))
        position, parent = world[bvh.parents[index]]
        world[index] = (position + (parent @ translation[..., None])[..., 0], parent @ rotation)
    return np.stack([world[i][0] for i in wanted], 1), np.stack([world[i][1] for i in wanted], 1)


def _turn(rotation: np.ndarray, axis: int, angle: np.ndarray) -> None:
    """rotation (T, 3, 3) <- rotation @ R_axis(angle (T,) [rad]), in place: only two columns change."""
    second, third = (axis + 1) % 3, (axis + 2) % 3
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    b, c = rotation[:, :, second].copy(), rotation[:, :, third]
    rotation[:, :, second] = cos * b + sin * c
    rotation[:, :, third] = cos * c - sin * b


class _Tokens:
    """Words of the header with the line each stands on."""

    def __init__(self, text: str, path: Path) -> None:
        self.path, self.line = path, 1
        self._words = self._iterate(text)

    def _iterate(self, text: str) -> Iterator[str]:
        for self.line, line in enumerate(text.rstrip("\n").split("\n"), start=1):
            named = _NAMED.fullmatch(line.strip())
            if named and named[2].strip():  # a name may have blanks
                yield from (named[1], named[2].strip())
                yield from (named[3] or "").replace("{", "{ ").split()
            else:
                yield from line.split()

    def error(self, message: str) -> ValueError:
        return ValueError(f"{self.path}, line {self.line}: {message}")

    def rest(self) -> str | None:
        """The next word, or None at the end."""
        return next(self._words, None)

    def next(self, what: str) -> str:
        word = next(self._words, None)
        if word is None:
            raise self.error(f"the file ends where {what} was expected.")
        return word

    def expect(self, word: str) -> None:
        if (found := self.next(f"'{word}'")).upper() != word:
            raise self.error(f"expected '{word}', found '{found[:40]}'.")

    def number(self, what: str) -> float:
        word = self.next(what)
        try:
            value = plain_number(word)
        except ValueError:
            raise self.error(f"expected {what}, found '{word[:40]}'.") from None
        if not abs(value) <= LARGEST:
            raise self.error(f"{what} is {word[:40]}.")
        return value


def _parse_hierarchy(text: str, path: Path) -> tuple[list[str], list[int], list[list[float]], list[tuple[str, ...]]]:
    tokens = _Tokens(text, path)
    joints: list[str] = []
    parents: list[int] = []
    offsets: list[list[float]] = []
    channels: list[tuple[str, ...]] = []
    open_joints: list[int] = []
    tokens.expect("HIERARCHY")
    while open_joints or not joints:
        word = tokens.next("'}'" if joints else "'ROOT'")
        if word == "}" and open_joints:
            open_joints.pop()
            continue
        allowed = ("JOINT", "End") if joints else ("ROOT",)
        if word.upper() not in [known.upper() for known in allowed]:
            raise tokens.error(f"expected {' or '.join(allowed)}, found '{word[:40]}'.")
        name = tokens.next("a joint's name")
        end = word.upper() == "END"
        if end:
            name = f"{joints[open_joints[-1]]} end"
        if name in joints and not end:
            raise tokens.error(f"joint '{name[:40]}' is defined twice.")
        if len(joints) >= MAX_JOINTS:
            raise tokens.error(f"more than {MAX_JOINTS} joints.")
        joints.append(name)
        parents.append(open_joints[-1] if open_joints else -1)
        open_joints.append(len(joints) - 1)
        tokens.expect("{")
        tokens.expect("OFFSET")
        offsets.append([tokens.number(f"OFFSET of {name}") for _ in range(3)])
        channels.append(() if end else _parse_channels(tokens, name))
    if (word := tokens.rest()) is not None:
        if word.upper() == "ROOT":
            other = tokens.rest() or ""
            raise tokens.error(
                f"a second ROOT, '{other[:40]}', after '{joints[0]}'. A file holds one person; save each to its own."
            )
        raise tokens.error(f"expected 'MOTION', found '{word[:40]}'.")
    return joints, parents, offsets, channels


def _parse_channels(tokens: _Tokens, name: str) -> tuple[str, ...]:
    tokens.expect("CHANNELS")
    count = tokens.number(f"number of CHANNELS of {name}")
    if count not in range(7):
        raise tokens.error(f"{name} has {count:g} CHANNELS; 0 to 6 are possible.")
    words = [tokens.next(f"a channel of {name}") for _ in range(int(count))]
    channels = tuple(word[:1].upper() + word[1:].lower() for word in words)
    for channel in channels:
        if not _CHANNEL.fullmatch(channel) or channels.count(channel) > 1:
            raise tokens.error(f"channel '{channel[:40]}' of {name} is unknown or stands twice.")
    return channels


def _parse_motion(text: str, columns: int, first_line: int, path: Path, rate: float | None) -> tuple[np.ndarray, float]:
    """The part after MOTION, whose first line is `first_line` of the file."""
    head, _, rest = text.partition("\n")
    second, _, body = rest.partition("\n")
    frames, frame_time = _FRAMES.fullmatch(head), _FRAME_TIME.fullmatch(second)
    if frames is None or frame_time is None:
        line, word, found = (first_line, "Frames", head) if frames is None else (first_line + 1, "Frame Time", second)
        raise ValueError(f"{path}, line {line}: expected '{word}: NUMBER', found '{found[:40]}'.")
    count = int(frames[1][:12])
    if not 0 < count <= MAX_FRAMES:
        raise ValueError(f"{path}, line {first_line}: {count} frames; 1 to {MAX_FRAMES} are possible.")
    fps = rate or _rate(frame_time[1], f"{path}, line {first_line + 1}")
    rows = body.count("\n") + 1 - sum(1 for _ in _BLANK.finditer(body))
    if rows != count:
        raise ValueError(
            f"{path}: Frames: {count} are announced, {rows} lines of numbers follow; "
            f"{'the file is cut off' if rows < count else 'the header or the file is wrong'}."
        )
    try:
        values = np.loadtxt(io.StringIO(body), ndmin=2, comments=None)
    except ValueError as error:
        raise ValueError(f"{path}, frames from line {first_line + 2}: {error}") from None
    if values.shape != (count, columns):
        raise ValueError(
            f"{path}: Frames: {count} and {columns} channels are announced, "
            f"found {values.shape[0]} frames of {values.shape[1]} numbers; the file is cut off or damaged."
        )
    if not (there := np.abs(values) <= LARGEST).all():
        frame = np.argwhere(~there)[0][0]
        raise ValueError(f"{path}: frame {frame} holds NaN or infinity, or a number beyond {LARGEST:g}.")
    return values, fps


def _rate(word: str, where: str) -> float:
    """Frames per second of a Frame Time [s]."""
    try:
        step = plain_number(word)
    except ValueError:
        step = float("nan")
    if not 1 / FASTEST <= step <= 1 / SLOWEST:
        raise ValueError(
            f"{where}: Frame Time is {word[:40]}; seconds from one frame to the next are expected, e.g. 0.00833. "
            "If the motion itself is sound, say how many frames a second has, with dataset.rate=."
        )
    return 1.0 / step
