"""Bodies drawn at random for samples of training, posed as joints say, a batch at a time.

A posed body is linear in how its bones are turned: a keypoint is a sum of vectors at rest, each turned with its bone.
So a body with all its keypoints is one small matrix, a batch of them one product, and what is derived from a layout's
points (a neck from a nose) is in the matrix, too.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Generator, Tensor

from anypose.settings import check_range
from anypose.skeleton import BLAZEPOSE_33, COCO_17, H36M_17, MPII_16, Skeleton, convert_known
from pose3d.body.first_pose import world_turns
from pose3d.body.keypoint_body import keypoint_body
from pose3d.body.people import random_words

# The layouts of the networks and datasets whose points `pose3d.synthesis.points` tells apart.
LAYOUTS = {
    "h36m": H36M_17, "coco": COCO_17, "blazepose": BLAZEPOSE_33, "blazepose_rendered": BLAZEPOSE_33, "mpii": MPII_16,
}  # fmt: skip
COUNT = 400

log = logging.getLogger(__name__)


class DrawnBodies:
    """`count` bodies of random adults, one for each sample: Human3.6M's joints and a network's points of it.

    Args:
        share: of the samples that get one; `pose3d.synthesis.redrawn` reads it.
        protocols: names of `LAYOUTS`; a sample's points are those of that layout, converted as a user's would be.
        count: how many people are drawn.
        seed: who they are.
    """

    def __init__(self, share: float, protocols: Sequence[str], count: int = COUNT, seed: int = 0) -> None:
        check_range("dataset", 0, 1, without_low=True, anny_share=share)
        self.share, self.layouts = share, [LAYOUTS[name] for name in protocols]
        self.count, self.seed = count, seed
        self.matrices: dict[str, Tensor] = {}
        self.human = keypoint_body(H36M_17)

    @cached_property
    def words(self) -> np.ndarray:
        """(N, 6) of every body."""
        log.info("Drawing %d of Anny's bodies, seconds.", self.count)
        rng = np.random.default_rng(self.seed)
        return np.stack([random_words(rng) for _ in range(self.count)])

    @cached_property
    def at_rest(self) -> np.ndarray:
        """(N, 17, 3) Human3.6M's joints of every body [m]."""
        return np.stack([self.human.vectors(self.human.shape(words)).sum(1) for words in self.words])

    def points(self, skeleton: Skeleton) -> Tensor:
        """(N, P, F * 3, 17 + K) vectors of bodies by protocol: the joints, then the points of `skeleton`."""
        if skeleton.name not in self.matrices:
            self.matrices[skeleton.name] = self._points(skeleton)
        return self.matrices[skeleton.name]

    def _points(self, skeleton: Skeleton) -> Tensor:
        bodies = [keypoint_body(layout) for layout in self.layouts]
        found = np.zeros((self.count, len(bodies), len(self.human.bones) * 3, 17 + skeleton.num_joints), np.float32)
        for person, words in enumerate(self.words):
            joints = self.human.vectors(self.human.shape(words)).reshape(17, -1)
            for number, (body, layout) in enumerate(zip(bodies, self.layouts, strict=True)):
                vectors = body.vectors(body.shape(words)).reshape(layout.num_joints, -1)
                points, _ = convert_known(vectors, layout, skeleton)
                found[person, number] = np.concatenate([joints, np.nan_to_num(points)]).T
        return torch.from_numpy(found)

    def __call__(
        self, joints: Tensor, protocol: Tensor, skeleton: Skeleton, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """See `pose3d.synthesis.redrawn.Bodies`; relative to the hip of each frame."""
        B, T = joints.shape[:2]
        person = torch.randint(self.count, (B,), generator=generator, device=joints.device)
        rest = self.at_rest[person.numpy()].repeat(T, axis=0)
        turns = world_turns(joints.flatten(0, 1).double().numpy(), rest, self.human.bones)
        turns = torch.from_numpy(turns).to(joints).view(B, T, -1, 3, 3).transpose(2, 3)  # (B, T, 3, F, 3)
        placed = turns.reshape(B, T * 3, -1) @ self.points(skeleton)[person, protocol]
        placed = placed.view(B, T, 3, -1).transpose(2, 3)
        placed = placed - placed[..., :1, :]
        return placed[..., :17, :], placed[..., 17:, :]
