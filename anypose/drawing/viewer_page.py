"""The viewer's page: the numbers of a motion beside the HTML that draws them.

Numbers are 16-bit integers of a millimetre or a part of a pixel, frames whole: `viewer.html` reads them as they are.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np

from anypose.drawing.skins import pack
from anypose.formats.glb import Mesh
from anypose.formats.spool import Spool
from anypose.skeleton import Skeleton

PAGE = Path(__file__).with_name("viewer.html")
MOST_BYTES = 48 << 20  # of the motion in the page, before base64
GHOSTS = 5  # hypotheses that are shown
MISSING = -32768
TURN = 1 / 32_000  # of a quaternion's numbers
STREAMS = ("world", "points", "scores", "ghosts", "contacts", "turns")
Dress = Callable[[Skeleton, np.ndarray], Mesh]  # the skin over a rest pose (J, 3)
Streams = dict[str, Iterator[np.ndarray] | None]


class Pictures(Protocol):
    """JPEGs, with `times` (n,) [s]; each stands for `every` of the source's."""

    every: int

    @property
    def times(self) -> np.ndarray: ...

    def __iter__(self) -> Iterator[bytes]: ...


def write_page(file: IO[bytes], spool: Spool, pictures: Pictures, mesh: Dress | None = None) -> list[str]:
    """Write the page; gives what was left out."""
    content = _Content.of(spool, mesh)
    notes = []
    if content.every > 1:
        told = f"One in {content.every} of {spool.num_frames} frames is here"
        notes.append(f"{told}, so that a browser can hold them; the npz has all.")
    if pictures.every > 1:
        notes.append(f"One picture in {pictures.every} is here.")
    times = np.concatenate(spool.times)
    head, streams = _head(spool, content, times, notes), _streams(spool, content)
    before, after = PAGE.read_text(encoding="utf-8").split("/*DATA*/")
    file.write(before.encode() + _json({**head, **content.units, "skins": content.skins(spool)})[:-1])
    file.write(b',"times":"' + base64.b64encode(times[:: content.every].astype("<f8").tobytes()) + b'"')
    for name in STREAMS:
        blocks = streams.get(name)
        file.write(f',"{name}":'.encode() + (b"null" if blocks is None else b'"'))
        if blocks is not None:
            _write_base64(file, _thinned(blocks, content.every))
            file.write(b'"')
    file.write(b',"pictureTimes":"' + base64.b64encode(pictures.times.astype("<f8").tobytes()) + b'","pictures":[')
    for number, jpeg in enumerate(pictures):
        file.write((b"," if number else b"") + b'"' + base64.b64encode(jpeg) + b'"')
    file.write(b"]}" + after.encode())
    return notes


