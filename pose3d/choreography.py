"""A script of key poses in time, and its performance: controls for every frame of a take.

Between two keys everything moves along a straight line with least jerk, as hands do (Flash and Hogan 1985). The body
follows its feet: pelvis, heading, sway and arm swing come out of where the feet are, so any sequence of steps, slow or
running, turning or on the spot, moves the whole person and planted feet never slide.
"""

from __future__ import annotations

import numpy as np

from pose3d.body import LIMITS, Body
from pose3d.kinematics import Controls

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
        ripple: oscillations added to hands: (side, start, end, (3,) amplitude [arm lengths], frequency [Hz], phase).
    """

    def __init__(self, rng: np.random.Generator, body: Body, duration: float) -> None:
        self.rng, self.body = rng, body
        self.x, self.y = rng.uniform(-0.7, 0.7, 2)
        self.yaw = rng.uniform(-np.pi, np.pi)
        self.width = rng.uniform(0.05, 0.14)
        self.begin, self.end = -PRELUDE, duration + MARGIN
        self.feet = [Track(*self.beside(side), 0.0, self.yaw - (1 - 2 * side) * 0.1) for side in (0, 1)]
        self.seat = Track(0.0, self.x, self.y, body.leg)
        self.pelvis = Track(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        self.lumbar, self.thoracic, self.neck = (Track(0.0, 0.0, 0.0) for _ in range(3))
        self.hands = [Track(1.3, 0.45, -0.95, 0.0, 1.0) for _ in (0, 1)]
        self.knees = [Track(0.0) for _ in (0, 1)]
        self.ripple: list[tuple[int, float, float, np.ndarray, float, float]] = []
        self.swing = rng.uniform(0.3, 1.1)
        self.straightness = rng.uniform(0.965, 0.995)

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
        return self.ahead(forward, (2 * side - 1) * (self.width + wider))

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
        track = self.hands[side]
        begin, before, low, *_ = track.value
        across = 0.5 * (radius + before)
        distance = np.sqrt((radius - before) ** 2 + (height - low) ** 2 + (across * (azimuth - begin)) ** 2)
        rise = min(1.0, abs(height - low) / 0.8)
        bulge = max(0.0, 0.8 - across) * rise
        duration = max(duration, 0.3 * (distance + bulge))
        return track.to(start, duration, azimuth, radius, height, elbow, swing, lift=bulge)

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
        return self.feet[side].to(start, duration, *place, height, self.yaw - (1 - 2 * side) * turn, lift=lift)

    def perform(self, fps: float, frames: int) -> Controls:
        """The controls of every frame: time i / fps for i in 0..frames-1."""
        margin = int(round(MARGIN * fps))
        time = np.arange(-margin, frames + margin) / fps
        body, leg = self.body, self.body.leg
        blur = _Blur(fps)

        feet, lifts = zip(*(foot.at(time) for foot in self.feet), strict=True)
        raised = np.stack([foot[:, 2] + lift for foot, lift in zip(feet, lifts, strict=True)], 1)
        places = np.stack([foot[:, :2] for foot in feet], 1)
        turns = np.stack([foot[:, 3] for foot in feet], 1)

        # Weight is on the foot that is down, more so the longer the other one stays up.
        down = np.exp(-blur(raised, 0.15) / 0.08) + 0.15
        share = down / down.sum(1, keepdims=True)
        share = blur(0.5 + 0.8 * (share - 0.5), 0.2)
        yaw = blur(turns.mean(1), 0.2)
        forward = np.stack([np.cos(yaw), np.sin(yaw)], -1)
        left = np.stack([-forward[:, 1], forward[:, 0]], -1)
        middle = blur(places.mean(1), 0.15)
        over = middle + (share[:, :1] - 0.5) * blur(places[:, 0] - places[:, 1], 0.15)
        speed = np.gradient(middle, axis=0) * fps
        moving = blur(np.minimum(np.sqrt((speed * speed).sum(-1)) / 0.8, 1.0), 0.2)
        # How far the right foot is ahead of the left one.
        ahead = blur(((places[:, 0] - places[:, 1]) * forward).sum(-1) / leg, 0.05) * moving

        drift = self._drift(time)
        seat, _ = self.seat.at(time)
        offset, _ = self.pelvis.at(time)
        ground = over + leg * (offset[:, :1] * forward + offset[:, 1:2] * left)
        stand = self._standing_height(ground, left, places, raised, blur)
        height = body.ankle + stand + leg * offset[:, 2]
        ground += seat[:, :1] * (seat[:, 1:3] - ground)
        height += seat[:, 0] * (seat[:, 3] - height)
        orientation = offset[:, 3:] + np.stack([0 * yaw, 0.06 * (share[:, 0] - share[:, 1]), yaw + 0.15 * ahead], -1)

        ground = ground + 0.006 * drift[:, 15:17]
        pelvis = np.concatenate([ground, height[:, None]], 1)
        ankles = np.concatenate([places, body.ankle + raised[:, :, None]], 2)
        turnout = np.stack([turns[:, 0] - orientation[:, 2], turns[:, 1] - orientation[:, 2]], 1) * [-1.0, 1.0]
        knees = np.stack([knee.at(time)[0][:, 0] for knee in self.knees], 1)
        knees = knees + 0.6 * np.clip(blur(turnout, 0.1), -0.7, 0.7)
        orientation[:, 0] = self._hips_within_limits(orientation[:, 0], pelvis, ankles, forward, left, knees, blur)

        trunk = [track.at(time)[0] for track in (self.lumbar, self.thoracic, self.neck)]
        trunk[0] = trunk[0] + 0.025 * drift[:, :3]
        trunk[1] = trunk[1] + 0.020 * drift[:, 3:6] - [0, 0, 1] * (0.3 * ahead)[:, None]
        trunk[2] = trunk[2] + 0.050 * drift[:, 6:9] + [0, 0, 1] * (0.15 * ahead)[:, None]
        hands, elbows = self._hands(time, ahead, drift[:, 9:15])

        keep = slice(margin, margin + frames)
        return Controls(
            pelvis=pelvis[keep],
            orientation=orientation[keep],
            lumbar=_limited(trunk[0][keep], "trunk"),
            thoracic=_limited(trunk[1][keep], "trunk"),
            neck=_limited(trunk[2][keep], "neck"),
            feet=ankles[keep],
            knees=knees[keep],
            hands=hands[keep],
            elbows=elbows[keep],
        )

    def _standing_height(
        self, ground: np.ndarray, left: np.ndarray, places: np.ndarray, raised: np.ndarray, blur: _Blur
    ) -> np.ndarray:
        """(T,) height of the hips over the ankles' own that lets both planted feet reach the floor [m]."""
        reach = self.straightness * self.body.leg
        heights = []
        for side in (0, 1):
            hip = ground + (2 * side - 1) * self.body.hip * left
            across = ((places[:, side] - hip) ** 2).sum(-1)
            # A raised foot does not hold the pelvis down.
            heights.append(np.sqrt(np.maximum(reach**2 - across, (0.3 * reach) ** 2)) + 3.0 * raised[:, side])
        lowest = np.minimum(np.minimum(heights[0], heights[1]), reach + np.minimum(raised[:, 0], raised[:, 1]))
        return blur(lowest, 0.04)

    def _hips_within_limits(
        self,
        pitch: np.ndarray,
        pelvis: np.ndarray,
        ankles: np.ndarray,
        forward: np.ndarray,
        left: np.ndarray,
        knees: np.ndarray,
        blur: _Blur,
    ) -> np.ndarray:
        """(T,) pelvis pitch that keeps both hips between full extension and full flexion.

        What a hip cannot do the pelvis does: it tips back in a deep squat and forward under a leg lifted behind.
        """
        thigh, shank = self.body.thigh, self.body.shank
        angles = []
        for side in (0, 1):
            line = ankles[:, side] - pelvis
            line[:, :2] -= (2 * side - 1) * self.body.hip * left
            distance = np.clip(np.sqrt((line * line).sum(-1)), 0.3 * (thigh + shank), 0.999 * (thigh + shank))
            bend = np.arccos(np.clip((thigh**2 + distance**2 - shank**2) / (2 * thigh * distance), -1.0, 1.0))
            ahead = (line[:, :2] * forward).sum(-1)
            bend = np.arctan2(np.sin(bend) * np.cos(knees[:, side]), np.cos(bend))
            angles.append(np.arctan2(ahead, np.maximum(-line[:, 2], 0.05 - ahead)) + bend)
        low, high = np.radians(LIMITS["hip_flexion"])
        most, least = high - np.maximum(*angles), low - np.minimum(*angles)
        # One leg raised before and the other stretched behind can ask for more than there is: meet in the middle.
        between = 0.5 * (most + least)
        return blur(np.clip(pitch, np.minimum(least, between), np.maximum(most, between)), 0.1)

    def _hands(self, time: np.ndarray, ahead: np.ndarray, drift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(T, 2, 3) hands in the thorax's frame, y outward [arm lengths], and (T, 2) elbows."""
        hands, elbows = [], []
        for side in (0, 1):
            values, bulge = self.hands[side].at(time)
            azimuth, radius, height, elbow, swing = values.T
            radius = radius + bulge
            forward = swing * self.swing * (2 * side - 1) * ahead
            hand = np.stack([radius * np.cos(azimuth) + 1.1 * forward, radius * np.sin(azimuth), height], -1)
            hand[:, 2] += 0.25 * forward
            for which, start, end, amplitude, frequency, phase in self.ripple:
                if which == side:
                    fade = np.clip(np.minimum(time - start, end - time) / 0.4, 0.0, 1.0)
                    wave = fade * fade * (3 - 2 * fade) * np.sin(2 * np.pi * frequency * time + phase)
                    hand += wave[:, None] * amplitude
            hands.append(hand + 0.02 * drift[:, 3 * side : 3 * side + 3])
            elbows.append(elbow)
        return np.stack(hands, 1), np.stack(elbows, 1)

    def _drift(self, time: np.ndarray) -> np.ndarray:
        """(T, 17) slow unrest of about unit size: nobody holds still."""
        frequency = self.rng.uniform(0.05, 0.6, (2, 17))
        phase = self.rng.uniform(0, 2 * np.pi, (2, 17))
        return np.sin(2 * np.pi * frequency[0] * time[:, None] + phase[0]) + 0.5 * np.sin(
            4 * np.pi * frequency[1] * time[:, None] + phase[1]
        )


class _Blur:
    """Gaussian smoothing over the first axis; ends are held."""

    def __init__(self, fps: float) -> None:
        self.fps = fps

    def __call__(self, values: np.ndarray, seconds: float) -> np.ndarray:
        radius = max(1, int(round(3 * seconds * self.fps)))
        kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / (seconds * self.fps)) ** 2)
        kernel /= kernel.sum()
        flat = values.reshape(len(values), -1)
        padded = np.concatenate([np.repeat(flat[:1], radius, 0), flat, np.repeat(flat[-1:], radius, 0)])
        columns = [np.convolve(padded[:, column], kernel, "valid") for column in range(flat.shape[1])]
        return np.stack(columns, 1).reshape(values.shape)


def _limited(angles: np.ndarray, joint: str) -> np.ndarray:
    low, high = np.radians([LIMITS[f"{joint}_{axis}"] for axis in ("flexion", "side", "twist")]).T
    return np.clip(angles, low, high)
