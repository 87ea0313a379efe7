"""The settings of predict: their one home is conf/predict.yaml, in Python they are keywords."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from anypose.engine.place import CONF
from anypose.settings import Misuse

COMMANDS_OWN = ("defaults", "hydra", "device", "max_gigabytes")
# What a number may be, and what it counts.
RANGES = {
    "max_megapixels": (1e-3, 1e5, "millions of pixels"),
    "fps": (1e-3, 1e5, "frames a second"),
    "keypoints.min_score": (0, 1, "a score"),
    "keypoints.peak": (1e-9, 1e9, "the height of a peak"),
    "boxes.min_score": (0, 1, "a score"),
    "gaps": (0, 60, "seconds"),
    "smooth_legs": (1e-3, 10, "seconds"),
    "smooth_arms": (1e-3, 10, "seconds"),
    "focal": (1, 1e6, "pixels"),
    "height": (0.3, 3, "metres"),
    "landmarks": (0, 1, "a share"),
}
SWITCHES = ("live", "swaps", "hypotheses", "hold_feet", "level", "bones")


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
            raise Misuse(
                f"Pipeline has no setting {key}. {f'Did you mean {near[0]}?' if near else 'conf/predict.yaml has all.'}"
            )
        section = known[key]
        if isinstance(section, DictConfig):
            value = dict(value) if isinstance(value, Mapping) else {"weights": value}
            unknown = sorted(set(value) - set(map(str, section)))
            if unknown:
                raise Misuse(f"{key} has no setting {unknown[0]}; it has {', '.join(map(str, section))}.")
            section.update(value)
        else:
            known[key] = value
    check(known)
    return known


def check(settings: DictConfig) -> None:
    """Raise ValueError naming the setting that is none."""
    for key, (low, high, unit) in RANGES.items():
        value = OmegaConf.select(settings, key)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (number and low <= value <= high):
            raise Misuse(f"{key}={value} must be {unit}, {low:g} to {high:g}.")
    for key in SWITCHES:
        if not isinstance(settings[key], bool):
            raise Misuse(f"{key}={settings[key]} must be true or false.")
    people = settings.people
    if people is not None and not (type(people) is int and people >= 1):
        raise Misuse(f"people={people} must be at least 1, or null for everyone.")
    size = settings.size
    if size is not None and (
        isinstance(size, str | int | float)
        or len(size) != 2
        or not all(type(side) is int and side > 0 for side in size)
    ):
        raise Misuse(f"size={size} must be the picture's width and height in pixels, for example [1920,1080].")


def check_effects(settings: DictConfig, source: str, stills: bool) -> None:
    """Raise ValueError naming a setting that changes nothing for a source of pictures."""
    told = f"has no effect: source={source}"
    if settings.fps is not None and not stills:
        raise Misuse(f"fps={settings.fps} {told} has its own time stamps.")
    if settings.size is not None:
        raise Misuse(f"size={list(settings.size)} {told} has pictures, which say how large they are.")
    if settings.skeleton is not None and settings.keypoints.weights is None:
        raise Misuse(f"skeleton={settings.skeleton} {told} is looked at by BlazePose, whose keypoints are known.")
