"""Bodies for synthetic motion: segment lengths drawn from anthropometry, and how far joints go.

Frames of the body: x forward, y left, z up. Lengths are fractions of stature after Drillis and Contini (1966), as
tabled by Winter, "Biomechanics and Motor Control of Human Movement" (2009), fig. 4.1; statures are those of adults in
ANSUR II (Gordon et al. 2014). Human3.6M and most marker sets put hip, spine, thorax, neck and head at points of their
own making, so where these lie on the trunk is drawn anew for every body.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Mean and standard deviation of stature [m]: women, men.
STATURE = ((1.629, 0.064), (1.756, 0.069))

# Active range of motion [degrees] (low, high): AAOS norms (Norkin and White, "Measurement of Joint Motion", 2016) and
# Soucie et al. (2011, Haemophilia 17). The thoracolumbar range is shared by the two trunk joints of the skeleton.
LIMITS: dict[str, tuple[float, float]] = {
    "trunk_flexion": (-20.0, 45.0),
    "trunk_side": (-20.0, 20.0),
    "trunk_twist": (-25.0, 25.0),
    "neck_flexion": (-50.0, 50.0),
    "neck_side": (-40.0, 40.0),
    "neck_twist": (-70.0, 70.0),
    "hip_flexion": (-25.0, 125.0),
    "knee_flexion": (0.0, 150.0),
    "elbow_flexion": (0.0, 150.0),
}


@dataclass(frozen=True)
class Body:
    """One person's skeleton, symmetric. Everything in metres.

    Attributes:
        stature: height standing.
        hip: from the middle of the hips to one of them.
        thigh, shank: hip to knee, knee to ankle.
        ankle: height of the ankle above the floor it stands on.
        spine: (3,) from hip to spine, pelvis upright.
        thorax: (3,) from spine to thorax.
        neck: (3,) from thorax to neck/nose, looking straight ahead.
        head: (3,) from neck/nose to head.
        shoulder: from thorax to one of the shoulders.
        shoulder_elevation, shoulder_protraction: of that line at rest, up and forward [rad].
        upper_arm, forearm: shoulder to elbow, elbow to wrist.
    """

    stature: float
    hip: float
    thigh: float
    shank: float
    ankle: float
    spine: np.ndarray
    thorax: np.ndarray
    neck: np.ndarray
    head: np.ndarray
    shoulder: float
    shoulder_elevation: float
    shoulder_protraction: float
    upper_arm: float
    forearm: float

    @property
    def leg(self) -> float:
        """Hip to ankle, knee straight [m]."""
        return self.thigh + self.shank

    @property
    def arm(self) -> float:
        """Shoulder to wrist, elbow straight [m]."""
        return self.upper_arm + self.forearm


def draw_body(rng: np.random.Generator, spread: float) -> Body:
    """Draw a person.

    Args:
        rng: all randomness comes from here.
        spread: standard deviation of a segment's share of stature, as a fraction of it. People measure 0.03 to 0.05;
            more also covers skeletons whose joints are other points than anatomy's.
    """
    mean, deviation = STATURE[rng.integers(2)]
    stature = float(np.clip(rng.normal(mean, deviation), 1.45, 2.0))

    def length(share: float) -> float:
        return share * stature * float(np.clip(rng.normal(1.0, spread), 1 - 2.5 * spread, 1 + 2.5 * spread))

    def offset(length: float, forward: float) -> np.ndarray:
        return length * np.array([np.sin(forward), 0.0, np.cos(forward)])

    trunk = length(0.288)
    low = rng.uniform(0.40, 0.54)
    bow = np.radians(rng.uniform(-8.0, 10.0))
    return Body(
        stature=stature,
        hip=stature * rng.uniform(0.048, 0.080),
        thigh=length(0.245),
        shank=length(0.246),
        ankle=0.039 * stature + rng.uniform(0.0, 0.03),
        spine=offset(low * trunk, -bow),
        thorax=offset((1 - low) * trunk, bow),
        neck=offset(length(0.070), np.radians(rng.uniform(20.0, 70.0))),
        head=offset(length(0.066), np.radians(rng.uniform(-45.0, 5.0))),
        shoulder=length(0.088),
        shoulder_elevation=np.radians(rng.uniform(-32.0, -2.0)),
        shoulder_protraction=np.radians(rng.uniform(-20.0, 8.0)),
        upper_arm=length(0.170),
        forearm=length(0.146),
    )
