from __future__ import annotations

import numpy as np
import pytest
import torch

from anypose.metrics import p_mpjpe
from anypose.skeleton import BLAZEPOSE_33, H36M_17, HALPE_26
from pose3d.body.anny import Anny
from pose3d.body.keypoint_body import keypoint_body
from pose3d.body.people import random_bodies, with_stature
from tests.pose3d.predict.walkers import walk as walking


@pytest.fixture(scope="module")
def walk() -> np.ndarray:
    return walking(np.arange(60) / 30, (0.0, 4.0), (0.7, 0.0))


def test_people_move_as_somebody_did_on_their_own_legs(made_up: Anny, walk: np.ndarray) -> None:
    people = list(random_bodies(walk, np.random.default_rng(0), 4))
    assert len({round(person.stature, 3) for person in people}) == 4
    for person in people:
        joints = person.points(H36M_17)
        lengths = np.linalg.norm(joints[:, H36M_17.index("left_knee")] - joints[:, H36M_17.index("left_foot")], axis=-1)
        assert np.ptp(lengths) < 1e-9
        assert 1.45 < person.stature < 2.0
        assert p_mpjpe(torch.tensor(joints), torch.tensor(walk)).mean() < 0.07
        assert np.percentile(person.points(HALPE_26)[..., 2].min(-1), 5) == pytest.approx(0, abs=1e-9)
        assert np.isfinite(person.points(BLAZEPOSE_33)).all()


def test_people_are_the_same_for_the_same_seed(made_up: Anny, walk: np.ndarray) -> None:
    one, other = (next(random_bodies(walk, np.random.default_rng(5), 1)) for _ in range(2))
    np.testing.assert_array_equal(one.points(H36M_17), other.points(H36M_17))


def test_a_stature_is_reached(made_up: Anny) -> None:
    words = with_stature(np.array([0.4, 0.7, 0.5, 0.5, 0.5, 0.5]), 1.7)
    assert keypoint_body(H36M_17).shape(words).stature == pytest.approx(1.7, abs=1e-4)
