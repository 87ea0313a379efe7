"""Who is exchanged for whom in the middle of a clip."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from anypose.skeleton import H36M_17
from pose3d.body.anny import Anny
from pose3d.body.checks import check
from pose3d.body.people import random_bodies
from pose3d.body.seen import Seen
from tests.pose3d.predict.walkers import walk

FPS = 30.0
TIMES = np.arange(36) / FPS


def test_who_faces_about_within_a_frame_is_told_and_not_held_together() -> None:
    walker = Seen(TIMES, walk(TIMES, (0.0, 4.0), (0.7, 0.2)), H36M_17)
    assert walker.joints is not None
    turned = walker.joints[:, :1] + (walker.joints - walker.joints[:, :1]) * [-1, -1, 1]
    known, remarks = check(replace(walker, joints=np.where(TIMES[:, None, None] < 0.4, walker.joints, turned)))
    assert "faces about within a frame at 0.40 s: left and right" in " ".join(remarks)
    assert known.cuts == (12,)
    assert not check(walker)[1]


def test_two_people_exchanged_at_one_place_are_told(made_up: Anny) -> None:
    motion = walk(TIMES, (0.0, 4.0), (0.7, 0.2))
    one, other = random_bodies(motion, np.random.default_rng(3), 2)
    a, b = (person.points(H36M_17) - person.points(H36M_17)[:, :1] for person in (one, other))
    alike_joints = np.where(TIMES[:, None, None] < 0.6, a, b)
    alike = Seen(TIMES, alike_joints, H36M_17)
    told = " ".join(check(alike)[1])
    assert "Limbs have other lengths from 0.60 s on, by" in told
    assert "the body has one shape for all frames" in told
    rng = np.random.default_rng(0)
    noisy = replace(alike, joints=alike_joints + rng.normal(0, 0.005, a.shape))
    assert "Limbs have other lengths from 0." in " ".join(check(noisy)[1])
    later = np.where(TIMES[:, None, None] < 0.6, a, np.roll(a, 18, axis=0) * [1.0, 1.0, 0.3])
    known, remarks = check(replace(alike, joints=later))
    assert "The pose changes within a frame at 0.60 s: two people may be exchanged, or the film is cut." in remarks
    assert known.cuts == (18,)
    assert not check(replace(alike, joints=a + rng.normal(0, 0.01, a.shape)))[1]
