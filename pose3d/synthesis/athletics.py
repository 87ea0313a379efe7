"""Movements of the whole body on the spot: jumping, kicking, bending, squatting, arching, spinning, dancing."""

from __future__ import annotations

import numpy as np

from pose3d.synthesis.choreography import Script
from pose3d.synthesis.footwork import walk
from pose3d.synthesis.kinematics import OUTWARD


def jump(s: Script, start: float) -> float:
    """Crouch, leave the floor with both feet, land."""
    height, forward = s.uniform(0.08, 0.4), s.uniform(-0.1, 0.6)
    crouch = s.uniform(0.12, 0.35)
    flight = 2 * np.sqrt(2 * height / 9.81)
    time = s.hips(start, s.uniform(0.4, 0.7), forward=-0.05, up=-crouch, pitch=s.uniform(0.1, 0.5))
    time = s.hips(time, 0.3, up=0.03, pitch=0.05)
    s.yaw += s.normal(0.5)
    s.x, s.y = s.ahead(forward, 0.0)
    tuck, apart = s.uniform(-0.1, 0.35), abs(s.normal(0.1))
    for side in (0, 1):
        s.step(side, time, flight, s.beside(side, s.normal(0.05), apart), 0.0, 0.1, height + max(tuck, -0.8 * height))
    up = height / s.body.leg
    s.hips(time, flight / 2, up=up)
    s.hips(time + flight / 2, flight / 2, pitch=0.1)
    time = s.hips(time + flight, 0.3, forward=-0.03, up=-s.uniform(0.05, 0.4), pitch=0.25)
    return s.hips(time, 0.6)


def raise_leg(s: Script, start: float, quick: bool) -> float:
    """Lift one leg in any direction a hip allows, straight or bent, hold it or kick, and put it down."""
    side = s.side()
    out = OUTWARD[side]
    leg = s.body.leg
    # Direction of the ankle from the hip: 0 is down, then forward, outward or back.
    azimuth = s.rng.choice([0.0, 0.0, 0.6, 1.57, 2.6, 3.14]) + s.normal(0.25)
    most = 2.0 if abs(azimuth) < 1.0 else 1.5 if azimuth < 2.0 else 1.2
    raised = s.uniform(0.3, most)
    extent = s.uniform(0.6, 0.99) * leg
    forward, outward = extent * np.sin(raised) * np.cos(azimuth), extent * np.sin(raised) * np.sin(azimuth)
    height = max(0.05, leg - extent * np.cos(raised))
    balance = 0.0
    if azimuth > 2.0:
        lean = min(raised, 1.4) * s.uniform(0.5, 1.0)
    else:
        lean = -0.25 * raised * np.cos(azimuth) * s.uniform(0.0, 1.2)
    roll = out * 0.35 * max(np.sin(raised) * np.sin(azimuth), 0.0) * s.uniform(0.0, 1.0)
    move = s.uniform(0.25, 0.5) if quick else s.uniform(0.6, 1.3)
    time = start
    if quick and azimuth < 1.0:
        place = s.beside(side, -s.uniform(0.2, 0.5))
        time = s.step(side, time, move * 1.3, place, s.uniform(0.05, 0.35), 0.1, 0.05)
    place = s.beside(side, forward, outward)
    s.hips(time, move, forward=balance, up=-0.01, pitch=lean, roll=roll, yaw=s.normal(0.2))
    s.lumbar.to(time, move, -0.3 * lean * s.uniform(0, 1), s.normal(0.1), s.normal(0.15))
    s.knees[side].to(time, move, s.uniform(-0.3, 1.0))
    time = s.step(side, time, move, place, height, s.uniform(0.0, 0.8), 0.0)
    time += 0.0 if quick else s.uniform(0.1, 1.5)
    if s.chance(0.35):
        again = s.beside(side, forward * s.uniform(-0.5, 0.8), outward + s.uniform(-0.1, 0.3))
        time = s.step(side, time, move, again, height * s.uniform(0.4, 1.1), s.uniform(0.0, 0.8), 0.0)
    s.hips(time, move)
    s.lumbar.to(time, move, 0.0, 0.0, 0.0)
    s.knees[side].to(time, move, 0.0)
    return s.step(side, time, move * 1.2, s.beside(side, s.uniform(-0.05, 0.15)), 0.0, 0.1, 0.0)


