"""Quaternions against scipy's rotations."""

import numpy as np
from scipy.spatial.transform import Rotation

from anypose.quaternions import continuous, from_matrix, inverse, multiply, to_matrix

A, B = Rotation.random(500, rng=1), Rotation.random(500, rng=2)
a, b = A.as_quat(scalar_first=True), B.as_quat(scalar_first=True)


def test_products_and_inverses_are_scipys() -> None:
    np.testing.assert_allclose(to_matrix(multiply(a, b)), (A * B).as_matrix(), atol=1e-12)
    np.testing.assert_allclose(to_matrix(inverse(a)), A.inv().as_matrix(), atol=1e-12)


def test_matrices_come_back_also_half_turns() -> None:
    half = Rotation.from_rotvec(np.pi * np.eye(3)).as_quat(scalar_first=True)
    for turn in (*a, *half, [1.0, 0, 0, 0]):
        np.testing.assert_allclose(
            to_matrix(from_matrix(to_matrix(np.array(turn)))), to_matrix(np.array(turn)), atol=1e-9
        )
    assert np.isnan(from_matrix(np.full((3, 3), np.nan))).all()


def test_signs_do_not_jump_and_gaps_are_skipped() -> None:
    smooth = (Rotation.from_rotvec(np.outer(np.arange(200), [0.05, 0.02, 0.0]))).as_quat(scalar_first=True)[:, None]
    wild = smooth * np.random.default_rng(0).choice([-1, 1], (200, 1, 1))
    wild[50:60] = np.nan
    whole = continuous(wild)
    parts = [continuous(wild[:55])]
    before = parts[0][49]
    parts.append(continuous(wild[55:], before))
    for result in (whole, np.concatenate(parts)):
        there = np.delete(result[:, 0], slice(50, 60), 0)
        assert ((there[1:] * there[:-1]).sum(-1) > 0.5).all()
        assert np.isnan(result[50:60]).all()