@dataclass(frozen=True, eq=False)
class _Content:
    """What of a motion a page shows.

    Attributes:
        kept: the fields that there are.
        place: where joints are taken from, "world" or "joints".
        hypotheses: how many of them.
        mesh: makes everybody's skin, None where there are no rotations to move it.
        every: one in so many frames.
        units: what the integers of joints, "metre", and of keypoints, "pixel", are.
    """

    kept: frozenset[str]
    place: str
    hypotheses: int
    mesh: Dress | None
    every: int
    units: dict[str, float]

    @classmethod
    def of(cls, spool: Spool, mesh: Dress | None) -> _Content:
        last = spool.last
        assert last is not None
        J = last.skeleton.num_joints if last.skeleton else 0
        K = last.keypoint_skeleton.num_joints if last.keypoint_skeleton else 0
        kept = frozenset(spool.kept)
        place = "world" if "world" in kept else "joints"
        M = min(GHOSTS, spool.kind("hypotheses")[1][0]) if {"hypotheses", "joints", "world"} <= kept else 0
        skinned = mesh is not None and last.skeleton is not None and {"world", "rotations"} <= kept
        each = J * 6 * (1 + M) * (place in kept) + K * 5 * ("keypoints" in kept) + J * 8 * skinned + 1
        units = {}
        if place in kept:
            units["metre"] = _quantum(spool, place, 1e-3)
        if "keypoints" in kept:
            units["pixel"] = _quantum(spool, "keypoints", 1 / 16)
        every = max(1, -(-spool.num_frames * len(spool.ids) * each // MOST_BYTES))
        return cls(kept, place, M, mesh if skinned else None, every, units)

    def skins(self, spool: Spool) -> Any:
        """Everybody's, packed; None where there are none."""
        if self.mesh is None:
            return None
        assert spool.last is not None
        assert spool.last.skeleton is not None
        skeleton, mesh = spool.last.skeleton, self.mesh
        rests = [spool.rest[person] for person in spool.ids]
        return pack((mesh(skeleton, rest), rest) for rest in rests)


def _head(spool: Spool, content: _Content, times: np.ndarray, notes: list[str]) -> dict[str, Any]:
    """All that is said once: names, sizes, skeletons."""
    last = spool.last
    assert last is not None
    count = len(spool.ids)
    people = f"{count} {'person' if count == 1 else 'people'}"
    return {
        "name": last.name,
        "about": f"{people}, {len(times)} frames, {times[-1] - times[0]:.1f} s",
        "notes": [*_told(last.facts), *notes],
        "ids": list(spool.ids),
        "frames": len(times[:: content.every]),
        "allFrames": len(times),
        "every": content.every,
        "size": last.size,
        "joints": list(last.skeleton.joints) if last.skeleton else [],
        "keypoints": list(last.keypoint_skeleton.joints) if last.keypoint_skeleton else [],
        "bones": bones_with_sides(last.skeleton),
        "limbs": bones_with_sides(last.keypoint_skeleton),
        "hypotheses": content.hypotheses,
        "parents": list(last.skeleton.parents) if last.skeleton else [],
        **_places(last.skeleton),
    }


def _streams(spool: Spool, content: _Content) -> Streams:
    """The numbers of every frame, those of `STREAMS` that there are."""
    kept, units, streams = content.kept, content.units, Streams()
    if content.place in kept:
        places = (upright(block, content.place) for block in spool.blocks(content.place))
        streams["world"] = (_small(block, units["metre"]) for block in places)
    if content.hypotheses:
        streams["ghosts"] = _ghosts(spool, content.hypotheses, units["metre"])
    if content.mesh is not None:
        streams["turns"] = (_small(block, TURN) for block in spool.blocks("rotations"))
    if "keypoints" in kept:
        streams["points"] = (_small(block[..., :2], units["pixel"]) for block in spool.blocks("keypoints"))
        streams["scores"] = _scores(spool)
    if "contacts" in kept:
        streams["contacts"] = (np.packbits(block, -1, "little")[..., 0] for block in spool.blocks("contacts"))
    return streams


def _told(facts: Mapping[str, Any]) -> list[str]:
    """Where a motion comes from, and what its metres rest on."""
    keypoints, lifter = (str(facts[key])[:80] if key in facts else "" for key in ("keypoints", "lifter"))
    told = [f"Keypoints: {keypoints}."] if keypoints else []
    told += [f"Lifted by {lifter}."] if lifter else []
    if facts.get("focal") == "assumed" and not isinstance(facts.get("height"), int | float):
        told.append("Neither focal length nor a height was given: sizes and distances are a guess.")
    return told


def bones_with_sides(skeleton: Skeleton | None) -> list[tuple[int, int, int]]:
    """Child, parent and side (0 middle, 1 left, 2 right) of each bone."""
    if skeleton is None:
        return []
    return [
        (child, parent, 1 if child in skeleton.left else 2 * (child in skeleton.right))
        for child, parent in skeleton.bones
    ]


def upright(points: np.ndarray, place: str) -> np.ndarray:
    """(..., 3) in world axes; camera axes (x right, y down, z away) stand upright as if the camera were level."""
    return points if place == "world" else np.stack([points[..., 0], points[..., 2], -points[..., 1]], -1)


def _places(skeleton: Skeleton | None) -> dict[str, Any]:
    """Which joints are the root, the top and the feet."""
    if skeleton is None:
        return {"root": 0, "top": 0, "feet": [-1, -1]}
    names = skeleton.joints
    top = next((names.index(name) for name in ("head_top", "head", "nose", "neck", "thorax") if name in names), 0)
    feet = [names.index(foot) if foot in names else -1 for foot in ("left_foot", "right_foot")]
    return {"root": skeleton.parents.index(-1), "top": top, "feet": feet}


def _quantum(spool: Spool, field: str, usual: float) -> float:
    """The unit in which everything fits 16 bits."""
    largest = max((float(np.nanmax(np.abs(block[..., :3]), initial=0)) for block in spool.blocks(field)), default=0.0)
    return max(usual, largest / 32_000)


def _small(values: np.ndarray, unit: float) -> np.ndarray:
    """Float values as 16-bit integers of `unit`; a point with a NaN is missing."""
    missing = ~np.isfinite(values).all(-1, keepdims=True)
    return np.where(missing, MISSING, np.round(np.nan_to_num(values, posinf=0, neginf=0) / unit)).astype("<i2")


def _scores(spool: Spool) -> Iterator[np.ndarray]:
    filled = spool.blocks("filled") if "filled" in spool.kept else None
    for block in spool.blocks("keypoints"):
        scores = np.round(254 * np.clip(np.nan_to_num(block[..., 2]), 0, 1)).astype(np.uint8)
        if filled is not None:
            scores[next(filled)[:, :, : scores.shape[2]]] = 255
        yield scores


def _ghosts(spool: Spool, most: int, unit: float) -> Iterator[np.ndarray]:
    """Hypotheses moved from camera axes into the world, as their frame's joints are: a rigid turn and shift."""
    for hypotheses, joints, world in zip(
        spool.blocks("hypotheses"), spool.blocks("joints"), spool.blocks("world"), strict=True
    ):
        centre, target = joints.mean(-2, keepdims=True), world.mean(-2, keepdims=True)
        whole = np.isfinite(centre).all((-2, -1)) & np.isfinite(target).all((-2, -1))
        cross = np.where(whole[..., None, None], np.swapaxes(joints - centre, -1, -2) @ (world - target), np.eye(3))
        u, _, v = np.linalg.svd(cross)
        u[..., -1] *= np.sign(np.linalg.det(u @ v))[..., None]
        turned = (hypotheses[:, :, :most] - centre[:, :, None]) @ (u @ v)[:, :, None] + target[:, :, None]
        yield _small(np.where(whole[..., None, None, None], turned, np.nan), unit)


def _thinned(blocks: Iterator[np.ndarray], every: int) -> Iterator[np.ndarray]:
    """Every n-th frame of all the blocks together."""
    done = 0
    for block in blocks:
        yield block[-done % every :: every]
        done += len(block)


def _write_base64(file: IO[bytes], blocks: Iterator[np.ndarray]) -> None:
    """The bytes of all blocks as one base64 text, three at a time."""
    rest = b""
    for block in blocks:
        data = rest + np.ascontiguousarray(block).tobytes()
        whole = len(data) - len(data) % 3
        file.write(base64.b64encode(data[:whole]))
        rest = data[whole:]
    file.write(base64.b64encode(rest))


def _json(head: dict[str, Any]) -> bytes:
    """JSON that cannot end the element it stands in."""
    return json.dumps(head, allow_nan=False).replace("<", "\\u003c").encode()
