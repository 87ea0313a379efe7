"""Where the points of different detectors and protocols lie on one body: a table of offsets from Human3.6M's joints.

Joints of one name are not one place: BlazePose's hips lie 19 cm apart, Human3.6M's 26, and "head" is anything from the
face to the crown. A sample takes one protocol's points, moved once more by its own random offsets, which stay the same
over its frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from anypose.settings import Misuse
from anypose.skeleton import H36M_17, Skeleton
from pose3d.synthesis.bones import bones_of, chest, pelvis, skull

Offset = tuple[float, float, float]

# A point's joint of Human3.6M, and what it turns with. Sides are told by the name.
BASES = {
    "hip": ("hip", "pelvis"),
    "knee": ("knee", "pelvis"),
    "foot": ("foot", "pelvis"),
    "spine": ("spine", "chest"),
    "thorax": ("thorax", "chest"),
    "shoulder": ("shoulder", "chest"),
    "elbow": ("elbow", "chest"),
    "wrist": ("wrist", "chest"),
    "neck": ("neck", "skull"),
    "head": ("head", "skull"),
    "nose": ("neck", "skull"),
    "ear": ("head", "skull"),
    "eye": ("neck", "skull"),
    "head_top": ("head", "skull"),
}
# Means, the left side's: outwards (on the middle line: left), up, forward [m]. What is not named lies on its joint.
EVERYWHERE: dict[str, Offset] = {
    "nose": (0.0, 0.02, 0.02),
    "eye": (0.032, 0.05, 0.0),
    "ear": (0.075, 0.0, 0.0),
    "head_top": (0.0, 0.10, 0.0),
}
PROTOCOLS: dict[str, dict[str, Offset]] = {
    "h36m": {},
    "coco": {"hip": (-0.030, 0.0, 0.0), "neck": (0.0, 0.02, 0.02), "head": (0.0, 0.0, 0.0)},
    "blazepose": {"hip": (-0.037, 0.01, 0.0), "neck": (0.0, 0.02, 0.02), "shoulder": (0.0, 0.01, 0.0)},
    # What BlazePose marks on rendered bodies: `python -m benchmarks.network_points`.
    "blazepose_rendered": {
        "hip": (-0.041, 0.0, 0.041),
        "neck": (0.0, 0.02, 0.02),
        "shoulder": (-0.015, 0.027, 0.0),
        "foot": (0.0, 0.026, 0.017),
    },
    "mpii": {"hip": (-0.020, 0.01, 0.0), "head": (0.0, 0.04, 0.02)},
}
# What a protocol cannot tell of the points of the head.
ABSENT: dict[str, tuple[str, ...]] = {
    "h36m": ("left_ear", "right_ear", "left_eye", "right_eye", "nose", "head_top"),
    "coco": ("head_top",),
    "blazepose": ("head_top",),
    "blazepose_rendered": ("head_top",),
    "mpii": ("neck", "nose", "left_ear", "right_ear", "left_eye", "right_eye"),
}
# Standard deviation of a sample's own offsets along each axis [m]: people, annotators and networks differ.
SPREADS: dict[str, Offset] = {
    "hip": (0.015, 0.02, 0.015),
    "shoulder": (0.015, 0.015, 0.01),
    "head": (0.005, 0.035, 0.02),
    "neck": (0.005, 0.015, 0.015),
    "head_top": (0.005, 0.02, 0.02),
}
SPREAD: Offset = (0.01, 0.01, 0.01)


@dataclass(frozen=True)
class Points:
    """Which points of the body a sample's keypoints are.

    Attributes:
        protocols: drawn from with equal chances, of `PROTOCOLS`; one alone gives that one's points.
        spread: factor on the samples' own offsets; 0 for none.
    """

    protocols: Sequence[str]
    spread: float

    def __post_init__(self) -> None:
        unknown = [protocol for protocol in self.protocols if protocol not in PROTOCOLS]
        if unknown or not self.protocols:
            raise Misuse(
                f"dataset.points={list(self.protocols)} must be one or more of {', '.join(PROTOCOLS)}"
                f"{f'; there is no {unknown[0]}' if unknown else ''}."
            )
        if not 0 <= self.spread <= 5:
            raise Misuse(f"dataset.points_spread={self.spread} must lie in [0, 5].")

    def __call__(self, joints: Tensor, skeleton: Skeleton, generator: Generator) -> tuple[Tensor, Tensor]:
        """The points of `skeleton` on bodies given as Human3.6M's joints.

        Args:
            joints: (B, T, 17, 3).
            skeleton: each of its K points has a row in `BASES`.
            generator: all randomness comes from here.

        Returns:
            (B, T, K, 3) the points, and (B, K) whether the sample's protocol has them.
        """
        protocol = self.choose(len(joints), generator)
        own = self.own(len(joints), skeleton, generator)
        return self.on_joints(joints, protocol, own, skeleton), self.known(skeleton)[protocol]

    def choose(self, count: int, generator: Generator) -> Tensor:
        """(count,) which of the protocols a sample's points follow."""
        return torch.randint(len(self.protocols), (count,), generator=generator, device=generator.device)

    def own(self, count: int, skeleton: Skeleton, generator: Generator) -> Tensor:
        """(count, K, 3) samples' own offsets: outwards, up, forward [m]."""
        kinds, _ = kinds_of(skeleton)
        normal = torch.randn(count, len(kinds), 3, generator=generator, device=generator.device)
        return self.spread * normal.new_tensor([SPREADS.get(kind, SPREAD) for kind in kinds]) * normal

    def known(self, skeleton: Skeleton) -> Tensor:
        """(protocols, K) whether a protocol has a point."""
        return torch.tensor(
            [[joint not in ABSENT[protocol] for joint in skeleton.joints] for protocol in self.protocols]
        )

    def on_joints(self, joints: Tensor, protocol: Tensor, own: Tensor, skeleton: Skeleton) -> Tensor:
        """(B, T, K, 3) the points where the table of offsets puts them on stick figures (B, T, 17, 3), and `own`."""
        kinds, _ = kinds_of(skeleton)
        means = joints.new_tensor([[_mean(name, kind) for kind in kinds] for name in self.protocols])[protocol]
        points = joints[..., [_base(name) for name in skeleton.joints], :]
        return moved(points, joints, means + own, skeleton)


