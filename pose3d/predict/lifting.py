"""From keypoints to joints: any lifter, shown people the way it is used to, everyone in one batch.

A lifter has learned people in the middle of its pictures and of one size in them. So the camera is turned to look at
each person's hips, which is exact for a known lens, and what it then sees is scaled to that size; the joints are turned
back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from anypose.engine.device import Device as Device  # before torch: it makes importing torch safe  # isort: skip

import numpy as np
import torch

from anypose.camera import to_screen
from anypose.motion import Motion
from anypose.skeleton import Skeleton, convert
from pose3d.lifter import Lifter
from pose3d.lifting.mixture import most_likely

PICTURE = 1000  # width and height of the picture that a person is put into [px]
TALL = 500  # their larger extent in it [px]
BATCH = 4096  # output frames at once: bounded memory for many people

View = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


class Lift:
    """The lifting stage.

    Args:
        model: any lifter, mixtures too.
        hypotheses: also give the mixture's other poses.
    """

    def __init__(self, model: Lifter, hypotheses: bool = True) -> None:
        frame = getattr(model, "keypoint_frame", None)
        if frame not in ("pixel", "screen"):
            raise ValueError(
                f"lifter must be a lifting model, got {type(model).__name__}. Train one: model=baseline3d."
            )
        self.model, self.hypotheses = model.eval(), hypotheses
        field = model.receptive_field
        self.past = field - 1 if model.causal else (field - 1) // 2
        self.future = field - 1 - self.past
        self.sizes: dict[int, float] = {}

    @property
    def skeleton(self) -> Skeleton:
        return self.model.output_skeleton

    def __call__(self, motion: Motion, intrinsics: np.ndarray) -> Motion:
        """The motion with `joints` relative to the hips [m], camera axes; NaN where the keypoints it needs are missing.

        Args:
            motion: with keypoints [px].
            intrinsics: (3,) focal length and principal point x, y [px].
        """
        assert motion.keypoints is not None
        assert motion.keypoint_skeleton is not None
        T, P = motion.keypoints.shape[:2]
        J = self.skeleton.num_joints
        joints = np.full((T, P, J, 3), np.nan, np.float32)
        others: np.ndarray | None = None
        points = convert(motion.keypoints.astype(np.float64), motion.keypoint_skeleton, self.model.input_skeleton)
        there = np.isfinite(points[..., :2]).all((-1, -2))
        if not there.any():
            return replace(motion, joints=joints, skeleton=self.skeleton)
        seen, turns = self.look_at(points, there, motion, intrinsics)
        windows, rows = self.windows(seen, there)
        poses, spread = self.run(windows)
        back = turns[rows[:, 0], rows[:, 1]]  # (N, 3, 3) camera to the view
        joints[rows[:, 0], rows[:, 1]] = np.einsum("nji,nkj->nki", back, poses)
        if spread is not None and self.hypotheses:
            others = np.full((T, P, *spread.shape[1:]), np.nan, np.float32)
            others[rows[:, 0], rows[:, 1]] = np.einsum("nji,nmkj->nmki", back, spread)
        return replace(motion, joints=joints, skeleton=self.skeleton, hypotheses=others)

    def look_at(
        self, points: np.ndarray, there: np.ndarray, motion: Motion, intrinsics: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """(T, P, K, C) keypoints as the lifter reads them, and (T, P, 3, 3) how the camera was turned for each."""
        focal, centre = intrinsics[0], intrinsics[1:]
        skeleton = self.model.input_skeleton
        sides = [skeleton.index(joint) for joint in ("left_hip", "right_hip")]
        slopes = (points[..., :2] - centre) / focal
        turns = look_at(slopes[..., sides, :].mean(-2))
        rays = np.concatenate([slopes, np.ones((*slopes.shape[:-1], 1))], -1) @ np.swapaxes(turns, -1, -2)
        slopes = rays[..., :2] / rays[..., 2:]
        low, high = slopes.min(-2), slopes.max(-2)
        extent = (high - low).max(-1)  # (T, P)
        seen = np.full((*slopes.shape[:-1], self.model.keypoint_channels), np.nan)
        for person, name in enumerate(motion.ids.tolist()):
            rows = there[:, person]
            if rows.any():
                # One scale while a person is in a chunk: a crouch must not look like a step back.
                size = max(float(np.median(extent[rows, person])), 1e-6)
                middle = (low + high)[:, person, None] / 2
                seen[:, person, :, :2] = (slopes[:, person] - middle) * (TALL / size) + PICTURE / 2
                self.sizes[name] = size
        if self.model.keypoint_frame == "screen":
            seen[..., :2] = to_screen(seen[..., :2], PICTURE, PICTURE)
        if seen.shape[-1] > 2:
            seen[..., 2] = points[..., 2]
        return seen, turns

    def windows(self, seen: np.ndarray, there: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(N, R, K, C) the frames around each frame with a person, edges repeated, and (N, 2) its frame and person.

        Neighbours in which the person is missing are replaced by the nearest in which they are not.
        """
        rows = np.argwhere(there)
        T = len(seen)
        reach = np.arange(-self.past, self.future + 1)
        frames = (rows[:, :1] + reach).clip(0, T - 1)
        nearest = np.empty(there.shape, int)
        for person in range(there.shape[1]):
            known = np.flatnonzero(there[:, person])
            if len(known):
                after = np.searchsorted(known, np.arange(T)).clip(0, len(known) - 1)
                before = (after - 1).clip(0)
                closer = np.abs(known[before] - np.arange(T)) < np.abs(known[after] - np.arange(T))
                nearest[:, person] = np.where(closer, known[before], known[after])
        people = rows[:, 1:]
        return seen[nearest[frames, people], people], rows

    def run(self, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """(N, J, 3) joints, and (N, M, J, 3) hypotheses of a mixture, of (N, R, K, C)."""
        poses, spreads = [], []
        with torch.inference_mode():
            for start in range(0, len(windows), BATCH):
                batch = torch.from_numpy(windows[start : start + BATCH].astype(np.float32))
                output: Any = self.model(batch)
                if isinstance(output, torch.Tensor):
                    poses.append(output[:, 0].numpy())
                    continue
                means, _sigmas, weights = output
                poses.append(most_likely(means, weights)[:, 0].numpy())
                spreads.append(means[:, 0].numpy())
        return np.concatenate(poses), np.concatenate(spreads) if spreads else None


def look_at(slopes: np.ndarray) -> np.ndarray:
    """(..., 3, 3) the turn, first about y and then about x, after which a point at slopes (..., 2) lies on the axis."""
    x, y = slopes[..., 0], slopes[..., 1]
    pan, tilt = np.arctan(x), np.arctan2(y, np.sqrt(1 + x * x))
    zero, one = np.zeros_like(x), np.ones_like(x)
    about_y = _matrix(np.cos(pan), zero, -np.sin(pan), zero, one, zero, np.sin(pan), zero, np.cos(pan))
    about_x = _matrix(one, zero, zero, zero, np.cos(tilt), -np.sin(tilt), zero, np.sin(tilt), np.cos(tilt))
    return about_x @ about_y


def _matrix(*entries: np.ndarray) -> np.ndarray:
    return np.stack(entries, -1).reshape(*entries[0].shape, 3, 3)
