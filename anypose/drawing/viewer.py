"""The viewer: a motion, its keypoints and small pictures in one HTML file that opens from disk, without a network.

Numbers are kept as 16-bit integers of a millimetre or a part of a pixel. A long motion shows every n-th frame and every
n-th picture so that a browser can hold it; the page says so. The page itself is `viewer.html` beside this file.
"""

from __future__ import annotations

import base64
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from anypose.drawing.pictures import KeptPictures
from anypose.drawing.skins import pack
from anypose.formats.glb import Mesh
from anypose.formats.sink import Sink
from anypose.formats.spool import Pace, Spool
from anypose.motion import Motion
from anypose.skeleton import Skeleton

PAGE = Path(__file__).with_name("viewer.html")
MOST_BYTES = 48 << 20  # of the motion in the page, before base64
PICTURE_BYTES = 24 << 20  # of all its pictures
PICTURE_WIDTH = 480  # of the longer side [px]
QUALITY = 60  # of JPEG
GHOSTS = 5  # hypotheses that are shown
MISSING = -32768
TURN = 1 / 32_000  # of a quaternion's numbers
STREAMS = ("world", "points", "scores", "ghosts", "contacts", "turns")
FIELDS = ("keypoints", "joints", "world", "filled", "contacts", "hypotheses")
Dress = Callable[[Skeleton, np.ndarray], Mesh]  # the skin over a rest pose (J, 3)


class ViewerSink(Sink):
    """`NAME.html`, written anew every few seconds and at the end.

    Attributes:
        mesh: makes everybody's skin, None to show bones alone; set before the first chunk.
    """

    suffix = ".html"
    shows = True
    mesh: Dress | None = None

    def _begin(self, motion: Motion) -> None:
        fields = FIELDS if self.mesh is None else (*FIELDS, "rotations")
        self._spool, self._pace = Spool(self.path.parent, fields), Pace()
        self._pictures = PictureFile(self.path.parent)

    def _add(self, motion: Motion, pictures: Sequence[np.ndarray] | None) -> None:
        self._spool.append(motion)
        if pictures is not None:
            self._pictures.add(motion.times, pictures)
        if self._pace.due():
            self._write()

    def _write(self) -> None:
        start = time.monotonic()
        part = self.path.with_name(f".{self.path.name}.part")
        try:
            with part.open("wb") as file:
                self.notes = write_page(file, self._spool, self._pictures, self.mesh)
            os.replace(part, self.path)
        finally:
            part.unlink(missing_ok=True)
        self.files = [self.path]
        self._pace.took(time.monotonic() - start)

    def close(self) -> None:
        """Write the last frames."""
        if self._first is not None:
            self._first = None
            try:
                if self.frames:  # or the disk was full before the first chunk
                    self._write()
            finally:
                self._spool.close()
                self._pictures.close()


class PictureFile:
    """Small JPEGs on disk: all of them while they fit, then every second, every fourth ...

    Attributes:
        times: of those that are kept [s].
        every: how many pictures one stands for.
    """

    def __init__(self, folder: Path, most_bytes: int = PICTURE_BYTES) -> None:
        self.every, self.most_bytes = 1, most_bytes
        self._seen = 0
        self._kept: list[tuple[int, float, int, int]] = []  # number, time, where, how long
        self._bytes = 0
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115

    def add(self, times: np.ndarray, pictures: Sequence[np.ndarray]) -> None:
        """Pictures (H, W, 3) uint8 RGB at these times."""
        if isinstance(pictures, KeptPictures) and len(pictures) and max(pictures[0].shape) >= 2 * PICTURE_WIDTH:
            pictures = KeptPictures(pictures.encoded, half=True)
        for place, stamp in enumerate(times.tolist()):
            if self._seen % self.every == 0:  # only these are looked at: pictures may be decoded by that
                data = small_jpeg(pictures[place])
                self._kept.append((self._seen, stamp, self._file.seek(0, 2), len(data)))
                self._file.write(data)
                self._bytes += len(data)
                while self._bytes > self.most_bytes and len(self._kept) > 1:
                    self.every *= 2
                    self._kept = [kept for kept in self._kept if kept[0] % self.every == 0]
                    self._bytes = sum(length for _, _, _, length in self._kept)
            self._seen += 1

    @property
    def times(self) -> np.ndarray:
        """(n,) float64 [s]."""
        return np.array([stamp for _, stamp, _, _ in self._kept], dtype=np.float64)

    def __iter__(self) -> Iterator[bytes]:
        for _, _, where, length in self._kept:
            self._file.seek(where)
            yield self._file.read(length)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def small_jpeg(picture: np.ndarray) -> bytes:
    """(H, W, 3) uint8 RGB as a small JPEG."""
    try:
        import cv2
    except ImportError as error:
        raise ImportError(f"Pictures in the viewer need OpenCV ({error}). pip install 'anypose[image]'") from error
    scale = min(1.0, PICTURE_WIDTH / max(picture.shape[:2]))
    if scale < 1:
        size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale > 0.5 else cv2.INTER_LINEAR)
    done, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise ValueError(f"a picture of shape {picture.shape} cannot be made a JPEG.")
    return data.tobytes()


