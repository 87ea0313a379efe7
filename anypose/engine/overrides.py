"""The settings of a command line as Hydra reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException


def parsed(words: Iterable[str]) -> Iterator[Override]:
    """Those that can be read. What is wrong with another is said by `anypose.engine.sentences.check_words`."""
    parser = OverridesParser.create()
    for word in words:
        try:
            yield parser.parse_override(word)
        except HydraException:
            continue
