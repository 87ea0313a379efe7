"""The unit of length and the rate of a recording: what a file says must make a person, moving at a person's pace."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np

from anypose.skeleton import Skeleton

log = logging.getLogger(__name__)
METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001, "inch": 0.0254}
UNITS = {unit: METRES[unit] for unit in ("m", "cm", "mm")}  # that published joints come in
# Thigh and shin together, children of six to the tallest: narrower than an inch is in centimetres, so at most one of
# the units fits.
LEG = (0.46, 1.14)
# The two points of a pose that lie farthest apart, in the median frame: crouched, to tall with an arm up.
EXTENT = (0.8, 2.6)
APART = 8.0  # times the median size: nobody grows so much, but metres become centimetres
FEW = 0.01  # share of frames that may be spoilt


def metres_per_unit(
    joints: np.ndarray,
    skeleton: Skeleton,
    stated: str | None,
    where: str,
    candidates: Mapping[str, float] = {"m": 1.0, "mm": 0.001},
    fine: bool | None = None,
) -> float:
    """The file's unit of length [m]: the one that is stated, or the only one that makes these joints a person.

    Args:
        joints: (T, J, 3) in the file's unit.
        skeleton: what the J are. Legs tell inches from centimetres, where it has them.
        stated: `dataset.unit`, a key of `METRES`; None to judge by the body.
        where: the file, for errors.
        candidates: {unit: metres} that the file could be in.
        fine: measure legs; None to do so where there are more than two candidates.

    Raises:
        ValueError: with what was measured and the key that settles it, where no unit fits or several do.
    """
    if stated is not None:
        _doubt(joints * METRES[stated], skeleton, stated, where)
        return METRES[stated]
    if not np.isfinite(joints).all():
        frame = int(np.argwhere(~np.isfinite(joints))[0][0])
        raise ValueError(f"{where}: NaN or infinity in frame {frame} of {len(joints)}.")
    what, sizes, (low, high) = _sizes(joints, skeleton, len(candidates) > 2 if fine is None else fine)
    size = float(np.median(sizes)) if len(sizes) else 0.0
    fits = {unit: metres for unit, metres in candidates.items() if low <= size * metres <= high}
    if len(fits) != 1:
        found = f"in {' or in '.join(fits)}" if fits else f"in none of {', '.join(candidates)}"
        raise ValueError(
            f"{where}: {what} measures {size:.4g} of the file's units, which is that of a person ({low} to {high} m) "
            f"{found}. "
            f"Say which it is with dataset.unit={'|'.join(METRES)}."
        )
    _check_alike(sizes, what, where)
    return next(iter(fits.values()))


def _check_alike(sizes: np.ndarray, what: str, where: str) -> None:
    """Refuse (N,) sizes of which some are of another unit, or of nobody at all: zeros where nothing was captured."""
    median = np.median(sizes)
    odd = np.flatnonzero((sizes > APART * median) | (sizes * APART < median))
    if not len(odd):
        return
    told = (
        f"{where}: {what} measures {median:.4g} of the file's units in most frames, and {sizes[odd[0]]:.4g} in others "
        f"({len(odd) / len(sizes):.1%})"
    )
    if len(odd) > FEW * len(sizes):
        raise ValueError(f"{told}. Two units in one file, or frames without anybody? Save each to its own file.")
    log.warning("%s.", told)


def _doubt(joints: np.ndarray, skeleton: Skeleton, stated: str, where: str) -> None:
    """Say where the unit that the user states makes nobody of a person's size; what is stated stands."""
    if len(joints) and np.isfinite(joints).all():
        what, sizes, (low, high) = _sizes(joints, skeleton, fine=False)
        size = float(np.median(sizes))
        if not low / 2 <= size <= 2 * high:
            log.warning("%s: with dataset.unit=%s %s measures %.3g m, which is no person's.", where, stated, what, size)


def check_person(joints: np.ndarray, skeleton: Skeleton, where: str, hint: str) -> None:
    """Refuse joints [m] (T, J, 3) that are not as large as a person, where the unit is a given.

    Raises:
        ValueError: with what was measured and the hint.
    """
    what, sizes, (low, high) = _sizes(joints, skeleton, fine=False)
    size = float(np.median(sizes))
    if not low <= size <= high:
        raise ValueError(f"{where}: {what} measures {size:.3g} m, which is no person's ({low} to {high} m). {hint}")


def _sizes(joints: np.ndarray, skeleton: Skeleton, fine: bool) -> tuple[str, np.ndarray, tuple[float, float]]:
    """What is measured, (N,) of it in some frames or all, and how large it is of a person [m]."""
    chain = [(f"{side}_hip", f"{side}_knee", f"{side}_foot") for side in ("left", "right")]
    if fine and all(name in skeleton.joints for leg in chain for name in leg):
        legs = []
        for leg in chain:
            hip, knee, foot = (joints[:, skeleton.index(name)] for name in leg)
            legs.append(np.linalg.norm(hip - knee, axis=-1) + np.linalg.norm(knee - foot, axis=-1))
        return "a leg", np.mean(legs, 0), LEG
    some = joints[:: max(1, len(joints) // 200)]
    apart = np.linalg.norm(some[:, :, None] - some[:, None], axis=-1)
    return "the widest pose", apart.max((1, 2)), EXTENT
