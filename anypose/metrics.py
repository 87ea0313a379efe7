"""Errors of 3D joints, batched, per frame: reduce over frames as the protocol says.

Joints are root-relative in the camera frame [m]; leading dimensions are free. MPJPE is also called Protocol 1, P-MPJPE
Protocol 2, N-MPJPE Protocol 3.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

# Frames aligned at once: large enough to hide the cost of a call, small enough for the work to stay in the cache.
CHUNK = 4096
# Below this the singular values of a covariance are too close to a tie for the closed form to keep ten digits.
NEARLY_SINGULAR = 1e-3


def joint_errors(predicted: Tensor, target: Tensor) -> Tensor:
    """(..., J) distance of each joint of (..., J, 3) from its truth [m], in float32 or better."""
    _check(predicted, target)
    dtype = torch.promote_types(torch.promote_types(predicted.dtype, target.dtype), torch.float32)
    return torch.linalg.vector_norm(predicted.to(dtype) - target.to(dtype), dim=-1)


def mpjpe(predicted: Tensor, target: Tensor) -> Tensor:
    """(...) mean per-joint position error of (..., J, 3) [m].

    Args:
        predicted, target: (..., J, 3) joints [m], of the same shape.

    Raises:
        ValueError: naming both shapes where they differ.
    """
    return joint_errors(predicted, target).mean(-1)


def n_mpjpe(predicted: Tensor, target: Tensor) -> Tensor:
    """(...) MPJPE after the best scale of each frame, s = sum <y, p> / sum <p, p>, about the origin [m].

    Rhodin et al. 2018. A prediction of no extent keeps it.
    """
    _check(predicted, target)
    extent = (predicted * predicted).sum((-2, -1), keepdim=True)
    scale = (predicted * target).sum((-2, -1), keepdim=True) / extent.clamp(min=torch.finfo(extent.dtype).tiny)
    return mpjpe(scale * predicted, target)


def p_mpjpe(predicted: Tensor, target: Tensor) -> Tensor:
    """(...) MPJPE after the best similarity of each frame (`procrustes_align`) [m], float64 on the CPU.

    Args:
        predicted, target: (..., J, 3) joints [m], of the same shape.

    Raises:
        ValueError: naming both shapes where they differ.
    """
    errors = torch.empty(_check(predicted, target)[:-2], dtype=torch.float64)
    flat = errors.view(-1)
    for rows, residual in _residuals(predicted, target):
        x, y, z = residual.unbind(1)
        flat[rows] = x.square_().addcmul_(y, y).addcmul_(z, z).sqrt_().mean(0)
    return errors


def procrustes_align(predicted: Tensor, target: Tensor) -> Tensor:
    """Lay each frame of (..., J, 3) onto its truth by scale, rotation and translation; never by a reflection.

    Least squares (Gower 1975), in closed form rather than by a singular value decomposition per frame. With the
    covariance K = sum y p^T of the centred joints and its singular values s1 >= s2 >= s3, s3 with the sign of det K,
    the scale is (s1 + s2 + s3) / |p|^2. That sum is the largest root of Horn's quartic (1987)

        (x^2 - |K|^2)^2 - 8 det(K) x - 4 |cof K|^2 = 0,

    which Newton's method reaches from above, and the rotation follows from the Cayley-Hamilton theorem as

        R = ((x^2 - q) K + x cof(K) - K K^T K) / (x q - det K),   q = (x^2 - |K|^2) / 2.

    Where s2 + s3 is close to 0, as for poses close to a line, the best rotation is nearly free and those frames are
    decomposed after all.

    Returns:
        (..., J, 3) in float64 on the CPU, whatever the input's type and device: not every device has float64. Without
        gradient. A prediction of no extent becomes the centre of its truth; NaN stays NaN.
    """
    _check(predicted, target)
    aligned = target.detach().to("cpu", torch.float64, copy=True, memory_format=torch.contiguous_format)
    flat = aligned.view(-1, *aligned.shape[-2:])
    for rows, residual in _residuals(predicted, target):
        flat[rows] += residual.permute(2, 0, 1)
    return aligned


def mpjve(predicted: Tensor, target: Tensor) -> Tensor:
    """(..., T-1) mean error of the joints' velocities of (..., T, J, 3) [m per frame]."""
    return mpjpe(predicted.diff(dim=-3), target.diff(dim=-3))


def pck(predicted: Tensor, target: Tensor, threshold: float = 0.150) -> Tensor:
    """(...) share of the joints of (..., J, 3) whose error is below `threshold` [m]."""
    errors = joint_errors(predicted, target)
    return (errors < threshold).to(errors.dtype).mean(-1)


def auc(predicted: Tensor, target: Tensor) -> Tensor:
    """(...) PCK of (..., J, 3) averaged over the 31 thresholds 0, 5, ..., 150 mm of MPI-INF-3DHP."""
    errors = joint_errors(predicted, target)
    thresholds = torch.linspace(0, 0.150, 31, dtype=errors.dtype, device=errors.device)
    below = 31 - torch.bucketize(errors, thresholds, right=True)
    return below.to(errors.dtype).mean(-1) / 31


