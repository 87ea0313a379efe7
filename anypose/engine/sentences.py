"""What goes wrong, told in sentences, and the code that the process ends with."""

from __future__ import annotations

import difflib
import os
import re
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, InstantiationException
from omegaconf.errors import OmegaConfBaseException

from anypose.engine.interruptions import INTERRUPTED, TERMINATED, Terminated, begin, terminated
from anypose.engine.place import CONF, ROOT
from anypose.output import write_out
from anypose.settings import Misuse

FAILED, MISUSED = 1, 2
PACKAGES = ("anypose", "pose2d", "pose3d")
FULL_ERROR = "HYDRA_FULL_ERROR"
TOLD = (HydraException, ValueError, OSError, ImportError, RuntimeError, FloatingPointError)  # in sentences, if ours
STUMBLED = (TypeError, AttributeError, LookupError)  # of Hydra over a command line, before a job has started
FORESEEN = (*TOLD, *STUMBLED, MemoryError, OmegaConfBaseException)
STOPS: dict[type[BaseException], tuple[str, int]] = {
    stop: (f"{how}. Nothing was saved since the last line that says so.", code)
    for stop, how, code in (
        (KeyboardInterrupt, "Interrupted", INTERRUPTED),
        (Terminated, "Ended by SIGTERM", TERMINATED),
    )
}
MEMORY = re.compile(r"not enough memory|out of memory|can't allocate memory|Unable to allocate", re.IGNORECASE)


@contextmanager
def told(started: Callable[[], bool] = lambda: True, hints: Callable[[], list[str]] = list) -> Iterator[None]:
    """Around a command: end the process with a sentence and 1 (failed), 2 (misused), 130 (Ctrl-C) or 143 (SIGTERM).

    What was not foreseen keeps its traceback, and ends with 1 as well; everything does where HYDRA_FULL_ERROR=1.

    Args:
        started: whether the command line was taken, so that what went wrong is no misuse of it.
        hints: `suggestions` for a command line that was not.
    """
    whole = os.environ.get(FULL_ERROR) == "1"
    try:
        begin()
        with terminated():
            yield
        write_out()
        return
    except (*STOPS, Exception) as error:
        stopped = stopped_by(error)
        if not stopped and not isinstance(error, FORESEEN):
            raise
        lines = [] if started() or stopped else hints()
        sentence = None if whole else STOPS[type(stopped)][0] if stopped else explanation(error, lines)
        if sentence is None:
            raise
        if not stopped and not started() and _of_the_system(root(error)):
            sentence += " Runs are written there; hydra.run.dir=FOLDER (hydra.sweep.dir=FOLDER) names another."
        code = STOPS[type(stopped)][1] if stopped else MISUSED if is_misuse(error, started()) else FAILED
    with suppress(OSError):
        write_out()
    print(sentence, file=sys.stderr)
    sys.exit(code)  # outside the handler, or the traceback comes along


def stopped_by(error: BaseException | None) -> BaseException | None:
    """What stopped the command, behind what libraries stumbled over and raised while they were left."""
    seen: list[BaseException] = []  # against circles
    while error is not None and error not in seen and not isinstance(error, tuple(STOPS)):
        seen.append(error)
        error = error.__cause__ or error.__context__
    return error if isinstance(error, tuple(STOPS)) else None


def is_misuse(error: BaseException, started: bool) -> bool:
    """Whether the settings are at fault, and not what they were used on.

    Args:
        error: what ended the command.
        started: whether the command line was taken.
    """
    cause = root(error)
    unread = isinstance(cause, OmegaConfBaseException)  # a value such as ${nothing}
    return isinstance(cause, Misuse) or unread or _unbuilt(error) or not (started or _of_the_system(cause))


def _of_the_system(cause: BaseException) -> bool:
    """Whether a file or a disk is at fault; Hydra says of a configuration that is not there that it is one."""
    return isinstance(cause, OSError) and not isinstance(cause, HydraException)


def root(error: BaseException) -> BaseException:
    """What was raised inside the wrapping of Hydra and OmegaConf."""
    while isinstance(error, (InstantiationException, OmegaConfBaseException)):
        inner = error.__cause__ or error.__context__  # OmegaConf raises its own while it handles a resolver's
        if not isinstance(inner, Exception):
            break
        error = inner
    return error


def explanation(error: BaseException, hints: list[str]) -> str | None:
    """What the user can act on, in one line; None where only a traceback helps.

    What this project raises with a message, what Hydra says of a command line, what the system says of a file, and what
    any constructor says of its settings, is meant for the user. What else a library raises was not foreseen, also where
    it has no Python frames of its own: torch on shapes that do not fit.

    Args:
        error: what ended the command.
        hints: `suggestions` for a command line that does not compose; they say it better than Hydra.
    """
    if hints:
        return "\n".join(hints)
    cause = root(error)
    if isinstance(cause, (HydraException, OmegaConfBaseException)):
        return ": ".join(_first_line(part).rstrip(".") for part in (cause, cause.__cause__) if part) + "."
    if _told(cause):
        return str(cause)
    if _lacks_memory(cause):
        first = next(iter(str(cause).strip().splitlines()), "no more was given")
        return (
            f"The memory does not suffice: {first} "
            "Lower trainer.batch_size, trainer.evaluation_batch_size or the sizes of the model."
        )
    if isinstance(cause, OSError) and cause.strerror:  # what the system says of a file, a disk, a pipe
        name = f"{cause.filename}: " if cause.filename else ""
        return f"{name}{cause.strerror}."
    if _unbuilt(error):
        key = re.search(r"full_key: (\S+)", str(error))
        section = key[1] if key else "A section of the configuration"
        return f"{section} cannot be built with these settings: {' '.join(str(cause).split()) or type(cause).__name__}"
    return None


