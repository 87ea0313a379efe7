"""Odd words to commands and damaged weights to readers: answers in sentences, nothing else.

Ten seconds of each, five minutes with `--at-length`; ANYPOSE_FUZZ_SEED=1 searches elsewhere.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from anypose.engine import checkpoint
from anypose.engine.command import suggestions
from anypose.engine.place import CONF
from anypose.engine.sentences import STUMBLED, TOLD, check_words, explanation
from anypose.engine.settings import check_settings
from pose3d.lifting.convert import read_bin

ODD = (
    "abc", "''", "null", "-1", "0", "1", "1.5", "nan", "inf", "-inf", "true", "[]", "[1]", "[a]", "{}", "{a:1}", "1e9",
    "99999999999999999999", "数据", "a b", "a=b", "a#b", "../../x", "/", "~", "'${seed}'", "'${oc.env:HOME}'", "'a,b'",
    "[null]", "[[1]]", "-0.0", "1e-300",
)  # fmt: skip
SEED = int(os.environ.get("ANYPOSE_FUZZ_SEED", 0))
MODELS = (
    "baseline3d", "videopose3d", "gmh_mdn", "simplebaseline", "total_capture", "window_mlp", "window_tcn",
    "motionagformer",
)  # fmt: skip
SMALL = {"model.linear_size": 8, "model.channels": 4, "model.depth": 18, "model.width": 0.02, "model.num_stages": 1}


@pytest.fixture
def end(at_length: bool) -> float:
    """When it is enough, on the clock of `time.monotonic` [s]."""
    return time.monotonic() + (300 if at_length else 10)


def foreseen(action: Callable[[], object], hints: Callable[[], list[str]] = list) -> None:
    """Nothing happens, or what is told."""
    try:
        action()
    except (*TOLD, *STUMBLED, MemoryError, OmegaConfBaseException) as error:
        if not (explanation(error, []) or hints()):
            raise AssertionError(f"not foreseen: {error!r}") from error


def keys(node: Any, prefix: str = "") -> list[str]:
    """Every dotted key of a configuration."""
    if not isinstance(node, dict):
        return []
    return [key for name, value in node.items() for key in (f"{prefix}{name}", *keys(value, f"{prefix}{name}."))]


def composed(command: str, words: list[str]) -> DictConfig:
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        return hydra.compose(command, words)


def build(command: str, words: list[str]) -> None:
    """As a command does until it would read data."""
    cfg = composed(command, words)
    check_settings(cfg, command)
    for key, value in SMALL.items():  # what is large takes time and says nothing more
        default = OmegaConf.select(cfg, key)
        if isinstance(default, (int, float)) and not any(word.startswith(f"{key}=") for word in words):
            OmegaConf.update(cfg, key, value)
    for section in ("device", "precision", "schedule"):
        if section in cfg:
            instantiate(cfg[section])
    with torch.device("meta"):
        model = instantiate(cfg.model)
    instantiate(cfg.task, model=model)
    instantiate(cfg.dataset)


@pytest.mark.slow
def test_odd_words_are_answered_in_sentences(end: float) -> None:
    chance = random.Random(SEED)
    known = {
        (command, model): keys(OmegaConf.to_container(composed(command, [f"model={model}"]), resolve=False))
        for command in ("train", "evaluate", "export")
        for model in MODELS
    }
    while time.monotonic() < end:
        command, model = chance.choice(list(known))
        chosen = chance.sample(known[command, model], chance.choice((1, 1, 2)))
        words = [f"{key}={chance.choice(ODD)}" for key in chosen if not key.endswith("_target_")]
        if chance.random() < 0.1:
            words.append(
                chance.choice(("baseline3d", "--x", "x=1", "model", "=", "model=", "a.b.c=1", "+new=1", "~seed"))
            )
        words = [word for word in words if not word.startswith("-")]
        hints = lambda words=words, command=command: check_words(words) or suggestions(command, words)  # noqa: E731
        foreseen(lambda words=words, command=command, model=model: build(command, [f"model={model}", *words]), hints)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Detected pickle protocol", "ignore:TypedStorage is deprecated")
def test_damaged_weights_are_answered_in_sentences(tmp_path: Path, end: float) -> None:
    chance = random.Random(SEED)
    whole = {"model": {"a.weight": torch.randn(3, 4)}, "config": {"seed": 0}, "choices": {"model": "baseline3d"}}
    checkpoint.save(tmp_path / "a.pt", whole)
    torch.save({"model_pos": whole["model"], "model_traj": None}, tmp_path / "b.bin")
    torch.save({"model_pos": whole["model"]}, tmp_path / "c.bin", _use_new_zipfile_serialization=False)
    from safetensors.torch import save_file

    save_file(whole["model"], tmp_path / "d.safetensors", metadata={checkpoint.HEADER: '{"config": {}, "choices": {}}'})
    readers: dict[str, Callable[[Path], object]] = {
        "a.pt": checkpoint.load, "b.bin": read_bin, "c.bin": read_bin, "d.safetensors": checkpoint.load,
    }  # fmt: skip
    contents = {name: (tmp_path / name).read_bytes() for name in readers}
    while time.monotonic() < end:
        name = chance.choice(list(readers))
        data = bytearray(contents[name])
        for _ in range(chance.choice((1, 1, 3, 20))):
            data[chance.randrange(len(data))] = chance.randrange(256)
        if chance.random() < 0.2:
            del data[chance.randrange(len(data)) :]
        path = tmp_path / f"damaged-{name}"
        path.write_bytes(data)
        foreseen(lambda name=name, path=path: readers[name](path))
