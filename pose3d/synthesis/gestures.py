"""What hands, trunk and head do while the legs do something else.

Hands are placed around the trunk: azimuth from straight ahead outward [degrees], distance from the trunk's axis and
height over the thorax [arm lengths], turn of the elbow outward [degrees], and how much the hand swings with the gait.
"""

from __future__ import annotations

import numpy as np

from pose3d.synthesis.choreography import Script
from pose3d.synthesis.kinematics import OUTWARD

# name: azimuth, distance, height, elbow, swing; each drawn around these values by `place`.
PLACES: dict[str, tuple[float, float, float, float, float]] = {
    "hanging": (72, 0.42, -1.04, 0, 1.0),
    "pocket": (62, 0.42, -0.80, 15, 0.1),
    "hip": (78, 0.48, -0.72, 45, 0.0),
    "behind": (160, 0.30, -0.85, 60, 0.0),
    "folded": (-12, 0.45, -0.38, 20, 0.0),
    "clasped": (5, 0.42, -0.72, 10, 0.0),
    "waist": (25, 0.60, -0.55, 5, 0.0),
    "gesture": (30, 0.65, -0.35, 10, 0.0),
    "forward": (12, 0.95, -0.10, 10, 0.0),
    "lead": (22, 0.80, -0.55, 0, 0.2),
    "aside": (70, 1.10, -0.10, 20, 0.0),
    "chin": (8, 0.42, 0.05, 15, 0.0),
    "mouth": (12, 0.42, 0.16, 15, 0.0),
    "ear": (48, 0.33, 0.25, 20, 0.0),
    "head": (40, 0.30, 0.45, 40, 0.0),
    "eyes": (12, 0.62, 0.22, 20, 0.0),
    "overhead": (50, 0.45, 1.05, 10, 0.0),
    "wave": (50, 0.60, 0.45, 15, 0.0),
    "lap": (18, 0.62, -0.78, 15, 0.0),
    "knee": (15, 0.85, -0.70, 10, 0.0),
    "down": (25, 0.45, -1.05, 5, 0.0),
    "running": (38, 0.50, -0.50, 0, 0.5),
    "prop": (140, 0.65, -0.95, 0, 0.0),
    "lying": (60, 0.70, -0.60, 75, 0.0),
    "floor": (12, 1.0, -0.05, 0, 0.0),
    "table": (10, 0.75, -0.45, 10, 0.0),
}


def place(s: Script, side: int, name: str, start: float, duration: float, spread: float = 1.0) -> float:
    """Bring a hand to one of PLACES, not quite the same each time."""
    azimuth, radius, height, elbow, swing = PLACES[name]
    return s.reach(
        side,
        start,
        duration,
        np.radians(azimuth + spread * s.normal(12)),
        max(0.2, radius + spread * s.normal(0.06)),
        height + spread * s.normal(0.07),
        np.radians(elbow + spread * s.normal(15)),
        swing,
    )


def anywhere(s: Script, side: int, start: float, duration: float) -> float:
    """Bring a hand to any point an arm can reach: across the chest to behind the back, down to overhead."""
    azimuth = s.uniform(-45, 130)
    height = s.uniform(-0.95, 1.1)
    radius = s.uniform(0.25, 1.25)
    return s.reach(side, start, duration, np.radians(azimuth), radius, height, np.radians(s.uniform(-20, 70)), 0.0)


def keep(s: Script, side: int, names: tuple[str, ...], start: float, end: float, pause: float = 3.0) -> None:
    """Hold a hand in one of the named places, moving to another every few seconds."""
    time = start
    while time < end:
        time = place(s, side, names[s.rng.integers(len(names))], time, s.uniform(0.4, 1.1))
        time += s.rng.exponential(pause)


def talk(s: Script, side: int, start: float, end: float, lively: float = 0.5) -> None:
    """Gesture as one speaks: short strokes around the middle of the gesture space, rests between."""
    time = start
    while time < end:
        if s.chance(0.1 * lively):
            shake(s, side, time, time + s.uniform(1.0, 3.0))
        if s.chance(0.3):
            time = place(
                s, side, ("hanging", "clasped", "waist", "hip", "folded")[s.rng.integers(5)], time, s.uniform(0.5, 1.0)
            )
            time += s.rng.exponential(1.5)
            continue
        for _ in range(s.rng.integers(1, 5)):
            if s.chance(0.35 * lively):
                time = anywhere(s, side, time, s.uniform(0.4, 1.0))
            else:
                time = place(s, side, "gesture", time, s.uniform(0.3, 0.8), 1.0 + 1.5 * lively)
            time += s.rng.exponential(0.3)


def wander(s: Script, side: int, start: float, end: float, pause: float = 0.7) -> None:
    """Hands anywhere, one place after another."""
    time = start
    while time < end:
        time = anywhere(s, side, time, s.uniform(0.5, 1.3)) + s.rng.exponential(pause)


def both(s: Script, start: float, end: float, pause: float = 0.7) -> None:
    """Both hands together: mirrored or side by side, as in dance, ball play, washing and climbing."""
    time = start
    while time < end:
        move = s.uniform(0.5, 1.3)
        azimuth, height, radius = s.uniform(-30, 110), s.uniform(-0.9, 1.1), s.uniform(0.25, 1.2)
        elbow, shift = s.normal(20), s.normal(20)
        for side in (0, 1):
            turned = np.radians(np.clip(azimuth + OUTWARD[side] * shift, -50, 135))
            end = s.reach(side, time, move, turned, radius, height + s.normal(0.05), np.radians(elbow), 0.0)
        time = end + s.rng.exponential(pause)


def shake(s: Script, side: int, start: float, end: float) -> None:
    """A hand that goes to and fro: waving, stirring, wiping, bouncing a ball."""
    amplitude = s.rng.normal(0, 0.12, 3)
    s.ripple.append((side, start, end, amplitude, s.uniform(0.5, 2.2), s.uniform(0, 6.3)))


def look(s: Script, start: float, end: float, far: float = 1.0, down: float = 0.0) -> None:
    """Turn the head now here, now there; `down` bows it [rad]."""
    time = start
    while time < end:
        time += s.rng.exponential(1.2)
        time = s.neck.to(time, s.uniform(0.3, 0.9), down + s.normal(0.2 * far), s.normal(0.1), s.normal(0.45 * far))


def sway(s: Script, start: float, end: float, far: float = 1.0) -> None:
    """Move the trunk a little, in all three axes."""
    time = start
    while time < end:
        time += s.rng.exponential(1.0)
        move = s.uniform(0.6, 1.6)
        s.lumbar.to(time, move, 0.05 + s.normal(0.12 * far), s.normal(0.11 * far), s.normal(0.15 * far))
        time = s.thoracic.to(time, move, 0.05 + s.normal(0.14 * far), s.normal(0.11 * far), s.normal(0.18 * far))
