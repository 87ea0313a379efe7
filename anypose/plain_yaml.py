"""YAML that nobody vouches for: values alone. Anchors are refused, with which ten lines stand for a billion values."""

from __future__ import annotations

import reprlib
from collections import Counter
from typing import Any

import yaml
from yaml.composer import ComposerError

MOST_CHARACTERS = 1 << 17  # a configuration has 10,000, a skeleton of a thousand joints 60,000; 200,000 take a second
# What its constructors raise on values that are no numbers, dates or keys.
_ODD = (yaml.YAMLError, ValueError, ArithmeticError, TypeError, AttributeError, LookupError, RecursionError)


class _Loader(yaml.SafeLoader):
    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise ComposerError(None, None, "anchors (&x, *x) are not read", self.peek_event().start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        names = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        if twice := [name for name, count in names.items() if count > 1]:  # of which Python would keep the last
            raise ComposerError(None, None, f"{twice[0][:80]} is there twice", node.start_mark)
        return super().construct_mapping(node, deep)


def read_yaml(text: str, where: str) -> Any:
    """What the text says.

    Raises:
        ValueError: with `where`, for what is no YAML, is too long, or refers to itself.
    """
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"{where} has {len(text)} characters; up to {MOST_CHARACTERS} of YAML are read.")
    try:
        return yaml.load(text, _Loader)
    except _ODD as error:
        raise ValueError(f"{where} is not YAML: {' '.join(str(error).split())[:200]}.") from None


def shown(value: Any) -> str:
    """The value in a message, however large it is."""
    try:
        return reprlib.repr(value)[:80]
    except ValueError:  # a number of more digits than Python writes
        return type(value).__name__
