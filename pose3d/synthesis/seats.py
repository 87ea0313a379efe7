"""Sitting on chairs and on the floor, kneeling, squatting, lying, and getting there and up again."""

from __future__ import annotations

import numpy as np

from pose3d.synthesis.choreography import Script
from pose3d.synthesis.footwork import stand
from pose3d.synthesis.kinematics import OUTWARD


def sit(s: Script) -> None:
    """Sit on a chair or a high stool most of the take, with standing before or after it now and then."""
    height = s.uniform(0.40, 0.62) if s.chance(0.85) else s.uniform(0.75, 1.1)
    start = s.begin if s.chance(0.7) else s.uniform(-2.0, 3.0)
    time = sit_down(s, start, height, s.uniform(0.25, 0.5), s.uniform(1.0, 1.8))
    if s.chance(0.25):
        time = seated(s, time, 0.6 * s.end)
        time = stand_up(s, time, s.uniform(1.2, 2.0))
        stand(s, time, s.end, 0.6)
    else:
        seated(s, time, s.end)


def sit_down(s: Script, start: float, height: float, behind: float, move: float) -> float:
    """Lower the pelvis to `height` over the floor, `behind` the feet [m], and hold it there."""
    s.lumbar.to(start, move * 0.6, s.uniform(0.2, 0.6), 0.0, 0.0)
    s.seat.to(start, move, 1.0, *s.ahead(-behind, 0.0), height)
    s.hips(start, move * 0.5, pitch=s.uniform(0.3, 0.7))
    return s.hips(start + move * 0.5, move * 0.5, pitch=s.uniform(-0.3, 0.1))


def stand_up(s: Script, start: float, move: float) -> float:
    """Rise from a seat over the feet."""
    s.lumbar.to(start, move * 0.5, s.uniform(0.2, 0.6), 0.0, 0.0)
    s.lumbar.to(start + move * 0.5, move * 0.5, 0.0, 0.0, 0.0)
    for side in (0, 1):
        s.step(side, start, move * 0.3, s.beside(side), 0.0, 0.1, 0.05)
        s.knees[side].to(start, move, 0.0)
    s.hips(start, move * 0.5, pitch=s.uniform(0.3, 0.7))
    s.hips(start + move * 0.5, move * 0.5)
    return s.seat.to(start + 0.2 * move, 0.8 * move, 0.0, *s.seat.value[1:])


def seated(s: Script, start: float, end: float) -> float:
    """Sit on a chair: feet move, legs cross, the trunk leans, the pelvis rolls a little."""
    time = start
    while time < end:
        time += s.uniform(0.3, 2.0)
        move = s.uniform(0.6, 1.4)
        s.hips(time, move, pitch=s.normal(0.22) - 0.1, roll=s.normal(0.05), yaw=s.normal(0.15))
        s.lumbar.to(time, move, s.uniform(-0.2, 0.6), s.normal(0.12), s.normal(0.15))
        side = s.side()
        if s.seat.value[3] > 0.7 * s.body.leg:
            # A high seat: the legs dangle.
            for side in (0, 1):
                raised, extent = s.uniform(0.2, 1.3), s.uniform(0.7, 0.98) * s.body.leg
                above = max(0.0, s.seat.value[3] - s.body.ankle - extent * np.cos(raised))
                ahead = extent * np.sin(raised) - s.uniform(0.0, 0.1)
                s.step(side, time, move, from_seat(s, side, ahead, s.normal(0.05)), above, 0.1, 0.0)
        elif s.chance(0.25):
            # One leg over the other: the ankle in front of or beside the other knee.
            place = s.beside(side, s.uniform(0.0, 0.3), -s.uniform(0.1, 0.35))
            s.step(side, time, move, place, s.uniform(0.15, 0.45), 0.1, 0.0)
            s.knees[side].to(time, move, s.uniform(-0.3, 1.2))
        elif s.chance(0.6):
            place = s.beside(side, s.uniform(-0.3, 0.4), s.uniform(-0.1, 0.25))
            s.step(side, time, move, place, 0.0, s.uniform(-0.1, 0.5), 0.05)
            s.knees[side].to(time, move, s.normal(0.3))
    return time


