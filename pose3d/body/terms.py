"""What a fit weighs: each term's residuals and how they move with the pose, as a sum of squares frame by frame.

Poses move by small turns of bones about the world's axes and by the root: D = 3 + 3 F numbers a frame. A term adds
J^T J to the normal equations and J^T r to their right side, J being its residuals' derivatives over its deviation.
Without slopes a term counts its cost alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.spatial.transform import Rotation

from pose3d.body.keypoint_body import FREE

# How far a bone turns against the one before it, away from rest [rad]: about the hinge or in any direction, then
# across the hinge. Wide where people move freely; it only decides what the picture does not show.
REACH = {
    "LowerBack": 0.35, "Spine1": 0.35, "Neck": 0.35, "Head": 0.45, "Shoulder": 0.25, "Arm": 1.2, "Hand": 0.35,
    "UpLeg": 1.0, "Foot": 0.45,
}  # fmt: skip
HINGES = {"ForeArm": (1.5, 0.5), "Leg": (1.5, 0.15)}
OVERSTRETCH = 0.08  # deviation of how far a hinge goes past straight [rad]
WRONG = 6.0  # deviations a frame beyond which a foot was wrongly thought to stand
FAR = 3.0  # deviations beyond which a residual's pull fades (Geman and McClure 1985)


@dataclass(eq=False)
class Equations:
    """Normal equations of T frames, each tied to the two before it: blocks on the diagonal and below it.

    Attributes:
        same, one, two: (T, D, D), (T - 1, D, D) and (T - 2, D, D) float32 blocks of a frame with itself and with those
            one and two before.
        slope: (T, D) half the gradient.
        cost: half the sum of squares.
    """

    same: np.ndarray
    one: np.ndarray
    two: np.ndarray
    slope: np.ndarray
    cost: float = 0.0
    costs: dict[str, float] = field(default_factory=dict)

    @classmethod
    def empty(cls, frames: int, size: int) -> Equations:
        """Without any term."""
        same, one, two = (np.zeros((max(frames - lag, 0), size, size), np.float32) for lag in range(3))
        return cls(same, one, two, np.zeros((frames, size)))

    def add(self, name: str, residuals: np.ndarray, slopes: np.ndarray, cost: float | None = None) -> None:
        """A term of single frames: residuals (T, R) and their derivatives (T, R, D), weighted both."""
        self.note(name, 0.5 * float((residuals**2).sum()) if cost is None else cost)
        slopes = slopes.astype(np.float32, copy=False)
        flipped = np.swapaxes(slopes, -1, -2)
        self.same += flipped @ slopes
        self.slope += (flipped @ residuals[..., None].astype(np.float32))[..., 0]

    @property
    def only_cost(self) -> bool:
        """Whether nobody asked for more: whether a step is a good one, its cost tells."""
        return not self.slope.size

    def note(self, name: str, cost: float) -> None:
        """Count a term's cost."""
        self.costs[name] = self.costs.get(name, 0.0) + cost
        self.cost += cost


def fade(residuals: np.ndarray, far: float = FAR) -> tuple[np.ndarray, float]:
    """Robust weights (..., 1) of residuals (..., C) over their deviation, and half the cost; what is far off fades."""
    square = (residuals**2).sum(-1, keepdims=True)
    shrink = 1 / (1 + square / far**2)
    return shrink, 0.5 * float((square * shrink).sum())


def reprojection(
    equations: Equations,
    points: np.ndarray,
    slopes: np.ndarray | None,
    pixels: np.ndarray,
    weights: np.ndarray,
    lens: np.ndarray,
) -> None:
    """Points (T, K, 3) in camera axes are seen at pixels (T, K, 2); weights (T, K) 1 / deviation, 0 where unseen."""
    depth = np.maximum(points[..., 2:], 0.1)
    seen = lens[0] * points[..., :2] / depth + lens[1:]
    residuals = np.where(weights[..., None] > 0, seen - pixels, 0.0) * weights[..., None]
    root, cost = fade(residuals)
    if slopes is None:
        return equations.note("reprojection", cost)
    along = (seen - lens[1:]) / depth
    scale = (weights[..., None] * root).astype(np.float32)[..., None]
    across = (lens[0] / depth).astype(np.float32)[..., None] * scale
    moved = across * slopes[:, :, :2] - along.astype(np.float32)[..., None] * scale * slopes[:, :, 2:]
    T = len(points)
    return equations.add("reprojection", (residuals * root).reshape(T, -1), moved.reshape(T, -1, moved.shape[-1]), cost)


