"""A script: key poses in time for feet, pelvis, trunk, head and hands. `performance` turns it into motion.

Between two keys everything moves along a straight line with least jerk, as hands do (Flash and Hogan 1985).
"""

from __future__ import annotations

import numpy as np

from pose3d.synthesis.body import Body
from pose3d.synthesis.kinematics import OUTWARD

MARGIN = 1.0  # seconds performed and cut away on both sides, so that smoothing sees no ends
PRELUDE = 4.0  # seconds acted before that, so that takes begin in the middle of something


class Track:
    """Keys of one moving thing, in time order; the value before the first and after the last key is held."""

    def __init__(self, *values: float) -> None:
        self.times = [-PRELUDE - MARGIN]
        self.values = [values]
        self.lifts = [0.0]

    @property
    def time(self) -> float:
        return self.times[-1]

    @property
    def value(self) -> tuple[float, ...]:
        return self.values[-1]

    def to(self, start: float, duration: float, *values: float, lift: float = 0.0) -> float:
        """Rest until `start`, then move to `values` in `duration` seconds, in an arc `lift` high. Returns the end."""
        start = max(start, self.time)
        self.times += [start, start + max(duration, 0.02)]
        self.values += [self.values[-1], values]
        self.lifts += [0.0, lift]
        return self.times[-1]

    def at(self, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(T, D) values and (T,) height of the arc at `time` (T,)."""
        times, values = np.array([*self.times, 1e9]), np.array([*self.values, self.values[-1]])
        lifts = np.array([*self.lifts, 0.0])
        key = np.clip(np.searchsorted(times, time, side="right") - 1, 0, len(times) - 2)
        begin = times[key]
        u = np.clip((time - begin) / np.maximum(times[key + 1] - begin, 1e-9), 0.0, 1.0)
        ease = u * u * u * (10 + u * (6 * u - 15))
        value = values[key] + ease[:, None] * (values[key + 1] - values[key])
        # 1 at u = 0.4: the heel comes up early in the swing.
        return value, lifts[key + 1] * 28.935 * u * u * (1 - u) ** 3


class Script:
    """What one person does during one take. Programs (footwork, gestures) append keys to its tracks.

    World: z up, the floor at 0. Side 0 is right, 1 is left. All times in seconds, angles in radians.

    Attributes:
        begin, end: when programs start and until when they must have filled the tracks; the take itself is 0 to
            `duration` and lies inside.
        x, y, yaw: where the person stands and faces as far as the script is written.
        width: from the path to a foot [m].
        feet: per side x, y, height above the ankle's own [m], yaw.
        seat: how far the pelvis is held by a place instead of following the feet (0..1), that place's x, y and height
            over the floor [m].
        pelvis: forward, left and up of where the feet put it [leg lengths], pitch, roll, yaw.
        lumbar, thoracic, neck: flexion, bend to the right, twist to the left.
        hands: per side azimuth from straight ahead outward, distance from the trunk's axis, height over the thorax
            [arm lengths], turn of the elbow outward, how far the hand swings with the gait (0..1).
        knees: per side, how far the knee turns outward.
        swing: amplitude of that [arm lengths per leg length].
        straightness: how far standing legs are stretched, as a share of their length.
        ripple: oscillations added to hands: (side, start, end, (3,) amplitude [arm lengths], frequency [Hz], phase).
    """

    def __init__(self, rng: np.random.Generator, body: Body, duration: float) -> None:
        self.rng, self.body = rng, body
        self.x, self.y = rng.uniform(-0.7, 0.7, 2)
        self.yaw = rng.uniform(-np.pi, np.pi)
        self.width = rng.uniform(0.05, 0.14)
        self.begin, self.end = -PRELUDE, duration + MARGIN
        self.feet = [Track(*self.beside(side), 0.0, self.yaw + OUTWARD[side] * 0.1) for side in (0, 1)]
        self.seat = Track(0.0, self.x, self.y, body.leg)
        self.pelvis = Track(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        self.lumbar, self.thoracic, self.neck = (Track(0.0, 0.0, 0.0) for _ in range(3))
        self.hands = [Track(1.3, 0.45, -0.95, 0.0, 1.0) for _ in (0, 1)]
        self.knees = [Track(0.0) for _ in (0, 1)]
        self.ripple: list[tuple[int, float, float, np.ndarray, float, float]] = []
        self.swing = rng.uniform(0.3, 1.1)
        self.straightness = rng.uniform(0.97, 1.0)

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * self.rng.random()

    def normal(self, deviation: float) -> float:
        return deviation * self.rng.standard_normal()

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def side(self) -> int:
        return int(self.rng.integers(2))

    def ahead(self, forward: float, left: float) -> tuple[float, float]:
        """World x, y of a point relative to where the person stands and faces [m]."""
        cos, sin = np.cos(self.yaw), np.sin(self.yaw)
        return self.x + cos * forward - sin * left, self.y + sin * forward + cos * left

    def beside(self, side: int, forward: float = 0.0, wider: float = 0.0) -> tuple[float, float]:
        """World x, y of a foot's place beside the path."""
        return self.ahead(forward, OUTWARD[side] * (self.width + wider))

    def reach(
        self,
        side: int,
        start: float,
        duration: float,
        azimuth: float,
        radius: float,
        height: float,
        elbow: float,
        swing: float,
    ) -> float:
        """Move a hand, around the trunk and wide of the shoulder, no faster than hands do when nothing is thrown."""
        # Arms go back 60 degrees when they hang and 30 to 45 when they are raised to the side, less when bent.
        back = 0.55 if height < -0.65 else 0.12 + 0.3 * min(max(radius - 0.4, 0.0), 1.0)
        azimuth = min(azimuth, np.arccos(-min(back / radius, 1.0)))
        # What is too far is reached for, with an elbow nearly straight.
        girdle = self.body.shoulder / self.body.arm
        width, over = girdle * np.cos(self.body.shoulder_elevation), girdle * np.sin(self.body.shoulder_elevation)
        line = np.array([radius * np.cos(azimuth), radius * np.sin(azimuth) - width, height - over])
        line *= min(1.0, self.uniform(0.90, 0.995) / np.sqrt(line @ line))
        azimuth, radius = np.arctan2(line[1] + width, line[0]), np.hypot(line[0], line[1] + width)
        height = line[2] + over
        track = self.hands[side]
        begin, before, low, *_ = track.value
        across = 0.5 * (radius + before)
        distance = np.sqrt((radius - before) ** 2 + (height - low) ** 2 + (across * (azimuth - begin)) ** 2)
        rise = min(1.0, abs(height - low) / 0.8)
        bulge = max(0.0, 0.8 - across) * rise
        duration = max(duration, 0.3 * (distance + bulge))
        return track.to(start, duration, azimuth, radius, height, elbow, swing, lift=bulge)

    def hips(
        self,
        start: float,
        duration: float,
        forward: float = 0.0,
        left: float = 0.0,
        up: float = 0.0,
        pitch: float = 0.0,
        roll: float = 0.0,
        yaw: float = 0.0,
    ) -> float:
        """Move the pelvis against where the feet put it [leg lengths] and turn it; neutral is what is not said."""
        return self.pelvis.to(start, duration, forward, left, up, pitch, roll, yaw)

    def step(
        self,
        side: int,
        start: float,
        duration: float,
        place: tuple[float, float],
        height: float,
        turn: float,
        lift: float,
    ) -> float:
        """Move a foot; `turn` is its yaw against the heading, outward."""
        return self.feet[side].to(start, duration, *place, height, self.yaw + OUTWARD[side] * turn, lift=lift)