def from_seat(s: Script, side: int, forward: float, wider: float) -> tuple[float, float]:
    """World x, y of a foot's place relative to where the pelvis is held [m]."""
    _, x, y, _ = s.seat.value
    cos, sin = np.cos(s.yaw), np.sin(s.yaw)
    left = OUTWARD[side] * (s.width + wider)
    return x + cos * forward - sin * left, y + sin * forward + cos * left


FLOOR_SEATS = ("long", "knees up", "crossed", "kneeling", "upright", "squat", "aside", "reclined", "fours", "supine")


def floor(s: Script, start: float, end: float, kind: str) -> float:
    """Sit, kneel, squat or lie on the floor, `kind` one of FLOOR_SEATS, until `end`."""
    body, leg = s.body, s.body.leg
    move = s.uniform(1.2, 2.2)
    # Height of the pelvis, ankles ahead of it and apart, knees outward, pitch.
    height, forward, width, out, pitch = {
        "long": (0.10, s.uniform(0.80, 0.95) * leg, 0.05, 0.1, -0.1),
        "knees up": (0.11, s.uniform(0.35, 0.65) * leg, 0.06, 0.2, -0.25),
        "crossed": (0.11, s.uniform(0.32, 0.45) * leg, -0.17, 0.8, -0.1),
        "kneeling": (body.shank * 0.3 + 0.12, 0.02 * leg, 0.0, 0.1, 0.0),
        "upright": (body.thigh + 0.03, -body.shank * 0.9, 0.03, 0.1, 0.0),
        "squat": (s.uniform(0.25, 0.38), 0.08 * leg, 0.06, 0.5, 0.3),
        "aside": (0.12, 0.19 * leg, 0.05, 0.35, 0.0),
        "reclined": (0.11, s.uniform(0.60, 0.95) * leg, 0.05, 0.2, -0.8),
        "fours": (body.thigh + 0.02, -body.shank * 0.95, 0.03, 0.0, 1.25),
        "supine": (0.11, s.uniform(0.55, 0.97) * leg, 0.03, 0.2, -1.3),
    }[kind]
    # Sitting aside, one leg is folded outward and the other one under.
    folded = s.side() if kind == "aside" else None
    height += s.uniform(-0.02, 0.06)
    time = sit_down(s, start, height, 0.35 if forward > 0 else 0.0, move)
    legs = []
    for side in (0, 1):
        sign = 0 if folded is None else 1 if side == folded else -1
        ahead, apart, outward = forward - 0.14 * sign * leg, width + 0.2 * sign, out - 0.4 * sign
        legs.append((ahead, apart, outward))
        place = from_seat(s, side, ahead + s.normal(0.04), apart)
        lying = -0.6 * body.ankle if kind in ("kneeling", "upright", "fours") else 0.0
        s.step(side, start + (0.3 + 0.2 * side) * move, 0.5 * move, place, lying, 0.1, 0.05)
        s.knees[side].to(start + 0.3 * move, 0.7 * move, outward + s.normal(0.15))
    s.hips(time, 0.8, pitch=pitch + s.normal(0.1))
    while time < end:
        time += s.uniform(0.3, 2.0)
        move = s.uniform(0.7, 1.5)
        s.hips(time, move, pitch=pitch + s.normal(0.15), roll=s.normal(0.08), yaw=s.normal(0.15))
        # Leaning back, the trunk is rounded off the floor; on all fours it sags.
        rounded = s.uniform(0.1, 0.7) if pitch < -0.5 else s.uniform(-0.2, 0.7) - 0.3 * max(pitch, 0.0)
        s.lumbar.to(time, move, rounded, s.normal(0.12), s.normal(0.18))
        if s.chance(0.3):
            side = s.side()
            ahead, apart, outward = legs[side]
            s.knees[side].to(time, move, outward + s.normal(0.15))
            place = from_seat(s, side, ahead + s.normal(0.02 + 0.1 * abs(ahead)), apart + s.normal(0.03))
            s.step(side, time, move, place, s.feet[side].value[2], 0.1, 0.06)
    return time