def moved(points: Tensor, joints: Tensor, offsets: Tensor, skeleton: Skeleton) -> Tensor:
    """Points that are moved with the body.

    Args:
        points: (B, T, K, 3) of the skeleton.
        joints: (B, T, 17, 3) Human3.6M's, which tell how pelvis, chest and head are turned.
        offsets: (B, K, 3) outwards, up, forward [m].
        skeleton: what the points are.
    """
    kinds, sides = kinds_of(skeleton)
    signs = joints.new_tensor(sides)  # of "outwards" along left
    offsets = torch.cat([offsets[..., :1] * signs[:, None], offsets[..., 1:]], dim=-1)
    bones = bones_of(joints)
    points = points.clone()
    for name, turn in (("pelvis", pelvis), ("chest", chest), ("skull", skull)):
        rows = [row for row, kind in enumerate(kinds) if BASES[kind][1] == name]
        points[..., rows, :] += offsets[:, None, rows] @ turn(bones).transpose(-1, -2)
    return points


def kinds_of(skeleton: Skeleton) -> tuple[list[str], list[float]]:
    """For each point its row of `BASES`, and which way outwards is along left: 1, -1, or 1 on the middle line."""
    kinds = [joint.removeprefix("left_").removeprefix("right_") for joint in skeleton.joints]
    lacking = [joint for joint, kind in zip(skeleton.joints, kinds, strict=True) if kind not in BASES]
    if lacking:
        raise ValueError(
            f"Redrawn people have no point for {', '.join(lacking)} of {skeleton.name}; they have {', '.join(BASES)}."
        )
    return kinds, [-1.0 if joint.startswith("right_") else 1.0 for joint in skeleton.joints]


def _mean(protocol: str, kind: str) -> Offset:
    return PROTOCOLS[protocol].get(kind, EVERYWHERE.get(kind, (0.0, 0.0, 0.0)))


def _base(joint: str) -> int:
    """The row of Human3.6M's 17 that a point is given from."""
    side, _, _ = joint.partition("_")
    kind = joint.removeprefix("left_").removeprefix("right_")
    base = BASES[kind][0]
    name = f"{side}_{base}" if side in ("left", "right") else base
    return H36M_17.index(name if name in H36M_17.joints else base)
