"""Tables of numbers as text are what Python's % makes of them."""

from __future__ import annotations

import re

import numpy as np
import pytest

from anypose.formats.rows import BLOCK, format_rows


def expected(pattern: str, rows: np.ndarray) -> str:
    return "".join([pattern % tuple(row) for row in rows.tolist()])


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 0.3, 1, 50, 1e4, 1e8])
def test_numbers_are_those_of_percent(scale):
    rng = np.random.default_rng(0)
    rows = rng.normal(0, scale, (BLOCK + 70, 6))
    rows[:, 0] = rng.integers(-3, 2000, len(rows))
    rows[:, 1:][rng.random((len(rows), 5)) < 0.1] = np.nan
    ours = format_rows("%d é [%.2f, %.3f],\t%.5f%.6f%.1f\n", rows).splitlines()
    theirs = expected("%d é [%.2f, %.3f],\t%.5f%.6f%.1f\n", rows).splitlines()
    signless = [re.sub(r"-(0\.0+(?!\d))", r"\1", line) for line in theirs]
    assert np.mean([a == b for a, b in zip(ours, signless, strict=True)]) > 0.99
    for a, b in zip(ours, signless, strict=True):  # a last digit may be rounded the other way
        assert sum(x != y for x, y in zip(a, b, strict=True)) <= 1


def test_every_digit_has_its_place():
    rows = np.array([[0.0, -0.004, 1234.5, np.nan], [7.0, 9.999, -0.05, 0.00001], [120.0, -99.995, 1e-9, -1.0]])
    assert format_rows("%d;%.2f;%.1f;%.5f\n", rows) == (
        "0;0.00;1234.5;nan\n7;10.00;0.0;0.00001\n120;-100.00;0.0;-1.00000\n"
    )


def test_what_digits_cannot_hold_is_left_to_python():
    rows = np.array([[1e20, -np.inf], [0.5, 2.0]])
    assert format_rows("%.2f %.3f\n", rows) == expected("%.2f %.3f\n", rows)


def test_no_row_is_no_text():
    assert format_rows("%d %.3f\n", np.zeros((0, 2))) == ""
