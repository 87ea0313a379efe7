"""Redrawn people: motion given other bodies, other limbs, a camera and a detector, a batch at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Generator, Tensor

from anypose.skeleton import Skeleton
from pose3d.synthesis.bones import bones_of, joints_of
from pose3d.synthesis.detections import Detections
from pose3d.synthesis.points import Points, moved
from pose3d.synthesis.proportions import Proportions
from pose3d.synthesis.recombination import mirror_bones, recombine, turn_limbs
from pose3d.synthesis.viewpoints import Viewpoints, rays

STATURE = 1.7  # m, what errors of detectors are shares of


class Bodies(Protocol):
    """Whole bodies, whose points lie on their skin and skeleton.

    Attributes:
        share: of the samples that get one.
    """

    share: float

    def __call__(
        self, joints: Tensor, protocol: Tensor, skeleton: Skeleton, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """(B, T, 17, 3) joints and (B, T, K, 3) points of bodies drawn at random, posed as joints are.

        Args:
            joints: (B, T, 17, 3) of `H36M_17`, any axes [m].
            protocol: (B,) whose points they are, by number.
            skeleton: what the K points are.
            generator: all randomness comes from here.
        """
        ...


@dataclass(frozen=True)
class Redraw:
    """What is drawn anew for every sample.

    Attributes:
        proportions: bone lengths.
        recombination: probability of each exchange of `recombine`.
        limb_turns: of `turn_limbs` [degrees].
        viewpoints: cameras.
        points: which points of the body the keypoints are.
        detections: what a detector makes of them.
        bodies: where a share of the samples takes joints and points from; None for stick figures alone.
    """

    proportions: Proportions
    recombination: float
    limb_turns: float
    viewpoints: Viewpoints
    points: Points
    detections: Detections
    bodies: Bodies | None = None

    def __call__(
        self, joints: Tensor, frames: Tensor, skeleton: Skeleton, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """Make samples of windows of motion.

        Args:
            joints: (B, T, 17, 3) of `H36M_17`, world, z up [m].
            frames: (B, T) when the frames are, in fiftieths of a second.
            skeleton: what the keypoints shall be.
            generator: all randomness comes from here.

        Returns:
            (B, T, K, 3) keypoints: slopes x / z and y / z, and scores; (B, T, 17, 3) joints in camera axes, relative
            to the hip of each frame [m].
        """
        place = joints[..., :1, :] - joints[:, joints.shape[1] // 2, None, :1]
        bones = self.proportions(bones_of(joints), generator)
        if self.recombination:
            bones = recombine(bones, self.recombination, generator)
        if self.limb_turns:
            bones = turn_limbs(bones, self.limb_turns, generator)
        rotation, distance, factor = self.viewpoints(len(bones), bones, generator)
        turn = rotation[:, None].transpose(-1, -2)
        bones, place = bones @ turn, place @ turn
        mirrored = torch.rand(len(bones), 1, 1, 1, generator=generator, device=bones.device) < 0.5
        bones = torch.where(mirrored, mirror_bones(bones), bones)
        place = torch.where(mirrored, place * place.new_tensor([-1.0, 1.0, 1.0]), place)
        posed = joints_of(bones)
        posed, points, known = self._points(posed, skeleton, generator)
        seen = rays(points + place, distance) * factor[:, None, None, None]
        seen, scores = self.detections(seen, STATURE * factor / distance, frames, skeleton, generator)
        scores = torch.where(known[:, None], scores, 0.0)
        return torch.cat([seen, scores[..., None]], dim=-1), posed

    def _points(self, posed: Tensor, skeleton: Skeleton, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Joints, those of whole bodies in their place, with the points and whether a sample has them."""
        protocol = self.points.choose(len(posed), generator)
        own = self.points.own(len(posed), skeleton, generator)
        points = self.points.on_joints(posed, protocol, own, skeleton)
        if self.bodies is not None:
            rows = torch.rand(len(posed), generator=generator, device=posed.device) < self.bodies.share
            posed, points = posed.clone(), points.clone()
            posed[rows], placed = self.bodies(posed[rows], protocol[rows], skeleton, generator)
            points[rows] = moved(placed, posed[rows], own[rows], skeleton)
        return posed, points, self.points.known(skeleton)[protocol]
