"""A rolled camera is found out and turned level; joints come back in the axes of the camera as it is."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from anypose.motion import Motion
from anypose.skeleton import H36M_17
from pose3d.predict.levelling import LARGEST, Levelled
from pose3d.predict.placing import assumed_intrinsics
from tests.pose3d.predict.walkers import FOCAL, SIZE, seen, walk

TIMES = np.arange(60) / 30
INTRINSICS = assumed_intrinsics(SIZE, FOCAL)
NEW = slice(0, 60)


class Flat:
    """Joints are the keypoints from the middle of the hips, in pixels over 200, all at one depth."""

    def __init__(self) -> None:
        self.seen: list[np.ndarray] = []

    def __call__(self, motion: Motion, intrinsics: np.ndarray) -> Motion:
        assert motion.keypoints is not None
        self.seen.append(motion.keypoints)
        flat = np.zeros((*motion.keypoints.shape[:3], 3), np.float32)
        flat[..., :2] = (motion.keypoints[..., :2] - motion.keypoints[..., :1, :2]) / 200
        return replace(motion, joints=flat, skeleton=H36M_17, hypotheses=flat[:, :, None].repeat(2, 2))


def rolled(degrees: float) -> Motion:
    """Somebody who walks, seen by a camera that is rolled: what is up turns to the right in the picture."""
    keypoints = seen(walk(TIMES, (0.0, 5.0), (1.0, 0.0)))[1][:, None].astype(np.float32)
    angle = math.radians(degrees)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    keypoints[..., :2] = (keypoints[..., :2] - INTRINSICS[1:]) @ turn + INTRINSICS[1:]
    return Motion("rolled", TIMES, np.array([1]), keypoints=keypoints, keypoint_skeleton=H36M_17, size=SIZE)


@pytest.mark.parametrize("degrees", [-25.0, 12.0])
def test_a_rolled_camera_is_turned_level_and_joints_are_turned_back(degrees):
    lift = Flat()
    levelled = Levelled(lift, on=True)
    found = levelled(rolled(degrees), INTRINSICS, NEW)
    assert math.degrees(levelled.roll) == pytest.approx(degrees, abs=2)
    upright = seen(walk(TIMES, (0.0, 5.0), (1.0, 0.0)))[1][:, None]
    assert lift.seen[-1][..., :2] == pytest.approx(upright[..., :2], abs=40)  # px of people some 300 tall
    plain = Flat()(rolled(degrees), INTRINSICS)
    assert found.joints == pytest.approx(plain.joints, abs=1e-4)
    assert found.hypotheses == pytest.approx(plain.hypotheses, abs=1e-4)
    assert (found.keypoints == rolled(degrees).keypoints).all()


def test_a_level_camera_lifts_once_and_off_is_off():
    lift = Flat()
    Levelled(lift, on=True)(rolled(0.0), INTRINSICS, NEW)
    assert len(lift.seen) == 1
    off = Levelled(Flat(), on=False)
    off(rolled(20.0), INTRINSICS, NEW)
    assert off.roll == 0


def test_once_settled_the_roll_stays_and_is_lifted_once():
    lift = Flat()
    levelled = Levelled(lift, on=True)
    for _ in range(2):
        levelled(rolled(15.0), INTRINSICS, NEW)
    roll, count = levelled.roll, len(lift.seen)
    levelled(rolled(-15.0), INTRINSICS, NEW)
    assert levelled.roll == roll
    assert len(lift.seen) == count + 1


def test_somebody_who_lies_does_not_roll_the_camera():
    levelled = Levelled(Flat(), on=True)
    levelled(rolled(85.0), INTRINSICS, NEW)
    assert abs(levelled.roll) < LARGEST
    empty = replace(rolled(0.0), keypoints=np.full((60, 1, 17, 3), np.nan, np.float32))
    levelled(empty, INTRINSICS, NEW)
    assert abs(levelled.roll) < LARGEST
