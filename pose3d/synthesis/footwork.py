"""What feet do on the floor: standing, stepping, turning, walking and running.

Every program appends keys to a script from `start` on and returns when it ends. Gait after Winter, "The Biomechanics
and Motor Control of Human Gait" (1991); step length over cadence after Sekiya and Nagasaki (1998), 0.0065 m min.
"""

from __future__ import annotations

import numpy as np

from pose3d.synthesis.choreography import Script
from pose3d.synthesis.kinematics import OUTWARD

ROOM = 1.5  # people turn back when they are farther than this from where takes begin [m]


def stand(s: Script, start: float, end: float, restless: float = 0.5) -> float:
    """Shift weight, look another way, move a foot now and then; `restless` 0..1."""
    time = start
    while time < end:
        time += s.uniform(0.6, 3.5 - 2.5 * restless)
        choice = s.rng.random()
        if choice < 0.1 + 0.3 * restless:
            time = turn(s, time, s.normal(0.7))
        elif choice < 0.2 + 0.5 * restless:
            time = shuffle(s, time)
        elif choice < 0.85:
            side = s.normal(0.05)
            s.hips(
                time,
                s.uniform(0.6, 1.4),
                forward=s.normal(0.02),
                left=side,
                up=-abs(s.normal(0.02)),
                pitch=s.normal(0.06),
                roll=-side,
                yaw=s.normal(0.12),
            )
        else:
            time = straddle(s, time)
    return time


def straddle(s: Script, start: float) -> float:
    """Stand feet apart on bent knees for a moment, leaning this way and that, as in games and exercises."""
    wide, split = s.uniform(0.05, 0.3), s.normal(0.15)
    depth, pitch = s.uniform(0.0, 0.2), s.uniform(-0.05, 0.5)
    time = start
    for side in (0, 1):
        place = s.beside(side, OUTWARD[side] * split, wide)
        s.knees[side].to(time, 0.5, s.uniform(0.0, 0.5))
        time = s.step(side, time, s.uniform(0.3, 0.6), place, 0.0, s.uniform(0.0, 0.6), 0.08)
    for _ in range(s.rng.integers(1, 4)):
        move = s.uniform(0.5, 1.2)
        tilt, side = s.normal(0.06), s.normal(0.1)
        time = s.hips(
            time,
            move,
            forward=s.normal(0.04),
            left=side,
            up=-depth * s.uniform(0.5, 1.2),
            pitch=pitch + s.normal(0.1),
            roll=tilt,
            yaw=s.normal(0.3),
        )
        time += s.uniform(0.0, 1.0)
    for side in (0, 1):
        s.knees[side].to(time, 0.6, 0.0)
    s.hips(time, 0.8)
    time = s.step(0, time, 0.5, s.beside(0), 0.0, 0.1, 0.08)
    return s.step(1, time, 0.5, s.beside(1), 0.0, 0.1, 0.08)


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
    if s.chance(0.12):
        lift += s.uniform(0.0, 0.3)  # marching, stepping over things
    wide = s.uniform(0.0, 0.15) if s.chance(0.2) else 0.0
    bounce = s.uniform(0.02, 0.05) if running else 0.0
    toes, wander = s.uniform(-0.05, 0.3), s.normal(0.1)
    lean = 0.06 * speed * np.cos(heading) + s.normal(0.05)
    crouch = -abs(s.normal(0.03)) - (0.04 if running else 0.0) - (s.uniform(0.0, 0.2) if s.chance(0.15) else 0.0)
    s.hips(start, 0.6, up=crouch, pitch=lean * 0.6, yaw=s.normal(0.05))
    side, time, first = s.side(), start, True
    while time < end:
        wander = 0.7 * wander + s.normal(0.12)
        target = wander
        if np.hypot(s.x, s.y) > room:
            home = np.arctan2(-s.y, -s.x) - (s.yaw + heading)
            home = (home + np.pi) % (2 * np.pi) - np.pi
            target = np.clip(home, -0.65, 0.65)
        s.yaw += target
        stride = (
            length * (0.5 if first or time + period > end else s.uniform(0.92, 1.08)) * (1 - 0.5 * min(abs(target), 1))
        )
        s.x, s.y = s.ahead(stride * np.cos(heading), stride * np.sin(heading))
        last = time + period >= end
        ahead = 0.0 if last else 0.5 * stride
        place = s.beside(side, ahead * np.cos(heading), wide)
        place = (place[0] - ahead * np.sin(heading) * np.sin(s.yaw), place[1] + ahead * np.sin(heading) * np.cos(s.yaw))
        s.step(side, time, swing, place, 0.0, toes, lift)
        if running:
            s.hips(time, period / 2, up=crouch - bounce, pitch=lean * 0.6)
            s.hips(time + period / 2, period / 2, up=crouch + 2 * bounce, pitch=lean * 0.6)
        side, time, first = 1 - side, time + period, False
    time = s.step(side, time, 0.6 * swing, s.beside(side), 0.0, toes, 0.06)
    s.hips(time, 0.5)
    return time


def stroll(s: Script, share: float) -> None:
    """Walk and stand by turns through the whole take; `share` of the turns are walks."""
    time = s.begin
    while time < s.end:
        if s.chance(share):
            time = walk(s, time, time + s.uniform(2, 7), s.uniform(0.4, 1.3))
        else:
            time = stand(s, time, time + s.uniform(2, 7), 0.4)
