"""Configurations as commands compose them, quickly: Hydra takes a quarter of a second for one, so choices are kept."""

from __future__ import annotations

import copy
from functools import cache

import hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from anypose.engine import run
from anypose.engine.place import CONF

assert run.PACKAGE  # importing it registers the resolver that train.yaml uses


@cache
def chosen(command: str, choices: tuple[str, ...]) -> DictConfig:
    """The configuration of `choices`, such as ("model=baseline3d",), and nothing else said."""
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        return hydra.compose(command, list(choices))


def composed(command: str, *words: str) -> DictConfig:
    """The configuration of a command line: its choices by Hydra, the values of its keys laid over them.

    Values are read by Hydra's own parser; what it says of keys that do not exist is not to be had here.
    """
    choices = tuple(word for word in words if (CONF / word.partition("=")[0]).is_dir())
    cfg = copy.deepcopy(chosen(command, choices))
    parser = OverridesParser.create()
    for word in words:
        if word not in choices:
            override = parser.parse_override(word)
            OmegaConf.update(cfg, override.key_or_group, override.value(), merge=False)
    return cfg
