"""Chunk after chunk of a motion gets bones that turn: constant lengths, feet where they are, quaternions that go on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from anypose.motion import Motion
from anypose.quaternions import continuous, from_matrix
from anypose.skeleton import Skeleton
from pose3d.predict.constant_bones import keep_lengths
from pose3d.predict.rotations import Twists, hinges_of, parents_first, rest_directions, root_of, turn_bones

# Every length is the mean over this many frames at most, then it stays: bones do not grow during an endless stream.
LENGTH_FRAMES = 3000


@dataclass(eq=False)
class Rig:
    """Gives chunk after chunk of a motion its `rotations` and `rest`; bones keep their lengths from chunk to chunk.

    Left and right are equally long. A length is the mean over what was seen of the person so far, so it settles within
    the first seconds; writers take the newest. Legs reach to where their feet are.
    """

    _people: dict[int, _Person] = field(default_factory=dict)

    def __call__(self, motion: Motion) -> Motion:
        """`motion` with rotations and rest pose; it must have joints in the world.

        `Motion.rotations` (T, P, J, 4) is the turn of the bone that ends in each joint; with `rest` (P, J, 3)

            joint = its parent + rotation (rest of the joint - rest of its parent).
        """
        if motion.world is None or motion.skeleton is None:
            raise ValueError(f"Bones of {motion.name} turn in the world: its joints must be placed there first.")
        skeleton, (T, P, J) = motion.skeleton, motion.world.shape[:3]
        root, limbs = root_of(skeleton), len(hinges_of(skeleton))
        if not T or not P:
            return replace(motion, rotations=np.zeros((T, P, J, 4), np.float32), rest=np.zeros((P, J, 3), np.float32))
        people = [self._people.setdefault(person, _Person(J)) for person in motion.ids.tolist()]
        for p, person in enumerate(people):
            person.measure(motion.world[:, p], skeleton)
        placed = keep_lengths(motion.world, np.stack([person.lengths(skeleton) for person in people]), skeleton)
        twists = Twists(np.stack([person.twists[:limbs] for person in people]), max(person.time for person in people))
        turns = from_matrix(turn_bones(placed, motion.times, skeleton, twists))
        rotations = continuous(turns, np.stack([person.rotations for person in people]))
        for p, person in enumerate(people):
            seen = np.flatnonzero(np.isfinite(rotations[:, p, root, 0]))
            if len(seen):
                person.rotations = rotations[seen[-1], p]
            person.twists[:limbs] = twists.angles[p]
            person.time = float(motion.times[-1])
        rest = np.stack([person.rest(skeleton) for person in people])
        return replace(motion, rotations=rotations.astype(np.float32), rest=rest.astype(np.float32))


class _Person:
    """What is known of somebody after the frames so far."""

    def __init__(self, joints: int) -> None:
        self.rotations = np.full((joints, 4), np.nan)
        self.twists = np.full(4, np.nan)
        self.time = -np.inf
        self.total, self.count = np.zeros(joints), np.zeros(joints)

    def measure(self, joints: np.ndarray, skeleton: Skeleton) -> None:
        """Add the lengths of the bones in (T, J, 3) joints."""
        parents = np.array(skeleton.parents)
        lengths = np.linalg.norm(joints - joints[:, np.where(parents < 0, 0, parents)], axis=-1)
        known = np.isfinite(lengths) & (self.count + np.arange(len(lengths))[:, None] < LENGTH_FRAMES)
        self.total += np.where(known, lengths, 0).sum(0)
        self.count += known.sum(0)

    def lengths(self, skeleton: Skeleton) -> np.ndarray:
        """(J,) of the bone that ends in each joint, left and right alike [m]."""
        flip = list(skeleton.flip_index)
        return (self.total + self.total[flip]) / np.maximum(self.count + self.count[flip], 1)

    def rest(self, skeleton: Skeleton) -> np.ndarray:
        """(J, 3) the rest pose [m]."""
        lengths, directions = self.lengths(skeleton), rest_directions(skeleton)
        rest = np.zeros_like(directions)
        for joint in parents_first(skeleton):
            parent = skeleton.parents[joint]
            if parent >= 0:
                rest[joint] = rest[parent] + lengths[joint] * directions[joint]
        return rest