def joints(
    equations: Equations, points: np.ndarray, slopes: np.ndarray | None, wanted: np.ndarray, weights: np.ndarray
) -> None:
    """Points (T, J, 3) relative to their mean lie where `wanted` does; weights (T, J) are 1 / deviation."""
    share = (weights > 0) / np.maximum((weights > 0).sum(-1, keepdims=True), 1)
    wanted = np.where(weights[..., None] > 0, wanted, 0.0)

    def centred(values: np.ndarray) -> np.ndarray:
        axes = (1,) * (values.ndim - 2)
        return values - (share.reshape(*share.shape, *axes).astype(values.dtype) * values).sum(1, keepdims=True)

    residuals = (centred(points) - centred(wanted)) * weights[..., None]
    root, cost = fade(residuals)
    if slopes is None:
        return equations.note("joints", cost)
    T = len(points)
    moved = centred(slopes) * (weights[..., None] * root).astype(np.float32)[..., None]
    return equations.add("joints", (residuals * root).reshape(T, -1), moved.reshape(T, -1, moved.shape[-1]), cost)


def directions(
    equations: Equations,
    start: np.ndarray,
    end: np.ndarray,
    slopes: np.ndarray | None,
    wanted: np.ndarray,
    weights: np.ndarray,
) -> None:
    """Limbs from `start` to `end` (T, L, 3), whose difference has `slopes`, point along unit vectors `wanted`."""
    along = end - start
    length = np.maximum(np.linalg.norm(along, axis=-1, keepdims=True), 1e-3)
    unit = along / length
    residuals = np.where(weights[..., None] > 0, unit - wanted, 0.0) * weights[..., None]
    root, cost = fade(residuals)
    if slopes is None:
        return equations.note("directions", cost)
    across = np.eye(3) - unit[..., :, None] * unit[..., None, :]
    moved = across @ slopes * (weights[..., None] * root / length)[..., None]
    T = len(start)
    return equations.add("directions", (residuals * root).reshape(T, -1), moved.reshape(T, -1, moved.shape[-1]), cost)


def depth(equations: Equations, root: np.ndarray, wanted: np.ndarray, deviation: float) -> None:
    """The root's depth stays near where it was put: what a picture alone hardly tells."""
    residuals = (root[:, 2:] - wanted) / deviation
    if equations.only_cost:
        return equations.note("depth", 0.5 * float((residuals**2).sum()))
    slopes = np.zeros((len(root), 1, equations.slope.shape[1]))
    slopes[..., 2] = 1 / deviation
    return equations.add("depth", residuals, slopes)


def place(equations: Equations, residuals: np.ndarray, deviation: float) -> None:
    """The middle of what is seen (T, 3) is where the body's is, both over the deviation."""
    if equations.only_cost:
        return equations.note("place", 0.5 * float((residuals**2).sum()))
    slopes = np.zeros((len(residuals), 3, equations.slope.shape[1]))
    slopes[:, :, :3] = np.eye(3) / deviation
    return equations.add("place", residuals, slopes)


def limits(equations: Equations, turns: np.ndarray, world: np.ndarray, parents: np.ndarray, hinges: Hinges) -> None:
    """Bones stay near rest as far as they are free to turn, hinges turn about their axis, and do not overstretch."""
    T, F = turns.shape[:2]
    vectors = Rotation.from_matrix(turns[:, 1:].reshape(-1, 3, 3)).as_rotvec().reshape(T, F - 1, 3)
    residuals = (hinges.scales @ vectors[..., None])[..., 0]
    over = np.minimum((vectors * hinges.axes).sum(-1) + hinges.straight, 0) / OVERSTRETCH
    together = np.concatenate([residuals, over[..., None]], -1)
    if equations.only_cost:
        return equations.note("limits", 0.5 * float((together**2).sum()))
    # d log / d (turn in the world): the inverse left Jacobian of the rotation group, in the axes of the bone before.
    local = inverse_left_jacobian(vectors) @ np.swapaxes(world[:, parents[1:]], -1, -2)
    moved = hinges.scales @ local
    stretch = np.where(over < 0, 1 / OVERSTRETCH, 0.0)[..., None] * (hinges.axes[:, None] @ local)[..., 0, :]
    slopes = np.zeros((T, F - 1, 4, equations.slope.shape[1]))
    for bone in range(F - 1):
        slopes[:, bone, :3, 6 + 3 * bone : 9 + 3 * bone] = moved[:, bone]
        slopes[:, bone, 3, 6 + 3 * bone : 9 + 3 * bone] = stretch[:, bone]
    return equations.add("limits", together.reshape(T, -1), slopes.reshape(T, -1, slopes.shape[-1]))


