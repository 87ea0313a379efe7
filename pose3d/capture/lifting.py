"""From 2D keypoints and limb orientations to 3D joints: least squares in perspective.

Batched over people and frames: nothing here assumes one frame or one person.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pose3d.capture.layout import CaptureLayout


def lift_perspective(
    layout: CaptureLayout,
    keypoints: Tensor,
    vectors: Tensor,
    valid: Tensor,
    limb_lengths: Tensor,
    focal: Tensor,
    centre: Tensor,
    pixel_sigma: float = 1.0,
    limb_sigma: float = 0.01,
    iterations: int = 5,
) -> Tensor:
    """All joints of a person at once, in perspective, with the root's depth.

    Minimises sum over limbs |X_b - X_a - length p|^2 / limb_sigma^2 + sum over joints |projection - keypoint|^2 /
    pixel_sigma^2. The projection is linear in X once multiplied by the depth, so each iteration solves one linear
    system with the depths of the last (iteratively reweighted least squares).

    Args:
        layout: joints and limbs.
        keypoints: (N, J, 2) [px]; anything where `valid` is false.
        vectors: (N, L, 3) orientations in camera axes; normalised here, a zero vector leaves its limb out.
        valid: (N, J) bool.
        limb_lengths: (L,) or (N, L) [m].
        focal: (N, 2) [px].
        centre: (N, 2) [px].
        pixel_sigma: how far a keypoint may be off [px].
        limb_sigma: how far a limb may be off [m].
        iterations: depth updates.

    Returns:
        (N, J, 3) joints in the camera frame [m], float64; joints that nothing determines are NaN.
    """
    N, J, _ = keypoints.shape
    keypoints, vectors, focal, centre = (t.double() for t in (keypoints, vectors, focal, centre))
    keypoints = torch.where(valid[..., None], keypoints, 0.0)  # a weight of 0 would not silence a NaN
    lengths = limb_lengths.double().expand(N, -1)
    first, second = (torch.tensor(side, device=keypoints.device) for side in zip(*layout.limbs, strict=True))
    norm = vectors.norm(dim=-1)
    used = valid[:, first] & valid[:, second] & (norm > 1e-6)
    vectors = torch.where(used[..., None], vectors, 0.0)
    offset = lengths[..., None] * vectors / norm.nan_to_num().clamp_min(1e-6)[..., None]  # (N, L, 3)
    ray = (keypoints - centre[:, None]) / focal[:, None]  # (N, J, 2)

    # Limb terms: a graph Laplacian, the same for x, y and z.
    weight = used.double() / limb_sigma**2
    laplacian = keypoints.new_zeros(N, J, J)
    for a, b, column in (
        (first, first, 1.0),
        (second, second, 1.0),
        (first, second, -1.0),
        (second, first, -1.0),
    ):
        laplacian.view(N, -1).scatter_add_(1, (a * J + b).expand(N, -1), column * weight)
    pull = keypoints.new_zeros(N, J, 3)
    weighted = weight[..., None] * offset
    pull.scatter_add_(1, second[None, :, None].expand(N, -1, 3), weighted)
    pull.scatter_add_(1, first[None, :, None].expand(N, -1, 3), -weighted)

    matrix = keypoints.new_zeros(N, J, 3, J, 3)
    every = torch.arange(J, device=keypoints.device)
    for axis in range(3):
        matrix[:, :, axis, :, axis] += laplacian
    right = pull.reshape(N, 3 * J, 1)
    depth = keypoints.new_full((N, J), 4.0)
    joints = keypoints.new_zeros(N, J, 3)
    determined = used.double() @ _touches(layout, keypoints) > 0
    for _ in range(iterations):
        full = matrix.clone()
        for axis in range(2):  # (f (X - ray Z) / depth)^2
            w = valid * (focal[:, axis, None] / (pixel_sigma * depth)).square()
            full[:, every, axis, every, axis] += w
            full[:, every, axis, every, 2] -= w * ray[..., axis]
            full[:, every, 2, every, axis] -= w * ray[..., axis]
            full[:, every, 2, every, 2] += w * ray[..., axis].square()
        # Unknown joints would leave the system singular; a whisper of a prior keeps it solvable, and they end as NaN.
        full[:, every, :, every, :] += 1e-9 * torch.eye(3, dtype=full.dtype, device=full.device)
        joints = torch.linalg.solve(full.reshape(N, 3 * J, 3 * J), right).view(N, J, 3)
        depth = joints[..., 2].clamp_min(0.1)
    return torch.where(determined[..., None], joints, torch.nan)


def _touches(layout: CaptureLayout, like: Tensor) -> Tensor:
    """(L, J) 1 where a limb ends in a joint."""
    touches = like.new_zeros(layout.num_limbs, layout.num_joints)
    for limb, ends in enumerate(layout.limbs):
        touches[limb, list(ends)] = 1
    return touches
