"""What legs and pelvis do: standing, walking, running, jumping, kicking, bending, sitting, kneeling.

Every program appends keys to a script from `start` on and returns when it ends. Gait after Winter, "The Biomechanics and
Motor Control of Human Gait" (1991); step length over cadence after Sekiya and Nagasaki (1998), 0.0065 m min.
"""

from __future__ import annotations

import numpy as np

from pose3d.choreography import Script

ROOM = 1.7  # people turn back when they are farther than this from where takes begin [m]


def stand(s: Script, start: float, end: float, restless: float = 0.5) -> float:
    """Shift weight, look another way, move a foot now and then; `restless` 0..1."""
    time = start
    while time < end:
        time += s.uniform(0.6, 3.5 - 2.5 * restless)
        if s.chance(0.25 + 0.5 * restless):
            time = turn(s, time, s.normal(0.7)) if s.chance(0.5) else shuffle(s, time)
        else:
            side = s.normal(0.05)
            s.pelvis.to(time, s.uniform(0.6, 1.4), s.normal(0.02), side, -abs(s.normal(0.02)), s.normal(0.06), -side, s.normal(0.12))
    return time


def shuffle(s: Script, start: float) -> float:
    """Set one foot somewhere near."""
    side = s.side()
    duration = s.uniform(0.4, 0.8)
    place = s.beside(side, s.uniform(-0.22, 0.28), abs(s.normal(0.08)))
    return s.step(side, start, duration, place, 0.0, s.uniform(-0.1, 0.5), s.uniform(0.04, 0.12))


def turn(s: Script, start: float, angle: float) -> float:
    """Turn on the spot, one foot after the other."""
    time = start
    steps = int(abs(angle) / 0.7) + 1
    side = 1 if angle > 0 else 0
    for _ in range(steps):
        s.yaw += angle / steps
        for foot in (side, 1 - side):
            duration = s.uniform(0.35, 0.55)
            time = s.step(foot, time, duration, s.beside(foot, s.normal(0.03)), 0.0, s.uniform(0.0, 0.25), 0.08)
    return time


