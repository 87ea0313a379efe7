"""From keypoints to joints: any lifter, shown people the way it is used to, everyone in one batch.

A lifter has learned people in the middle of its pictures and of one size in them. So the camera is turned to look at
each person's hips, which is exact for a known lens, and what it then sees is scaled to that size; the joints are turned
back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from anypose.engine.device import Device as Device  # before torch: it makes importing torch safe  # isort: skip

import numpy as np
import torch

from anypose.camera import to_screen
from anypose.motion import Motion
from anypose.skeleton import Skeleton
from pose3d.lifter import Lifter
from pose3d.lifting.arrays import PICTURE, TALL
from pose3d.lifting.missing_keypoints import FEWEST, as_read, complete, missing
from pose3d.lifting.sliding import Poses, lift_inside, lift_sequences, reach

RATES = (24.0, 60.5)  # frames a second that need no thinning or repeating


class Lift:
    """The lifting stage.

    Args:
        model: any lifter, mixtures too.
        hypotheses: also give the mixture's other poses.
        device: where it computes.
    """

    def __init__(self, model: Lifter, hypotheses: bool = True, device: str = "cpu") -> None:
        self.model, self.hypotheses, self.device = model.to(device).eval(), hypotheses, device
        self.past, self.future = reach(model)

    @property
    def skeleton(self) -> Skeleton:
        """What the joints are."""
        return self.model.output_skeleton

    def __call__(self, motion: Motion, intrinsics: np.ndarray) -> Motion:
        """The motion with `joints` relative to the hips [m], camera axes.

        A person of whom hardly anything is seen in a frame is NaN there, a joint whose keypoint is missing, too.

        Args:
            motion: with keypoints [px].
            intrinsics: (3,) focal length and principal point x, y [px].
        """
        assert motion.keypoints is not None
        assert motion.keypoint_skeleton is not None
        T, P = motion.keypoints.shape[:2]
        joints = np.full((T, P, self.skeleton.num_joints, 3), np.nan, np.float32)
        given = torch.from_numpy(motion.keypoints.astype(np.float64)).transpose(0, 1)  # (P, T, K, 3)
        given[missing(given)] = torch.nan
        points = as_read(given, motion.keypoint_skeleton, self.model)
        lost = missing(points)
        there = ((~lost).sum(-1) >= FEWEST).numpy()
        if not there.any():
            return replace(motion, joints=joints, skeleton=self.skeleton)
        whole = complete(points, lost, self.model)
        whole[..., 2] = whole[..., 2].masked_fill(lost, 0.0)  # which tells a network that reads scores what is missing
        whole = whole.numpy()
        seen, turns = self.rays(whole, intrinsics) if self.model.keypoint_frame == "ray" else self.look_at(
            whole, there, intrinsics
        )  # fmt: skip
        poses, spread = self.poses(seen, there, frame_step(motion.times))
        people, frames = np.nonzero(there)
        back = turns[people, frames]  # (N, 3, 3) camera to the view
        joints[frames, people] = np.einsum("nji,nkj->nki", back, poses)
        others: np.ndarray | None = None
        if spread is not None and self.hypotheses:
            others = np.full((T, P, *spread.shape[1:]), np.nan, np.float32)
            others[frames, people] = np.einsum("nji,nmkj->nmki", back, spread)
        unseen = missing(given).numpy().transpose(1, 0, 2)
        for j, joint in enumerate(self.skeleton.joints):
            if joint in motion.keypoint_skeleton.joints and j != self.skeleton.root:
                joints[unseen[..., motion.keypoint_skeleton.index(joint)], j] = np.nan
        return replace(motion, joints=joints, skeleton=self.skeleton, hypotheses=others)

    def rays(self, points: np.ndarray, intrinsics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `look_at`, for a network that turns people into the middle by itself."""
        seen = points.copy()
        seen[..., :2] = (points[..., :2] - intrinsics[1:]) / intrinsics[0]
        return seen[..., : self.model.keypoint_channels], np.broadcast_to(np.eye(3), (*points.shape[:2], 3, 3))

    def look_at(self, points: np.ndarray, there: np.ndarray, intrinsics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(P, T, K, C) keypoints as the network reads them, and (P, T, 3, 3) how the camera was turned for each.

        Args:
            points: (P, T, K, 3) keypoints of the network's skeleton [px].
            there: (P, T) who is in which frame.
            intrinsics: (3,) focal length and principal point [px].
        """
        skeleton = self.model.input_skeleton
        sides = [skeleton.index(joint) for joint in ("left_hip", "right_hip")]
        slopes = (points[..., :2] - intrinsics[1:]) / intrinsics[0]
        turns = look_at(slopes[..., sides, :].mean(-2))
        rays = np.concatenate([slopes, np.ones((*slopes.shape[:-1], 1))], -1) @ np.swapaxes(turns, -1, -2)
        slopes = rays[..., :2] / rays[..., 2:]
        low, high = slopes.min(-2, keepdims=True), slopes.max(-2, keepdims=True)
        extent = np.where(there, (high - low).max((-1, -2)), np.nan)  # (P, T)
        # One scale while a person is in a chunk: a crouch must not look like a step back.
        size = np.array([np.median(one[np.isfinite(one)]) if np.isfinite(one).any() else 1.0 for one in extent])
        seen = points.copy()
        scale = TALL / np.maximum(size, 1e-6)[:, None, None, None]
        seen[..., :2] = (slopes - (low + high) / 2) * scale + PICTURE / 2
        if self.model.keypoint_frame == "screen":
            seen[..., :2] = to_screen(seen[..., :2], PICTURE, PICTURE)
        return seen[..., : self.model.keypoint_channels], turns

    def poses(self, seen: np.ndarray, there: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray | None]:
        """(N, J, 3) joints in the N frames with a person in it, and of a mixture (N, M, J, 3) all of its poses.

        Frames around them in which the person is not, or that are not there yet, are replaced by the nearest in which
        they are, as the ends of sequences are in training. To tell a network that knows missing keypoints of them
        instead cost 0.7 and 1.9 mm on two real clips, 11 and 16 mm where no later frame is known, and up to 9 mm beside
        gaps.

        Args:
            seen: (P, T, K, C) what the network reads.
            there: (P, T) who is in which frame.
            step: frames of the source from one frame that the network reads to the next.
        """
        T, nearest = there.shape[1], nearest_known(there)
        people, frames = np.nonzero(there)
        if self.model.whole_window:
            found = [self.lifted(lift_sequences, seen[p, row][None])[0][0] for p, row in enumerate(nearest)]
            return np.stack(found)[there], None
        if step != 1:
            around = frames[:, None] + np.round(np.arange(-self.past, self.future + 1) * step).astype(int)
            around = nearest[people[:, None], around.clip(0, T - 1)]
            joints, others = self.lifted(lift_inside, seen[people[:, None], around])
            return joints[:, 0], None if others is None else others[:, 0]
        # Neighbours share what is around them: everyone from the first frame to the last, one behind the other.
        first, last = there.argmax(1), T - there[:, ::-1].argmax(1)
        lengths = np.where(there.any(1), last - first + self.past + self.future, 0)
        start = np.cumsum(lengths) - lengths  # of each person's frames among all
        whose = np.repeat(np.arange(len(there)), lengths)
        when = np.arange(len(whose)) + (first - self.past - start)[whose]
        joints, others = self.lifted(lift_inside, seen[whose, nearest[whose, when.clip(0, T - 1)]][None])
        places = frames + (start - first)[people]
        return joints[0, places], None if others is None else others[0, places]

    def lifted(self, way: Callable[..., Poses], keypoints: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Joints and a mixture's poses of (B, T, K, C), by one of `pose3d.lifting.sliding`'s ways."""
        with torch.inference_mode():
            found = way(self.model, torch.from_numpy(keypoints.astype(np.float32)).to(self.device))
        joints, others, _weights = (None if part is None else part.float().cpu().numpy() for part in found)
        assert joints is not None
        return joints, others


def nearest_known(there: np.ndarray) -> np.ndarray:
    """(P, T) for each frame the nearest in which the person is, 0 for who is in none."""
    T = there.shape[1]
    nearest = np.zeros(there.shape, int)
    for person, row in enumerate(there):
        known = np.flatnonzero(row)
        if len(known):
            after = np.searchsorted(known, np.arange(T)).clip(0, len(known) - 1)
            before = (after - 1).clip(0)
            closer = np.abs(known[before] - np.arange(T)) < np.abs(known[after] - np.arange(T))
            nearest[person] = np.where(closer, known[before], known[after])
    return nearest


def frame_step(times: np.ndarray) -> float:
    """How many frames are one of a lifter's: 1 at the rates that lifters of motion are trained with."""
    if len(times) < 2:
        return 1.0
    rate = 1 / float(np.median(np.diff(times)))
    return rate / min(max(rate, RATES[0]), RATES[1])


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
