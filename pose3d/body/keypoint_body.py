"""Only what keypoints need of the body: their places at rest, and how bones that turn carry them. All frames at once.

A keypoint is a mixture of vertices and joints, and each of those is carried by a mixture of bones. Both mixtures are
linear, so per keypoint and bone one vector at rest and one weight are left of the whole skin: exactly what Anny's own
linear blend skinning of all 13,718 vertices gives, from about a hundred vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from anypose.skeleton import Skeleton
from pose3d.body.anny import WORDS, Anny, load_anny
from pose3d.body.points import ADULT, Point, points_of, skin_weights

# Bones that turn; a bone that is not here goes with the one before it. Fingers and toes are seen by few networks.
FREE = (
    "Hips", "LowerBack", "Spine1", "Neck", "Head",
    "LeftShoulder", "LeftArm", "LeftForeArm", "LeftHand", "RightShoulder", "RightArm", "RightForeArm", "RightHand",
    "LeftUpLeg", "LeftLeg", "LeftFoot", "RightUpLeg", "RightLeg", "RightFoot",
)  # fmt: skip
ENDS = 60  # of the highest and of the lowest vertices at rest, among which every body's crown and soles are


@dataclass(frozen=True, eq=False)
class Shape:
    """One person at rest, for `KeypointBody.pose`.

    Attributes:
        words: (6,) what `anny.WORDS` are.
        stature: [m].
        heads: (F, 3) where the free bones begin [m].
        parts: (N, 3) each keypoint's vector on each bone, from where that bone begins [m].
    """

    words: np.ndarray
    stature: float
    heads: np.ndarray
    parts: np.ndarray


class KeypointBody:
    """A body that knows K points of itself.

    Args:
        points: what they are, e.g. `points_of(skeleton)`.
        anny: the body; None reads it.

    Attributes:
        bones: names of the F bones that turn; parents: (F,) of each, -1 for the root.
        below: (F, F) whether a bone (column) hangs from another (row) or is it.
        point, bone, weight: (N,) of each part: its keypoint, its bone, its share.
    """

    def __init__(self, points: Sequence[Point], anny: Anny | None = None) -> None:
        self.anny = anny = anny or load_anny()
        self.bones = FREE
        self.rows = [anny.index(bone) for bone in FREE]
        self.carriers = [self._carrier(bone) for bone in range(len(anny.bones))]
        self.parents = np.array([-1, *(self.carriers[anny.parents[row]] for row in self.rows[1:])])
        self.below = np.eye(len(FREE), dtype=bool)
        for bone in reversed(range(1, len(FREE))):
            self.below[self.parents[bone]] |= self.below[bone]
        self.num_points = len(points)
        self._parts(points)
        hangs = self.below[:, self.bone] & (self.point == np.arange(len(points))[:, None])[:, None]  # (K, F, N)
        self._hung, self._turning = np.nonzero(hangs.any(-1))  # (P,) points and bones that move them, a quarter of all
        self._hanging = hangs[self._hung, self._turning].astype(np.float32)
        self._share = (self._hanging @ self.weight).astype(np.float32)
        order = np.argsort(anny.vertices[:, 2])
        ends = np.concatenate([order[:ENDS], order[-ENDS:]])
        # What a shape is made of, side by side: heights of the ends, where free bones begin, keypoints' parts at rest.
        made_of = (
            (anny.vertices[ends, 2], anny.vertex_shapes[:, ends, 2]),
            (anny.heads[self.rows], anny.head_shapes[:, self.rows]),
            (self._rest, self._rest_shapes),
        )
        self._widths = [template.size for template, _ in made_of]
        self._template = np.concatenate([template.ravel() for template, _ in made_of])
        self._growth = np.concatenate([grown.reshape(len(grown), -1) for _, grown in made_of], axis=1)

    def _carrier(self, bone: int) -> int:
        """Which free bone a bone of the rig goes with."""
        while self.anny.bones[bone] not in FREE:
            bone = self.anny.parents[bone]
        return FREE.index(self.anny.bones[bone])

    def _parts(self, points: Sequence[Point]) -> None:
        """Sum up vertices and joints by keypoint and bone."""
        anny = self.anny
        parts: dict[tuple[int, int], list] = {}
        on_bones = lru_cache(None)(self._on_bones)  # layouts name the ears several times
        for number, point in enumerate(points):
            for bone, share in point.joints:
                row = anny.index(bone)
                self._add(parts, number, self.carriers[row], share, anny.heads[row], anny.head_shapes[:, row])
            for name, share in point.surface:
                for bone, whole, rest, shapes in on_bones(name):
                    self._add(parts, number, bone, share * whole, rest, shapes)
            if any(point.offset):
                left, up, forward = point.offset
                entry = self._add(
                    parts,
                    number,
                    self.carriers[anny.index(point.carrier)],
                    0.0,
                    np.zeros(3),
                    np.zeros_like(anny.head_shapes[:, 0]),
                )
                entry[3] = entry[3] + np.array([left, -forward, up])
        keys = sorted(parts)
        self.point, self.bone = np.array(keys).T
        self.weight = np.array([parts[key][0] for key in keys])
        self._rest = np.stack([parts[key][1] for key in keys])
        self._rest_shapes = np.stack([parts[key][2] for key in keys], axis=1)
        self._offsets = np.stack([parts[key][3] for key in keys])

    def _on_bones(self, name: str) -> list[tuple[int, float, np.ndarray, np.ndarray]]:
        """Of a place of the skin: free bone, its share, mean vertex (3,) on it and that of the shapes (A, 3)."""
        anny = self.anny
        weights = skin_weights(anny, name)
        vertices = np.flatnonzero(weights)
        skin = weights[vertices, None] * anny.skin_weights[vertices]
        carriers = np.array(self.carriers)[anny.skin_bones[vertices]]
        bones = np.unique(carriers[skin != 0])
        each = np.where(carriers == bones[:, None, None], skin, 0).sum(-1)  # (bones, vertices)
        whole = each.sum(-1)
        mean = each / whole[:, None]
        rest, shapes = mean @ anny.vertices[vertices], mean @ anny.vertex_shapes[:, vertices]
        return list(zip(bones.tolist(), whole.tolist(), rest, np.swapaxes(shapes, 0, 1), strict=True))

    @staticmethod
    def _add(parts: dict, point: int, bone: int, share: float, rest: np.ndarray, shapes: np.ndarray) -> list:
        entry = parts.setdefault((point, int(bone)), [0.0, np.zeros(3), np.zeros_like(shapes), np.zeros(3)])
        entry[0] += share
        entry[1] = entry[1] + share * rest
        entry[2] = entry[2] + share * shapes
        return entry

    def shape(self, words: Sequence[float] | np.ndarray) -> Shape:
        """The person that six words in 0..1 describe, in the order of `anny.WORDS`."""
        words = np.asarray(words, dtype=np.float64)
        if words.shape != (len(WORDS),) or not np.isfinite(words).all():
            raise ValueError(f"A shape is {len(WORDS)} finite words, {', '.join(WORDS)}; found {words.tolist()}.")
        return self._shapes(words[None])[0]

    def shape_slopes(self, words: np.ndarray, lowest: np.ndarray) -> list[Shape]:
        """How a shape grows with each of its six words (6,), by differences within `lowest` (6,) and 1.

        A pose is linear in the shape, so posing such a growth with its root at 0 gives how points move with the word.
        """
        steps = np.array([-0.01, 0.01])[:, None, None] * np.eye(len(words))
        ends = np.clip(words + steps, lowest, 1)
        shapes = self._shapes(ends.reshape(-1, len(words)))
        grown = []
        for word, (low, high) in enumerate(zip(shapes[: len(words)], shapes[len(words) :], strict=True)):
            step = ends[1, word, word] - ends[0, word, word]
            parts = [(getattr(high, name) - getattr(low, name)) / step for name in ("stature", "heads", "parts")]
            grown.append(Shape(np.eye(len(words))[word], *parts))
        return grown

    def _shapes(self, words: np.ndarray) -> list[Shape]:
        """The people of words (W, 6), all at once."""
        mixed = self._template + self.anny.coefficients(words) @ self._growth
        ends, heads, rest = np.split(mixed, np.cumsum(self._widths)[:-1], axis=1)
        stature = np.ptp(ends, axis=1)
        heads, rest = heads.reshape(len(words), -1, 3), rest.reshape(len(words), -1, 3)
        parts = rest - self.weight[:, None] * heads[:, self.bone] + stature[:, None, None] / ADULT * self._offsets
        return [Shape(*person) for person in zip(words, stature.tolist(), heads, parts, strict=True)]

    def place(self, shape: Shape, turns: np.ndarray, root: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where bones are and how they are turned in the world.

        Args:
            turns: (T, F, 3, 3) of each bone against the one before, in the axes of rest; the root's is in the world.
            root: (T, 3) where the first bone begins [m].

        Returns:
            (T, F, 3, 3) turns in the world, (T, F, 3) where bones begin [m].
        """
        world, heads = np.empty_like(turns), np.empty((*turns.shape[:2], 3))
        world[:, 0], heads[:, 0] = turns[:, 0], root
        for bone in range(1, len(self.bones)):
            above = self.parents[bone]
            world[:, bone] = world[:, above] @ turns[:, bone]
            heads[:, bone] = heads[:, above] + world[:, above] @ (shape.heads[bone] - shape.heads[above])
        return world, heads

    def carry(self, shape: Shape, world: np.ndarray, heads: np.ndarray) -> np.ndarray:
        """(T, N, 3) the parts of the keypoints: their sums are `gather`'s."""
        turned = np.matmul(world[:, self.bone], shape.parts[..., None])[..., 0]
        return turned + self.weight[:, None] * heads[:, self.bone]

    def gather(self, carried: np.ndarray) -> np.ndarray:
        """(T, K, 3) sums of parts (T, N, 3) by keypoint."""
        starts = np.searchsorted(self.point, np.arange(self.num_points))
        return np.add.reduceat(carried, starts, axis=1)

    def pose(self, shape: Shape, turns: np.ndarray, root: np.ndarray) -> np.ndarray:
        """(T, K, 3) the keypoints [m] of the person `shape`; arguments as for `place`."""
        return self.gather(self.carry(shape, *self.place(shape, turns, root)))

    def vectors(self, shape: Shape) -> np.ndarray:
        """(K, F, 3) what keypoints are made of: posed, one lies at the root and the sum of its vectors from there, each
        turned as its bone is in the world [m]."""
        found, weight = np.zeros((self.num_points, len(self.bones), 3)), np.zeros((self.num_points, len(self.bones)))
        np.add.at(found, (self.point, self.bone), shape.parts)
        np.add.at(weight, (self.point, self.bone), self.weight)
        hanging = weight @ self.below.T
        for bone, above in enumerate(self.parents[1:], start=1):
            found[:, above] += hanging[:, bone, None] * (shape.heads[bone] - shape.heads[above])
        return found

    def derivatives(self, shape: Shape, world: np.ndarray, heads: np.ndarray, carried: np.ndarray) -> np.ndarray:
        """(T, K, 3, 3 + 3 F) float32, how keypoints move with the root and with small turns of bones in the world.

        A turn by r of a bone about its beginning h moves what hangs from it by r x (sum of parts - weight h).
        """
        T, K, D = len(world), self.num_points, 3 + 3 * len(self.bones)
        beginnings = heads.astype(np.float32)[:, self._turning]
        x, y, z = np.moveaxis(self._hanging @ carried.astype(np.float32) - self._share[:, None] * beginnings, -1, 0)
        first = 3 * D * self._hung + 3 + 3 * self._turning  # where a turn about x moves a point along x
        places = first[:, None] + [1, 2, D, D + 2, 2 * D, 2 * D + 1]
        out = np.zeros((T, K * 3 * D), np.float32)
        out[:, places.ravel()] = np.stack([z, -y, -z, x, y, -x], -1).reshape(T, -1)
        out = out.reshape(T, K, 3, D)
        out[..., :3] = np.eye(3)
        return out


def keypoint_body(skeleton: Skeleton) -> KeypointBody:
    """The body with the keypoints of a layout."""
    return KeypointBody(points_of(skeleton))