@dataclass(frozen=True, eq=False)
class Hinges:
    """How far bones turn, in the axes of rest.

    Attributes:
        scales: (F - 1, 3, 3) turns to deviations.
        axes: (F - 1, 3) of knees and elbows, the way they bend; 0 of other bones.
        straight: (F - 1,) how far a hinge is bent at rest [rad]; infinite for other bones.
    """

    scales: np.ndarray
    axes: np.ndarray
    straight: np.ndarray

    @classmethod
    def of(cls, heads: np.ndarray) -> Hinges:
        """From where bones begin at rest (F, 3): knees and elbows are a little bent there."""
        scales, axes = np.empty((len(FREE) - 1, 3, 3)), np.zeros((len(FREE) - 1, 3))
        straight = np.full(len(FREE) - 1, np.inf)
        for row, bone in enumerate(FREE[1:]):
            kind = bone.removeprefix("Left").removeprefix("Right")
            if kind not in HINGES:
                scales[row] = np.eye(3) / REACH[kind]
                continue
            upper, lower = heads[row + 1] - heads[row], heads[row + 2] - heads[row + 1]
            axis = np.cross(upper, lower)
            bend = np.linalg.norm(axis) / (np.linalg.norm(upper) * np.linalg.norm(lower))
            axis /= np.linalg.norm(axis)
            about, across = HINGES[kind]
            scales[row] = np.eye(3) / across + np.outer(axis, axis) * (1 / about - 1 / across)
            axes[row], straight[row] = axis, np.arcsin(bend)
        return cls(scales, axes, straight)


def inverse_left_jacobian(vectors: np.ndarray) -> np.ndarray:
    """(..., 3, 3) how a rotation vector grows when the rotation is followed by a small one (Chirikjian 2011)."""
    x, y, z = np.moveaxis(vectors, -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([np.stack(row, -1) for row in ((zero, -z, y), (z, zero, -x), (-y, x, zero))], -2)
    angle = np.linalg.norm(vectors, axis=-1)
    safe = np.maximum(angle, 1e-3)
    factor = np.where(
        angle > 1e-3, 1 / safe**2 - (1 + np.cos(safe)) / (2 * safe * np.maximum(np.sin(safe), 1e-6)), 1 / 12
    )
    return np.eye(3) - 0.5 * cross + factor[..., None, None] * (cross @ cross)


def smoothness(equations: Equations, points: np.ndarray, slopes: np.ndarray | None, weights: np.ndarray) -> None:
    """Accelerations of points (T, K, 3) against their middle, and of the middle once: all points move with it.

    Second differences times weights (T - 2, K + 1, 3), a frame's step squared over a deviation; the middle's are last.
    """
    T = len(points)
    if T < 3:
        return
    middle = points.mean(1, keepdims=True)
    parts = np.concatenate([points - middle, middle], 1)
    second = (parts[:-2] - 2 * parts[1:-1] + parts[2:]) * weights
    equations.note("smoothness", 0.5 * float((second**2).sum()))
    if slopes is None:
        return
    D = slopes.shape[-1]
    pull = np.zeros_like(parts)
    pull[:-2] += second * weights
    pull[1:-1] -= 2 * second * weights
    pull[2:] += second * weights
    moved = slopes.mean(1, keepdims=True)
    moving = np.concatenate([slopes - moved, moved], 1).reshape(T, -1, D)
    flipped = np.swapaxes(moving, -1, -2)
    equations.slope += (flipped @ pull.reshape(T, -1, 1).astype(np.float32))[..., 0]
    square = (weights**2).reshape(T - 2, -1).astype(np.float32)
    inner = np.zeros((3, T, square.shape[1]), np.float32)  # the operator's own pentadiagonal product, point by point
    for own, other, factor in ((0, 0, 1), (1, 1, 4), (2, 2, 1), (1, 0, -2), (2, 1, -2), (2, 0, 1)):
        inner[own - other, other : other + T - 2] += factor * square
    equations.same += flipped @ (inner[0][..., None] * moving)
    equations.one += flipped[1:] @ (inner[1, : T - 1, :, None] * moving[:-1])
    equations.two += flipped[2:] @ (inner[2, : T - 2, :, None] * moving[:-2])


def stillness(equations: Equations, points: np.ndarray, slopes: np.ndarray | None, weights: np.ndarray) -> None:
    """Points (T, K, 3) do not move from frame t to t + 1 where weights (T - 1, K), 1 / deviation, are not 0."""
    T = len(points)
    if T < 2:
        return
    step = (points[1:] - points[:-1]) * weights[..., None]
    root, cost = fade(step, WRONG)
    equations.note("stillness", cost)
    if slopes is None:
        return
    D = slopes.shape[-1]
    factor = (weights[..., None] * root).astype(np.float32)[..., None]
    ahead, behind = (slopes[1:] * factor).reshape(T - 1, -1, D), (slopes[:-1] * factor).reshape(T - 1, -1, D)
    pull = (step * root).reshape(T - 1, -1, 1).astype(np.float32)
    equations.slope[1:] += (np.swapaxes(ahead, -1, -2) @ pull)[..., 0]
    equations.slope[:-1] -= (np.swapaxes(behind, -1, -2) @ pull)[..., 0]
    equations.same[1:] += np.swapaxes(ahead, -1, -2) @ ahead
    equations.same[:-1] += np.swapaxes(behind, -1, -2) @ behind
    equations.one -= np.swapaxes(ahead, -1, -2) @ behind