def bend(s: Script, start: float, deep: float | None = None) -> float:
    """Bend down from hips and back with knees more or less bent, stay a moment, rise."""
    depth = s.uniform(0.2, 1.0) if deep is None else deep
    knees = s.uniform(0.0, 0.45) * depth
    pitch = depth * s.uniform(0.3, 1.3)
    move = s.uniform(0.7, 1.4)
    twist = s.normal(0.25)
    s.lumbar.to(start, move, depth * s.uniform(0.1, 0.7), s.normal(0.1), twist)
    s.thoracic.to(start, move, depth * s.uniform(0.0, 0.5), s.normal(0.1), 0.6 * twist)
    s.neck.to(start, move, s.uniform(-0.5, 0.4), 0.0, s.normal(0.2))
    time = s.hips(
        start,
        move,
        forward=-0.12 * pitch - 0.1 * knees,
        left=s.normal(0.03),
        up=-knees,
        pitch=pitch,
        roll=s.normal(0.08),
        yaw=s.normal(0.2),
    )
    time += s.uniform(0.2, 2.0)
    s.lumbar.to(time, move, 0.0, 0.0, 0.0)
    s.thoracic.to(time, move, 0.05, 0.0, 0.0)
    s.neck.to(time, move, 0.0, 0.0, 0.0)
    return s.hips(time, move)


def squat(s: Script, start: float) -> float:
    """Go down on bent knees, feet apart or one before the other, stay, rise."""
    move = s.uniform(0.7, 1.5)
    lunge = s.uniform(0.0, 0.45) * s.body.leg
    front = s.side()
    wide = abs(s.normal(0.12))
    time = s.step(front, start, 0.5, s.beside(front, lunge, wide), 0.0, 0.15, 0.08)
    time = s.step(1 - front, time, 0.5, s.beside(1 - front, -lunge, wide), 0.0, 0.15, 0.08)
    depth = s.uniform(0.1, 0.6 if lunge < 0.2 else 0.45)
    for knee in s.knees:
        knee.to(time, move, s.uniform(0.0, 0.7))
    pitch = s.uniform(0.0, 0.9) * depth / 0.5
    s.lumbar.to(time, move, s.uniform(-0.1, 0.5), s.normal(0.1), s.normal(0.2))
    time = s.hips(
        time,
        move,
        forward=s.uniform(-0.15, 0.1) * depth,
        up=-depth,
        pitch=pitch,
        roll=s.normal(0.05),
        yaw=s.normal(0.2),
    )
    time += s.uniform(0.2, 2.5)
    for knee in s.knees:
        knee.to(time, move, 0.0)
    s.lumbar.to(time, move, 0.0, 0.0, 0.0)
    time = s.hips(time, move)
    time = s.step(front, time, 0.5, s.beside(front), 0.0, 0.1, 0.08)
    return s.step(1 - front, time, 0.5, s.beside(1 - front), 0.0, 0.1, 0.08)


def arch(s: Script, start: float) -> float:
    """Lean the whole trunk back or to one side, hold it, come back."""
    move = s.uniform(0.6, 1.3)
    back, side = s.uniform(-0.1, 1.0), s.normal(0.5)
    knees = s.uniform(0.0, 0.12) * max(back, 0.0)
    s.hips(
        start,
        move,
        forward=0.10 * back,
        left=0.12 * side,
        up=-knees,
        pitch=-0.35 * back,
        roll=0.25 * side,
        yaw=s.normal(0.2),
    )
    s.lumbar.to(start, move, -0.35 * back, 0.35 * side, s.normal(0.2))
    s.thoracic.to(start, move, -0.35 * back, 0.35 * side, s.normal(0.2))
    s.neck.to(start, move, -0.5 * back, 0.3 * side, s.normal(0.3))
    time = start + move + s.uniform(0.1, 1.2)
    for track in (s.lumbar, s.thoracic, s.neck):
        track.to(time, move, 0.0, 0.0, 0.0)
    return s.hips(time, move)


def spin(s: Script, start: float) -> float:
    """Turn on one foot, the other drawn up to the knee or held out low."""
    side = s.side()
    support = 1 - side
    angle = (1 if s.chance(0.5) else -1) * s.uniform(1.5, 6.3)
    move = abs(angle) / s.uniform(3.0, 6.5)
    height = s.uniform(0.15, 0.5)
    inward = s.uniform(-0.05, 0.12)
    time = s.step(side, start, 0.4, s.beside(side, 0.08, -inward), height, 0.6, 0.0)
    s.knees[side].to(start, 0.4, s.uniform(0.0, 0.9))
    s.yaw += angle
    s.step(support, time, move, s.beside(support), s.uniform(0.0, 0.08), 0.2, 0.0)
    time = s.step(side, time, move, s.beside(side, 0.08, -inward), height, 0.6, 0.0)
    s.knees[side].to(time, 0.4, 0.0)
    s.step(support, time, 0.3, s.beside(support), 0.0, 0.1, 0.0)
    return s.step(side, time, 0.4, s.beside(side), 0.0, 0.1, 0.0)


