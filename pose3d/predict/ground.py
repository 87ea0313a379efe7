"""The floor: which way is up, how high people stand, which foot carries them, and feet that do not skate.

A camera looks down and is rolled, so figures lean until they are turned upright. Somebody who stands or walks has the
hips over the feet, averaged over time: that direction is up. The camera does not move.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from anypose.camera import Camera
from anypose.motion import Motion, stretches
from anypose.skeleton import Skeleton
from pose3d.predict.placing import ANKLE
from pose3d.predict.smoothing import Smoothing
from pose3d.predict.windows import lasts

SETTLED = 3.0  # seconds of people after which the floor is settled
UPRIGHT = np.array([0.0, -1.0, 0.0])  # up in the axes of a level camera
LEANING = 0.6  # cosine of the angle between hips over feet and up, above which somebody stands
SLOW = 0.35  # a foot that moves less than this carries weight [m/s] ...
STILL_SLOW = 0.6  # ... and goes on carrying it below this
LOW = 0.12  # above the floor or above the other foot [m]
SHORTEST = 0.06  # a contact lasts at least so long [s]
GROWS = 0.25  # time in which the share of a foot that arrives grows, and of one that leaves goes back [s]
MOVED = 0.1  # a foot that is seen farther than this from where it stood has moved, along the floor [m]
SURE = 1.0  # time in which it shows where a foot stands [s]
NOWHERE = np.full((2, 3), np.nan)
FEET = ("left_foot", "right_foot")
FASTEST = 0.1  # period of the smoothing with which a foot's speed is measured [s]
LEG = 0.85  # of an adult who stands, from hip to ankle [m]


@dataclass
class Skate:
    """How far standing feet move, summed over contact frames.

    Attributes:
        frames: in which a foot stands and has stood in the frame before, feet counted one by one.
        before, after: how far they moved in all of them along the floor, and up or down, as lifted and when held [m].
    """

    frames: int = 0
    before: np.ndarray = field(default_factory=lambda: np.zeros(2))
    after: np.ndarray = field(default_factory=lambda: np.zeros(2))

    def report(self) -> dict[str, float]:
        """Millimetres per contact frame."""
        report: dict[str, float] = {"contact_frames": self.frames}
        for name, moved in (("before", self.before), ("after", self.after)):
            for way, metres in zip(("skate", "rise"), moved.tolist(), strict=True):
                report[f"{way}_{name}_mm"] = round(1e3 * metres / max(self.frames, 1), 2)
        return report


@dataclass
class Ground:
    """The stage that stands people on a floor.

    Attributes:
        hold: keep standing feet where they stand.
        up: (3,) what is up in camera axes, None to find it.
        smoothing: for the speeds of the feet.
    """

    hold: bool
    up: np.ndarray | None = None
    skate: Skate = field(default_factory=Skate)
    _ups: list[np.ndarray] = field(default_factory=list)
    _lows: list[float] = field(default_factory=list)
    _seconds: float = 0.0
    _camera: Camera | None = None
    _anchors: dict[int, np.ndarray] = field(default_factory=dict)

    def __call__(self, motion: Motion, intrinsics: np.ndarray, keep: slice) -> Motion:
        """The motion with `world`, `contacts` and `camera`; its `joints` follow feet that are held.

        Args:
            motion: with joints in camera axes [m].
            intrinsics: (3,) focal length and principal point [px].
            keep: the frames that are new; what is before and after them is only context.
        """
        assert motion.joints is not None
        assert motion.skeleton is not None
        if not np.isfinite(motion.joints).any():
            return replace(motion, world=motion.joints.copy(), contacts=np.zeros((*motion.joints.shape[:2], 2), bool))
        camera = self.camera(motion, intrinsics, keep)
        world = (motion.joints.astype(np.float64) @ camera.rotation + camera.position).astype(np.float32)
        feet = [motion.skeleton.index(foot) for foot in FEET]
        contacts = np.stack(
            [find_contacts(world[:, person, feet], motion.times) for person in range(len(motion.ids))], axis=1
        )
        held = world
        if self.hold:
            found = [
                hold_feet(world[:, p, feet], contacts[:, p], motion.times, self._anchors.get(number, NOWHERE), keep)
                for p, number in enumerate(motion.ids.tolist())
            ]
            self._anchors = {number: after for number, (_, after) in zip(motion.ids.tolist(), found, strict=True)}
            held = (world + np.stack([shift for shift, _ in found], axis=1)[:, :, None]).astype(np.float32)
        first, last, _ = keep.indices(len(motion))
        steps = slice(max(first - 1, 0), last)  # from the frame before the new ones on
        self.measure(world[steps], held[steps], contacts[steps], feet)
        moved = held - world
        joints = (motion.joints + moved @ camera.rotation.T).astype(np.float32)
        others = motion.hypotheses
        if others is not None:
            others = (others + (moved[:, :, :1] @ camera.rotation.T)[:, :, None]).astype(np.float32)
        return replace(motion, joints=joints, world=held, contacts=contacts, camera=camera, hypotheses=others)

    def camera(self, motion: Motion, intrinsics: np.ndarray, keep: slice) -> Camera:
        """The camera as it stands over the floor; settled once people have been seen for long enough."""
        if self._camera is not None and self._seconds >= SETTLED:
            return self._camera
        assert motion.joints is not None
        assert motion.skeleton is not None
        assert motion.size is not None
        joints = motion.joints[keep if self._seconds else slice(None)]  # at first all frames at hand
        if self.up is None:
            self._ups.extend(standing_directions(joints, motion.skeleton))
            up = mean_direction(np.array(self._ups))
        else:
            up = self.up / np.linalg.norm(self.up)
        rotation = level(up)
        feet = joints[:, :, [motion.skeleton.index(foot) for foot in FEET]] @ rotation
        heights = feet[..., 2].min(-1)
        self._lows.extend(heights[np.isfinite(heights)].tolist())
        lows = self._lows or half_people(joints @ rotation, motion.skeleton)
        floor = float(np.percentile(lows, 20)) - ANKLE
        self._seconds += lasts(motion.times, keep)
        width, height = motion.size
        self._camera = Camera(
            motion.name, rotation, np.array([0, 0, -floor]), np.full(2, intrinsics[0]), intrinsics[1:],
            np.zeros(3), np.zeros(2), width, height,
        )  # fmt: skip
        return self._camera

    @property
    def guessed(self) -> bool:
        """Whether nobody's foot was seen while the floor was settled: it lies where an adult's feet would be."""
        return self._camera is not None and not self._lows

    def measure(self, before: np.ndarray, after: np.ndarray, contacts: np.ndarray, feet: list[int]) -> None:
        """Add the frames of one chunk to `skate`."""
        standing = contacts[1:] & contacts[:-1]
        self.skate.frames += int(standing.sum())
        for total, world in ((self.skate.before, before), (self.skate.after, after)):
            steps = np.diff(world[:, :, feet], axis=0)[standing]
            total += [np.linalg.norm(steps[:, :2], axis=-1).sum(), np.abs(steps[:, 2]).sum()]


def half_people(joints: np.ndarray, skeleton: Skeleton) -> list[float]:
    """Where ankles of people (T, P, J, 3) would be whose feet are never seen: a leg below hips, or the lowest joint."""
    hips = joints[..., [skeleton.index(hip) for hip in ("left_hip", "right_hip")], 2]
    for heights in (hips, joints[..., 2]):
        lowest = np.where(np.isfinite(heights), heights, np.inf).min(-1)
        if np.isfinite(lowest).any():
            break
    return (lowest[np.isfinite(lowest)] - LEG).tolist()


def standing_directions(joints: np.ndarray, skeleton: Skeleton) -> list[np.ndarray]:
    """(3,) from the middle of the feet to the hips, of everyone in every frame (T, P, J, 3) who may be standing."""
    feet = joints[..., [skeleton.index(foot) for foot in FEET], :].mean(-2)
    hips = joints[..., [skeleton.index(hip) for hip in ("left_hip", "right_hip")], :].mean(-2)
    directions = (hips - feet).reshape(-1, 3)
    length = np.linalg.norm(directions, axis=-1)
    good = length > 0.4  # who sits on the floor says nothing
    return list(directions[good] / length[good, None])


def mean_direction(directions: np.ndarray) -> np.ndarray:
    """(3,) the direction most of (N, 3) agree on: those far from it are left out, three times over."""
    if not len(directions):
        return UPRIGHT
    mean = np.median(directions, axis=0)
    for _ in range(3):
        mean /= max(float(np.linalg.norm(mean)), 1e-9)
        near = directions[directions @ mean > LEANING]
        if len(near):
            mean = near.mean(0)
    mean /= max(float(np.linalg.norm(mean)), 1e-9)
    # Somebody upside down is rarer than a camera that is.
    return mean if mean @ UPRIGHT > 0 else UPRIGHT


def level(up: np.ndarray) -> np.ndarray:
    """(3, 3) world to camera of a camera in whose axes `up` is up; the world's y is where it looks, z is up.

    The columns are the world's axes in the camera's.
    """
    ahead = np.array([0.0, 0.0, 1.0]) - up[2] * up
    if np.linalg.norm(ahead) < 1e-6:  # it looks straight down
        ahead = np.array([0.0, -1.0, 0.0]) + up[1] * up
    ahead /= np.linalg.norm(ahead)
    return np.stack([np.cross(ahead, up), ahead, up], axis=1)


def find_contacts(feet: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(T, 2) whether a foot stands, from the ankles (T, 2, 3) in the world [m]: slow, and near the floor or the lower.

    Slow means along the floor; a foot that stands is let go only when it is faster than one that arrives.
    """
    T = len(times)
    contacts = np.zeros((T, 2), bool)
    if T < 3:
        return contacts
    steady = Smoothing("butterworth", FASTEST, FASTEST).series(feet, times, FASTEST)
    speed = np.linalg.norm(np.gradient(steady, times, axis=0), axis=-1)
    lower = np.fmin(steady[..., 2].min(-1, keepdims=True), ANKLE * 2)
    low = (steady[..., 2] < lower + LOW) | (steady[..., 2] < ANKLE + LOW)
    for side in range(2):
        may = (speed[:, side] < STILL_SLOW) & low[:, side]
        sure = (speed[:, side] < SLOW) & low[:, side]
        for start, end in stretches(may):
            inside = np.flatnonzero(sure[start:end])
            if len(inside) and times[end - 1] - times[start] >= SHORTEST:
                contacts[start:end, side] = True
    return contacts