def walk(s: Script, start: float, end: float, speed: float, heading: float = 0.0, room: float = ROOM) -> float:
    """Walk about until `end` at about `speed` [m/s], bending back into the room.

    Args:
        heading: where the walk goes against where the person looks: pi is backwards, pi / 2 to the left [rad].
    """
    size = s.body.leg / 0.86
    length = size * np.sqrt(0.0065 * 60 * speed) * s.uniform(0.85, 1.2) * (1 - 0.35 * abs(np.sin(heading)))
    period = length / speed
    running = speed > 2.0
    swing = period * (s.uniform(1.35, 1.6) if running else s.uniform(1.05, 1.2))
    lift = s.uniform(0.25, 0.45) if running else s.uniform(0.05, 0.10) + 0.06 * speed
    bounce = s.uniform(0.02, 0.05) if running else 0.0
    toes, wander = s.uniform(-0.05, 0.3), s.normal(0.1)
    lean = 0.06 * speed * np.cos(heading) + s.normal(0.05)
    crouch = -abs(s.normal(0.03)) - (0.04 if running else 0.0)
    s.pelvis.to(start, 0.6, 0.0, 0.0, crouch, lean * 0.6, 0.0, s.normal(0.05))
    side, time, first = s.side(), start, True
    while time < end:
        wander = 0.7 * wander + s.normal(0.12)
        target = wander
        if np.hypot(s.x, s.y) > room:
            home = np.arctan2(-s.y, -s.x) - (s.yaw + heading)
            home = (home + np.pi) % (2 * np.pi) - np.pi
            target = np.clip(home, -0.65, 0.65)
        s.yaw += target
        stride = length * (0.5 if first or time + period > end else s.uniform(0.92, 1.08)) * (1 - 0.5 * min(abs(target), 1))
        s.x, s.y = s.ahead(stride * np.cos(heading), stride * np.sin(heading))
        last = time + period >= end
        ahead = 0.0 if last else 0.5 * stride
        place = s.beside(side, ahead * np.cos(heading), 0.0)
        place = (place[0] - ahead * np.sin(heading) * np.sin(s.yaw), place[1] + ahead * np.sin(heading) * np.cos(s.yaw))
        s.step(side, time, swing, place, 0.0, toes, lift)
        if running:
            s.pelvis.to(time, period / 2, 0.0, 0.0, crouch - bounce, lean * 0.6, 0.0, 0.0)
            s.pelvis.to(time + period / 2, period / 2, 0.0, 0.0, crouch + 2 * bounce, lean * 0.6, 0.0, 0.0)
        side, time, first = 1 - side, time + period, False
    time = s.step(side, time, 0.6 * swing, s.beside(side), 0.0, toes, 0.06)
    s.pelvis.to(time, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    return time


def jump(s: Script, start: float) -> float:
    """Crouch, leave the floor with both feet, land."""
    height, forward = s.uniform(0.08, 0.4), s.uniform(-0.1, 0.6)
    crouch = s.uniform(0.12, 0.35)
    flight = 2 * np.sqrt(2 * height / 9.81)
    time = s.pelvis.to(start, s.uniform(0.4, 0.7), -0.05, 0.0, -crouch, s.uniform(0.1, 0.5), 0.0, 0.0)
    time = s.pelvis.to(time, 0.3, 0.0, 0.0, 0.03, 0.05, 0.0, 0.0)
    s.yaw += s.normal(0.5)
    s.x, s.y = s.ahead(forward, 0.0)
    tuck, apart = s.uniform(-0.1, 0.35), abs(s.normal(0.1))
    for side in (0, 1):
        s.step(side, time, flight, s.beside(side, s.normal(0.05), apart), 0.0, 0.1, height + max(tuck, -0.8 * height))
    up = height / s.body.leg
    s.pelvis.to(time, flight / 2, 0.0, 0.0, up, 0.0, 0.0, 0.0)
    s.pelvis.to(time + flight / 2, flight / 2, 0.0, 0.0, 0.0, 0.1, 0.0, 0.0)
    time = s.pelvis.to(time + flight, 0.3, -0.03, 0.0, -s.uniform(0.05, 0.4), 0.25, 0.0, 0.0)
    return s.pelvis.to(time, 0.6, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def raise_leg(s: Script, start: float, quick: bool) -> float:
    """Lift one leg in any direction a hip allows, straight or bent, hold it or kick, and put it down."""
    side = s.side()
    out = 2 * side - 1
    leg = s.body.leg
    # Direction of the ankle from the hip: 0 is down, then forward, outward or back.
    azimuth = s.rng.choice([0.0, 0.0, 0.6, 1.57, 2.6, 3.14]) + s.normal(0.25)
    most = 2.0 if abs(azimuth) < 1.0 else 1.5 if azimuth < 2.0 else 1.2
    raised = s.uniform(0.3, most)
    extent = s.uniform(0.6, 0.99) * leg
    forward, outward = extent * np.sin(raised) * np.cos(azimuth), extent * np.sin(raised) * np.sin(azimuth)
    height = max(0.05, leg - s.body.ankle * 0 - extent * np.cos(raised))
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
    s.pelvis.to(time, move, balance, 0.0, -0.01, lean, roll, s.normal(0.2))
    s.lumbar.to(time, move, -0.3 * lean * s.uniform(0, 1), s.normal(0.1), s.normal(0.15))
    s.knees[side].to(time, move, s.uniform(-0.3, 1.0))
    time = s.step(side, time, move, place, height, s.uniform(0.0, 0.8), 0.0)
    time += 0.0 if quick else s.uniform(0.1, 1.5)
    if s.chance(0.35):
        again = s.beside(side, forward * s.uniform(-0.5, 0.8), outward + s.uniform(-0.1, 0.3))
        time = s.step(side, time, move, again, height * s.uniform(0.4, 1.1), s.uniform(0.0, 0.8), 0.0)
    s.pelvis.to(time, move, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
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
    time = s.pelvis.to(start, move, -0.12 * pitch - 0.1 * knees, s.normal(0.03), -knees, pitch, s.normal(0.08), s.normal(0.2))
    time += s.uniform(0.2, 2.0)
    s.lumbar.to(time, move, 0.0, 0.0, 0.0)
    s.thoracic.to(time, move, 0.05, 0.0, 0.0)
    s.neck.to(time, move, 0.0, 0.0, 0.0)
    return s.pelvis.to(time, move, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


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
    time = s.pelvis.to(time, move, s.uniform(-0.15, 0.1) * depth, 0.0, -depth, pitch, s.normal(0.05), s.normal(0.2))
    time += s.uniform(0.2, 2.5)
    for knee in s.knees:
        knee.to(time, move, 0.0)
    s.lumbar.to(time, move, 0.0, 0.0, 0.0)
    time = s.pelvis.to(time, move, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    time = s.step(front, time, 0.5, s.beside(front), 0.0, 0.1, 0.08)
    return s.step(1 - front, time, 0.5, s.beside(1 - front), 0.0, 0.1, 0.08)


def sit_down(s: Script, start: float, height: float, behind: float, move: float) -> float:
    """Lower the pelvis to `height` over the floor, `behind` the feet [m], and hold it there."""
    s.lumbar.to(start, move * 0.6, s.uniform(0.2, 0.6), 0.0, 0.0)
    s.seat.to(start, move, 1.0, *s.ahead(-behind, 0.0), height)
    s.pelvis.to(start, move * 0.5, 0.0, 0.0, 0.0, s.uniform(0.3, 0.7), 0.0, 0.0)
    return s.pelvis.to(start + move * 0.5, move * 0.5, 0.0, 0.0, 0.0, s.uniform(-0.3, 0.1), 0.0, 0.0)


def stand_up(s: Script, start: float, move: float) -> float:
    """Rise from a seat over the feet."""
    s.lumbar.to(start, move * 0.5, s.uniform(0.2, 0.6), 0.0, 0.0)
    s.lumbar.to(start + move * 0.5, move * 0.5, 0.0, 0.0, 0.0)
    for side in (0, 1):
        s.step(side, start, move * 0.3, s.beside(side), 0.0, 0.1, 0.05)
        s.knees[side].to(start, move, 0.0)
    s.pelvis.to(start, move * 0.5, 0.0, 0.0, 0.0, s.uniform(0.3, 0.7), 0.0, 0.0)
    s.pelvis.to(start + move * 0.5, move * 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    return s.seat.to(start + 0.2 * move, 0.8 * move, 0.0, *s.seat.value[1:])


def seated(s: Script, start: float, end: float) -> float:
    """Sit on a chair: feet move, legs cross, the trunk leans, the pelvis rolls a little."""
    time = start
    while time < end:
        time += s.uniform(0.3, 2.0)
        move = s.uniform(0.6, 1.4)
        s.pelvis.to(time, move, 0.0, 0.0, 0.0, s.normal(0.22) - 0.1, s.normal(0.05), s.normal(0.15))
        s.lumbar.to(time, move, s.uniform(-0.2, 0.6), s.normal(0.12), s.normal(0.15))
        side = s.side()
        if s.chance(0.25):
            # One leg over the other: the ankle in front of or beside the other knee.
            place = s.beside(side, s.uniform(0.0, 0.3), -s.uniform(0.1, 0.35))
            s.step(side, time, move, place, s.uniform(0.15, 0.45), 0.1, 0.0)
            s.knees[side].to(time, move, s.uniform(-0.3, 1.2))
        elif s.chance(0.6):
            place = s.beside(side, s.uniform(-0.3, 0.4), s.uniform(-0.1, 0.25))
            s.step(side, time, move, place, 0.0, s.uniform(-0.1, 0.5), 0.05)
            s.knees[side].to(time, move, s.normal(0.3))
    return time


FLOOR_SEATS = ("long", "knees up", "crossed", "kneeling", "upright", "squat", "aside", "reclined")


def floor(s: Script, start: float, end: float, kind: str) -> float:
    """Sit, kneel or squat on the floor in one of FLOOR_SEATS until `end`; returns when settled into the last place."""
    body, leg = s.body, s.body.leg
    move = s.uniform(1.2, 2.2)
    height, forward, width, out, pitch, rise = {
        "long": (0.10, s.uniform(0.80, 0.95) * leg, 0.05, 0.1, -0.1, 0.0),
        "knees up": (0.11, s.uniform(0.35, 0.65) * leg, 0.06, 0.2, -0.25, 0.0),
        "crossed": (0.11, s.uniform(0.22, 0.40) * leg, -0.20, 1.15, -0.1, 0.0),
        "kneeling": (body.shank * 0.25 + 0.12, -0.15 * leg, 0.0, 0.2, 0.0, 0.0),
        "upright": (body.thigh + 0.03, -body.shank * 0.9, 0.03, 0.1, 0.0, 0.0),
        "squat": (s.uniform(0.22, 0.35), 0.05 * leg, 0.06, 0.5, 0.3, 0.0),
        "aside": (0.12, s.uniform(0.0, 0.30) * leg, 0.20, 0.9, 0.0, 0.0),
        "reclined": (0.11, s.uniform(0.60, 0.95) * leg, 0.05, 0.2, -0.8, 0.0),
    }[kind]
    slant = s.normal(0.4) if kind == "aside" else 0.0
    time = sit_down(s, start, height, 0.35 if forward > 0 else 0.0, move)
    # The feet slide or step into place around the pelvis.
    _, seat_x, seat_y, _ = s.seat.value
    cos, sin = np.cos(s.yaw), np.sin(s.yaw)
    for side in (0, 1):
        left = (2 * side - 1) * (s.width + width) + slant
        ahead = forward + s.normal(0.04)
        place = (seat_x + cos * ahead - sin * left, seat_y + sin * ahead + cos * left)
        down = -0.5 * body.ankle if forward < 0 else 0.0
        s.step(side, start + (0.3 + 0.2 * side) * move, 0.5 * move, place, down, out * 0.5, 0.05)
        s.knees[side].to(start + 0.3 * move, 0.7 * move, out + s.normal(0.15))
    s.pelvis.to(time, 0.5, 0.0, 0.0, 0.0, pitch + s.normal(0.1), 0.0, 0.0)
    while time < end:
        time += s.uniform(0.3, 2.0)
        move = s.uniform(0.7, 1.5)
        s.pelvis.to(time, move, 0.0, 0.0, 0.0, pitch + s.normal(0.15), s.normal(0.08), s.normal(0.15))
        s.lumbar.to(time, move, s.uniform(-0.2, 0.7) - 0.5 * min(pitch, 0.0), s.normal(0.12), s.normal(0.18))
        if s.chance(0.3):
            side = s.side()
            s.knees[side].to(time, move, out + s.normal(0.25))
            x, y, _, _ = s.feet[side].value
            s.step(side, time, move, (x + s.normal(0.07), y + s.normal(0.07)), 0.0, out * 0.5, 0.06)
    return time
