"""What a fit makes small: every term at a pose, in one set of normal equations, and what is measured of the noise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy.spatial.transform import Rotation

from anypose.skeleton import H36M_17, Skeleton
from pose3d.body import terms
from pose3d.body.first_pose import Poser
from pose3d.body.keypoint_body import KeypointBody, Shape
from pose3d.body.points import Point, points_of
from pose3d.body.seen import Noise, Seen, bridged, held, human, mean_of, quickness, size_in_picture
from pose3d.body.standing import find_standing

WORDS_LOWEST = np.array([0.0, -0.3, 0.0, 0.0, 0.0, 0.0])
LONGEST_STEP = 0.7  # of one bone in one iteration [rad], or of the root [m]
# Bones whose orientation is kept smooth, too: a point beside each takes part in the smoothness.
STEADY = ("Head", "LeftForeArm", "RightForeArm", "LeftArm", "RightArm", "LeftUpLeg", "RightUpLeg", "LeftLeg",
          "RightLeg", "LeftFoot", "RightFoot", "LeftHand", "RightHand", "Spine1")  # fmt: skip
# Trunk, legs or arms, and how many times as large as the trunk's these points' accelerations against the body's middle
# are: of the truth of five takes of CMU's (two runs, two walks, a dance).
TRUNK, LEGS, ARMS = range(3)
QUICKER = {"UpLeg": (TRUNK, 1.0), "knee": (LEGS, 2.7), "Leg": (LEGS, 2.7), "foot": (LEGS, 3.0), "Foot": (LEGS, 3.0),
           "elbow": (ARMS, 1.6), "ForeArm": (ARMS, 1.6), "wrist": (ARMS, 2.7), "Hand": (ARMS, 2.7)}  # fmt: skip
# Second differences over 0.1 s find 0.64 to 0.72 of the accelerations that neighbours have in the same truth.
UNDERRATED = 1.5
SPAN = 0.25  # deviation of the frames around one that tell how quick somebody is there [s]
# A body that is free in every frame follows a lifter's errors, so what remains of them is a small part: of what joints
# and body disagree about, what is more than EXACT [m] counts so many times, where keypoints tell the pose as well.
EXACT, FOLLOWED = 0.002, 1.0
# What is measured of the noise is believed within these: of joints [m], of limbs' directions (sine), and of keypoints
# [px] and as a share of size.
JOINT_NOISE, DIRECTION_NOISE, PIXEL_NOISE, SHARE_NOISE = (0.0006, 0.15), (0.03, 0.3), 0.1, 0.05
SIDES = ("left", "right")
FEET = tuple(f"{side}_{part}" for side in SIDES for part in ("foot", "big_toe"))


@dataclass(frozen=True)
class Weights:
    """Deviations of what is seen, and how people move.

    Attributes:
        joint: of a lifter's joint from its place, relative to the others, before what is seen tells it [m].
        pixel: of a keypoint likewise, as a share of the person's size in the picture.
        direction: of a limb's direction likewise (sine).
        depth: of the root's depth from where it was put, as a share of it.
        acceleration: of points of the trunk against the body's middle [m/s^2]; limbs are `QUICKER`.
        whole: of the body's middle, at least [m/s^2]; who runs is seen to bounce more.
        still: speed of a standing foot [m/s].
        iterations: at most.
        enough: relative gain of an iteration below which the fit has ended.
    """

    joint: float = 0.05
    pixel: float = 0.012
    direction: float = 0.15
    depth: float = 0.05
    acceleration: float = 3.0
    whole: float = 1.0
    still: float = 0.06
    iterations: int = 14
    enough: float = 2e-3


@dataclass(eq=False)
class Objective:
    """The terms for people that are seen in the same layouts.

    Args:
        skeleton: of the joints.
        keypoint_skeleton: of the keypoints, None without.
        limbs: of the directions.
        weights: of the terms.
        hips: see `points.points_of`.
    """

    skeleton: Skeleton
    keypoint_skeleton: Skeleton | None
    limbs: tuple[tuple[str, str], ...]
    weights: Weights
    hips: float | None = None

    def __post_init__(self) -> None:
        made: list[list[Point]] = [
            points_of(H36M_17),
            points_of(self.skeleton, self.hips),
            points_of(self.keypoint_skeleton, self.hips) if self.keypoint_skeleton else [],
            points_of(named([name for pair in self.limbs for name in pair]), self.hips),
            points_of(named(FEET)),
            [Point(joints=((bone, 1.0),), offset=(0.0, 0.0, 0.1), carrier=bone) for bone in STEADY],
        ]
        ends = np.cumsum([0, *(len(points) for points in made)])
        self.rows = [slice(a, b) for a, b in pairwise(ends.tolist())]
        self.body = KeypointBody([point for points in made for point in points])
        self.poser = Poser(self.body)
        names = [*H36M_17.joints, *STEADY]
        parts = [next((part for end, part in QUICKER.items() if name.endswith(end)), (TRUNK, 1.0)) for name in names]
        self.part, self.quick = (np.array(column) for column in zip(*parts, strict=True))

    def begin(self, seen: Seen, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The first pose."""
        joints = np.stack([bridged(joint, seen.times) for joint in np.moveaxis(human(seen), 1, 0)], axis=1)
        if not np.isfinite(joints[:, [H36M_17.index("left_hip"), H36M_17.index("right_hip")]]).all():
            raise ValueError("No body can be fitted: no frame shows both hips.")
        return self.poser(joints, words)

    def equations(
        self,
        seen: Seen,
        shape: Shape,
        turns: np.ndarray,
        root: np.ndarray,
        whole: bool = True,
        words: np.ndarray | None = None,
        noise: Noise | None = None,
        only_cost: bool = False,
    ) -> terms.Equations:
        """All terms at a pose; those over time only for a `whole` clip. With `words`, six columns more for them."""
        noise = noise or self.noise(seen)
        body, weights = self.body, self.weights
        world, heads = body.place(shape, turns, root)
        carried = body.carry(shape, world, heads)
        points, slopes = body.gather(carried), None
        if not only_cost:
            slopes = body.derivatives(shape, world, heads, carried)
        if words is not None and slopes is not None:
            slopes = np.concatenate([slopes, self.by_words(words, turns, root)], axis=-1)
        equations = terms.Equations.empty(len(turns), 0 if slopes is None else slopes.shape[-1])

        def some(rows: slice | list[int]) -> np.ndarray | None:
            return None if slopes is None else slopes[:, rows]

        _, joint_rows, pixel_rows, limb_rows, foot_rows, _ = self.rows
        wanted = np.asarray(seen.joints)
        sure = np.asarray(np.isfinite(wanted).all(-1) / noise.joint)
        terms.joints(equations, points[:, joint_rows], some(joint_rows), wanted, sure)
        if seen.keypoints is not None:
            pixels, scales = self.pixels(seen, noise.pixel)
            terms.reprojection(
                equations, points[:, pixel_rows], some(pixel_rows), pixels, scales, np.asarray(seen.intrinsics)
            )
            middle = mean_of(wanted)[:, 2:]
            there = np.where(np.isfinite(middle), middle, root[:, 2:])
            terms.depth(equations, root, there, float(weights.depth * np.nanmedian(middle)))
        else:
            middle = mean_of(wanted) - mean_of(np.where(sure[..., None] > 0, points[:, joint_rows], np.nan))
            terms.place(equations, -np.nan_to_num(middle) / weights.joint, weights.joint)
        if seen.directions is not None:
            start, end = points[:, limb_rows][:, ::2], points[:, limb_rows][:, 1::2]
            moved = None if slopes is None else slopes[:, limb_rows][:, 1::2] - slopes[:, limb_rows][:, ::2]
            certain = np.asarray(np.isfinite(seen.directions).all(-1) / noise.direction)
            terms.directions(equations, start, end, moved, seen.directions, certain)
        terms.limits(equations, turns, world, body.parents, terms.Hinges.of(shape.heads))
        if whole and len(turns) > 2:
            step = float(np.median(np.diff(seen.times)))
            moving = [row for part in (self.rows[0], self.rows[5]) for row in range(part.start, part.stop)]
            terms.smoothness(equations, points[:, moving], some(moving), self.pulls(seen, step))
            if seen.contacts is not None:
                each = seen.contacts.repeat(len(FEET) // seen.contacts.shape[1], axis=1)
                on = self.feet_seen(seen) & held(seen)[:, None]
                stands = (each[1:] & each[:-1] & on) / (weights.still * step)
                terms.stillness(equations, points[:, foot_rows], some(foot_rows), stands)
        return equations

    def limits(self, shape: Shape, turns: np.ndarray, world: np.ndarray) -> terms.Equations:
        """The limits of joints alone, at a pose."""
        equations = terms.Equations.empty(len(turns), 3 + 3 * turns.shape[1])
        terms.limits(equations, turns, world, self.body.parents, terms.Hinges.of(shape.heads))
        return equations

    def feet_seen(self, seen: Seen) -> np.ndarray:
        """(T - 1, 4) whether the feet of `FEET` were seen in a frame and the next: nobody stands on a guess."""
        joints = human(seen)
        there = np.stack([np.isfinite(joints[:, H36M_17.index(f"{side}_foot")]).all(-1) for side in SIDES], -1)
        if seen.keypoints is not None and self.keypoint_skeleton is not None:
            names, known = self.keypoint_skeleton.joints, np.nan_to_num(seen.keypoints[..., 2]) > 0
            for column, side in enumerate(SIDES):
                rows = [row for row, name in enumerate(names) if name in (f"{side}_ankle", f"{side}_foot")]
                there[:, column] |= known[:, rows].any(-1)
        return (there[1:] & there[:-1]).repeat(2, axis=1)

    def pulls(self, seen: Seen, step: float) -> np.ndarray:
        """(T - 2, K + 1, 3) a frame's step squared over accelerations: of points about their middle, and of that."""
        joints, usual = human(seen), self.weights.acceleration * self.quick
        middle, known = mean_of(joints)[:, None], H36M_17.num_joints
        moved = UNDERRATED**2 * quickness(seen.times, joints - middle, SPAN, seen.cuts).mean(-1) / usual[:known] ** 2
        parts = [moved[:, self.part[:known] == part, None] for part in (TRUNK, LEGS, ARMS)]
        hurry = np.nan_to_num(np.concatenate([mean_of(part) for part in parts], -1), nan=1.0) ** 0.5
        pace = np.maximum(hurry, 1.0)[1:-1, self.part] * usual
        whole = np.fmax(UNDERRATED * np.sqrt(quickness(seen.times, middle, SPAN, seen.cuts)[1:-1]), self.weights.whole)
        if seen.keypoints is not None:  # depth is seen badly; movement along it is horizontal, as one across is
            whole[..., 2] = whole[..., :2].min(-1)
        on = held(seen)
        weights = step**-2 / np.concatenate([pace[..., None].repeat(3, -1), whole], 1)
        return weights * (on[1:] & on[:-1])[:, None, None]

    def by_words(self, words: np.ndarray, turns: np.ndarray, root: np.ndarray) -> np.ndarray:
        """(T, K, 3, 6) how the points move with the words."""
        grown = self.body.shape_slopes(words, WORDS_LOWEST)
        return np.stack([self.body.pose(one, turns, np.zeros_like(root)) for one in grown], axis=-1)

    def noise(self, seen: Seen) -> Noise:
        """What is assumed before anything is fitted."""
        pixel = max(self.weights.pixel * size_in_picture(seen), PIXEL_NOISE)  # all points may be one
        return Noise(self.weights.joint, pixel, self.weights.direction)

    def measured_noise(self, seen: Seen, shape: Shape, turns: np.ndarray, root: np.ndarray) -> Noise:
        """How far a fit is from what is seen, by medians: exact input is followed exactly, a bad one smoothed."""
        points = self.body.pose(shape, turns, root)
        off = points[:, self.rows[1]] - np.asarray(seen.joints)
        off = off - mean_of(off)[:, None]
        joint = float(np.clip(1.6 * np.nanmedian(np.abs(off)), *JOINT_NOISE))
        direction = self.weights.direction
        if seen.directions is not None and np.isfinite(seen.directions).any():
            along = points[:, self.rows[3]][:, 1::2] - points[:, self.rows[3]][:, ::2]
            along = along / np.maximum(np.linalg.norm(along, axis=-1, keepdims=True), 1e-3)
            direction = float(np.clip(1.6 * np.nanmedian(np.abs(along - seen.directions)), *DIRECTION_NOISE))
        if seen.keypoints is None:
            return Noise(joint, 1.0, direction)
        away = np.abs(self.seen_at(points[:, self.rows[2]], seen) - seen.keypoints[..., :2])
        away = away[np.nan_to_num(seen.keypoints[..., 2]) > 0.3]
        size = size_in_picture(seen)
        pixel = 1.6 * float(np.nanmedian(away)) if len(away) else self.weights.pixel * size
        return Noise(joint, float(np.clip(pixel, PIXEL_NOISE, max(SHARE_NOISE * size, PIXEL_NOISE))), direction)

    def noise_now(self, seen: Seen, shape: Shape, turns: np.ndarray, root: np.ndarray, least: Noise) -> Noise:
        """The measured noise; joints' is not below `least`, as a body that follows a lifter would believe it."""
        now = self.measured_noise(seen, shape, turns, root)
        return replace(now, joint=max(now.joint, least.joint)) if seen.keypoints is not None else now

    def loosened(self, noise: Noise, seen: Seen) -> Noise:
        """The noise of a clip's joints, from what frames leave that are fitted one by one."""
        if seen.keypoints is None or len(seen) < 3:
            return noise
        joint = noise.joint + FOLLOWED * max(noise.joint - EXACT, 0.0)
        return replace(noise, joint=min(joint, max(noise.joint, self.weights.joint)))

    def seen_at(self, points: np.ndarray, seen: Seen) -> np.ndarray:
        """(T, K, 2) where points in camera axes are seen [px]."""
        lens = np.asarray(seen.intrinsics)
        return lens[0] * points[..., :2] / np.maximum(points[..., 2:], 0.1) + lens[1:]

    def pixels(self, seen: Seen, deviation: float) -> tuple[np.ndarray, np.ndarray]:
        """(T, K, 2) where keypoints are seen [px], and (T, K) 1 / deviation."""
        assert seen.keypoints is not None
        places = seen.keypoints[..., :2]
        scores = np.sqrt(np.clip(np.nan_to_num(seen.keypoints[..., 2]), 0, 1))
        return places, np.where(np.isfinite(places).all(-1), scores, 0.0) / deviation

    def standing(self, seen: Seen, shape: Shape, turns: np.ndarray, root: np.ndarray) -> Seen:
        """What is seen, with the feet standing where those of the body do."""
        points = self.body.pose(shape, turns, root)
        hips = points[:, self.rows[0]][:, H36M_17.index("hip")]
        stands = find_standing(points[:, self.rows[4]], hips, seen.times, seen.up)
        return seen if np.array_equal(stands, seen.contacts) else replace(seen, contacts=stands)  # type: ignore[arg-type]

    def choose(self, seen: Seen, shape: Shape, turns: np.ndarray, root: np.ndarray) -> Seen:
        """What is seen, in every frame with the hypothesis that the body agrees with best."""
        if seen.hypotheses is None:
            return seen
        points = self.body.pose(shape, turns, root)[:, None, self.rows[1]]
        others = seen.hypotheses - mean_of(seen.hypotheses)[..., None, :]
        off = np.linalg.norm(others - (points - points.mean(2, keepdims=True)), axis=-1)
        best = np.nan_to_num(mean_of(off[..., None])[..., 0], nan=np.inf).argmin(-1)
        taken = np.take_along_axis(seen.hypotheses, best[:, None, None, None], 1)[:, 0]
        return replace(seen, joints=np.where(np.isfinite(taken), taken, np.asarray(seen.joints)))

    def move(
        self, shape: Shape, turns: np.ndarray, root: np.ndarray, step: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The pose after small turns about the world's axes (T, D), no longer than a step may be."""
        step = step * np.minimum(1, LONGEST_STEP / np.maximum(np.abs(step).max(-1, keepdims=True), 1e-9))
        T, F = turns.shape[:2]
        world, _ = self.body.place(shape, turns, root)
        small = Rotation.from_rotvec(step[:, 3:].reshape(-1, 3)).as_matrix().reshape(T, F, 3, 3)
        before = np.concatenate([np.broadcast_to(np.eye(3), (T, 1, 3, 3)), world[:, self.body.parents[1:]]], axis=1)
        return np.swapaxes(before, -1, -2) @ small @ before @ turns, root + step[:, :3]

    def residual(self, seen: Seen, shape: Shape, turns: np.ndarray, root: np.ndarray) -> float:
        """Root mean square distance from keypoints [px], or from joints [mm]."""
        if seen.keypoints is not None:
            return float(np.sqrt(np.nanmean(self.residuals(seen, shape, turns, root) ** 2)))
        points = self.body.pose(shape, turns, root)[:, self.rows[1]]
        return 1e3 * float(np.sqrt(np.nanmean(((points - seen.joints) ** 2).sum(-1))))

    def residuals(self, seen: Seen, shape: Shape, turns: np.ndarray, root: np.ndarray) -> np.ndarray:
        """(T,) [px] root mean square over a frame's keypoints, by their scores."""
        if seen.keypoints is None:
            return np.full(len(seen), np.nan)
        points = self.body.pose(shape, turns, root)[:, self.rows[2]]
        off = self.seen_at(points, seen) - seen.keypoints[..., :2]
        weights = np.nan_to_num(seen.keypoints[..., 2]) * np.isfinite(off[..., 0])
        square = np.where(weights > 0, (off**2).sum(-1), 0.0)
        total = weights.sum(-1)
        return np.sqrt((weights * square).sum(-1) / np.where(total > 0, total, np.nan))


def named(names: list[str] | tuple[str, ...]) -> Skeleton:
    """A skeleton of points alone, without bones."""
    return Skeleton("points", tuple(names), (-1,) * len(names), (), ())
