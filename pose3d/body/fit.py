"""One body fitted to a person over a clip: shape once, pose and place in every frame, by damped Gauss-Newton steps.

All frames are solved at once. Smoothness ties each to the two before it, so the normal equations are a band, and one
banded Cholesky factor of it gives the step of the whole clip. The shape is found first, on a few frames.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, solveh_banded

from anypose.skeleton import Skeleton
from pose3d.body import terms
from pose3d.body.checks import check
from pose3d.body.keypoint_body import KeypointBody, Shape
from pose3d.body.objective import Objective, Weights
from pose3d.body.seen import Noise, Seen, size_in_picture
from pose3d.body.whose_shape import find_shape, first_words

APART = 0.15  # median residual, as a share of the person's size in the picture, above which keypoints are nobody's
SHORT_OF = 0.02  # how far a body may miss the height that was given [m]
# Share of the deviation that limits alone leave a turn, above which nothing seen tells it; and frames that are asked.
OPEN, SOME = 0.9, 24
FEET_FROM = 1  # iteration after which the body's own feet tell where they stand


@dataclass(frozen=True, eq=False)
class Fit:
    """A person over a clip.

    Attributes:
        shape: the person at rest; `shape.words` and `shape.stature` say who it is.
        turns, root: (T, F, 3, 3) and (T, 3), as `KeypointBody.pose` takes them, in the axes of what was seen.
        residual_px: (T,) root mean square distance of keypoints from where they were seen, NaN where none was.
        deviation: (T, 17) standard deviation of Human3.6M's joints that a frame and the limits of joints leave [m].
        turn_deviation: (T, F) likewise of each bone's turn against the one before it [rad].
        unmeasured: names of bones whose turns nothing but the limits of their joints tells.
        noise: of what was seen, as measured.
        remarks: sentences on what was wrong with what was seen.
    """

    shape: Shape
    turns: np.ndarray
    root: np.ndarray
    residual_px: np.ndarray
    deviation: np.ndarray
    turn_deviation: np.ndarray
    unmeasured: tuple[str, ...]
    noise: Noise
    remarks: tuple[str, ...] = ()

    def points(self, body: KeypointBody) -> np.ndarray:
        """(T, K, 3) of a body's keypoints [m]."""
        return body.pose(body.shape(self.shape.words), self.turns, self.root)


class Fitter:
    """Fits bodies to people that are seen in the same layouts.

    Args:
        skeleton: of the joints.
        keypoint_skeleton: of the keypoints, None without.
        limbs: of the directions.
        weights: of the terms.
        hips: see `points.points_of`.
    """

    def __init__(
        self,
        skeleton: Skeleton,
        keypoint_skeleton: Skeleton | None,
        limbs: tuple[tuple[str, str], ...] = (),
        weights: Weights | None = None,
        hips: float | None = None,
    ) -> None:
        self.objective = Objective(skeleton, keypoint_skeleton, limbs, weights or Weights(), hips)
        self.body, self.poser = self.objective.body, self.objective.poser

    def __call__(
        self,
        seen: Seen,
        words: np.ndarray | None = None,
        noise: Noise | None = None,
        progress: Callable[[int, float], None] | None = None,
    ) -> Fit:
        """Fit one person.

        Args:
            seen: what is known.
            words: (6,) of somebody whose shape is known already; None finds it.
            noise: of what is seen, where it is known already, from a fit of the frames before.
            progress: called with the iteration and the residual [px], or [mm] without keypoints.

        Raises:
            ValueError: where too little is seen for any pose, or what is given does not belong together.
        """
        known, remarks = check(seen)
        first = words if words is not None else first_words(self.objective, known)
        turns, root = self.objective.begin(known, first)
        if words is None:
            words, noise = find_shape(self.objective, known, first, turns, root)
            noise = self.objective.loosened(noise, known)
            turns, root = self.objective.begin(known, words)
        shape, noise = self.body.shape(words), noise or self.objective.noise(known)
        turns, root, known, noise = self.solve(known, shape, turns, root, noise, progress)
        return self.finish(known, shape, turns, root, noise, remarks)

    def solve(
        self,
        seen: Seen,
        shape: Shape,
        turns: np.ndarray,
        root: np.ndarray,
        noise: Noise,
        progress: Callable[[int, float], None] | None = None,
    ) -> tuple[np.ndarray, np.ndarray, Seen, Noise]:
        """Pose and place of every frame, what was seen as it was chosen, and its noise; `noise` is the least."""
        damping, told, seen = 1e-3, noise, self.objective.choose(seen, shape, turns, root)
        noise = self.objective.noise_now(seen, shape, turns, root, told)
        now = self.objective.equations(seen, shape, turns, root, noise=noise)
        for iteration in range(self.objective.weights.iterations):
            moved = self.objective.move(shape, turns, root, band_solve(now, damping))
            after = self.objective.equations(seen, shape, *moved, noise=noise, only_cost=True)
            if not after.cost < now.cost:
                damping *= 10
                if damping > 10:
                    break
                continue
            gain, damping = (now.cost - after.cost) / now.cost, damping / 4
            turns, root = moved
            if progress is not None:
                progress(iteration, self.objective.residual(seen, shape, turns, root))
            chosen, before = self.objective.choose(seen, shape, turns, root), noise
            noise = self.objective.noise_now(chosen, shape, turns, root, told)
            if iteration >= FEET_FROM:
                chosen = self.objective.standing(chosen, shape, turns, root)
            settled = max(abs(noise.joint / before.joint - 1), abs(noise.pixel / before.pixel - 1)) < 0.1
            if gain < self.objective.weights.enough and settled and chosen is seen:
                break
            seen = chosen
            now = self.objective.equations(seen, shape, turns, root, noise=noise)
        return turns, root, seen, noise

    def finish(
        self,
        known: Seen,
        shape: Shape,
        turns: np.ndarray,
        root: np.ndarray,
        noise: Noise,
        remarks: tuple[str, ...],
    ) -> Fit:
        """The fit with what it leaves open."""
        world, heads = self.body.place(shape, turns, root)
        slopes = self.body.derivatives(shape, world, heads, self.body.carry(shape, world, heads))
        slopes = slopes[:, self.objective.rows[0]]
        now = self.objective.equations(known, shape, turns, root, whole=False, noise=noise)
        covariance = covariances(now)
        spread = np.einsum("tkid,tde,tkie->tk", slopes, covariance, slopes, optimize=True)
        turned = deviations_of_turns(covariance)
        few = np.unique(np.linspace(0, len(turns) - 1, SOME).astype(int))
        free = deviations_of_turns(covariances(self.objective.limits(shape, turns[few], world[few])))
        unmeasured = np.median(turned[few] / free, axis=0) > OPEN
        residual = self.objective.residuals(known, shape, turns, root)
        return Fit(
            shape, turns, root, residual, np.sqrt(np.maximum(spread, 0)), turned,
            tuple(np.array(self.body.bones)[unmeasured].tolist()), noise, (*remarks, *misses(known, shape, residual)),
        )  # fmt: skip