def _first_line(error: BaseException) -> str:
    """What Hydra or OmegaConf says, with the key before it that stands in a line of its own below."""
    text = str(error)
    key = re.search(r"^\s*full_key: (\S+)", text, re.MULTILINE)
    first = next(iter(text.strip().splitlines()), type(error).__name__)
    return f"{key[1]}: {first}" if key and key[1] not in first else first


def _told(cause: BaseException) -> bool:
    """Whether this project raised it, with a message for the user."""
    frames = traceback.extract_tb(cause.__traceback__)
    ours = bool(frames) and _is_ours(Path(frames[-1].filename)) and (frames[-1].line or "").startswith("raise")
    return ours and isinstance(cause, TOLD)


def _lacks_memory(cause: BaseException) -> bool:
    return isinstance(cause, MemoryError) or (isinstance(cause, RuntimeError) and bool(MEMORY.search(str(cause))))


def _unbuilt(error: BaseException) -> bool:
    """Whether a constructor of another library stumbled over its settings."""
    cause = root(error)
    foreseen = isinstance(cause, (HydraException, OmegaConfBaseException)) or _told(cause) or _lacks_memory(cause)
    return (
        isinstance(error, InstantiationException)
        and not foreseen
        and not (isinstance(cause, OSError) and bool(cause.strerror))
    )


def _is_ours(file: Path) -> bool:
    """Whether a file is a script or a package of this project, in a checkout or installed."""
    packages = any(file.is_relative_to(ROOT / name) for name in PACKAGES)
    return packages or (file.parent == ROOT and "site-packages" not in file.parts)


# Of Hydra's command line.
FLAGS = (
    "--multirun", "--cfg", "--package", "--resolve", "--run", "--info", "--config-name", "--config-path",
    "--config-dir", "--experimental-rerun", "--shell-completion", "--hydra-help", "--version",
)  # fmt: skip
SHORT = ("-m", "-c", "-p", "-r", "-i", "-cn", "-cp", "-cd", "-sc")


def in_order(words: list[str]) -> list[str]:
    """Flags first, as Hydra wants them; people write `-m` between two settings, too.

    Raises:
        Misuse: for a flag that there is none of.
    """
    for word in words:
        flag = word.partition("=")[0]
        if flag.startswith("-") and flag not in SHORT and not any(known.startswith(flag) for known in FLAGS):
            near = difflib.get_close_matches(flag, (*FLAGS, "--help"), n=1)
            hint = f"Did you mean {near[0]}? " if near else ""
            raise Misuse(f"There is no flag {flag}. {hint}A setting is key=value; `--help` shows what can be set.")
    return sorted(words, key=lambda word: word[:1] == "~" or ("=" in word and word[:1] != "-"))


def check_words(words: list[str]) -> list[str]:
    """What is wrong with the words of a command line as such: no key=value, or a value that wants quotes."""
    parser, lines = OverridesParser.create(), []
    for word in words:
        if word.startswith("-"):
            continue
        key, sign, value = word.partition("=")
        if not sign and not word.startswith("~"):
            lines.append(f"'{word}' is no setting. A setting is key=value: model={word}, trainer.epochs=3.")
            continue
        try:
            override = parser.parse_override(word)
            if override.value() is None and not override.is_delete() and (CONF / override.key_or_group).is_dir():
                lines.append(f"{word} names no choice. `--help` lists those of {override.key_or_group}.")
        except HydraException as error:
            quoted = f"{key}={_in_quotes(value)}"
            try:
                parser.parse_override(quoted)
            except HydraException:
                lines.append(f"{word} cannot be read: {str(error).splitlines()[0]}.")
            else:
                lines.append(
                    f"{word} cannot be read as it stands: {str(error).splitlines()[0]}. A value with blanks, =, #, ~, "
                    f"brackets or letters beyond a-z wants quotes inside the shell's: {_for_shell(quoted)}"
                )
    return lines


def _in_quotes(value: str) -> str:
    """A value in quotes of Hydra's; of a list those members that have none."""
    if value[:1] == "[" and value[-1:] == "]":
        members = (member.strip() for member in value[1:-1].split(","))
        return "[" + ",".join(member if member[:1] in ("'", '"') else f"'{member}'" for member in members) + "]"
    return f"'{value}'" if "'" not in value else f'"{value}"'


def _for_shell(word: str) -> str:
    """Quoted as people do it, where that is safe."""
    return shlex.quote(word) if re.search(r'["$`\\!]', word) else f'"{word}"'
