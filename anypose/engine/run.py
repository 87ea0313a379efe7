"""A run is a folder: runs/<model>/<time>/ with config, environment, log, metrics and checkpoints."""

from __future__ import annotations

import json
import logging
import os
import platform
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from anypose.engine import checkpoint
from anypose.engine.place import INSTALLED, PACKAGE, typed
from anypose.engine.stored import plain_choices

RUNS = Path("runs")
LAST, BEST = "last.pt", "best.pt"
RELEASED = "released"  # the folder that holds the project's own weights, and what checkpoint= calls them

log = logging.getLogger(__name__)


class Run:
    """The folder of one training run. On ranks other than 0 it writes nothing.

    Attributes:
        folder: where everything of this run lies.
        config: the configuration as plain values.
        choices: which option each group took, e.g. {"model": "baseline3d", "dataset": "synthetic"}.
        writes: true on rank 0.
    """

    def __init__(
        self, folder: Path, config: dict[str, Any], choices: dict[str, str], overrides: list[str], writes: bool
    ) -> None:
        self.folder, self.config, self.choices, self.writes = folder, config, choices, writes
        self._handler: logging.Handler | None = None
        self._board = None
        if not writes:
            return
        folder.mkdir(parents=True, exist_ok=True)
        checkpoint.remove_leftovers(folder)
        (folder / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(config)))
        write_json(folder / "environment.json", environment() | {"choices": choices, "overrides": overrides})
        self._handler = logging.FileHandler(folder / "log.txt")
        self._handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        logging.getLogger().addHandler(self._handler)

    @classmethod
    def open(cls, cfg: DictConfig, writes: bool = True) -> Run:
        """The run of this Hydra job, in the folder that hydra.run.dir or hydra.sweep.dir names."""
        runtime = HydraConfig.get().runtime
        folder = Path(os.path.relpath(runtime.output_dir))
        overrides = list(HydraConfig.get().overrides.task)
        config = OmegaConf.to_container(cfg, resolve=True)
        assert isinstance(config, dict)
        choices = {key: value for key, value in runtime.choices.items() if value and not key.startswith("hydra/")}
        return cls(folder, {str(key): value for key, value in config.items()}, choices, overrides, writes)

    @property
    def model(self) -> str:
        return self.choices.get("model", "model")

    def record(self, values: dict[str, Any]) -> None:
        """Append one line to metrics.jsonl, and to TensorBoard where it was asked for."""
        if not self.writes:
            return
        with (self.folder / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(values) + "\n")
        if self._board:
            split = values.get("split", "train")
            for name, value in values.items():
                if isinstance(value, (int, float)) and name != "step":
                    self._board.add_scalar(f"{split}/{name}", value, values["step"])

    def rewind(self, step: int) -> None:
        """Drop the lines of metrics.jsonl after `step`: the run goes on from there and writes them again."""
        file = self.folder / "metrics.jsonl"
        if not self.writes or not file.is_file():
            return
        lines = [line for line in file.read_text().splitlines() if json.loads(line)["step"] <= step]
        file.write_text("".join(line + "\n" for line in lines))

    def open_board(self) -> None:
        """Also write TensorBoard event files (extra `log`)."""
        if not self.writes:
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ImportError(
                "trainer.tensorboard=true needs TensorBoard: pip install 'anypose[log]', or leave it false."
            ) from error
        self._board = SummaryWriter(str(self.folder))

    def save(self, state: dict[str, Any], best: bool) -> None:
        """Write last.pt, and best.pt too where this is the best so far."""
        if not self.writes:
            return
        state = state | {"config": self.config, "choices": self.choices}
        checkpoint.save(self.folder / LAST, state)
        if best:
            checkpoint.save(self.folder / BEST, state)

    def finish(self, scores: dict[str, float]) -> None:
        """Write what a sweep's table reads."""
        if self.writes:
            write_json(self.folder / "summary.json", scores)

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._handler:
            logging.getLogger().removeHandler(self._handler)
            self._handler.close()
        if self._board:
            self._board.close()


def run_folder(model: str, time: str, resume: str | None) -> str:
    """Where a run writes: what it resumes, or runs/<model>/<time>, -2, -3, ... if one began in the same second."""
    resumed = find_resume(resume, model)
    if resumed:
        return str(resumed.parent)
    folder, number = RUNS / model / time, 1
    while folder.exists():
        number += 1
        folder = RUNS / model / f"{time}-{number}"
    return str(folder)


# hydra.run.dir asks for it; cached, or the folder that Hydra has just made would be taken.
OmegaConf.register_new_resolver("run_folder", run_folder, use_cache=True, replace=True)


