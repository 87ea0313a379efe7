"""From a source to motion, chunk after chunk: source, 2D, tracks, repair, lift, place, ground.

for motion in Pipeline().stream("my.mp4"): ...
Pipeline(people=1, height=1.78)("my.mp4").save("walk.bvh")
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any

from anypose.engine.device import Device as Device  # before torch: it makes importing torch safe  # isort: skip

import numpy as np

from anypose.drawing.pictures import KeptPictures
from anypose.motion import Motion
from anypose.settings import Misuse
from pose3d.predict.bodies import Bodies
from pose3d.predict.finding import People, PeopleInFile, PeopleInPictures
from pose3d.predict.ground import SETTLED, Ground
from pose3d.predict.lifters import chosen_lifter, open_lifter
from pose3d.predict.lifting import Lift
from pose3d.predict.networks import open_network
from pose3d.predict.placing import assumed_intrinsics
from pose3d.predict.reconstruction import Reconstruction
from pose3d.predict.recording import Recording, cut, join
from pose3d.predict.settings import check_effects, complete
from pose3d.predict.smoothing import Smoothing
from pose3d.predict.source import expand, open_companion, open_source
from pose3d.predict.stages import Stopwatch
from pose3d.predict.tracks import dense
from pose3d.predict.windows import Seen, Window, windows

log = logging.getLogger(__name__)

CONTEXT = 1.0  # seconds looked at on either side of a chunk
LIVE_CONTEXT = 0.5  # and before a frame that may not wait: what lies there is worked on again with every frame
LOOKS = 5.0  # periods of smoothing after which what lies there does not matter
BRIEF = 0.2  # who is seen for less is no person [s]

Chunk = tuple[Motion, KeptPictures | None]


class Pipeline:
    """Everything between a source and its motion.

    Args:
        settings: those of conf/predict.yaml, as keywords; sections as mappings.

    Attributes:
        stopwatch: the time of each stage.
        warnings: what was wrong with the source.
        assumed: what nobody said and was guessed, with the setting that says it.
        frames, ids: how many frames have come out, and who was in them.
        dropped: frames of a live source that nobody had time for.
        arrived: when the newest frame came [s of time.perf_counter].
        ground: with the foot skate.
        bodies: those that are fitted, where they are asked for.
        stopping: set it and the source ends with the frame it is at, and what was seen is finished.
    """

    def __init__(self, **settings: Any) -> None:
        self.settings = complete(settings)
        self.start()

    def start(self) -> None:
        """Forget the source before."""
        self.stopwatch = Stopwatch()
        self.warnings: list[str] = []
        self.assumed: list[str] = []
        self.frames, self.dropped, self.arrived = 0, 0, 0.0
        self.ids: set[int] = set()
        self.ground = Ground(self.settings.hold_feet)
        self.bodies = Bodies(self.settings.height) if self.settings.body else None
        self.stopping = False

    def __call__(self, source: str | Path | int) -> Recording:
        """The whole motion of a source.

        Args:
            source: a path, URL, pattern, a webcam's number, or "example".

        Raises:
            ValueError: for a source that cannot be read, and at the end where nobody was in any frame.
        """
        return join(list(self.stream(source)))

    def stream(self, source: str | Path | int) -> Iterator[Recording]:
        """The motion of a source, chunk after chunk; of a live source frame by frame.

        Args:
            source: a path, URL, pattern, a webcam's number, or "example".

        Raises:
            ValueError: for a source that cannot be read, and at the end where nobody was in any frame.
        """
        for motion, _pictures in self.run(source, pictures=False):
            yield Recording(**vars(motion))

    def run(self, source: str | Path | int, pictures: bool = True, stop: Sequence = ()) -> Generator[Chunk, None, None]:
        """Chunks of motion, each with its pictures where there are some and they are asked for.

        Args:
            source: a path, URL, pattern, or webcam's number.
            pictures: whether they are.
            stop: once something is in it the source ends with the frame it is at.

        Raises:
            ValueError: at the end, where nobody was in any frame.
        """
        self.start()
        if self.settings.lifter != "auto":
            _ = self.lift  # somebody's own may not fit, which is told before its keypoints are judged
        with ExitStack() as stack:
            people = self.people(source, stack, pictures)
            found = self.until_stopped(iter(people), stop)  # the threads are on their way while the lifter is opened
            smooth = Smoothing(self.method(people.live), self.settings.smooth_legs, self.settings.smooth_arms)
            reconstruct = Reconstruction(self.settings, self.lift, smooth, self.ground)
            for window in self.windows(found, people):
                with self.stopwatch("3D"):
                    assert people.size is not None  # known from the first frame on
                    intrinsics = assumed_intrinsics(people.size, self.settings.focal)
                    motion = reconstruct(self.motion(window, people), intrinsics, window.keep)
                if self.bodies is not None:
                    with self.stopwatch("body"):
                        motion = self.bodies(motion, intrinsics)
                motion = cut(motion, window.keep)
                self.ids |= set(motion.ids.tolist())
                self.frames += len(motion)
                self.dropped, self.arrived = people.dropped, window.seen[-1].arrived
                yield motion, window.pictures()
            self.conclude(people, source)
        if not self.ids:
            raise ValueError(f"source={source}: nobody was found in its {self.frames} frames by {people.network}.")

    def windows(self, found: Iterator[Seen], people: People) -> Iterator[Window]:
        """The frames in chunks, each with as much before and after it as lifting and smoothing look at.

        Args:
            found: the frames.
            people: where they come from.
        """
        settings = self.settings
        if people.live:
            context, future, settle = LIVE_CONTEXT, 0, 0.0
        else:
            context = max(CONTEXT, settings.gaps, LOOKS * max(settings.smooth_legs, settings.smooth_arms))
            future, settle = max(self.lift.future, 1), SETTLED
        return windows(found, people.chunk, context, future, settle, self.lift.past)

    def conclude(self, people: People, source: str | Path | int) -> None:
        """Note what the motion of a whole source rests on.

        Args:
            people: its people, all of whose frames have come.
            source: as it was named.
        """
        if people.size is not None and self.settings.focal is None:
            focal = assumed_intrinsics(people.size, None)[0]
            self.assumed.append(f"a focal length of {focal:.0f} px (focal=)")
        if self.settings.height is None:
            self.assumed.append("people as tall as the lifter makes them (height=)")
        self.warnings += people.warnings + (self.bodies.warnings if self.bodies is not None else [])
        if self.ground.guessed and self.bodies is None:
            self.warnings.append(f"source={source} shows no foot: the floor lies where an adult's feet would be")
            log.warning("%s.", self.warnings[-1])

    @cached_property
    def lift(self) -> Lift:
        """The lifting stage, opened when it is first needed."""
        return Lift(open_lifter(self.settings.lifter), self.settings.hypotheses, self.settings.where)

    def method(self, live: bool) -> str:
        """The filter that `smooth=` names; auto depends on whether the source is `live`."""
        chosen = self.settings.smooth
        if chosen is False:  # YAML reads off so
            return "off"
        return ("one_euro" if live else "butterworth") if chosen == "auto" else str(chosen)

    def people(self, source: str | Path | int, stack: ExitStack, pictures: bool) -> People:
        """Everyone in every frame of a source, found in threads that run ahead.

        Args:
            source: a path, URL or webcam's number.
            stack: ends the threads.
            pictures: whether the frames keep theirs.

        Raises:
            ValueError: for several sources, and one that cannot be read.
            Misuse: for settings that have no effect on this source.
        """
        settings = self.settings
        singles = expand(source)
        if len(singles) != 1:
            raise ValueError(f"source={source} names {len(singles)} sources; a pipeline takes one at a time.")
        opened = open_source(singles[0], settings)
        if isinstance(opened, Motion):
            for key in ("keypoints", "boxes"):
                if (weights := settings[key].weights) is not None:
                    told = f"source={singles[0]} holds keypoints, no pictures"
                    raise Misuse(f"{key}.weights={weights} has no effect: {told}.")
            video = open_companion(singles[0], settings)
            self.assumed += [f"{one} (fps=)" for one in opened.facts.get("assumed", []) if video is None]
            return PeopleInFile(opened, video, self.stopwatch, stack, pictures, settings.live)
        if settings.video is not None:
            raise Misuse(f"video={settings.video} has no effect: source={singles[0]} has pictures of its own.")
        if settings.live and opened.live:
            raise Misuse(f"live=true has no effect: source={singles[0]} is live.")
        check_effects(settings, singles[0], opened.stills)
        network = open_network(settings, opened.stills)
        return PeopleInPictures(opened, network, self.stopwatch, stack, pictures, settings.live)

    def until_stopped(self, frames: Iterator[Seen], stop: Sequence) -> Iterator[Seen]:
        """The frames until `stopping` is set, or something is in `stop`."""
        for seen in frames:
            yield seen
            if self.stopping or stop:
                return

    def motion(self, window: Window, people: People) -> Motion:
        """The record of the keypoints in a `window` of `people`'s frames, without who was there for a moment only."""
        ids, keypoints, landmarks = dense([frame.people for frame in window.seen], people.skeleton.num_joints)
        times = np.array([frame.time for frame in window.seen])
        if not people.live and len(times) > 1:
            counted = np.isfinite(keypoints[..., 0]).any(-1).sum(0) * float(np.median(np.diff(times)))
            stays = counted >= min(BRIEF, (times[-1] - times[0]) / 2)
            ids, keypoints = ids[stays], keypoints[:, stays]
            landmarks = None if landmarks is None else landmarks[:, stays]
        facts = {
            "keypoints": people.network,
            "lifter": chosen_lifter(self.settings.lifter),
            "focal": self.settings.focal or "assumed",
            "height": self.settings.height or "the lifter's",
        }
        return Motion(
            people.name, times, ids, keypoints=keypoints, keypoint_skeleton=people.skeleton, landmarks=landmarks,
            size=people.size, facts=facts,
        )  # fmt: skip
