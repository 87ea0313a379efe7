"""A dressed body around the joints of a person: what to draw, and where COCO's keypoints are on it.

Everything is in the camera frame: x right, y down, z forward [m]. Joints are those of skeleton h36m_17.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anypose.skeleton import get_skeleton

H36M = get_skeleton("h36m_17")
_J = {name: index for index, name in enumerate(H36M.joints)}
MATERIALS = ("skin", "hair", "top", "bottom", "shoes", "extra", "head")
_SKIN = np.array([[255, 219, 190], [241, 194, 152], [224, 172, 125], [198, 134, 90], [141, 85, 54], [92, 58, 40]])
_HAIR = np.array([[25, 20, 18], [60, 40, 28], [110, 75, 45], [190, 150, 95], [150, 150, 150], [120, 50, 30]])


@dataclass(frozen=True, eq=False)
class Parts:
    """N tapered capsules; the widths of their ends differ for the sides of a trunk.

    Attributes:
        start, end: (N, 3) [m].
        radius: (N, 2) at start and end [m].
        across: (N, 3) direction in which a part is wider than deep, zero where it is round.
        widen: (N, 2) how much wider, as a factor, at start and end.
        material: (N,) index of MATERIALS.
    """

    start: np.ndarray
    end: np.ndarray
    radius: np.ndarray
    across: np.ndarray
    widen: np.ndarray
    material: np.ndarray


@dataclass(frozen=True, eq=False)
class Look:
    """How one person is dressed.

    Attributes:
        colours: (7, 3) grey levels of MATERIALS, and of what is printed on each in `inks` (7, 3).
        patterns: (7, 4) kind (0 plain, 1 stripes round the limb, 2 stripes along it, 3 checks, 4 blotches), its
            frequency [1/m], its phase, and how strongly it shows.
        build: thickness of the limbs, about 1.
        sleeve, leg: share of the arm and of the leg that is covered, 0..1.2.
        skirt, long_hair, hat, bag, glasses, beard: whether there is one.
    """

    colours: np.ndarray
    inks: np.ndarray
    patterns: np.ndarray
    build: float
    sleeve: float
    leg: float
    skirt: bool
    long_hair: bool
    hat: bool
    bag: bool
    glasses: bool
    beard: bool


def draw_look(rng: np.random.Generator) -> Look:
    """Draw clothes, skin and hair."""

    def cloth() -> np.ndarray:
        # Clothes are mostly greyish, dark or white; some are loud.
        value, saturation = rng.uniform(0.05, 1.0), rng.beta(1.0, 2.0)
        return 255 * value * (1 - saturation * rng.random(3))

    skin = _SKIN[rng.integers(len(_SKIN))] * rng.uniform(0.85, 1.1)
    hair = _HAIR[rng.integers(len(_HAIR))] * rng.uniform(0.6, 1.2)
    colours = np.stack([skin, hair, cloth(), cloth(), cloth(), cloth(), skin])
    inks = np.stack([skin * 0.9, hair * 0.7, cloth(), cloth(), cloth(), cloth(), skin * 0.9])
    patterns = np.zeros((len(MATERIALS), 4))
    for row, kind in enumerate(MATERIALS):
        plain = rng.random() < 0.5 or kind in ("skin", "head")
        strength = 0.12 if kind in ("skin", "head") else rng.uniform(0.2, 1.0)
        patterns[row] = (4 if plain else rng.integers(1, 5), rng.uniform(8, 60), rng.uniform(0, 6.28), strength)
        if plain and kind not in ("skin", "head"):
            patterns[row, 3] = rng.uniform(0.0, 0.2)
    sleeve = float(rng.choice([0.0, 0.3, 0.45, 0.7, 1.0], p=[0.12, 0.2, 0.25, 0.08, 0.35]))
    leg = float(rng.choice([0.15, 0.45, 0.75, 1.0], p=[0.1, 0.25, 0.1, 0.55]))
    flags = rng.random(6) < np.array([0.12, 0.35, 0.22, 0.15, 0.2, 0.15])
    return Look(
        np.clip(colours, 0, 255),
        np.clip(inks, 0, 255),
        patterns,
        float(np.clip(rng.normal(1.05, 0.14), 0.75, 1.5)),
        sleeve,
        leg,
        *map(bool, flags),
    )


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), 1e-9)


@dataclass(frozen=True, eq=False)
class Head:
    """Where a head is and which way it looks; `size` is its half width [m]."""

    centre: np.ndarray
    forward: np.ndarray
    left: np.ndarray
    up: np.ndarray
    size: float

    @classmethod
    def of(cls, joints: np.ndarray) -> Head:
        """From (17, 3) joints: up from the thorax, forward towards the point of the face and where the chest looks."""
        chest_left = _unit(joints[_J["left_shoulder"]] - joints[_J["right_shoulder"]])
        trunk = _unit(joints[_J["thorax"]] - joints[_J["spine"]])
        chest_forward = _unit(np.cross(chest_left, trunk))
        up = _unit(joints[_J["head"]] - joints[_J["thorax"]])
        face = joints[_J["neck"]] - joints[_J["head"]]
        forward = face - up * (face @ up) + 0.02 * chest_forward
        forward = _unit(forward - up * (forward @ up))
        length = float(np.linalg.norm(joints[_J["head"]] - joints[_J["thorax"]]))
        return cls(
            joints[_J["head"]] + 0.01 * up, forward, np.cross(up, forward), up, float(np.clip(length / 2, 0.07, 0.1))
        )

    def point(self, forward: float, left: float, up: float) -> np.ndarray:
        """(3,) a place on the head, in half widths from its middle."""
        return self.centre + self.size * (forward * self.forward + left * self.left + up * self.up)


def coco_keypoints(joints: np.ndarray) -> np.ndarray:
    """(17, 3) COCO's keypoints of someone with these (17, 3) joints."""
    head = Head.of(joints)
    face = [
        head.point(1.25, 0, -0.25),
        head.point(0.95, 0.38, 0.1),
        head.point(0.95, -0.38, 0.1),
        head.point(0.0, 0.98, -0.05),
        head.point(0.0, -0.98, -0.05),
    ]
    names = ("shoulder", "elbow", "wrist", "hip", "knee", "foot")
    body = [joints[_J[f"{side}_{name}"]] for name in names for side in ("left", "right")]
    return np.stack(face + body)


