"""mp4: each picture with its keypoints, and beside it the people in space, drawn by OpenCV's lines and encoded by PyAV.

Frames keep their times. The file is made of fragments of a second, so what is written plays, whatever happens later.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from anypose.drawing.pictures import HIGHEST, WIDEST, room_of
from anypose.drawing.viewer_page import bones_with_sides, upright
from anypose.formats.even import frame_step
from anypose.formats.sink import Sink
from anypose.motion import Motion

LOWEST = 360  # of the film; it is as high as its pictures from there to HIGHEST [px]
CLOCK = 90_000  # ticks a second
ENCODERS = ("libx264", "libopenh264", "mpeg4")
# Of x264's presets the quickest; superfast makes files of two thirds and takes 1.7 times as long.
OPTIONS = {"libx264": {"preset": "ultrafast", "crf": "26"}}
# Middle, left and right as in the pictures of anypose.drawing.poses; RGB.
SIDES = ((57, 66, 78), (43, 125, 224), (228, 87, 46))
PAPER, GRID, INK = (247, 248, 250), (214, 220, 227), (31, 41, 51)
SHIFT = 4  # OpenCV draws at sixteenths of a pixel
AZIMUTH, ELEVATION = 0.5, 0.25  # of the view [rad]
NEAREST = 3.5  # the closest the camera comes [m]
FOLLOW = 0.1  # of the way to where people are, that the camera goes in a frame
GRID_METRES = np.arange(-4, 5)  # lines on the floor


class VideoSink(Sink):
    """`NAME_3d.mp4`."""

    suffix = "_3d.mp4"
    shows = True

    def _begin(self, motion: Motion) -> None:
        self._left = picture_size(motion.size)
        height = self._left[1] if self._left else HIGHEST
        self._view = View(height)
        width = (self._left[0] if self._left else 0) + height * (motion.world is not None or motion.joints is not None)
        if not width:
            raise ValueError(
                f"{self.path}: a film shows keypoints of a picture of known size, or joints; found neither."
            )
        self._film = Film(self.path, width, height, 1 / frame_step(motion.times))
        self.notes += self._film.notes
        self.files.append(self.path)
        self._start = float(motion.times[0])

    def _add(self, motion: Motion, pictures: Sequence[np.ndarray] | None) -> None:
        place = "world" if motion.world is not None else "joints"
        points = getattr(motion, place)
        scenes = None if points is None else self._view.project(upright(points.astype(np.float64), place))
        for t, stamp in enumerate(motion.times.tolist()):
            halves = []
            if self._left:
                halves.append(overlay(motion, t, None if pictures is None else pictures[t], self._left))
            if scenes is not None:
                halves.append(self._view.draw(motion, t, scenes))
            self._film.add(np.concatenate(halves, 1), stamp - self._start)

    def close(self) -> None:
        """Finish the film."""
        if self.files:
            self._film.close()


class Film:
    """An encoder and its file; frames (H, W, 3) uint8 RGB at times [s] that increase."""

    def __init__(self, path: Path, width: int, height: int, rate: float) -> None:
        try:
            import av
        except ImportError as error:
            raise ImportError(f"Films need PyAV ({error}). pip install 'anypose[video]'") from error
        name = next((name for name in ENCODERS if name in av.codecs_available), None)
        if name is None:
            raise ValueError(f"{path}: this PyAV encodes none of {', '.join(ENCODERS)}.")
        self.path, self.notes = path, [] if name == ENCODERS[0] else [f"encoded by {name}: larger than H.264"]
        self._av: Any = av
        fragments = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "flush_packets": "1"}
        self._file = av.open(f"file:{path}", "w", format="mp4", options=fragments)  # its name may have a colon
        stream: Any = self._file.add_stream(name, rate=Fraction(rate).limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = OPTIONS.get(name, {})
        stream.codec_context.time_base = Fraction(1, CLOCK)
        stream.codec_context.gop_size = max(1, round(rate))
        stream.codec_context.thread_count = 1
        self._stream = stream
        self._last = -1

    def add(self, image: np.ndarray, seconds: float) -> None:
        """The next frame."""
        import cv2

        planes = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2YUV_I420)
        frame = self._av.VideoFrame.from_ndarray(planes, format="yuv420p")
        self._last = max(self._last + 1, round(seconds * CLOCK))
        frame.pts, frame.time_base = self._last, Fraction(1, CLOCK)
        self._mux(frame)

    def _mux(self, frame: Any) -> None:
        try:
            for packet in self._stream.encode(frame):
                self._file.mux(packet)
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror}; what was written before plays", str(self.path)) from error

    def close(self) -> None:
        """Write the last frames."""
        try:
            self._mux(None)
        finally:
            self._file.close()


def picture_size(size: tuple[int, int] | None) -> tuple[int, int] | None:
    """Width and height of the film's left half, even: the picture's as it is kept, and room around a small one."""
    if size is None:
        return None
    width, height = room_of(size)
    if height < LOWEST:
        width, height = min(WIDEST, round(LOWEST * size[0] / size[1])), LOWEST
    return width + width % 2, height + height % 2


def overlay(motion: Motion, t: int, picture: np.ndarray | None, room: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) the picture of frame `t` in that room, its people's keypoints upon it."""
    import cv2

    assert motion.size is not None
    scale = min(room[0] / motion.size[0], room[1] / motion.size[1])
    width, height = (max(1, round(side * scale)) for side in motion.size)
    left, top = (room[0] - width) // 2, (room[1] - height) // 2
    canvas = np.full((room[1], room[0], 3), PAPER[0] if picture is None else 0, np.uint8)
    if picture is not None and picture.shape[:2] == (height, width):
        canvas[top : top + height, left : left + width] = picture
    elif picture is not None:
        canvas[top : top + height, left : left + width] = cv2.resize(
            picture,
            (width, height),
            interpolation=cv2.INTER_AREA if picture.shape[0] >= 2 * height else cv2.INTER_LINEAR,
        )
    if motion.keypoints is None or motion.keypoint_skeleton is None:
        return canvas
    places = motion.keypoints[t, ..., :2] * scale + [left, top]
    seen = np.asarray((np.abs(places) < 1e4).all(-1))  # NaN is not less
    places = np.round(np.where(seen[..., None], places, 0) * (1 << SHIFT)).astype(int).tolist()
    for person, there in zip(places, seen.tolist(), strict=True):
        for child, parent, side in bones_with_sides(motion.keypoint_skeleton):
            if there[child] and there[parent]:
                cv2.line(canvas, person[child], person[parent], SIDES[side], 2, cv2.LINE_AA, SHIFT)
    name_people(canvas, motion, places, seen)
    return canvas