def _check(predicted: Tensor, target: Tensor) -> torch.Size:
    if predicted.shape != target.shape or predicted.ndim < 2 or predicted.shape[-1] != 3:
        raise ValueError(
            "predicted and target must have the same shape (..., J, 3), "
            f"got {tuple(predicted.shape)} and {tuple(target.shape)}."
        )
    return predicted.shape


@torch.no_grad()
def _residuals(predicted: Tensor, target: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Rows of the flattened frames, and (J, 3, N) their aligned prediction minus their truth.

    Frames come last, so that every step is one operation on long runs of memory.
    """
    joints = predicted.shape[-2]
    predicted = predicted.detach().cpu().reshape(-1, 3 * joints)
    target = target.detach().cpu().reshape(-1, 3 * joints)
    # The three large arrays are reused: fresh ones would cost more in page faults than the arithmetic.
    memory = torch.empty(3, 3 * joints, min(CHUNK, len(target)), dtype=torch.float64)
    for start in range(0, len(target), CHUNK):
        rows = slice(start, min(start + CHUNK, len(target)))
        p, y, work = memory[..., : rows.stop - start].unflatten(1, (joints, 3))
        p.flatten(0, 1).copy_(predicted[rows].double().T)  # in two steps: a transposing cast is slow
        y.flatten(0, 1).copy_(target[rows].double().T)
        p.sub_(p.mean(0))
        torch.sub(y.mean(0), y, out=y)
        covariance = -torch.stack([torch.mul(y[:, i : i + 1], p, out=work).sum(0) for i in range(3)])
        rotation, trace = _rotations(covariance)
        extent = torch.mul(p, p, out=work).sum((0, 1))
        rotation.mul_(torch.where(extent > 0, trace / extent, 0))
        for i in range(3):
            y.addcmul_(rotation[:, i], p[:, i : i + 1])
        yield rows, y


def _rotations(k: Tensor) -> tuple[Tensor, Tensor]:
    """The rotation R (3, 3, N) that maximises trace(R^T K) for each K of (3, 3, N), and that maximum (N)."""
    size = k.square().sum((0, 1)).sqrt_().clamp_(min=torch.finfo(k.dtype).tiny)
    k = k * size.reciprocal()
    cyclic = torch.cat([k, k[:2]])
    cyclic = torch.cat([cyclic, cyclic[:, :2]], dim=1)
    cofactors = cyclic[1:4, 1:4] * cyclic[2:5, 2:5] - cyclic[1:4, 2:5] * cyclic[2:5, 1:4]
    determinant = (k[0] * cofactors[0]).sum(0)
    x = _largest_root(determinant, cofactors.square().sum((0, 1)))
    square = _product(k, k.transpose(0, 1))
    q = (x * x - 1) / 2
    denominator = x * q - determinant
    rotation = ((x * x - q) * k).addcmul_(x, cofactors).sub_(_product(square, k)).div_(denominator)
    tied = (denominator < NEARLY_SINGULAR).nonzero()[:, 0]
    if len(tied):
        u, s, vt = torch.linalg.svd(k[:, :, tied].permute(2, 0, 1))
        sign = torch.where(torch.linalg.det(u @ vt) < 0, -1.0, 1.0)
        u[:, :, 2] *= sign[:, None]
        s[:, 2] *= sign
        rotation[:, :, tied] = (u @ vt).permute(1, 2, 0)
        x[tied] = s.sum(-1)
    return rotation, x * size


def _largest_root(determinant: Tensor, cofactors: Tensor) -> Tensor:
    """(N) s1 + s2 + s3 of matrices with |K| = 1, from det K (N) and |cof K|^2 (N), by Newton's method."""
    linear, constant = -8 * determinant, -4 * cofactors
    # x^2 = 1 + 2 sqrt(|cof K|^2 + 2 det(K) x), and x is at most sqrt(3): from above, where the iteration is safe.
    x = torch.add(cofactors, determinant.clamp(min=0), alpha=2 * 3**0.5).sqrt_().mul_(2.0).add_(1.0).sqrt_()
    for _ in range(20):
        inner = x.square().sub_(1.0)
        slope = torch.addcmul(linear, inner, x, value=4).clamp_(min=NEARLY_SINGULAR)  # less is a tie
        step = torch.addcmul(constant, inner, inner).addcmul_(linear, x).div_(slope)
        x.sub_(step)
        if step.max() < 1e-9:  # the next would be its square
            break
    return x


def _product(a: Tensor, b: Tensor) -> Tensor:
    """Matrix products of (3, 3, N) with (3, 3, N)."""
    return (a[:, :1] * b[0]).addcmul_(a[:, 1:2], b[1]).addcmul_(a[:, 2:], b[2])
