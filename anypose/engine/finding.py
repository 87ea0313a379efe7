"""Which run, which checkpoint: what `run=`, `checkpoint=`, `init=` and `model=` name."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from anypose.engine.place import PACKAGE, typed
from anypose.engine.stored import plain_choices
from anypose.settings import Misuse

RUNS = Path("runs")
LAST, BEST = "last.pt", "best.pt"
RELEASED = "released"  # the folder that holds the project's own weights, and what checkpoint= calls them
ENVIRONMENT = "environment.json"

log = logging.getLogger(__name__)


def runs_of(model: str, holding: str = LAST) -> list[Path]:
    """The run folders of `model` that hold the file `holding`, sweeps included, the latest first.

    The latest is what was begun or gone on with last: runs are numbered as they start, so that a clock that goes back
    changes nothing. Equal numbers, of runs that started together, are told apart by the time of the file.
    """
    files = [*RUNS.glob(f"{model}/*/{holding}"), *RUNS.glob(f"sweep/*/*/{holding}")]
    mine = [file for file in files if file.parts[1] != "sweep" or read_choices(file.parent).get("model") == model]
    return [file.parent for file in sorted(mine, key=_age)]


def _age(file: Path) -> tuple[int, float]:
    return -start_number(file.parent), -file.stat().st_mtime


def latest(model: str, holding: str = LAST) -> Path | None:
    """The newest run folder of `model` that holds the file `holding`: a smoke run only where there is no other."""
    runs = runs_of(model, holding)
    return next((folder for folder in runs if not read_choices(folder).get("debug")), runs[0] if runs else None)


def start_number(folder: Path) -> int:
    """How many runs had started when this one did; 0 where the folder does not say."""
    number = read_environment(folder).get("start", 0)
    return number if type(number) is int else 0


def next_start() -> int:
    """The number of a run that starts now."""
    folders = {file.parent for pattern in ("*/*", "sweep/*/*") for file in RUNS.glob(f"{pattern}/{ENVIRONMENT}")}
    return 1 + max((start_number(folder) for folder in folders if _readable(folder)), default=0)


def _readable(folder: Path) -> bool:
    try:
        read_environment(folder)
    except ValueError:
        return False
    return True


def read_environment(folder: Path) -> dict[str, Any]:
    """What a run wrote down about itself; empty where the folder is no run."""
    file = folder / ENVIRONMENT
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is damaged: {error}. Name the checkpoint with checkpoint=FILE model=NAME.") from error
    if not isinstance(content, dict):
        raise ValueError(f"{file} is damaged: it must hold a mapping, found {type(content).__name__}.")
    return content


def read_choices(folder: Path) -> dict[str, str]:
    """Which option each group of a run took; empty where the folder is no run."""
    return plain_choices(read_environment(folder).get("choices", {}), str(folder / ENVIRONMENT))


def released_files() -> dict[str, Path]:
    """{name: file} of the project's own weights."""
    return {file.stem: file for file in sorted((PACKAGE / RELEASED).glob("*.safetensors"))}


def in_run(folder: Path, names: Sequence[str] = (LAST, BEST)) -> Path | None:
    """The first of these checkpoints that a run's folder holds."""
    return next((folder / name for name in names if (folder / name).is_file()), None)


def find_checkpoint(
    model: str,
    run: str | None = None,
    file: str | None = None,
    parity: str | None = None,
    key: str = "checkpoint",
    exists: bool = True,
) -> Path:
    """The checkpoint that `checkpoint=`, `run=` or else `model=` names; checkpoint=released is the project's own,
    and so is the name of one of its released files, e.g. released_video.

    Of a run it is the last: the best was chosen on the subjects that get scored, which flatters. The released code of
    GMH-MDN takes the best all the same, and so does parity="seed".

    Args:
        model, run, file, parity: as typed.
        key: what named `file`, for messages.
        exists: `file` must be one; else it may be the common name of several, as TensorFlow's are.

    Raises:
        FileNotFoundError: saying what was looked for, and which command makes one.
    """
    command = f"{typed('train')} model={model}"
    if file is not None:
        return _named(file, model, command, key, exists)
    folder = _latest_told(model, command) if run is None else Path(run).expanduser()
    if found := in_run(folder, (BEST, LAST) if parity == "seed" else (LAST, BEST)):
        return found
    if not folder.is_dir():
        raise FileNotFoundError(f"run={run} is no folder. `{command}` makes one under runs/.")
    there = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
    raise FileNotFoundError(
        f"run={run} holds neither {BEST} nor {LAST}, found {there}. `{command}` makes a run with both."
    )


def _named(file: str, model: str, command: str, key: str, exists: bool) -> Path:
    """The released weights, or the file, that somebody named."""
    released = released_files()
    if file == RELEASED and model not in released:
        raise FileNotFoundError(
            f"{key}={RELEASED}: there are no released weights of {model}, only of {', '.join(released) or 'nothing'}. "
            f"`{command}` makes some."
        )
    if (name := model if file == RELEASED else file) in released:
        return released[name]
    path = Path(file).expanduser()
    if path.is_dir():
        raise Misuse(f"{key}={file} is a folder, and must be a file. Of a run: {key}={path / LAST}.")
    if not path.is_file() and (exists or not [*path.parent.glob(f"{path.name}.*")]):
        raise FileNotFoundError(f"{key}={file} does not exist. `{command}` makes one under {RUNS}/{model}/.")
    return path


def _latest_told(model: str, command: str) -> Path:
    """The latest run's folder, which the log names."""
    folder = latest(model)
    if folder is None:
        raise FileNotFoundError(
            f"No trained {model} found: looked for {RUNS}/{model}/*/{LAST} in {Path.cwd()}. "
            f"Train one with `{command}`, or choose with run=FOLDER or checkpoint=FILE."
        )
    debug = read_choices(folder).get("debug")
    what = f"a run with debug={debug}; there is no other" if debug else "the latest"
    log.info("model=%s takes %s (%s of %d). Another: run=FOLDER.", model, folder, what, len(runs_of(model)))
    return folder


def products_folder(checkpoint: Path, model: str) -> Path:
    """Where what is made from a checkpoint goes: beside it; of released weights, to runs/<model>/released, and to
    runs/<model>/<their name> where they are not those that checkpoint=released means."""
    if checkpoint.parent.name != RELEASED:
        return checkpoint.parent
    return RUNS / model / (RELEASED if checkpoint.stem == model else checkpoint.stem)