def name_people(canvas: np.ndarray, motion: Motion, places: list, seen: np.ndarray) -> None:
    """Everybody's id over their highest point, where there are several; dark with a light rim, for any background.

    Args:
        canvas: (H, W, 3), drawn on.
        motion: whose ids.
        places: (P, J, 2) of their points in sixteenths of a pixel.
        seen: (P, J) which of them are there.
    """
    import cv2

    if len(motion.ids) < 2:
        return
    for number, person, there in zip(motion.ids.tolist(), places, seen, strict=True):
        if there.any():
            x, y = min((place for place, known in zip(person, there, strict=True) if known), key=lambda place: place[1])
            corner = ((x >> SHIFT) - 5, (y >> SHIFT) - 14)
            for colour, width in ((PAPER, 4), (INK, 1)):
                cv2.putText(canvas, str(number), corner, cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, width, cv2.LINE_AA)


class View:
    """A square window into the world: everybody in it, the floor under them, moving with them without haste."""

    def __init__(self, side: int) -> None:
        self.side = side
        self._middle: np.ndarray | None = None
        self._away: float | None = None
        self._paper = np.full((side, side, 3), PAPER, np.uint8)
        ca, sa, ce, se = np.cos(AZIMUTH), np.sin(AZIMUTH), np.cos(ELEVATION), np.sin(ELEVATION)
        # Right, down and away of the window, in the world.
        self._axes = np.array([[ca, sa, 0], [sa * se, -ca * se, -ce], [-sa * ce, ca * ce, -se]])

    def project(self, world: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(T, P, J, 2) pixels, (T, P, J) depths [m] and (T, L, 2, 2) ends of the floor's lines, of (T, P, J, 3)."""
        known = np.asarray(np.isfinite(world).all(-1))
        count = np.maximum(known.sum((1, 2)), 1)[:, None]
        centres = np.where(known[..., None], world, 0).sum((1, 2)) / count
        middles = np.zeros_like(centres)
        for t, (centre, anyone) in enumerate(zip(centres, np.asarray(known.any(axis=(1, 2))), strict=True)):
            if anyone:
                self._middle = centre if self._middle is None else self._middle + FOLLOW * (centre - self._middle)
            if self._middle is not None:
                middles[t] = self._middle
        middles = middles[:, None, None]
        reach = np.abs(np.where(known[..., None], world - middles, 0)).max(initial=0)
        away = max(NEAREST, 3 * float(reach))
        aways = np.linspace(self._away or away, away, len(world))[:, None, None]
        self._away = away
        pixels, depths = self._flatten(world, middles, aways)
        ends = np.stack([np.stack([GRID_METRES, np.full(9, side)], -1) for side in GRID_METRES[[0, -1]]], 1)
        floor = np.zeros((len(world), 18, 2, 3))
        floor[..., :2] = np.concatenate([ends, ends[..., ::-1]]) + np.round(middles[..., :2])
        return pixels, depths, self._flatten(floor, middles, aways)[0]

    def _flatten(self, points: np.ndarray, middles: np.ndarray, aways: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        turned = (points - middles) @ self._axes.T
        depth = np.maximum(turned[..., 2] + aways, 0.2)
        return self.side / 2 + 1.1 * self.side * turned[..., :2] / depth[..., None], depth

    def draw(self, motion: Motion, t: int, scenes: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
        """(side, side, 3) frame `t` of what `project` gave."""
        import cv2

        assert motion.skeleton is not None
        pixels, depths, floor = scenes
        canvas = self._paper.copy()
        for start, end in np.round(np.clip(floor[t], -1e4, 1e4) * (1 << SHIFT)).astype(int).tolist():
            cv2.line(canvas, start, end, GRID, 1, cv2.LINE_AA, SHIFT)
        seen = np.asarray((np.abs(pixels[t]) < 1e4).all(-1))
        places = np.round(np.where(seen[..., None], pixels[t], 0) * (1 << SHIFT)).astype(int).tolist()
        depth = np.nan_to_num(depths[t])
        limbs = [
            (depth[p, child] + depth[p, parent], places[p][child], places[p][parent], SIDES[side])
            for p in range(len(places))
            for child, parent, side in bones_with_sides(motion.skeleton)
            if seen[p, child] and seen[p, parent]
        ]
        for _, start, end, colour in sorted(limbs, key=lambda limb: -limb[0]):
            cv2.line(canvas, start, end, colour, 4, cv2.LINE_AA, SHIFT)
        name_people(canvas, motion, places, seen)
        for text, corner, colour in (
            (f"{motion.times[t]:.2f} s", (12, 24), INK),
            ("left", (12, self.side - 14), SIDES[1]),
            ("right", (46, self.side - 14), SIDES[2]),
        ):
            cv2.putText(canvas, text, corner, cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA)
        return canvas
