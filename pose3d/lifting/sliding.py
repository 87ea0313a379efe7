"""Long sequences through networks that read some frames around each, or windows of one length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pose3d.lifter import Lifter
from pose3d.lifting.mixture import most_likely
from pose3d.motion.clips import cut
from pose3d.motion.windows import frames_before

AT_ONCE = 64  # windows in a batch
FRAMES = 4096  # output frames at once: bounded memory for long sequences and many people


class Poses(NamedTuple):
    """What a lifter gives: the likeliest pose, and of a mixture all poses with their weights."""

    joints: Tensor  # (..., J, 3) [m]
    means: Tensor | None = None  # (..., M, J, 3) [m]
    weights: Tensor | None = None  # (..., M)

    def each(self, change: Callable[[Tensor], Tensor]) -> Poses:
        """The same change to each of the three that is there."""
        means, weights = (part if part is None else change(part) for part in (self.means, self.weights))
        return Poses(change(self.joints), means, weights)


def reach(model: Lifter) -> tuple[int, int]:
    """How many frames before and after its own an output frame depends on."""
    past = frames_before(model.receptive_field, model.causal)
    return past, model.receptive_field - 1 - past


def lift_sequences(model: Lifter, keypoints: Tensor) -> Poses:
    """A pose for every frame of sequences; their ends are repeated, as in training.

    Args:
        model: any lifter.
        keypoints: (B, T, K, C) in the model's keypoint frame.

    Returns:
        (B, T, J, 3) joints, and of a mixture (B, T, M, J, 3) and (B, T, M).

    Raises:
        ValueError: where the network makes no numbers of keypoints that are.
    """
    if model.whole_window:
        return _finite(model, keypoints, Poses(lift_windows(model, keypoints, model.receptive_field)))
    past, future = reach(model)
    first, last = keypoints[:, :1], keypoints[:, -1:]
    return lift_inside(
        model, torch.cat([first.expand(-1, past, -1, -1), keypoints, last.expand(-1, future, -1, -1)], 1)
    )


def lift_inside(model: Lifter, keypoints: Tensor) -> Poses:
    """As `lift_sequences`, for (B, T + R - 1, K, C): only frames that have all of theirs around them get a pose."""
    more = model.receptive_field - 1
    count = keypoints.shape[1] - more
    found = []
    for sequences in keypoints.split(max(1, FRAMES // count)):
        starts = range(0, count, FRAMES)
        pieces = [_poses(model, sequences[:, at : at + FRAMES + more]) for at in starts]
        found.append(joined(pieces, lambda parts: torch.cat(parts, 1)))
    return _finite(model, keypoints, joined(found, torch.cat))


def _finite(model: Lifter, keypoints: Tensor, poses: Poses) -> Poses:
    """The poses, if they are numbers: to whoever gets them NaN is a joint that nobody saw."""
    broken = ~(poses.joints if poses.means is None else poses.means).isfinite().flatten(2).all(2)  # (B, T)
    broken &= keypoints.isfinite().flatten(1).all(1)[:, None]
    if broken.any():
        raise ValueError(
            f"The lifter, a {type(model).__name__}, gives NaN or infinity in {int(broken.sum())} of {broken.numel()} "
            "frames, all of whose keypoints are numbers: its weights are broken. Name another checkpoint."
        )
    return poses


def lift_windows(model: Lifter, keypoints: Tensor, step: int, causal: bool = False) -> Tensor:
    """A pose for every frame of a sequence, from windows `step` frames apart (`pose3d.motion.clips.cut`).

    Args:
        model: gives (B, R, J, 3) for (B, R, K, C), R its `receptive_field`.
        keypoints: (B, T, K, C) in the model's keypoint frame.
        step: frames taken from each window.
        causal: take the last ones: no later frame is seen.

    Returns:
        (B, T, J, 3) joints.
    """
    B, T = keypoints.shape[:2]
    place, taken = (
        torch.from_numpy(array).to(keypoints.device) for array in cut(T, model.receptive_field, step, causal)
    )
    windows = keypoints[:, place].flatten(0, 1)  # (B * N, R, K, C)
    joints = torch.cat([model(part) for part in windows.split(AT_ONCE)])
    return joints.unflatten(0, (B, -1))[:, taken]  # blocks follow one another, so frames come out in order


def _poses(model: Lifter, keypoints: Tensor) -> Poses:
    output: Any = model(keypoints)
    if isinstance(output, Tensor):
        return Poses(output)
    means, _sigmas, weights = output
    return Poses(most_likely(means, weights), means, weights)


def joined(pieces: Sequence[Poses], join: Callable[[Any], Tensor]) -> Poses:
    """Several as one, each of the three by `join`: torch.cat or torch.stack."""
    joints, means, weights = zip(*pieces, strict=True)
    if means[0] is None:
        return Poses(join(joints))
    return Poses(join(joints), join(means), join(weights))
