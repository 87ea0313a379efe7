"""Motion on other people: bodies drawn at random, that move as somebody did, with the points that any network sees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from anypose.skeleton import H36M_17, HALPE_26, Skeleton
from pose3d.body.anny import WORDS, load_anny
from pose3d.body.first_pose import Poser
from pose3d.body.keypoint_body import KeypointBody, keypoint_body
from pose3d.synthesis.body import STATURE

ADULTS = (0.6, 0.95)  # age: 1/3 is a child, 2/3 young, 1 old


@dataclass(frozen=True, eq=False)
class Person:
    """Somebody who moves.

    Attributes:
        words: (6,) of the shape, in the order of `anny.WORDS`.
        turns: (T, F, 3, 3) of bones against the one before; the first is in the world.
        root: (T, 3) [m].
    """

    words: np.ndarray
    turns: np.ndarray
    root: np.ndarray

    @property
    def stature(self) -> float:
        """Height standing [m]."""
        return _body(H36M_17).shape(self.words).stature

    def points(self, skeleton: Skeleton) -> np.ndarray:
        """(T, K, 3) the keypoints of a layout on this body [m], in the axes of the motion."""
        body = _body(skeleton)
        return body.pose(body.shape(self.words), self.turns, self.root)


def random_bodies(joints: np.ndarray, rng: np.random.Generator, count: int) -> Iterator[Person]:
    """`count` random adults who move as the joints do.

    Angles are kept, steps grow with the legs, and the lowest soles and toes stand on the floor, z = 0.

    Args:
        joints: (T, 17, 3) Human3.6M's joints in the world, z up [m], finite.
        rng: all randomness comes from here.
        count: how many people.
    """
    poser = _poser()
    legs = _leg(joints[None])
    for _ in range(count):
        words = random_words(rng)
        turns, root = poser(joints, words)
        _, rest = poser.rest(words)
        person = Person(words, turns, root * (_leg(rest[None, None]) / legs))
        lowest = person.points(HALPE_26)[..., 2].min(-1)
        yield replace(person, root=person.root - [0, 0, np.percentile(lowest, 5)])


def random_words(rng: np.random.Generator) -> np.ndarray:
    """(6,) words of an adult: stature as measured in ANSUR II, the other words over most of their range."""
    gender = rng.uniform(0, 1)
    mean, deviation = STATURE[int(gender < 0.5)]  # 0 is a man
    stature = float(np.clip(rng.normal(mean, deviation), 1.45, 2.0))
    words = dict(zip(WORDS, np.clip(rng.normal(0.5, 0.18, len(WORDS)), 0.05, 0.95), strict=True))
    words |= {"gender": gender, "age": rng.uniform(*ADULTS)}
    return with_stature(np.array([words[word] for word in WORDS]), stature)


def with_stature(words: np.ndarray, stature: float) -> np.ndarray:
    """The words with the height that gives a stature [m], as near as the range of the word allows."""
    body, row = _body(H36M_17), WORDS.index("height")
    low, high = 0.0, 1.0
    for _ in range(20):
        words = words.copy()
        words[row] = (low + high) / 2
        low, high = (words[row], high) if body.shape(words).stature < stature else (low, words[row])
    return words


def _leg(joints: np.ndarray) -> float:
    """Mean length of the legs of (..., T, 17, 3) [m]."""
    pairs = [(H36M_17.index(f"{side}_{a}"), H36M_17.index(f"{side}_{b}"))
             for side in ("left", "right") for a, b in (("hip", "knee"), ("knee", "foot"))]  # fmt: skip
    return float(np.mean([np.linalg.norm(joints[..., a, :] - joints[..., b, :], axis=-1).mean() for a, b in pairs])) * 2


@lru_cache
def _body(skeleton: Skeleton) -> KeypointBody:
    return keypoint_body(skeleton)


@lru_cache(1)
def _poser() -> Poser:
    load_anny()
    return Poser(_body(H36M_17))
