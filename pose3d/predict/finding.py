"""Everyone in every frame of a source, with ids: out of pictures, or out of a file of keypoints."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Protocol

import numpy as np

from anypose.drawing.pictures import compress
from anypose.motion import Motion
from anypose.skeleton import Skeleton
from pose3d.predict.people import Found, Frame, KeypointNetwork
from pose3d.predict.source import Pictures
from pose3d.predict.stages import Ahead, Stopwatch
from pose3d.predict.tracks import Tracker
from pose3d.predict.windows import Seen

WAITING = 8  # decoded frames that may wait for the 2D network
FOUND = 240  # frames with their people that may wait for what writes whole chunks of them


class People(Protocol):
    """An iterator over `Seen`, and what is known of them.

    Attributes:
        name: of the source.
        network: what found the keypoints.
        skeleton: what they are.
        size: (width, height) of the picture [px], known from the first frame on.
        live: no frame may wait for later ones.
        dropped: frames that nobody had time for.
        warnings: what was wrong with the source.
    """

    name: str
    network: str
    skeleton: Skeleton
    live: bool
    warnings: list[str]

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
    """

    def __init__(
        self, source: Pictures, network: KeypointNetwork, stopwatch: Stopwatch, stack: ExitStack, pictures: bool
    ) -> None:
        self.source, self._network, self.stopwatch = source, network, stopwatch
        self.stack, self.pictures = stack, pictures
        self.name, self.network, self.skeleton = source.name, network.name, network.skeleton
        self.live, self.warnings = source.live, source.warnings
        self.decode: Ahead[Frame] | None = None

    @property
    def dropped(self) -> int:
        return self.decode.dropped if self.decode else 0

    @property
    def size(self) -> tuple[int, int] | None:
        return self.source.size

    def __iter__(self) -> Iterator[Seen]:
        waiting, found = (1, 1) if self.live else (WAITING, FOUND)
        decode = Ahead(lambda: self.stopwatch.timed("decode", self.source.frames()), waiting, newest=self.live)
        self.decode = decode
        frames = self.stack.enter_context(decode)
        yield from self.stack.enter_context(Ahead(lambda: self.look(frames), found))

    def look(self, frames: Ahead[Frame]) -> Iterator[Seen]:
        """The people of each frame."""
        tracker = Tracker()
        for frame in frames:
            with self.stopwatch("2D"):
                people = tracker(self._network.find(frame), frame.time)
            picture = None
            if self.pictures:
                with self.stopwatch("pictures"):
                    picture = compress(frame.image)
            yield Seen(frame.time, people, picture, frame.arrived)


class PeopleInFile:
    """Implements `People`: the keypoints of a file, with its own ids or with ids by where they are.

    Args:
        motion: what a reader of keypoints gave; facts["tracked"] says whether its ids mean the same person over time.
        video: that they were found in, frame by frame; its time stamps and size hold.
        stopwatch, stack, pictures: as `PeopleInPictures`'s.
    """

    live: bool = False
    dropped: int = 0

    def __init__(
        self, motion: Motion, video: Pictures | None, stopwatch: Stopwatch, stack: ExitStack, pictures: bool
    ) -> None:
        if motion.keypoints is None or motion.keypoint_skeleton is None:
            raise ValueError(f"source={motion.name} must hold keypoints; it holds joints in 3D, which need no lifting.")
        if motion.size is None and video is None:
            raise ValueError(
                f"source={motion.name} does not say how large its video was, and where people are depends on it. Say "
                "size=[WIDTH,HEIGHT], or name the video with video=FILE."
            )
        self.video, self.stopwatch, self.stack, self.pictures = video, stopwatch, stack, pictures
        self.motion, self.tracked = motion, bool(motion.facts.get("tracked", False))
        self.name, self.skeleton = motion.name, motion.keypoint_skeleton
        self.network = str(motion.facts.get("keypoints", "a file of keypoints"))
        self.warnings: list[str] = [] if video is None else video.warnings

    @property
    def size(self) -> tuple[int, int] | None:
        return self.video.size if self.video else self.motion.size

    def __iter__(self) -> Iterator[Seen]:
        assert self.motion.keypoints is not None
        tracker, shown = Tracker(), self.shown()
        every, ids = self.motion.keypoints, self.motion.ids.tolist()
        there = np.asarray(np.isfinite(every[..., :2]).all(-1).any(axis=-1))
        scores = np.isfinite(every[..., 2])
        sure = (np.where(scores, every[..., 2], 0).sum(-1) / np.maximum(scores.sum(-1), 1)).tolist()
        for t, time in enumerate(self.motion.times.tolist()):
            people = {number: Found(every[t, p], sure[t][p]) for p, number in enumerate(ids) if there[t, p]}
            time, picture = next(shown, (time, None))
            yield Seen(time, people if self.tracked else tracker(list(people.values()), time), picture)

    def shown(self) -> Iterator[tuple[float, bytes | None]]:
        """Time stamp and picture of each frame of the video."""
        if self.video is None:
            return
        video = self.video
        yield from self.stack.enter_context(Ahead(lambda: self.decode(video), FOUND))
        count = len(self.motion)
        raise ValueError(
            f"video={video.name} has fewer frames than source={self.name}, which has {count}. Is it another video?"
        )

    def decode(self, video: Pictures) -> Iterator[tuple[float, bytes | None]]:
        """The same, in the order in which a thread comes to them."""
        for frame in self.stopwatch.timed("decode", video.frames()):
            if not self.pictures:
                yield frame.time, None
                continue
            with self.stopwatch("pictures"):
                picture = compress(frame.image)
            yield frame.time, picture