def find_resume(resume: str | None, model: str) -> Path | None:
    """The checkpoint that `resume=` names: a file, a run's folder, or auto (the latest run of the model, or none).

    Raises:
        FileNotFoundError: when a named one is not there.
    """
    if resume is None:
        return None
    if resume == "auto":
        folder = latest(model)
        return folder / LAST if folder else None
    file = Path(resume) / LAST if Path(resume).is_dir() else Path(resume)
    if not file.is_file():
        raise FileNotFoundError(f"resume={resume}: there is no checkpoint {file}. resume=auto takes the latest run.")
    return file


def latest(model: str, holding: str = LAST) -> Path | None:
    """The newest run folder of `model` that holds the file `holding`, sweeps included."""
    folders = [*RUNS.glob(f"{model}/*/{holding}"), *RUNS.glob(f"sweep/*/*/{holding}")]
    mine = [file for file in folders if file.parts[1] != "sweep" or read_choices(file.parent).get("model") == model]
    return max(mine, key=lambda file: file.stat().st_mtime).parent if mine else None


def find_checkpoint(model: str, run: str | None = None, file: str | None = None, parity: str | None = None) -> Path:
    """The checkpoint that `checkpoint=`, `run=` or else `model=` names; checkpoint=released is the project's own.

    Of a run it is the last: the best was chosen on the subjects that get scored, which flatters. The seeds quote the
    best all the same, so parity="seed" takes that.

    Raises:
        FileNotFoundError: saying what was looked for, and which command makes one.
    """
    command = f"{typed('train')} model={model}"
    if file == RELEASED:
        weights = sorted((PACKAGE / RELEASED).glob("*.safetensors"))
        found = [path for path in weights if path.stem == model]
        if not found:
            raise FileNotFoundError(
                f"checkpoint={RELEASED}: there are no released weights of {model}, only of "
                f"{', '.join(path.stem for path in weights) or 'nothing'}. `{command}` makes some."
            )
        return found[0]
    if file is not None:
        if not Path(file).is_file():
            raise FileNotFoundError(f"checkpoint={file} does not exist. `{command}` makes one under {RUNS}/{model}/.")
        return Path(file)
    if run is not None:
        folder: Path | None = Path(run)
    else:
        folder = latest(model)
        if folder is None:
            raise FileNotFoundError(
                f"No trained {model} found: looked for {RUNS}/{model}/*/{LAST} in {Path.cwd()}. "
                f"Train one with `{command}`, or choose with run=FOLDER or checkpoint=FILE."
            )
    for name in (BEST, LAST) if parity == "seed" else (LAST, BEST):
        if (folder / name).is_file():
            return folder / name
    there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else "no such folder"
    raise FileNotFoundError(
        f"run={run} holds neither {BEST} nor {LAST} (found: {there}). `{command}` makes a run with both."
    )


def products_folder(checkpoint: Path, model: str) -> Path:
    """Where what is made from a checkpoint goes: beside it; of released weights, to runs/<model>/released."""
    return RUNS / model / RELEASED if checkpoint.parent.name == RELEASED else checkpoint.parent


def read_choices(folder: Path) -> dict[str, str]:
    """Which option each group of a run took; empty where the folder is no run."""
    file = folder / "environment.json"
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is damaged: {error}. Name the checkpoint with checkpoint=FILE model=NAME.") from error
    return plain_choices(content.get("choices", {}) if isinstance(content, dict) else None, str(file))


def environment() -> dict[str, Any]:
    """Versions, commit and command: what a reader needs to repeat a run."""
    return {
        "command": command(),
        "commit": commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "processes": int(os.environ.get("WORLD_SIZE", 1)),
    }


def command() -> str:
    """The command line as it was typed, whatever was added to sys.argv since."""
    program, *words = sys.orig_argv[1:] or [""]
    if Path(program).name == "anypose":  # the installed command
        return shlex.join(["anypose", *words])
    return shlex.join(["python", program, *words])


def commit() -> str:
    """The commit of the code, with + where the working tree differs from it; the version where it is installed."""
    if INSTALLED:  # whatever repository it may lie in is another's
        return f"anypose {version('anypose')}"

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", *arguments], cwd=PACKAGE, capture_output=True, text=True, timeout=10)
        except (FileNotFoundError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    name = git("rev-parse", "--short=10", "HEAD")
    if name is None:
        return "unknown"
    return name + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")


def processor() -> str:
    """The name of the CPU, "AMD EPYC", which a ratio of speeds means nothing without."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def write_json(path: Path, values: Any) -> None:
    """Readable by people, too."""
    path.write_text(json.dumps(values, indent=2) + "\n")
