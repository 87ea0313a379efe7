"""The settings of predict: their one home is conf/predict.yaml, in Python they are keywords."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from anypose.engine.place import CONF

COMMANDS_OWN = ("defaults", "hydra", "device")


def complete(given: Mapping[str, Any]) -> DictConfig:
    """All settings, with those given in place of conf/predict.yaml's.

    Raises:
        ValueError: naming a setting that there is not, and the nearest that there is.
    """
    known = OmegaConf.load(CONF / "predict.yaml")
    assert isinstance(known, DictConfig)
    for key in COMMANDS_OWN:
        known.pop(key, None)
    known.where = "cpu"
    for key, value in given.items():
        if key not in known:
            near = difflib.get_close_matches(key, list(map(str, known)), n=1)
            raise ValueError(
                f"Pipeline has no setting {key}. {f'Did you mean {near[0]}?' if near else 'conf/predict.yaml has all.'}"
            )
        section = known[key]
        if isinstance(section, DictConfig):
            value = dict(value) if isinstance(value, Mapping) else {"weights": value}
            unknown = sorted(set(value) - set(map(str, section)))
            if unknown:
                raise ValueError(f"{key} has no setting {unknown[0]}; it has {', '.join(map(str, section))}.")
            section.update(value)
        else:
            known[key] = value
    return known