def write_page(file: IO[bytes], spool: Spool, pictures: PictureFile, mesh: Dress | None = None) -> list[str]:
    """Write the page; gives what was left out."""
    last = spool.last
    assert last is not None
    J = last.skeleton.num_joints if last.skeleton else 0
    K = last.keypoint_skeleton.num_joints if last.keypoint_skeleton else 0
    P, T = len(spool.ids), spool.num_frames
    kept, place = set(spool.kept), "world" if "world" in spool.kept else "joints"
    M = min(GHOSTS, spool.kind("hypotheses")[1][0]) if {"hypotheses", "joints", "world"} <= kept else 0
    skinned = mesh is not None and {"world", "rotations"} <= kept
    frame_bytes = P * (J * 6 * (1 + M) * (place in kept) + K * 5 * ("keypoints" in kept) + J * 8 * skinned + 1)
    every = max(1, -(-T * frame_bytes // MOST_BYTES))
    times = np.concatenate(spool.times)
    notes, told = [], _told(last.facts)
    if every > 1:
        notes.append(f"One in {every} of {T} frames is here, so that a browser can hold them; the npz has all.")
    if pictures.every > 1:
        notes.append(f"One picture in {pictures.every} is here.")
    people = f"{P} {'person' if P == 1 else 'people'}"
    head: dict[str, Any] = {
        "name": last.name,
        "about": f"{people}, {T} frames, {times[-1] - times[0]:.1f} s",
        "notes": [*told, *notes],
        "ids": list(spool.ids),
        "frames": len(times[::every]),
        "allFrames": T,
        "every": every,
        "size": last.size,
        "joints": list(last.skeleton.joints) if last.skeleton else [],
        "keypoints": list(last.keypoint_skeleton.joints) if last.keypoint_skeleton else [],
        "bones": bones_with_sides(last.skeleton),
        "limbs": bones_with_sides(last.keypoint_skeleton),
        "hypotheses": M,
        "parents": list(last.skeleton.parents) if last.skeleton else [],
        "skins": None,
        **_places(last.skeleton),
    }
    streams: dict[str, Iterator[np.ndarray] | None] = dict.fromkeys(STREAMS)
    if place in kept:
        head["metre"] = _quantum(spool, place, 1e-3)
        streams["world"] = (_small(upright(block, place), head["metre"]) for block in spool.blocks(place))
    if M:
        streams["ghosts"] = _ghosts(spool, M, head["metre"])
    if skinned and mesh is not None and last.skeleton is not None:
        rests = [spool.rest[person] for person in spool.ids]
        head["skins"] = pack((mesh(last.skeleton, rest), rest) for rest in rests)
        streams["turns"] = (_small(block, TURN) for block in spool.blocks("rotations"))
    if "keypoints" in kept:
        head["pixel"] = _quantum(spool, "keypoints", 1 / 16)
        streams["points"] = (_small(block[..., :2], head["pixel"]) for block in spool.blocks("keypoints"))
        streams["scores"] = _scores(spool)
    if "contacts" in kept:
        streams["contacts"] = (np.packbits(block, -1, "little")[..., 0] for block in spool.blocks("contacts"))
    before, after = PAGE.read_text(encoding="utf-8").split("/*DATA*/")
    file.write(before.encode() + _json(head)[:-1])
    file.write(b',"times":"' + base64.b64encode(times[::every].astype("<f8").tobytes()) + b'"')
    for name, blocks in streams.items():
        file.write(f',"{name}":'.encode() + (b"null" if blocks is None else b'"'))
        if blocks is not None:
            _write_base64(file, _thinned(blocks, every))
            file.write(b'"')
    file.write(b',"pictureTimes":"' + base64.b64encode(pictures.times.astype("<f8").tobytes()) + b'","pictures":[')
    for number, jpeg in enumerate(pictures):
        file.write((b"," if number else b"") + b'"' + base64.b64encode(jpeg) + b'"')
    file.write(b"]}" + after.encode())
    return notes


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
