"""Settings that must be numbers of a range, judged before anything is done with them."""

from __future__ import annotations

import math
from typing import Any


def check_range(group: str, low: float, high: float, without_low: bool = False, **settings: Any) -> None:
    """Refuse settings that are no finite numbers between `low` and `high`, both included.

    Args:
        group: what stands before the names, "task".
        high: may be infinite, which then is no value either.
        without_low: `low` itself is none.
        settings: values by name.

    Raises:
        ValueError: naming the setting, what it must be and what it is.
    """
    for name, value in settings.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if not number or not low <= value <= high or (without_low and value == low):
            above = f"above {low:g}" if without_low else f"{low:g} or more"
            most = "" if math.isinf(high) else f" and at most {high:g}"
            raise ValueError(f"{group}.{name} must be a number {above}{most}, got {value!r}.")