def covariances(equations: terms.Equations) -> np.ndarray:
    """(T, D, D) of the root [m] and of bones' turns [rad], frame by frame; nobody is a metre or a radian off."""
    return np.asarray(np.linalg.inv(equations.same.astype(np.float64) + np.eye(equations.same.shape[-1])))


def deviations_of_turns(covariance: np.ndarray) -> np.ndarray:
    """(T, F) standard deviation of bones' turns about an axis, of three, from (T, D, D) [rad]."""
    variance = np.diagonal(covariance, axis1=-2, axis2=-1)[:, 3:]
    return np.asarray(np.sqrt(variance.reshape(len(variance), -1, 3).mean(-1)))


def misses(seen: Seen, shape: Shape, residual: np.ndarray) -> list[str]:
    """Remarks on a body that is not where it was seen, from (T,) residuals [px], or not as tall as it was to be."""
    remarks, counted = [], residual[np.isfinite(residual)]
    apart, size = float(np.median(counted)) if len(counted) else 0.0, size_in_picture(seen)
    if apart > APART * size:
        remarks.append(
            f"The body is {apart:.0f} px off keypoints that span {size:.0f} px: they are no person's, or the focal "
            "length is far off."
        )
    if seen.stature is not None and abs(shape.stature - seen.stature) > SHORT_OF:
        remarks.append(
            f"The body is {shape.stature:.2f} m tall, not the {seen.stature:.2f} m that were given: no body of Anny's "
            "that fits what is seen is."
        )
    return remarks


def band_solve(equations: terms.Equations, damping: float) -> np.ndarray:
    """(T, D) the Gauss-Newton step: minus the damped normal matrix's inverse times the slope."""
    T, D = equations.slope.shape
    band = np.zeros((3 * D, T, D), np.float32)
    for column in range(D):
        band[: D - column, :, column] = equations.same[:, column:, column].T
        band[D - column : 2 * D - column, : len(equations.one), column] = equations.one[:, :, column].T
        band[2 * D - column : 3 * D - column, : len(equations.two), column] = equations.two[:, :, column].T
    diagonal, flat = band[0].copy(), band.reshape(3 * D, T * D)
    slope = equations.slope.reshape(-1).astype(np.float32)
    while True:
        band[0] = diagonal * (1 + damping) + 1e-3
        try:
            return -solveh_banded(flat, slope, lower=True, check_finite=False).reshape(T, D).astype(np.float64)
        except LinAlgError:  # float32 was too coarse for it
            damping = 10 * max(damping, 1e-4)
            if damping > 1e3:
                raise
