"""From controls over time to joints: forward kinematics for the trunk, two-bone inverse kinematics for the limbs.

All frames of a take at once. Limbs are told where their ends are, so planted feet stay planted and hands arrive; bone
lengths and the ranges of knee and elbow hold by construction. Frames: x forward, y left, z up. In every pair of limbs
0 is right and 1 is left, as in Human3.6M's joint order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pose3d.synthesis.body import LIMITS, Body

OUTWARD = (-1.0, 1.0)  # the sign of y on the right and on the left
# A direction of the limb (unit) and where its middle joint then points, in the frame it hangs from, y outward. Both
# turn together with the limb, the short way round, so the middle joint is undefined only opposite REST, where no limb
# goes: legs up and back, arms back and inward. The arm's make elbows point back when it hangs, down and a little out
# when it reaches forward, out and forward when it is overhead.
LEG_REST, LEG_POLE = np.array([0.5, 0.0, -0.866]), np.array([0.866, 0.0, 0.5])
ARM_REST, ARM_POLE = np.array([0.781, 0.488, -0.390]), np.array([-0.541, 0.219, -0.812])
# The last share of a limb's length is given up gradually, or knees and elbows would snap straight.
SOFTNESS = 0.03
# Hands stay this far above the floor [m].
CLEARANCE = 0.04


@dataclass(frozen=True, eq=False)
class Controls:
    """What a person does, frame by frame. Angles in radians.

    Attributes:
        pelvis: (T, 3) middle of the hips, world [m].
        orientation: (T, 3) pelvis pitch (forward), roll (to the right), yaw (to the left).
        lumbar, thoracic, neck: (T, 3) flexion, bend to the right, twist to the left, each against the joint below.
        feet: (T, 2, 3) where the ankles should be, world [m].
        knees: (T, 2) how far the knees turn outward about the line from hip to ankle.
        hands: (T, 2, 3) where the wrists should be, in the thorax's frame, y outward, in arm lengths.
        elbows: (T, 2) how far the elbows turn outward about the line from shoulder to wrist.
    """

    pelvis: np.ndarray
    orientation: np.ndarray
    lumbar: np.ndarray
    thoracic: np.ndarray
    neck: np.ndarray
    feet: np.ndarray
    knees: np.ndarray
    hands: np.ndarray
    elbows: np.ndarray


def pose_body(controls: Controls, body: Body, floor: float | None = None) -> np.ndarray:
    """(T, 17, 3) joints of skeleton h36m_17, world [m]; hands stay over a floor at that height."""
    pelvis = rotation(controls.orientation)
    lumbar = pelvis @ rotation(controls.lumbar)
    thoracic = lumbar @ rotation(controls.thoracic)
    neck = thoracic @ rotation(controls.neck)
    joints = np.empty((len(pelvis), 17, 3))
    joints[:, 0] = controls.pelvis
    joints[:, 7] = joints[:, 0] + lumbar @ body.spine
    joints[:, 8] = joints[:, 7] + thoracic @ body.thorax
    joints[:, 9] = joints[:, 8] + neck @ body.neck
    joints[:, 10] = joints[:, 9] + neck @ body.head
    for side, outward in enumerate(OUTWARD):
        hip = joints[:, 0] + pelvis @ np.array([0.0, outward * body.hip, 0.0])
        knee, ankle = two_bone(
            controls.feet[:, side] - hip,
            pelvis @ LEG_REST,
            pelvis @ LEG_POLE,
            -outward * controls.knees[:, side],
            body.thigh,
            body.shank,
            np.radians(LIMITS["knee_flexion"][1]),
        )
        first = 1 + 3 * side
        joints[:, first], joints[:, first + 1], joints[:, first + 2] = hip, hip + knee, hip + ankle

        mirror = np.array([1.0, outward, 1.0])
        hand = controls.hands[:, side]
        girdle = body.shoulder * shoulder_direction(hand, body) * mirror
        shoulder = joints[:, 8] + np.einsum("tij,tj->ti", thoracic, girdle)
        reach = np.einsum("tij,tj->ti", thoracic, body.arm * hand * mirror - girdle)
        if floor is not None:
            reach[:, 2] = np.maximum(reach[:, 2], floor + CLEARANCE - shoulder[:, 2])
        elbow, wrist = two_bone(
            reach,
            thoracic @ (ARM_REST * mirror),
            thoracic @ (ARM_POLE * mirror),
            outward * controls.elbows[:, side],
            body.upper_arm,
            body.forearm,
            np.radians(LIMITS["elbow_flexion"][1]),
        )
        first = 14 - 3 * side
        joints[:, first], joints[:, first + 1], joints[:, first + 2] = shoulder, shoulder + elbow, shoulder + wrist
    return joints


def rotation(angles: np.ndarray) -> np.ndarray:
    """(T, 3, 3) Rz(twist) Rx(side) Ry(flexion) of (T, 3) angles flexion, side, twist [rad]."""
    (cf, cs, ct), (sf, ss, st) = np.cos(angles).T, np.sin(angles).T
    rows = [
        [ct * cf - st * ss * sf, -st * cs, ct * sf + st * ss * cf],
        [st * cf + ct * ss * sf, ct * cs, st * sf - ct * ss * cf],
        [-cs * sf, ss, cs * cf],
    ]
    return np.moveaxis(np.array(rows), -1, 0)


def two_bone(
    target: np.ndarray,
    rest: np.ndarray,
    pole: np.ndarray,
    swivel: np.ndarray,
    upper: float,
    lower: float,
    flexion: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Place the middle and the end of a two-bone limb that starts at the origin.

    Args:
        target: (T, 3) where the end should be [m]; near and beyond the limits of reach the end falls short of it,
            along its line.
        rest: (T, 3) unit direction of the limb at mid-range.
        pole: (T, 3) unit direction, at right angles to `rest`, in which the middle joint leaves the line.
        swivel: (T,) turn of the middle joint about the line [rad].
        upper: length of the first bone [m].
        lower: length of the second bone [m].
        flexion: the most the middle joint bends [rad].

    Returns:
        (T, 3) middle joint and (T, 3) end.
    """
    longest = 0.999 * (upper + lower)
    nearest = np.sqrt(upper**2 + lower**2 + 2 * upper * lower * np.cos(flexion))
    soft = SOFTNESS * longest
    length = np.sqrt((target * target).sum(-1, keepdims=True))
    line = target / np.maximum(length, 1e-6)
    length = np.where(length > longest - soft, longest - soft * np.exp((longest - soft - length) / soft), length)
    length = np.where(length < nearest + soft, nearest + soft * np.exp((length - nearest - soft) / soft), length)
    # `pole` carried along by the shortest rotation from `rest` to `line`, then turned about `line`.
    carried = pole - (pole * line).sum(-1, keepdims=True) / (1.001 + (rest * line).sum(-1, keepdims=True)) * (
        rest + line
    )
    carried = carried - (carried * line).sum(-1, keepdims=True) * line
    carried = carried / np.maximum(np.sqrt((carried * carried).sum(-1, keepdims=True)), 1e-6)
    turned = _cross(line, carried)
    along = (upper**2 + length**2 - lower**2) / (2 * length)
    across = np.sqrt(np.maximum(upper**2 - along**2, 0.0))
    carried = np.cos(swivel)[:, None] * carried + np.sin(swivel)[:, None] * turned
    return along * line + across * carried, length * line


def shoulder_direction(hand: np.ndarray, body: Body) -> np.ndarray:
    """(T, 3) unit vectors from thorax to shoulder, y outward, for hands (T, 3) in arm lengths.

    The girdle follows the arm: it lifts by up to 30 degrees under a raised arm (two thirds glenohumeral, one third
    scapular: Inman, Saunders and Abbott 1944) and moves forward by up to 20 with a reaching one.
    """
    raised = np.clip((hand[:, 2] + 0.1) / 0.9, 0.0, 1.0)
    elevation = body.shoulder_elevation + np.radians(30.0) * raised * raised * (3 - 2 * raised)
    protraction = body.shoulder_protraction + np.radians(20.0) * np.clip(hand[:, 0], -0.5, 1.0)
    cos = np.cos(elevation)
    return np.stack([cos * np.sin(protraction), cos * np.cos(protraction), np.sin(elevation)], -1)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(T, 3) cross products; np.cross spends most of its time on arguments."""
    (ax, ay, az), (bx, by, bz) = a.T, b.T
    return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], -1)
