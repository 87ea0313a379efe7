"""Joints and limbs of the Monocular Total Capture network (Xiang et al. 2019), body and hand.

A limb is a directed pair of joints; its orientation field holds the unit vector from the first to the second. Channel
`3 * limb + axis` of the field tensor. The order is the released network's, so converted weights mean the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from anypose.settings import Misuse


@dataclass(frozen=True)
class CaptureLayout:
    """What the channels of one network are.

    Attributes:
        name: "body" or "hand".
        joints: names, in heatmap order; the background channel follows them.
        limbs: (from, to) joint indices, in field order.
        unscored_limbs: trained, but not used when people are assembled: ears hang on the neck, and the chest closes
            loops that a tree does not need.
        root: the joint assembly starts from.
        score_background: whether the heatmap loss includes the background channel.
        limb_lengths: [m], for lifting where the training people have none: the means of 600 figures of
            dataset=synthetic_people. Zero for the hand, of which we have no data.
    """

    name: str
    joints: tuple[str, ...]
    limbs: tuple[tuple[int, int], ...]
    unscored_limbs: frozenset[int]
    root: int
    score_background: bool
    limb_lengths: tuple[float, ...]

    @property
    def num_joints(self) -> int:
        return len(self.joints)

    @property
    def num_limbs(self) -> int:
        return len(self.limbs)

    @property
    def num_heatmaps(self) -> int:
        return self.num_joints + 1

    @property
    def num_fields(self) -> int:
        return 3 * self.num_limbs

    @cached_property
    def flip_joints(self) -> tuple[int, ...]:
        """Index of each joint's mirror image; a hand is always shown as a left one, so it has none."""
        return tuple(self.joints.index(_mirrored(name)) for name in self.joints)

    @cached_property
    def flip_limbs(self) -> tuple[int, ...]:
        """Index of the limb each limb becomes in the mirror (and whose x then changes sign)."""
        flip = self.flip_joints
        return tuple(self.limbs.index((flip[a], flip[b])) for a, b in self.limbs)

    @cached_property
    def tree(self) -> tuple[int, ...]:
        """Scored limbs, each reached after the limb that ends in its first joint."""
        reached, order = {self.root}, []
        pending = [limb for limb in range(self.num_limbs) if limb not in self.unscored_limbs]
        while pending:
            limb = next(limb for limb in pending if self.limbs[limb][0] in reached)
            reached.add(self.limbs[limb][1])
            pending.remove(limb)
            order.append(limb)
        return tuple(order)


def _mirrored(name: str) -> str:
    if name.startswith("left_"):
        return "right_" + name[5:]
    if name.startswith("right_"):
        return "left_" + name[6:]
    return name


BODY = CaptureLayout(
    name="body",
    joints=(
        "nose", "neck",
        "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
        "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
        "right_eye", "left_eye", "right_ear", "left_ear", "head_top", "chest",
    ),
    limbs=(
        (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13),
        (1, 2), (2, 3), (3, 4), (2, 16), (1, 5), (5, 6), (6, 7), (5, 17),
        (1, 0), (0, 14), (0, 15), (14, 16), (15, 17), (1, 18),
        (1, 19), (19, 8), (19, 11),
    ),
    unscored_limbs=frozenset({9, 13, 21, 22}),
    root=1,
    score_background=False,
    limb_lengths=(
        0.472, 0.406, 0.419, 0.472, 0.406, 0.419,
        0.140, 0.285, 0.248, 0.231, 0.140, 0.285, 0.248, 0.231,
        0.230, 0.056, 0.056, 0.106, 0.106, 0.217,
        0.230, 0.253, 0.253,
    ),
)  # fmt: skip

_FINGERS = ("thumb", "index", "middle", "ring", "little")
_FINGER_JOINTS = ("tip", "distal", "middle", "base")

HAND = CaptureLayout(
    name="hand",
    joints=("wrist", *(f"{finger}_{joint}" for finger in _FINGERS for joint in _FINGER_JOINTS)),
    limbs=tuple(
        limb
        for base in (4, 8, 12, 16, 20)
        for limb in ((0, base), (base, base - 1), (base - 1, base - 2), (base - 2, base - 3))
    ),
    unscored_limbs=frozenset(),
    root=0,
    score_background=True,
    limb_lengths=(0.0,) * 20,
)

LAYOUTS = {layout.name: layout for layout in (BODY, HAND)}


def get_layout(name: str) -> CaptureLayout:
    """The layout called `name`; ValueError lists the known ones."""
    if name not in LAYOUTS:
        raise Misuse(f"part={name} is not a layout of total_capture. Known: {', '.join(LAYOUTS)}.")
    return LAYOUTS[name]