class _Builder:
    """Collects capsules."""

    def __init__(self) -> None:
        self.rows: list[tuple] = []

    def add(
        self,
        material: str,
        start: np.ndarray,
        end: np.ndarray,
        first: float,
        last: float,
        across: np.ndarray | None = None,
        widen: tuple[float, float] = (1.0, 1.0),
    ) -> None:
        side = np.zeros(3) if across is None else across
        self.rows.append((start, end, (first, last), side, widen, MATERIALS.index(material)))

    def parts(self) -> Parts:
        return Parts(*(np.array(column) for column in zip(*self.rows, strict=True)))


def dress(joints: np.ndarray, look: Look) -> tuple[Parts, Head]:
    """What to draw for someone with these (17, 3) joints."""
    head = Head.of(joints)
    build = _Builder()
    at = {name: joints[index] for name, index in _J.items()}
    scale = float(np.linalg.norm(at["thorax"] - at["spine"]) + np.linalg.norm(at["spine"] - at["hip"])) / 0.5
    thick = look.build * scale
    left = _unit(at["left_shoulder"] - at["right_shoulder"])
    hip_left = _unit(at["left_hip"] - at["right_hip"])
    shoulder = float(np.linalg.norm(at["left_shoulder"] - at["right_shoulder"])) / 2
    _trunk(build, at, left, hip_left, shoulder, thick, look)
    for side in ("left", "right"):
        _arm(build, at, side, thick, look)
        _leg(build, at, side, hip_left, thick, look)
    _head(build, at, head, look)
    return build.parts(), head


