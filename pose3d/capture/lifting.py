"""From 2D keypoints and limb orientations to 3D joints: a closed-form chain, and least squares in perspective.

Both are batched over people and frames: nothing here assumes one frame or one person.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pose3d.capture.layout import CaptureLayout


def lift_chain(layout: CaptureLayout, keypoints: Tensor, vectors: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Closed-form lifting under scaled orthography (Xiang et al. 2019, supplement), down the limb tree.

    For a limb with image displacement d and orientation p, the scale s of (d, dz) = s p is d . p_xy / |p_xy|^2, and
    dz = s p_z. A limb seen end-on (|p_xy| small) or contradicted by its field (s < 0) is not lifted, nor is what hangs
    on it.

    Departure: the original visits the hips again through the chest with an inconsistent right-hand side; we do not.

    Args:
        layout: joints and limbs.
        keypoints: (N, J, 2) [px].
        vectors: (N, L, 3) mean orientations, of any length.
        valid: (N, J) bool.

    Returns:
        (N, J, 3) x, y, z [px], z relative to the root's, and (N, J) bool: the joints that could be lifted.
    """
    lifted = torch.cat((keypoints, torch.zeros_like(keypoints[..., :1])), dim=-1)
    done = torch.zeros_like(valid)
    done[:, layout.root] = valid[:, layout.root]
    for limb in layout.tree:
        a, b = layout.limbs[limb]
        along = keypoints[:, b] - keypoints[:, a]
        p = vectors[:, limb]
        flat = p[:, :2].square().sum(-1)
        scale = (along * p[:, :2]).sum(-1) / flat.clamp_min(1e-12)
        lifted[:, b, 2] = lifted[:, a, 2] + scale * p[:, 2]
        # 0.1 in image length of a unit vector is a limb within six degrees of the viewing ray
        done[:, b] = done[:, a] & valid[:, b] & (scale > 0) & (flat > 0.01 * p.square().sum(-1)) & (flat > 0)
    return lifted, done


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
        keypoints: (N, J, 2) [px].
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
    lengths = limb_lengths.double().expand(N, -1)
    first, second = (torch.tensor(side, device=keypoints.device) for side in zip(*layout.limbs, strict=True))
    norm = vectors.norm(dim=-1)
    used = valid[:, first] & valid[:, second] & (norm > 1e-6)
    offset = lengths[..., None] * vectors / norm.clamp_min(1e-6)[..., None]  # (N, L, 3)
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
    determined = valid & (used.double() @ _touches(layout, keypoints) > 0)
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
