"""The body for tests, where its package is installed and has been read once."""

from __future__ import annotations

import pytest

from anypose.cache import cache_folder
from pose3d.body.anny import FILE, Anny, load_anny


@pytest.fixture(scope="session")
def anny_body() -> Anny:
    """Skips aloud where reading it would take minutes."""
    pytest.importorskip("anny")
    if not (cache_folder() / FILE).is_file():
        pytest.skip(f"{cache_folder() / FILE} is not there yet: `python -m pose3d.body.anny` makes it in minutes")
    return load_anny()
