"""Rotations as unit quaternions w, x, y, z, arrays of them at once."""

from __future__ import annotations

import numpy as np


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(..., 4) the turn `b` followed by the turn `a`, as matrices are multiplied: a b."""
    aw, ax, ay, az = np.moveaxis(a, -1, 0)
    bw, bx, by, bz = np.moveaxis(b, -1, 0)
    return np.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        -1,
    )


def inverse(a: np.ndarray) -> np.ndarray:
    """(..., 4) the turn back."""
    return a * np.array([1.0, -1.0, -1.0, -1.0])


def to_matrix(a: np.ndarray) -> np.ndarray:
    """(..., 3, 3) rotation matrices of (..., 4)."""
    w, x, y, z = np.moveaxis(np.asarray(a, dtype=np.float64), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), (0, 1), (-2, -1))


def from_matrix(matrix: np.ndarray) -> np.ndarray:
    """(..., 4) quaternions of rotation matrices (..., 3, 3), of either sign; NaN stays NaN."""
    m = np.asarray(matrix, dtype=np.float64)
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    wx, wy, wz = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    xy, xz, yz = m[..., 0, 1] + m[..., 1, 0], m[..., 0, 2] + m[..., 2, 0], m[..., 1, 2] + m[..., 2, 1]
    # Four times the products of the quaternion with itself: any row will do, the largest loses no digits.
    products = np.stack(
        [
            np.stack([1 + xx + yy + zz, wx, wy, wz], -1),
            np.stack([wx, 1 + xx - yy - zz, xy, xz], -1),
            np.stack([wy, xy, 1 - xx + yy - zz, yz], -1),
            np.stack([wz, xz, yz, 1 - xx - yy + zz], -1),
        ],
        -2,
    )
    largest = np.argmax(np.diagonal(products, axis1=-2, axis2=-1), -1)
    row = np.take_along_axis(products, largest[..., None, None], -2)[..., 0, :]
    return row / np.linalg.norm(row, axis=-1, keepdims=True)


def continuous(a: np.ndarray, before: np.ndarray | None = None) -> np.ndarray:
    """(T, ..., 4) the same turns with signs that do not jump from frame to frame.

    Args:
        a: over time; frames without a turn are NaN and are skipped.
        before: (..., 4) the last turns before these, NaN where there were none.
    """
    start = np.full_like(a[:1], np.nan) if before is None else before[None]
    whole = np.concatenate([start, a])
    known = np.isfinite(whole[..., 0])
    place = np.arange(len(whole)).reshape(-1, *[1] * (a.ndim - 2))
    last = np.maximum.accumulate(np.where(known, place, 0), 0)[:-1]
    previous = np.take_along_axis(whole, last[..., None], 0)
    same = np.nan_to_num((previous * a).sum(-1), nan=1.0) >= 0
    signs = np.cumprod(np.where(same, 1.0, -1.0), 0)
    return a * signs[..., None]
