"""Tables of numbers as text, all digits of a column at once: ten times as quick as Python's % number by number."""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np

NUMBER = re.compile(r"%(?:\.(\d)f|d)")
BLOCK = 512  # rows at once: what is held does not grow with the table
MOST = 1 << 53  # whole numbers above it are not exact any more; Python writes those
MINUS, POINT, ZERO = b"-.0"
MISSING = np.frombuffer(b"nan", np.uint8)


def format_rows(pattern: str, rows: np.ndarray) -> str:
    """(N, C) numbers as text, each row by the %-`pattern`, which has C of %d and %.1f to %.9f; NaN is "nan".

    A number that rounds to 0 has no sign.
    """
    rows = np.asarray(rows, np.float64)
    return "".join([_format(pattern, rows[start : start + BLOCK]) for start in range(0, len(rows), BLOCK)])


def _format(pattern: str, rows: np.ndarray) -> str:
    literals, decimals = _parsed(pattern)
    missing = np.isnan(rows)
    whole = np.rint(np.abs(np.where(missing, 0, rows)) * 10.0**decimals)
    if not whole.max(initial=0) < MOST:
        return "".join([pattern % tuple(row) for row in rows.tolist()])
    # Where each number goes: a sign, its digits with a point among them; what it does not need is cut out at the end.
    digits = np.zeros(len(decimals), int)
    for places in np.unique(decimals):
        columns = decimals == places
        digits[columns] = max(places + 1, len(str(int(whole[:, columns].max(initial=0)))), 2)
    widths = 1 + digits + (decimals > 0)
    lengths = np.array([len(literal) for literal in literals])
    starts = np.cumsum(lengths[:-1] + np.concatenate([[0], widths[:-1]]))
    line = b"".join([literal + b" " * int(n) for literal, n in zip(literals, [*widths, 0], strict=True)])
    text = np.tile(np.frombuffer(line, np.uint8), (len(rows), 1))
    used = np.ones(text.shape, bool)
    for places in np.unique(decimals):
        columns = np.flatnonzero(decimals == places)
        slots = starts[columns, None] + np.arange(int(widths[columns[0]]))
        signs = (rows[:, columns] < 0) & (whole[:, columns] > 0)
        text[:, slots], used[:, slots] = _numbers(
            whole[:, columns], signs, missing[:, columns], int(places), slots.shape[1]
        )
    return text[used].tobytes().decode()


def _numbers(
    whole: np.ndarray, signs: np.ndarray, missing: np.ndarray, decimals: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """(N, C, width) characters of numbers given in units of their last digit, and which of them are used."""
    left = whole.astype(np.uint32 if whole.max(initial=0) < 1 << 32 else np.uint64)
    text = np.empty((width, *whole.shape), np.uint8)
    used = np.ones((width, *whole.shape), bool)
    ten = left.dtype.type(10)
    for number, place in enumerate(reversed([i for i in range(1, width) if not decimals or i != width - 1 - decimals])):
        rest = left // ten
        text[place] = left - rest * ten + ZERO
        if number > decimals:
            used[place] = left > 0
        left = rest
    if decimals:
        text[width - 1 - decimals] = POINT
    text[0], used[0] = MINUS, signs
    if missing.any():
        text[:3, missing] = MISSING[:, None]
        used[:3, missing], used[3:, missing] = True, False
    return np.moveaxis(text, 0, -1), np.moveaxis(used, 0, -1)


@lru_cache(maxsize=64)
def _parsed(pattern: str) -> tuple[list[bytes], np.ndarray]:
    """What stands before, between and after the numbers, and the decimals of each."""
    decimals = [int(found[1] or 0) for found in NUMBER.finditer(pattern)]
    literals = [literal.encode() for literal in re.split(r"%(?:\.\df|d)", pattern)]
    return literals, np.array(decimals, int)