def hold_feet(
    feet: np.ndarray,
    contacts: np.ndarray,
    times: np.ndarray,
    anchors: np.ndarray = NOWHERE,
    keep: slice = slice(None),
) -> tuple[np.ndarray, np.ndarray]:
    """(T, 3) how the whole person must be moved so that standing feet stay where they are, and new anchors.

    While a foot stands, it stays where it was seen to stand at first, in height, too; two standing feet share. In
    between the shift goes over evenly, so a step is as long as it was and nothing jumps.

    Args:
        feet: (T, 2, 3) ankles in the world [m].
        contacts: (T, 2).
        times: (T,) [s].
        anchors: (2, 3) where each foot stood in the frame before those of `keep` [m], NaN where it did not.
        keep: the frames that are new.
    """
    T = len(times)
    first, last, _ = keep.indices(T)
    grows = max(1, round(GROWS / float(np.median(np.diff(times))))) if T > 1 else 1
    wanted, weight, after = np.zeros((T, 3)), np.zeros(T), NOWHERE.copy()
    for side in range(2):
        for start, end in stretches(contacts[:, side] & np.isfinite(feet[:, side]).all(-1)):
            place = feet[start:end, side]
            stood = anchors[side] if start < first < end else NOWHERE[side]
            stands = standing_places(place, times[start:end], stood, max(first - start, 0))
            if start < last <= end:
                after[side] = stands[last - 1 - start]
            # Its share grows from nothing and goes back to it, so that two feet take turns without a jump.
            share = np.minimum(np.arange(1, end - start + 1), np.arange(end - start, 0, -1)).clip(max=grows)
            wanted[start:end] += share[:, None] * (stands - place)
            weight[start:end] += share
    shift = np.zeros((T, 3))
    known = np.flatnonzero(weight)
    if len(known):
        values = wanted[known] / weight[known, None]
        for axis in range(3):
            shift[:, axis] = np.interp(times, times[known], values[:, axis])
    return shift, after


def standing_places(place: np.ndarray, times: np.ndarray, stood: np.ndarray, since: int) -> np.ndarray:
    """(n, 3) where a foot stands that is seen at (n, 3) places: the middle of its first second there.

    Once it is seen too far from there it has moved, and stands anew.

    Args:
        place: of the ankle [m].
        times: (n,) [s].
        stood: (3,) where it stood before frame `since`, NaN where that is not known.
        since: frames before it went with another chunk.
    """
    stands, start, n = np.empty_like(place), 0, len(place)
    known = bool(np.isfinite(stood).all())
    while start < n:
        if not known:
            stood = np.median(place[start : max(start + 1, int(np.searchsorted(times, times[start] + SURE)))], axis=0)
        apart = np.linalg.norm(place[start:, :2] - stood[:2], axis=-1) >= MOVED
        apart[: max(1, since - start if known else 1)] = False
        end = start + int(apart.argmax()) if apart.any() else n
        stands[start:end] = stood
        start, known = end, False
    return stands