def step_up(s: Script, start: float) -> float:
    """Put a foot on something high, perhaps climb onto it, and come down again."""
    side = s.side()
    height, forward = s.uniform(0.15, 0.65), s.uniform(0.2, 0.5)
    move = s.uniform(0.5, 0.9)
    lean = s.uniform(0.0, 0.8)
    s.hips(start, move, forward=0.08, up=-0.03, pitch=lean, yaw=s.normal(0.1))
    s.lumbar.to(start, move, 0.4 * lean, s.normal(0.1), s.normal(0.15))
    time = s.step(side, start, move, s.beside(side, forward), height, 0.1, 0.06) + s.uniform(0.1, 1.0)
    if s.chance(0.6):
        s.hips(time, move, pitch=0.3 * lean)
        time = s.step(1 - side, time, 1.2 * move, s.beside(1 - side, forward), height, 0.1, 0.1) + s.uniform(0.2, 2.0)
        time = s.step(side, time, move, s.beside(side), 0.0, 0.1, 0.05)
        time = s.step(1 - side, time, move, s.beside(1 - side), 0.0, 0.1, 0.05)
    else:
        time = s.step(side, time, move, s.beside(side), 0.0, 0.1, 0.05)
    s.lumbar.to(time - move, move, 0.0, 0.0, 0.0)
    return s.hips(time - move, move)


def hang(s: Script, start: float, end: float) -> float:
    """Hang from a bar by both hands, legs dangling, swinging or drawn up; the hands stay overhead."""
    leg = s.body.leg
    height = s.body.ankle + leg + s.uniform(0.1, 0.6)
    for side in (0, 1):
        azimuth, elbow = s.uniform(0.3, 1.5), s.uniform(-0.2, 0.6)
        s.reach(side, start - 0.8, 0.8, azimuth, s.uniform(0.3, 0.6), s.uniform(0.85, 1.1), elbow, 0.0)
    time = s.seat.to(start, 0.7, 1.0, s.x, s.y, height)
    while time < end:
        move = s.uniform(0.5, 1.1)
        swing = s.normal(0.25)
        x, y = s.ahead(swing, s.normal(0.08))
        s.seat.to(time, move, 1.0, x, y, height + s.uniform(-0.05, 0.2))
        s.hips(time, move, pitch=s.normal(0.3) - 0.5 * swing, roll=s.normal(0.12), yaw=s.normal(0.2))
        together = s.chance(0.5)
        shared = (s.uniform(-0.3, 0.9), s.uniform(0.55, 0.99))
        for side in (0, 1):
            raised, extent = shared if together else (s.uniform(-0.4, 1.2), s.uniform(0.55, 0.99))
            place = s.beside(side, swing + extent * leg * np.sin(raised), abs(s.normal(0.08)))
            above = max(0.02, height - s.body.ankle - extent * leg * np.cos(raised))
            s.step(side, time, move, place, above, 0.1, 0.0)
        time += move + s.uniform(0.0, 0.5)
    time = s.seat.to(time, 0.6, 0.0, s.x, s.y, height)
    s.hips(time - 0.6, 0.6, up=-0.05, pitch=0.1)
    for side in (0, 1):
        s.step(side, time - 0.6, 0.5, s.beside(side), 0.0, 0.1, 0.0)
    return s.hips(time, 0.5)


def dance(s: Script, start: float, end: float) -> float:
    """Dance, exercise, play: one big movement after another."""
    moves = (
        lambda time: raise_leg(s, time, True),
        lambda time: raise_leg(s, time, False),
        lambda time: raise_leg(s, time, False),
        lambda time: squat(s, time),
        lambda time: bend(s, time),
        lambda time: jump(s, time),
        lambda time: arch(s, time),
        lambda time: spin(s, time),
        lambda time: step_up(s, time),
    )
    time = start
    while time < end:
        time = moves[s.rng.integers(len(moves))](time)
    return time


def move_about(s: Script, start: float) -> float:
    """A bigger movement of the whole body, as people make whom nobody told to keep still."""
    if s.chance(0.2):
        heading = (0.0, 0.0, np.pi, np.pi / 2, -np.pi / 2)[s.rng.integers(5)]
        return walk(s, start, start + s.uniform(1.0, 2.5), s.uniform(0.6, 3.5), heading, 1.2)
    return dance(s, start, start + s.uniform(0.5, 4.0))
