"""From a script to motion: controls for every frame of a take, and their joints.

The body follows its feet: pelvis, heading, sway, counter-rotation and arm swing come out of where the feet are, so any
sequence of steps, slow or running, turning or on the spot, moves the whole person and planted feet never slide.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pose3d.synthesis.body import LIMITS, Body
from pose3d.synthesis.choreography import MARGIN, Script
from pose3d.synthesis.kinematics import OUTWARD, Controls, pose_body


def record(
    action: Callable[[Script], None],
    body: Body,
    rng: np.random.Generator,
    fps: float,
    frames: int,
    frame_step: int = 1,
) -> np.ndarray:
    """(ceil(frames / frame_step), 17, 3) float32 joints of `body` doing `action`, h36m_17, world frame, z up [m]."""
    script = Script(rng, body, frames / fps)
    action(script)
    return pose_body(perform(script, fps, frames, frame_step), body, floor=0.0).astype(np.float32)


def perform(script: Script, fps: float, frames: int, frame_step: int = 1) -> Controls:
    """The controls of every `frame_step`-th of the frames at time i / fps, i in 0..frames-1."""
    margin = round(MARGIN * fps)
    time = np.arange(-margin, frames + margin) / fps
    blur, body, drift = _Blur(fps), script.body, _drift(script.rng, time)
    feet = _feet(script, time, fps, blur)
    offset, _ = script.pelvis.at(time)
    pelvis = _pelvis(script, time, feet, offset, drift, blur)
    ankles = np.concatenate([feet.places, body.ankle + feet.raised[:, :, None]], 2)

    # In gait the pelvis turns with the leading leg and the thorax against it.
    roll = 0.06 * (feet.share[:, 0] - feet.share[:, 1])
    orientation = offset[:, 3:] + np.stack([0 * feet.yaw, roll, feet.yaw + 0.15 * feet.ahead], -1)
    turnout = OUTWARD * (feet.turns - orientation[:, 2:])
    knees = np.stack([knee.at(time)[0][:, 0] for knee in script.knees], 1)
    knees = np.clip(knees + 0.6 * np.clip(blur(turnout, 0.1), -0.7, 0.7), -0.9, 1.35)
    orientation[:, 0] = _pitch_within_hips(body, orientation[:, 0], pelvis, ankles, feet, knees, blur)
    lumbar, thoracic, neck = (track.at(time)[0] for track in (script.lumbar, script.thoracic, script.neck))
    lumbar = lumbar + 0.025 * drift[:, 2:5]
    thoracic = thoracic + 0.020 * drift[:, 5:8]
    neck = neck + 0.050 * drift[:, 8:11]
    thoracic[:, 2] -= 0.3 * feet.ahead
    neck[:, 2] += 0.15 * feet.ahead
    hands, elbows = zip(
        *(_hand(script, side, time, feet.ahead, drift[:, 11 + 3 * side :][:, :3]) for side in (0, 1)), strict=True
    )

    keep = slice(margin, margin + frames, frame_step)
    return Controls(
        pelvis=pelvis[keep],
        orientation=orientation[keep],
        lumbar=_limited(lumbar[keep], "trunk"),
        thoracic=_limited(thoracic[keep], "trunk"),
        neck=_limited(neck[keep], "neck"),
        feet=ankles[keep],
        knees=knees[keep],
        hands=np.stack(hands, 1)[keep],
        elbows=np.stack(elbows, 1)[keep],
    )


class _Blur:
    """Gaussian smoothing over the first axis; ends are held."""

    def __init__(self, fps: float) -> None:
        self.fps = fps

    def __call__(self, values: np.ndarray, seconds: float) -> np.ndarray:
        radius = max(1, round(3 * seconds * self.fps))
        kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / (seconds * self.fps)) ** 2)
        kernel /= kernel.sum()
        flat = values.reshape(len(values), -1)
        padded = np.concatenate([np.repeat(flat[:1], radius, 0), flat, np.repeat(flat[-1:], radius, 0)])
        columns = [np.convolve(padded[:, column], kernel, "valid") for column in range(flat.shape[1])]
        return np.stack(columns, 1).reshape(values.shape)


@dataclass(frozen=True, eq=False)
class _Feet:
    """Where the feet are in T moments, and what of the body follows from it; (left, right) on the axis of two.

    Attributes:
        places: (T, 2, 2) on the floor [m].
        raised: (T, 2) above it [m].
        turns: (T, 2) where the toes point [rad].
        share: (T, 2) of the weight.
        yaw: (T,) where the body faces [rad].
        forward, left: (T, 2) its axes on the floor.
        over: (T, 2) the place that carries the weight [m].
        ahead: (T,) how far the right foot is ahead of the left one while the body travels [leg lengths].
    """

    places: np.ndarray
    raised: np.ndarray
    turns: np.ndarray
    share: np.ndarray
    yaw: np.ndarray
    forward: np.ndarray
    left: np.ndarray
    over: np.ndarray
    ahead: np.ndarray


def _feet(script: Script, time: np.ndarray, fps: float, blur: _Blur) -> _Feet:
    feet, lifts = zip(*(foot.at(time) for foot in script.feet), strict=True)
    raised = np.stack([foot[:, 2] + lift for foot, lift in zip(feet, lifts, strict=True)], 1)
    places = np.stack([foot[:, :2] for foot in feet], 1)
    turns = np.stack([foot[:, 3] for foot in feet], 1)

    # Weight is on the foot that is down, more so the longer the other one stays up.
    down = np.exp(-blur(raised, 0.15) / 0.08) + 0.15
    share = blur(0.5 + 0.8 * (down / down.sum(1, keepdims=True) - 0.5), 0.2)
    yaw = blur(turns.mean(1), 0.2)
    forward = np.stack([np.cos(yaw), np.sin(yaw)], -1)
    left = np.stack([-forward[:, 1], forward[:, 0]], -1)
    middle = blur(places.mean(1), 0.15)
    over = middle + (share[:, :1] - 0.5) * blur(places[:, 0] - places[:, 1], 0.15)
    speed = np.gradient(middle, axis=0) * fps
    moving = blur(np.minimum(np.sqrt((speed * speed).sum(-1)) / 0.8, 1.0), 0.2)
    ahead = blur(((places[:, 0] - places[:, 1]) * forward).sum(-1) / script.body.leg, 0.05) * moving
    return _Feet(places, raised, turns, share, yaw, forward, left, over, ahead)


def _pelvis(
    script: Script, time: np.ndarray, feet: _Feet, offset: np.ndarray, drift: np.ndarray, blur: _Blur
) -> np.ndarray:
    """(T, 3) middle of the hips, over the feet or on a seat [m]."""
    body, leg = script.body, script.body.leg
    ground = feet.over + leg * (offset[:, :1] * feet.forward + offset[:, 1:2] * feet.left)
    height = body.ankle + _standing_height(script, ground, feet, blur) + leg * offset[:, 2]
    seat, _ = script.seat.at(time)
    ground += seat[:, :1] * (seat[:, 1:3] - ground) + 0.006 * drift[:, :2]
    height += seat[:, 0] * (seat[:, 3] - height)
    return np.concatenate([ground, height[:, None]], 1)


def _standing_height(script: Script, ground: np.ndarray, feet: _Feet, blur: _Blur) -> np.ndarray:
    """(T,) height of the hips over the ankles' own that lets both planted feet reach the floor [m]."""
    reach = script.straightness * script.body.leg
    heights = []
    for side, outward in enumerate(OUTWARD):
        hip = ground + outward * script.body.hip * feet.left
        across = ((feet.places[:, side] - hip) ** 2).sum(-1)
        # A raised foot does not hold the pelvis down.
        heights.append(np.sqrt(np.maximum(reach**2 - across, (0.3 * reach) ** 2)) + 3.0 * feet.raised[:, side])
    return blur(np.minimum(np.minimum(*heights), reach + feet.raised.min(1)), 0.04)


