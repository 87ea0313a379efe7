"""New poses from old ones: one person's trunk on another's legs, another's arms, limbs turned at random.

Legs and arms are each covered by a few hours of motion, whole bodies are not: their combinations are.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from anypose.skeleton import H36M_17
from pose3d.synthesis.bones import BONE, chest, pelvis, unit

Turn = Callable[[Tensor], Tensor]

LEGS = [BONE[f"{side}_{joint}"] for side in ("left", "right") for joint in ("hip", "knee", "foot")]
TRUNK = [number for number in range(len(BONE)) if number not in LEGS]  # with head and arms
ARMS = {side: [BONE[f"{side}_elbow"], BONE[f"{side}_wrist"]] for side in ("left", "right")}
UPPER = [number for number in TRUNK if number != BONE["spine"]]
# What is turned as a whole, from the joint where it begins: the trunk on the legs, the chest, then what hangs on them.
LIMBS = [
    TRUNK,
    UPPER,
    *(
        [BONE[f"{side}_{joint}"] for joint in chain]
        for side in ("left", "right")
        for chain in (("elbow", "wrist"), ("wrist",), ("knee", "foot"), ("foot",))
    ),
    [BONE["neck"], BONE["head"]],
]


def recombine(bones: Tensor, probability: float, generator: Generator) -> Tensor:
    """Put parts of other samples of the batch on a sample, turned into the frame of what receives them.

    Three exchanges, each with `probability`: the trunk with head and arms, on the pelvis; both arms, on the chest; one
    arm. Donors are the samples some places on in the batch, whose order is random already.

    Args:
        bones: (B, T, 16, 3).
        probability: of each exchange.
        generator: all randomness comes from here.
    """

    def chosen() -> Tensor:
        return torch.rand(len(bones), 1, 1, 1, generator=generator, device=bones.device) < probability

    bones = _transplant(bones, bones.roll(1, 0), TRUNK, pelvis, chosen())
    donor = bones.roll(2, 0)
    bones = _transplant(bones, donor, ARMS["left"] + ARMS["right"], chest, chosen())
    donor, left, some = bones.roll(3, 0), torch.rand(len(bones), 1, 1, 1, generator=generator) < 0.5, chosen()
    left = left.to(bones.device)
    bones = _transplant(bones, donor, ARMS["left"], chest, some & left)
    return _transplant(bones, donor, ARMS["right"], chest, some & ~left)


def _transplant(bones: Tensor, donor: Tensor, part: list[int], turn: Turn, where: Tensor) -> Tensor:
    """`bones` with the donor's `part`, as it lies in the donor's `turn`, where `where` (B, 1, 1, 1) says so."""
    between = turn(bones) @ turn(donor).transpose(-1, -2)
    moved = donor[..., part, :] @ between.transpose(-1, -2)
    result = bones.clone()
    result[..., part, :] = torch.where(where, moved, bones[..., part, :])
    return result


def turn_limbs(bones: Tensor, degrees: float, generator: Generator) -> Tensor:
    """Turn trunk, chest, arms, forearms, legs, shins and head about where they begin, the same over a sample's frames.

    Args:
        bones: (B, T, 16, 3).
        degrees: standard deviation of the angle, about an axis of any direction.
        generator: all randomness comes from here.
    """
    turns = random_turns(len(bones) * len(LIMBS), math.radians(degrees), bones, generator)
    turns = turns.view(len(bones), len(LIMBS), 1, 3, 3)
    bones = bones.clone()
    for number, limb in enumerate(LIMBS):
        bones[..., limb, :] = bones[..., limb, :] @ turns[:, number].transpose(-1, -2)
    return bones


def random_turns(count: int, sigma: float, like: Tensor, generator: Generator) -> Tensor:
    """(count, 3, 3) turns about random axes by normal angles of standard deviation `sigma` [rad] (Rodrigues)."""
    axis = unit(torch.randn(count, 3, generator=generator, device=like.device))
    angle = torch.randn(count, 1, 1, generator=generator, device=like.device) * sigma
    x, y, z = axis.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).view(count, 3, 3)
    identity = torch.eye(3, device=like.device)
    return (identity + angle.sin() * cross + (1 - angle.cos()) * cross @ cross).to(like)


def mirror_bones(bones: Tensor) -> Tensor:
    """(..., 16, 3) bones of the mirror image: left and right exchanged, x negated."""
    order = [BONE[H36M_17.joints[H36M_17.flip_index[H36M_17.index(name)]]] for name in BONE]
    return bones[..., order, :] * bones.new_tensor([-1.0, 1.0, 1.0])
