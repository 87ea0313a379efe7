"""Where files that were fetched or computed once are kept between commands."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """$ANYPOSE_CACHE, else anypose/ in the user's cache."""
    if given := os.environ.get("ANYPOSE_CACHE"):
        return Path(given)
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "anypose"
