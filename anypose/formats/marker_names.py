"""What our joints are called as markers in biomechanics: the names of Sports2D, Pose2Sim and their OpenSim models."""

from __future__ import annotations

import re

# Without the side. A joint that is not here keeps its name, in capitals: RSmallToe. Its Head is the crown.
MARKERS = {
    "hip": "Hip",
    "foot": "Ankle",
    "thorax": "Neck",
    "head_top": "Head",
    "head": "HeadCentre",
    "neck": "Face",
}


def marker_of(joint: str) -> str:
    """ "LAnkle" for left_foot."""
    side, name = "", joint
    for prefix in ("left_", "right_"):
        if joint.startswith(prefix):
            side, name = prefix[0].upper(), joint.removeprefix(prefix)
    return side + MARKERS.get(name, "".join(word.capitalize() for word in name.split("_")))


def joint_of(marker: str) -> str:
    """ "left_foot" for LAnkle; what is unknown becomes a name of the same kind."""
    side, name = "", marker
    if re.match(r"[LR][A-Z]", marker):
        side, name = {"L": "left_", "R": "right_"}[marker[0]], marker[1:]
    back = {value: key for key, value in MARKERS.items()}
    return side + back.get(name, re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower())