def _trunk(
    build: _Builder,
    at: dict[str, np.ndarray],
    left: np.ndarray,
    hip_left: np.ndarray,
    shoulder: float,
    thick: float,
    look: Look,
) -> None:
    depth = 0.105 * thick
    chest = (shoulder + 0.015) / depth
    down = _unit(at["hip"] - at["spine"])
    build.add(
        "top",
        at["thorax"] - 0.06 * _unit(at["thorax"] - at["spine"]),
        at["spine"],
        depth,
        0.95 * depth,
        left,
        (chest, 1.35),
    )
    build.add("top", at["spine"], at["hip"] - 0.02 * down, 0.95 * depth, depth, hip_left, (1.35, 1.5))
    for side in ("left", "right"):
        build.add("top", at["thorax"], at[f"{side}_shoulder"], 0.055 * thick, 0.062 * thick)
    hem = at["hip"] + down * 0.05
    build.add("bottom", at["hip"] - down * 0.03, hem, depth, 1.02 * depth, hip_left, (1.5, 1.6))
    build.add("skin", at["thorax"], at["neck"] * 0.5 + at["head"] * 0.5, 0.06 * thick, 0.05 * thick)
    if look.skirt:
        knees = (at["left_knee"] + at["right_knee"]) / 2
        build.add(
            "bottom",
            hem,
            at["hip"] + (knees - at["hip"]) * max(look.leg, 0.5),
            1.1 * depth,
            1.9 * depth,
            hip_left,
            (1.5, 1.3),
        )
    if look.bag:
        back = np.cross(left, _unit(at["thorax"] - at["spine"])) * -0.17 * thick
        build.add("extra", at["thorax"] + back, at["spine"] + back, 0.11 * thick, 0.13 * thick, left, (1.3, 1.3))


def _limb(
    build: _Builder,
    start: np.ndarray,
    end: np.ndarray,
    first: float,
    last: float,
    cloth: str,
    covered: float,
) -> None:
    """A limb of skin with cloth over the first share `covered` of it."""
    if covered < 1:
        build.add("skin", start, end, first, last)
    if covered > 0:
        share = min(covered, 1.0)
        stop = start + share * (end - start)
        build.add(cloth, start, stop, 1.12 * first, 1.15 * (first + share * (last - first)))


def _arm(build: _Builder, at: dict[str, np.ndarray], side: str, thick: float, look: Look) -> None:
    shoulder, elbow, wrist = (at[f"{side}_{name}"] for name in ("shoulder", "elbow", "wrist"))
    _limb(build, shoulder, elbow, 0.05 * thick, 0.04 * thick, "top", min(2 * look.sleeve, 1.0))
    _limb(build, elbow, wrist, 0.04 * thick, 0.028 * thick, "top", max(2 * look.sleeve - 1, 0.0))
    hand = _unit(wrist - elbow)
    build.add("skin", wrist + 0.02 * hand, wrist + 0.11 * hand, 0.034 * thick, 0.026 * thick)


def _leg(build: _Builder, at: dict[str, np.ndarray], side: str, hip_left: np.ndarray, thick: float, look: Look) -> None:
    hip, knee, ankle = (at[f"{side}_{name}"] for name in ("hip", "knee", "foot"))
    bare = min(look.leg, 0.2) if look.skirt else look.leg
    _limb(build, hip, knee, 0.088 * thick, 0.06 * thick, "bottom", min(2 * bare, 1.0))
    _limb(build, knee, ankle, 0.058 * thick, 0.04 * thick, "bottom", max(2 * bare - 1, 0.0))
    shank = _unit(ankle - knee)
    toes = np.cross(hip_left, -shank)  # the way the knee bends is the way the foot points
    build.add(
        "shoes", ankle + 0.05 * shank - 0.03 * toes, ankle + 0.07 * shank + 0.16 * toes, 0.045 * thick, 0.036 * thick
    )


def _head(build: _Builder, at: dict[str, np.ndarray], head: Head, look: Look) -> None:
    size = head.size
    build.add("head", head.point(0.05, 0, 0.3), head.point(0.2, 0, -0.55), 1.0 * size, 0.8 * size)
    build.add("skin", head.point(0.95, 0, 0.0), head.point(1.12, 0, -0.25), 0.11 * size, 0.18 * size)
    for side in (1.0, -1.0):
        build.add(
            "skin", head.point(-0.05, side * 0.93, 0.12), head.point(0.0, side * 0.93, -0.2), 0.2 * size, 0.16 * size
        )
    if look.long_hair:
        build.add(
            "hair",
            head.point(-0.35, 0, 0.2),
            at["thorax"] * 0.7 + head.point(-0.6, 0, -1.4) * 0.3,
            0.95 * size,
            0.7 * size,
        )
    if look.hat:
        build.add("extra", head.point(0.0, 0, 0.75), head.point(0.0, 0, 1.0), 1.08 * size, 0.9 * size)
        build.add(
            "extra", head.point(0.5, 0, 0.75), head.point(1.3, 0, 0.65), 0.5 * size, 0.3 * size, head.left, (1.6, 1.6)
        )
