"""Everyone in every frame of a source, with ids: out of pictures, or out of a file of keypoints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Protocol

import numpy as np

from anypose.drawing.pictures import compress
from anypose.motion import Motion
from anypose.skeleton import Skeleton
from pose3d.predict.people import Found, Frame, KeypointNetwork
from pose3d.predict.source import STILLS, Pictures
from pose3d.predict.stages import Ahead, Stopwatch
from pose3d.predict.tracks import Tracker
from pose3d.predict.windows import Seen

WAITING = 8  # decoded frames that may wait for the 2D network
FOUND = 240  # frames with their people that may wait for what writes whole chunks of them
CHUNK = 90  # frames that go on together: few, for what is left to do once the 2D network is through with the last
WHOLE = 1920  # of a file of keypoints, which come at once: many, for the frames around a chunk are worked on again
INSIDE = 0.5  # share of keypoints that lie in the picture, of a file whose picture it is

Decoded = tuple[Frame, bytes | None]  # and its picture as JPEG


class People(Protocol):
    """An iterator over `Seen`, and what is known of them.

    Attributes:
        name: of the source.
        network: what found the keypoints.
        skeleton: what they are.
        size: (width, height) of the picture [px], known from the first frame on.
        live: no frame may wait for later ones.
        chunk: how many frames go on together.
        dropped: frames that nobody had time for.
        warnings: what was wrong with the source.
    """

    name: str
    network: str
    skeleton: Skeleton
    live: bool
    chunk: int

    @property
    def warnings(self) -> list[str]: ...
    @property
    def size(self) -> tuple[int, int] | None: ...
    @property
    def dropped(self) -> int: ...
    def __iter__(self) -> Iterator[Seen]: ...


class PeopleInPictures:
    """Implements `People`: frames are decoded in one thread and looked at in another.

    Args:
        source: of the frames.
        network: finds the people.
        stopwatch: counts the time of both.
        stack: ends the threads.
        pictures: keep each frame's picture, made small.
        live: no frame waits for later ones, though the source would wait.
    """

    def __init__(
        self,
        source: Pictures,
        network: KeypointNetwork,
        stopwatch: Stopwatch,
        stack: ExitStack,
        pictures: bool,
        live: bool = False,
    ) -> None:
        self.source, self._network, self.stopwatch = source, network, stopwatch
        self.stack, self.pictures = stack, pictures
        self.name, self.network, self.skeleton = source.name, network.name, network.skeleton
        self.live = source.live or live
        self.chunk = 1 if self.live else CHUNK
        self.decode: Ahead[Decoded] | None = None

    @property
    def warnings(self) -> list[str]:
        broken = getattr(self._network, "broken", list)  # those who say what came out as no number
        return [*self.source.warnings, *broken()]

    @property
    def dropped(self) -> int:
        return self.decode.dropped if self.decode else 0

    @property
    def size(self) -> tuple[int, int] | None:
        return self.source.size

    def __iter__(self) -> Iterator[Seen]:
        waiting, found = (1, 1) if self.live else (WAITING, FOUND)
        self.decode = frames = self.stack.enter_context(Ahead(self.decoded, waiting, newest=self.source.live))
        return iter(self.stack.enter_context(Ahead(lambda: self.look(frames), found)))

    def decoded(self) -> Iterator[Decoded]:
        """Each frame, and its picture made small, where it is sure to be looked at: the 2D network has no time."""
        for frame in self.stopwatch.timed("decode", self.source.frames()):
            yield frame, None if self.source.live else small(frame, self.pictures, self.stopwatch)

    def look(self, frames: Iterable[Decoded]) -> Iterator[Seen]:
        """The people of each frame."""
        tracker = Tracker()
        for frame, picture in frames:
            with self.stopwatch("2D"):
                people = tracker(self._network.find(frame), frame.time)
            picture = small(frame, self.pictures, self.stopwatch) if self.source.live else picture
            yield Seen(frame.time, people, picture, frame.arrived)


class PeopleInFile:
    """Implements `People`: the keypoints of a file, with its own ids or with ids by where they are.

    Args:
        motion: what a reader of keypoints gave; facts["tracked"] says whether its ids mean the same person over time.
        video: that they were found in; its time stamps and size hold.
        stopwatch, stack, pictures, live: as `PeopleInPictures`'s.
    """

    dropped: int = 0

    def __init__(
        self,
        motion: Motion,
        video: Pictures | None,
        stopwatch: Stopwatch,
        stack: ExitStack,
        pictures: bool,
        live: bool = False,
    ) -> None:
        if motion.keypoints is None or motion.keypoint_skeleton is None:
            raise ValueError(
                f"source={motion.name} must hold keypoints, and it holds joints in metres, which need no lifting. Of "
                "Sports2D's files name the one in pixels, *_px_*.trc."
            )
        if motion.size is None and video is None:
            raise ValueError(
                f"source={motion.name} does not say how large its video was, and where people are depends on it. Say "
                "size=[WIDTH,HEIGHT], or name the video with video=FILE."
            )
        if video is None and motion.size is not None:
            check_pixels(motion, motion.size)
        self.video, self.stopwatch, self.stack, self.pictures = video, stopwatch, stack, pictures
        self.live, self.chunk = live, 1 if live else CHUNK if video is not None else WHOLE
        self.motion, self.tracked = motion, bool(motion.facts.get("tracked", False))
        self.name, self.skeleton = motion.name, motion.keypoint_skeleton
        self.network = str(motion.facts.get("keypoints", "a file of keypoints"))
        self.warnings: list[str] = [] if video is None else video.warnings

    @property
    def size(self) -> tuple[int, int] | None:
        return self.video.size if self.video else self.motion.size

    def __iter__(self) -> Iterator[Seen]:
        assert self.motion.keypoints is not None
        tracker = Tracker()
        every, ids = self.motion.keypoints, self.motion.ids.tolist()
        there = np.asarray(np.isfinite(every[..., :2]).all(-1).any(axis=-1))
        scores = np.isfinite(every[..., 2])
        sure = (np.where(scores, every[..., 2], 0).sum(-1) / np.maximum(scores.sum(-1), 1)).tolist()
        for time, picture, t in self.shown():
            people = {} if t is None else {n: Found(every[t, p], sure[t][p]) for p, n in enumerate(ids) if there[t, p]}
            yield Seen(time, people if self.tracked else tracker(list(people.values()), time), picture)

    def shown(self) -> Iterator[tuple[float, bytes | None, int | None]]:
        """Time stamp, picture and row of each frame; frames of the video that the file leaves out have no row."""
        if self.video is None:
            yield from ((time, None, t) for t, time in enumerate(self.motion.times.tolist()))
            return
        video, (places, numbered, near) = self.video, self.places(self.video)
        frames = iter(self.stack.enter_context(Ahead(lambda: self.decode(video), FOUND)))
        for t, place in enumerate(places.tolist()):
            for number, time, picture in frames:
                there = (number if numbered else time) > place - near
                yield time, picture, t if there else None
                if there:
                    break
            else:
                raise ValueError(
                    f"video={video.name} ends before source={self.name}, which has {len(places)} frames. Is it another "
                    "video?"
                )

    def places(self, video: Pictures) -> tuple[np.ndarray, bool, float]:
        """Where in the video the file's frames are, whether by number or by time, and how near counts as there."""
        times, rate = self.motion.times, self.motion.facts.get("frames_per_second")
        if rate is None:
            step = 1 / (video.rate or STILLS)  # of a video whose time stamps jump far too long
            return times, False, 0.5 * min(step, float(np.median(np.diff(times))) if len(times) > 1 else step)
        numbers = np.rint(times * rate)
        return numbers - (numbers[0] == 1), True, 0.5  # frames that FFmpeg made pictures of are counted from 1

    def decode(self, video: Pictures) -> Iterator[tuple[int, float, bytes | None]]:
        """Number, time stamp and picture of each frame of the video, in the order in which a thread comes to them."""
        for frame in self.stopwatch.timed("decode", video.frames()):
            if frame.index == 0:
                told, found = self.motion.size, video.size
                assert found is not None  # once there is a frame
                if told is not None and told != found:
                    raise ValueError(
                        f"video={video.name} is {found[0]}x{found[1]}, and source={self.name} is of a video of "
                        f"{told[0]}x{told[1]}."
                    )
                check_pixels(self.motion, found)
            yield frame.index, frame.time, small(frame, self.pictures, self.stopwatch)


def check_pixels(motion: Motion, size: tuple[int, int]) -> None:
    """Raise ValueError where the keypoints cannot be of pictures of that size [px]."""
    assert motion.keypoints is not None
    points = motion.keypoints[..., :2].astype(np.float64)
    points = points[np.isfinite(points).all(-1)]
    if not len(points):
        return
    (left, top), (right, bottom) = np.percentile(points, [5, 95], axis=0)
    found = (
        f"most of those of source={motion.name} lie between {left:g} and {right:g} across, {top:g} and {bottom:g} down"
    )
    if max(right, bottom) <= 2 and min(size) > 20:
        raise ValueError(
            f"Keypoints must be pixels, and {found}. Multiply shares of a picture by its width and height."
        )
    if not ((points >= 0) & (points <= size)).all(-1).mean() >= INSIDE:
        raise ValueError(
            f"Keypoints must lie in the picture, which is {size[0]}x{size[1]}, and {found}. Is the size= that of their "
            "video?"
        )


def small(frame: Frame, wanted: bool, stopwatch: Stopwatch) -> bytes | None:
    """The picture that is kept of a frame, where pictures are wanted."""
    if not wanted:
        return None
    with stopwatch("pictures"):
        return compress(frame.image)
