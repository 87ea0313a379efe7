"""Keypoints that nobody saw: which they are, and what a network that must read a number is given in their place."""

from __future__ import annotations

import torch
from torch import Tensor

from anypose.skeleton import Skeleton, convert, convert_known
from pose3d.lifter import Lifter

FEWEST = 5  # keypoints that say where and how large a person is


def missing(points: Tensor) -> Tensor:
    """(...) which of the points (..., 2) or (..., 3) are not there: NaN, exactly (0, 0), or with a score of 0."""
    lost = points.isnan().any(-1) | (points[..., :2] == 0).all(-1)
    return lost | (points[..., 2] <= 0) if points.shape[-1] == 3 else lost


def as_read(points: Tensor, source: Skeleton, model: Lifter) -> Tensor:
    """(..., K', C) the keypoints that the model reads, from (..., K, C) of `source`, NaN where one is missing.

    A model whose keypoints may miss needs not all of them, and gets a score with each.

    Raises:
        ValueError: naming the keypoint that `source` has no way to.
    """
    if not model.keypoints_may_miss:
        return convert(points, source, model.input_skeleton)
    read, _ = convert_known(points, source, model.input_skeleton)
    return read if read.shape[-1] == 3 else torch.cat([read, torch.ones_like(read[..., :1])], -1)


def complete(frames: Tensor, lost: Tensor, model: Lifter) -> Tensor:
    """Fill in: over time where the keypoint is seen before and after, else where an average person has it.

    Args:
        frames: (N, T, K, C) [px], anything where `lost`.
        lost: (N, T, K).
        model: the lifter.
    """
    filled = torch.where(lost[..., None], torch.nan, frames)
    for person in range(len(filled)):
        for joint in lost[person].any(0).nonzero().flatten().tolist():
            filled[person, :, joint] = _over_time(filled[person, :, joint], lost[person, :, joint])
    still = filled[..., :2].isnan().any(-1)
    mean = model.keypoint_mean()
    for person, frame in still.any(-1).nonzero().tolist():
        points, gaps = filled[person, frame, :, :2], still[person, frame]
        points[gaps] = _placed(points, gaps, model.input_skeleton, None if mean is None else mean[:, :2].detach())
    return filled


def _over_time(track: Tensor, lost: Tensor) -> Tensor:
    """(T, C) one keypoint, straight lines between the frames that have it; before the first and after the last NaN."""
    known = (~lost).nonzero().flatten()
    if not len(known):
        return track
    frames = torch.arange(len(track))
    after = torch.searchsorted(known, frames).clamp(max=len(known) - 1)
    before = (torch.searchsorted(known, frames, right=True) - 1).clamp(min=0)
    first, last = known[before], known[after]
    share = ((frames - first) / (last - first).clamp(min=1)).to(track)[:, None]
    line = track[first] * (1 - share) + track[last] * share
    inside = (frames >= known[0]) & (frames <= known[-1])
    return torch.where((lost & inside)[:, None], line, track)


def _placed(points: Tensor, gaps: Tensor, skeleton: Skeleton, mean: Tensor | None) -> Tensor:
    """(n, 2) places for the `gaps` (K,) of one person's keypoints (K, 2)."""
    known = ~gaps
    if int(known.sum()) < 2:
        return torch.zeros(int(gaps.sum()), 2, dtype=points.dtype)
    if mean is not None:  # the average person, moved and scaled onto the keypoints that are there
        mean = mean.to(points)
        seen, like = points[known], mean[known]
        spread, size = (like - like.mean(0)).norm(), (seen - seen.mean(0)).norm()
        return (mean[gaps] - like.mean(0)) * (size / spread.clamp(min=1e-6)) + seen.mean(0)
    places = []
    for joint in gaps.nonzero().flatten().tolist():  # no average person: where the limb begins
        while joint >= 0 and gaps[joint]:
            joint = skeleton.parents[joint]
        places.append(points[joint] if joint >= 0 else points[known].mean(0))
    return torch.stack(places)