def _pitch_within_hips(
    body: Body,
    pitch: np.ndarray,
    pelvis: np.ndarray,
    ankles: np.ndarray,
    feet: _Feet,
    knees: np.ndarray,
    blur: _Blur,
) -> np.ndarray:
    """(T,) pelvis pitch that keeps both hips between full extension and full flexion.

    What a hip cannot do the pelvis does: it tips back in a deep squat and forward under a leg lifted behind.
    """
    thigh, shank = body.thigh, body.shank
    angles = []
    for side, outward in enumerate(OUTWARD):
        line = ankles[:, side] - pelvis
        line[:, :2] -= outward * body.hip * feet.left
        distance = np.clip(np.sqrt((line * line).sum(-1)), 0.3 * body.leg, 0.999 * body.leg)
        bend = np.arccos(np.clip((thigh**2 + distance**2 - shank**2) / (2 * thigh * distance), -1.0, 1.0))
        # Knees turned outward carry the thigh out of the sagittal plane.
        bend = np.arctan2(np.sin(bend) * np.cos(knees[:, side]), np.cos(bend))
        ahead = (line[:, :2] * feet.forward).sum(-1)
        angles.append(np.arctan2(ahead, np.maximum(-line[:, 2], 0.05 - ahead)) + bend)
    low, high = np.radians(LIMITS["hip_flexion"])
    most, least = high - np.maximum(*angles), low - np.minimum(*angles)
    # One leg raised before and the other stretched behind can ask for more than there is: meet in the middle.
    between = 0.5 * (most + least)
    return blur(np.clip(pitch, np.minimum(least, between), np.maximum(most, between)), 0.1)


def _hand(
    script: Script, side: int, time: np.ndarray, ahead: np.ndarray, drift: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(T, 3) one hand in the thorax's frame, y outward [arm lengths], and (T,) turn of its elbow."""
    values, bulge = script.hands[side].at(time)
    azimuth, radius, height, elbow, swing = values.T
    radius = radius + bulge
    forward = OUTWARD[side] * script.swing * swing * ahead
    hand = np.stack([radius * np.cos(azimuth) + 1.1 * forward, radius * np.sin(azimuth), height + 0.25 * forward], -1)
    for which, start, end, amplitude, frequency, phase in script.ripple:
        if which == side:
            fade = np.clip(np.minimum(time - start, end - time) / 0.4, 0.0, 1.0)
            wave = fade * fade * (3 - 2 * fade) * np.sin(2 * np.pi * frequency * time + phase)
            hand += wave[:, None] * amplitude
    return hand + 0.02 * drift, elbow


def _drift(rng: np.random.Generator, time: np.ndarray) -> np.ndarray:
    """(T, 17) slow unrest of about unit size: nobody holds still."""
    frequency, phase = rng.uniform(0.05, 0.6, (2, 17)), rng.uniform(0, 2 * np.pi, (2, 17))
    slow = 2 * np.pi * frequency[0] * time[:, None] + phase[0]
    quick = 4 * np.pi * frequency[1] * time[:, None] + phase[1]
    return np.sin(slow) + 0.5 * np.sin(quick)


def _limited(angles: np.ndarray, joint: str) -> np.ndarray:
    """`angles` (T, 3) of a joint of LIMITS, clipped to it."""
    low, high = np.radians([LIMITS[f"{joint}_{axis}"] for axis in ("flexion", "side", "twist")]).T
    return np.clip(angles, low, high)
