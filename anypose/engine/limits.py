"""Settings of the loop that must be numbers of something."""

from __future__ import annotations

from typing import Any


def check_counts(or_null: bool = False, **counts: Any) -> None:
    """Refuse what is no whole number of at least 1.

    Args:
        or_null: null passes, too.
        counts: settings of conf/trainer/ by name.

    Raises:
        ValueError: naming the setting and what it was.
    """
    for name, count in counts.items():
        if not (or_null and count is None) and (type(count) is not int or count < 1):
            raise ValueError(f"trainer.{name} must be a whole number of at least 1, got {count!r}.")
