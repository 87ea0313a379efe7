"""The plain way to fit a body, as SMPLify does it (Bogo et al. 2016): one frame after another, by autograd and L-BFGS.

The body, its shape, what is seen and the terms of single frames are those of `pose3d.body`; each frame starts from the
one before. There is no smoothness: that needs more than one frame.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from pose3d.body import terms
from pose3d.body.fit import Fit, Fitter
from pose3d.body.keypoint_body import KeypointBody, Shape
from pose3d.body.seen import Seen

ITERATIONS = 20  # of L-BFGS a frame; each asks for about 1.2 gradients


class TorchBody:
    """The points of one person as a function of turns, for autograd."""

    def __init__(self, body: KeypointBody, shape: Shape) -> None:
        self.above = body.parents.tolist()
        self.point, self.bone = torch.from_numpy(body.point), torch.from_numpy(body.bone)
        self.weight, self.parts = torch.from_numpy(body.weight)[:, None], torch.from_numpy(shape.parts)
        steps = shape.heads.copy()
        steps[1:] -= shape.heads[body.parents[1:]]
        self.steps, self.count = torch.from_numpy(steps), body.num_points

    def __call__(self, turns: Tensor, root: Tensor) -> Tensor:
        """(K, 3) of rotation vectors (F, 3) against the bone before and the root (3)."""
        local = rotation(turns)
        world, heads = [local[0]], [root]
        for bone in range(1, len(local)):
            above = self.above[bone]
            heads.append(heads[above] + world[above] @ self.steps[bone])
            world.append(world[above] @ local[bone])
        turned, begins = torch.stack(world)[self.bone], torch.stack(heads)[self.bone]
        carried = (turned @ self.parts[..., None])[..., 0] + self.weight * begins
        return torch.zeros(self.count, 3, dtype=carried.dtype).index_add(0, self.point, carried)


def rotation(vectors: Tensor) -> Tensor:
    """(F, 3, 3) of rotation vectors (Rodrigues)."""
    angle = (vectors.square().sum(-1, keepdim=True) + 1e-16).sqrt()[..., None]
    x, y, z = (vectors / angle[..., 0]).unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).view(-1, 3, 3)
    return torch.eye(3, dtype=vectors.dtype) + angle.sin() * cross + (1 - angle.cos()) * (cross @ cross)


def fade(residuals: Tensor) -> Tensor:
    """Half the robust cost of residuals (..., C) over their deviation (Geman and McClure)."""
    square = residuals.square().sum(-1)
    return 0.5 * (square / (1 + square / terms.FAR**2)).sum()


def frame_by_frame(fitter: Fitter, seen: Seen, fit: Fit, frames: int) -> np.ndarray:
    """(frames, 17, 3) Human3.6M's joints [m] of the first frames, with the shape and the noise that `fit` found."""
    objective, shape, noise = fitter.objective, fit.shape, fit.noise
    body = TorchBody(fitter.body, shape)
    hinges = terms.Hinges.of(shape.heads)
    scales, axes = torch.from_numpy(hinges.scales), torch.from_numpy(hinges.axes)
    straight = torch.from_numpy(np.where(np.isfinite(hinges.straight), hinges.straight, 1e3))
    pixels, sure = (torch.from_numpy(array) for array in objective.pixels(seen, noise.pixel))
    wanted, lens = torch.from_numpy(np.asarray(seen.joints)), torch.from_numpy(np.asarray(seen.intrinsics))
    turns, root = objective.begin(seen, shape.words)
    vectors = torch.from_numpy(Rotation.from_matrix(turns[0]).as_rotvec()).requires_grad_()
    place = torch.from_numpy(root[0].copy()).requires_grad_()
    joint_rows, pixel_rows = objective.rows[1], objective.rows[2]
    found = []
    for t in range(frames):
        known = wanted[t].isfinite().all(-1)
        target = wanted[t][known] - wanted[t][known].mean(0)
        depth = wanted[t][known].mean(0)[2]
        optimizer = torch.optim.LBFGS(
            [vectors, place], max_iter=ITERATIONS, tolerance_change=1e-6, line_search_fn="strong_wolfe"
        )

        def cost(t: int = t, known: Tensor = known, target: Tensor = target, depth: Tensor = depth) -> Tensor:
            points = body(vectors, place)
            joints = points[joint_rows][known]
            shown = points[pixel_rows]
            off = lens[0] * shown[:, :2] / shown[:, 2:].clamp_min(0.1) + lens[1:] - pixels[t]
            off = torch.where(sure[t, :, None] > 0, off, 0.0) * sure[t, :, None]
            bend = (vectors[1:] * axes).sum(-1) + straight
            total = fade((joints - joints.mean(0) - target) / noise.joint) + fade(off)
            total = total + 0.5 * ((scales @ vectors[1:, :, None])[..., 0]).square().sum()
            total = total + 0.5 * (bend.clamp_max(0) / terms.OVERSTRETCH).square().sum()
            return total + 0.5 * ((place[2] - depth) / (objective.weights.depth * depth)).square()

        def closure() -> Tensor:
            optimizer.zero_grad()  # noqa: B023
            loss = cost()
            loss.backward()
            return loss

        optimizer.step(closure)
        with torch.no_grad():
            found.append(body(vectors, place)[objective.rows[0]].numpy())
    return np.stack(found)
