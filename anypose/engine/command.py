"""Commands: Hydra around a function; what goes wrong is told in sentences, with the nearest names for typos."""

from __future__ import annotations

import difflib
import functools
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from anypose.bounds import MAX_KEY, raised_to
from anypose.engine import helping
from anypose.engine import texts as texts  # registers what conf/ looks files up with, for every command
from anypose.engine.distributed import adopt_submitit
from anypose.engine.durable import check_file, check_folder, remove_empty
from anypose.engine.extras import check_extras, check_launcher
from anypose.engine.overrides import parsed
from anypose.engine.place import CONF
from anypose.engine.sentences import FULL_ERROR, MISUSED, check_words, in_order, stopped_by, told
from anypose.engine.sentences import explanation as explanation
from anypose.engine.settings import check_settings
from anypose.engine.stored import BUILT

log = logging.getLogger(__name__)


def command(name: str, prepare: Callable[[list[str]], list[str]] | None = None) -> Callable:
    """Turn `function(cfg) -> float` into the command whose configuration is conf/<name>.yaml.

    Args:
        name: the primary configuration.
        prepare: may change the command line's overrides before they are composed.
    """

    def decorate(function: Callable[[DictConfig], float]) -> Callable[[], None]:
        started = []

        @functools.wraps(function)
        def job(cfg: DictConfig) -> float:
            started.append(True)
            adopt_submitit()
            with unwrapped(), job_named(), empty_folder_removed():
                check_extras(cfg)
                check_settings(cfg, name)
                check_written(cfg)
                with raised_to(cfg.get(MAX_KEY)):
                    return function(cfg)

        @functools.wraps(function)
        def entry() -> None:
            started.clear()
            words = sys.argv[1:]
            overrides = [argument for argument in words if "=" in argument and argument[0] != "-"]
            if (wanted := helping.asked_for(words)) is not None:
                helping.show(_help(name, function.__doc__ or "", wanted, overrides))
                return
            whole = os.environ.get(FULL_ERROR)
            with told(lambda: bool(started), lambda: check_words(words) or suggestions(name, overrides)):
                sys.argv[1:] = in_order(words)
                if prepare:
                    sys.argv += prepare(overrides)
                if int(os.environ.get("RANK", 0)):
                    sys.argv += ["hydra.run.dir=.", "hydra/job_logging=silent"]  # only rank 0 writes
                os.environ[FULL_ERROR] = "1"  # Hydra hands the exception on as it is, rather than printing it
                try:
                    check_launcher(overrides)
                    hydra.main(version_base="1.3", config_path=str(CONF), config_name=name)(job)()
                except _Ended as end:
                    raise end.error from end.error.__cause__
                finally:
                    os.environ.pop(FULL_ERROR) if whole is None else os.environ.update({FULL_ERROR: whole})

        return entry

    return decorate


class _Ended(BaseException):
    """What ended a job, past Hydra, which would print its overrides before anything else."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


@contextmanager
def unwrapped() -> Iterator[None]:
    """What goes wrong in a single job passes Hydra by; of a sweep it must know which jobs failed."""
    try:
        yield
    except Exception as error:
        if stopped := stopped_by(error):
            raise stopped from None
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            raise
        raise _Ended(error) from error


def check_written(cfg: DictConfig) -> None:
    """Judge before the first step what a section says is written elsewhere than into the run's folder."""
    for section in BUILT:
        node = cfg.get(section)
        for key, check in (("cache", check_folder), ("results", check_file)):
            if isinstance(node, DictConfig) and node.get(key):
                check(node[key], f"{section}.{key}")


def _help(name: str, about: str, wanted: str, overrides: list[str]) -> str:
    about = about.partition(";")[0].partition("\n")[0].rstrip(".") + "."
    if wanted != "all":
        return helping.page(name, about)
    try:
        return helping.everything(name, overrides)
    except HydraException as error:
        print("\n".join(suggestions(name, overrides)) or str(error), file=sys.stderr)
        sys.exit(MISUSED)


@contextmanager
def job_named() -> Iterator[None]:
    """In a sweep every line says whose it is: jobs may run side by side."""
    hydra_cfg = HydraConfig.get()
    if hydra_cfg.mode != RunMode.MULTIRUN:
        yield
        return
    before = [(handler, handler.formatter) for handler in logging.getLogger().handlers]
    for handler, _ in before:
        handler.setFormatter(logging.Formatter(f"[job {hydra_cfg.job.num}] %(message)s"))
    log.info("%s", " ".join(hydra_cfg.overrides.task))
    try:
        yield
    finally:
        for handler, formatter in before:
            handler.setFormatter(formatter)


@contextmanager
def empty_folder_removed() -> Iterator[None]:
    """A job that fails before it wrote anything leaves no folder."""
    folder, done = Path(HydraConfig.get().runtime.output_dir), False
    try:
        yield
        done = True
    finally:
        if not done:
            remove_empty(folder)


def suggestions(config: str, overrides: list[str]) -> list[str]:
    """For every override whose key or option does not exist: the nearest that do.

    Args:
        config: the name of the primary configuration.
        overrides: as typed, e.g. ["model=basline3d", "trainer.epohcs=3"].
    """
    groups = {
        folder.relative_to(CONF).as_posix(): sorted(file.stem for file in folder.glob("*.yaml"))
        for folder in CONF.rglob("*")
        if folder.is_dir()
    }
    ours = (override for override in parsed(overrides) if not override.key_or_group.startswith("hydra"))
    given = [override for override in ours if not override.is_add()]
    lines, good = [], []
    for override in given:
        options = groups.get(override.key_or_group)
        if options is None:
            continue
        value = str(override.value())
        if override.is_delete() or value == "None":
            continue
        if value not in options and not override.is_sweep_override():
            line = _line(f"{override.key_or_group}={value}", value, options, f"{override.key_or_group}=")
            lines.append(f"{line} There are {', '.join(options)}.")
        else:
            good.append(override.input_line.split(",")[0] if override.input_line else "")
    keys = _keys(config, good) or _keys(config, [])
    for override in given:
        key = override.key_or_group
        if key in groups or key in keys:
            continue
        parent, _, name = key.rpartition(".")
        # Within its own section, or the section's name would make everything in it look near.
        siblings = [k.rpartition(".")[2] for k in keys if k.rpartition(".")[0] == parent] if parent in keys else []
        if siblings:
            lines.append(_line(key, name, siblings, f"{parent}."))
        else:
            lines.append(_line(key, key, [*keys, *(group for group in groups if "/" not in group)]))
    return lines


def _keys(name: str, overrides: list[str]) -> list[str]:
    """Every dotted key of the configuration with these options; none where it does not compose."""
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        try:
            cfg = hydra.compose(name, overrides)
        except HydraException:
            return []

    def walk(node: Any, prefix: str) -> list[str]:
        if not isinstance(node, dict):
            return []
        return [name for key, child in node.items() for name in (prefix + key, *walk(child, f"{prefix}{key}."))]

    return walk(OmegaConf.to_container(cfg, resolve=False), "")


def _line(wrong: str, word: str, right: list[str], prefix: str = "") -> str:
    near = difflib.get_close_matches(word, right, n=3, cutoff=0.7)
    if not near:  # the section may be missing: epochs for trainer.epochs
        near = [key for key in right if key.rpartition(".")[2] == word.rpartition(".")[2]][:3]
    hint = f"Did you mean {' or '.join(prefix + key for key in near)}?" if near else "Nothing is named like it."
    return f"{wrong} does not exist. {hint}"
