"""A run is a folder: runs/<model>/<time>/ with config, environment, log, metrics and checkpoints."""

from __future__ import annotations

import json
import logging
import math
import os
import platform
import shlex
import subprocess
import sys
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from anypose.engine import checkpoint
from anypose.engine import texts as texts  # registers what conf/ looks files up with
from anypose.engine.durable import locked, remove_empty
from anypose.engine.finding import BEST, ENVIRONMENT, LAST, next_start
from anypose.engine.place import INSTALLED, PACKAGE
from anypose.engine.resuming import CONFIG, check_change, find_resume, plain
from anypose.whole import copy_whole, remove_leftovers, write_text

METRICS = "metrics.jsonl"
WEIGHTS = ("model", "config", "choices", "step", "epoch", "metrics")  # what best.pt holds of a checkpoint

log = logging.getLogger(__name__)


class Run:
    """The folder of one training run. On ranks other than 0 it writes nothing.

    As a context it holds the folder against other processes, and takes it away again where nothing was trained.

    Attributes:
        folder: where everything of this run lies.
        config: the configuration as plain values.
        choices: which option each group took, e.g. {"model": "baseline3d", "dataset": "synthetic"}.
        writes: true on rank 0.
        resumed: the checkpoint that it goes on from, None for a fresh start. Known on rank 0.
    """

    def __init__(
        self,
        folder: Path,
        config: dict[str, Any],
        choices: dict[str, str],
        overrides: list[str],
        writes: bool,
        resumed: Path | None = None,
    ) -> None:
        self.folder, self.config, self.choices, self.writes = folder, config, choices, writes
        self.overrides, self.resumed = overrides, resumed
        self._held = ExitStack()
        self._board = None
        if writes:
            folder.mkdir(parents=True, exist_ok=True)

    @classmethod
    def open(cls, cfg: DictConfig, writes: bool = True) -> Run:
        """The run of this Hydra job, in the folder that hydra.run.dir or hydra.sweep.dir names."""
        runtime = HydraConfig.get().runtime
        folder = Path(os.path.relpath(runtime.output_dir))
        overrides = list(HydraConfig.get().overrides.task)
        config = plain(cfg)
        choices = {key: value for key, value in runtime.choices.items() if value and not key.startswith("hydra/")}
        resumed = find_resume(cfg.resume, choices.get("model", ""), config, choices) if writes else None
        return cls(folder, config, choices, overrides, writes, resumed)

    def __enter__(self) -> Run:
        """Hold the folder, judge what is resumed, and only then write.

        Raises:
            ValueError: where another process writes here, or the settings of what is resumed do not fit.
        """
        if not self.writes:
            return self
        self._held.enter_context(locked(self.folder, "hydra.run.dir"))
        with ExitStack() as failing:
            failing.callback(self._held.close)
            changed = check_change(self.resumed, self.config) if self.resumed else []
            failing.pop_all()
        remove_leftovers(self.folder)
        handler = logging.FileHandler(self.folder / "log.txt", encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        logging.getLogger().addHandler(handler)
        self._held.callback(handler.close)
        self._held.callback(logging.getLogger().removeHandler, handler)
        about = {"choices": self.choices, "overrides": self.overrides, "start": next_start()}
        write_text(self.folder / CONFIG, OmegaConf.to_yaml(OmegaConf.create(self.config)))
        write_json(self.folder / ENVIRONMENT, environment() | about)
        log.info("Everything of this run goes to %s.", self.folder)
        for line in changed:
            log.info(line)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        if self._board:
            self._board.close()
        if self.writes and kind is None:
            log.info("Done: %s holds last.pt, best.pt, metrics.jsonl and log.txt.", self.folder)
        began = (self.folder / LAST).exists() or (self.folder / METRICS).exists()
        self._held.close()
        if self.writes and kind is not None and not began:
            for name in (CONFIG, ENVIRONMENT, "log.txt"):
                (self.folder / name).unlink(missing_ok=True)
            remove_empty(self.folder)

    @property
    def model(self) -> str:
        return self.choices.get("model", "model")

    def record(self, values: dict[str, Any]) -> None:
        """Append one line to metrics.jsonl, and to TensorBoard where it was asked for."""
        if not self.writes:
            return
        with (self.folder / METRICS).open("a", encoding="utf-8") as file:
            broken = [name for name, value in values.items() if isinstance(value, float) and not math.isfinite(value)]
            told = values | ({"non_finite": broken} if broken else {})
            file.write(json.dumps(_strict(told), allow_nan=False) + "\n")
        if self._board:
            split = values.get("split", "train")
            for name, value in values.items():
                if isinstance(value, (int, float)) and name != "step":
                    self._board.add_scalar(f"{split}/{name}", value, values["step"])

    def go_on(self, folder: Path, step: int, scored: int | None) -> None:
        """Make metrics.jsonl what it was when the checkpoint was written: the run writes the rest again.

        Args:
            folder: of the checkpoint; where it is another than this run's, its metrics and checkpoints come along.
            step: steps done by then.
            scored: the step of the last evaluation that the checkpoint knows.
        """
        if not self.writes:
            return
        file = folder / METRICS
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []
        kept = [line for line in lines if _belongs(line, step, scored)]
        if kept or lines:
            write_text(self.folder / METRICS, "".join(line + "\n" for line in kept))
        if not os.path.samefile(folder, self.folder):
            for name in (BEST, LAST):
                if (folder / name).is_file():
                    copy_whole(folder / name, self.folder / name)

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
        """Write last.pt; before it best.pt, the weights alone, where this is the best so far.

        last.pt says what the best score is. In this order no kill leaves it saying so of another best.pt.
        """
        if not self.writes:
            return
        state = state | {"config": self.config, "choices": self.choices}
        if best:
            checkpoint.save(self.folder / BEST, {name: state[name] for name in WEIGHTS if name in state})
        checkpoint.save(self.folder / LAST, state)

    def note(self, name: str, value: Any) -> None:
        """Add to environment.json what was only known once the run was under way."""
        file = self.folder / ENVIRONMENT
        if (
            self.writes
            and file.is_file()
            and (facts := json.loads(file.read_text(encoding="utf-8"))).get(name) != value
        ):
            write_json(file, facts | {name: value})

    def finish(self, scores: dict[str, float]) -> None:
        """Write what a sweep's table reads."""
        if self.writes:
            write_json(self.folder / "summary.json", scores)


def _belongs(line: str, step: int, scored: int | None) -> bool:
    """Whether a line of metrics.jsonl is from before a checkpoint; one that was cut by a full disk is not."""
    try:
        values = json.loads(line)
        at = values["step"]
    except (ValueError, LookupError, TypeError, RecursionError):
        log.info("A line of %s is damaged and left out: %s", METRICS, line[:60])
        return False
    return at < step or (at == step and (values.get("split") != "validation" or scored == step))


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
        try:  # without the lock that `git status` would take, to write down what it has looked at
            done = subprocess.run(
                ["git", "--no-optional-locks", *arguments], cwd=PACKAGE, capture_output=True, text=True, timeout=10
            )
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
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def write_json(path: Path, values: Any) -> None:
    """Readable by people, too, and by strict readers: what is no number is null."""
    write_text(path, json.dumps(_strict(values), indent=2, allow_nan=False) + "\n")


def _strict(tree: Any) -> Any:
    if isinstance(tree, float) and not math.isfinite(tree):
        return None
    if isinstance(tree, dict):
        return {key: _strict(value) for key, value in tree.items()}
    return [_strict(value) for value in tree] if isinstance(tree, (list, tuple)) else tree
