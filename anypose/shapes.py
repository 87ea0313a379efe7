"""Shapes said once and checked at the border: `check_shape` for arrays, `IO` for a model's contract."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Shape = tuple[int | str, ...]
PIXELS = "pixels"  # what an input is called that takes uint8 pixels; every other input is float32


@dataclass(frozen=True)
class IO:
    """The named inputs and outputs of a model. Letters are free (dynamic in ONNX), integers are fixed."""

    inputs: dict[str, Shape]
    outputs: dict[str, Shape]


def check_shape(array: Any, shape: Shape, name: str, **sizes: int) -> dict[str, int]:
    """Raise unless `array` has `shape`; return the sizes bound to its letters.

    Args:
        array: anything with a `shape`.
        shape: integers must match; a letter must match its value in `sizes`, or the same letter elsewhere;
            a leading "..." stands for any number of dimensions.
        name: what the array is called where the user wrote it.
        **sizes: values that letters must have.

    Raises:
        ValueError: naming the array, the expected shape and the shape found.
    """
    found = tuple(array.shape)
    wanted = shape
    tail = found
    if wanted and wanted[0] == "...":
        wanted = wanted[1:]
        tail = found[len(found) - len(wanted) :] if len(found) >= len(wanted) else ()
    bound = dict(sizes)
    matches = len(tail) == len(wanted)
    if matches:
        for letter, size in zip(wanted, tail, strict=True):
            expected = bound.setdefault(letter, size) if isinstance(letter, str) else letter
            matches = matches and expected == size
    if not matches:
        given = ", ".join(f"{letter}={size}" for letter, size in sizes.items())
        raise ValueError(
            f"{name} must have shape ({', '.join(map(str, shape))}){' with ' + given if given else ''}, got {found}."
        )
    return bound
