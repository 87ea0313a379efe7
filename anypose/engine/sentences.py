"""What goes wrong, told in sentences, and the code that the process ends with."""

from __future__ import annotations

import os
import re
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, InstantiationException
from omegaconf.errors import OmegaConfBaseException

from anypose.engine.place import CONF, ROOT
from anypose.settings import Misuse

FAILED, MISUSED, INTERRUPTED = 1, 2, 130
PACKAGES = ("anypose", "pose2d", "pose3d")
FULL_ERROR = "HYDRA_FULL_ERROR"
TOLD = (HydraException, ValueError, OSError, ImportError, RuntimeError, FloatingPointError)  # in sentences, if ours
STUMBLED = (TypeError, AttributeError, LookupError)  # of Hydra over a command line, before a job has started
MEMORY = re.compile(r"not enough memory|out of memory|can't allocate memory|Unable to allocate", re.IGNORECASE)


@contextmanager
def told(started: Callable[[], bool] = lambda: True, hints: Callable[[], list[str]] = list) -> Iterator[None]:
    """Around a command: end the process with a sentence and 1 (failed), 2 (misused) or 130 (interrupted).

    What was not foreseen keeps its traceback, and ends with 1 as well; everything does where HYDRA_FULL_ERROR=1.

    Args:
        started: whether the command line was taken, so that what went wrong is no misuse of it.
        hints: `suggestions` for a command line that was not.
    """
    whole = os.environ.get(FULL_ERROR) == "1"
    try:
        yield
        return
    except KeyboardInterrupt:
        if whole:
            raise
        sentence, code = "Interrupted. Nothing was saved since the last line that says so.", INTERRUPTED
    except (*TOLD, *STUMBLED, MemoryError, OmegaConfBaseException) as error:
        lines = [] if started() else hints()
        sentence = None if whole else explanation(error, lines)
        if sentence is None:
            raise
        if not started() and isinstance(root(error), OSError):
            sentence += " Runs are written there; hydra.run.dir=FOLDER (hydra.sweep.dir=FOLDER) names another."
        code = MISUSED if is_misuse(error, started()) else FAILED
    print(sentence, file=sys.stderr)
    sys.exit(code)  # outside the handler, or the traceback comes along


def is_misuse(error: BaseException, started: bool) -> bool:
    """Whether the settings are at fault, and not what they were used on.

    Args:
        error: what ended the command.
        started: whether the command line was taken.
    """
    cause = root(error)
    return isinstance(cause, Misuse) or _unbuilt(error) or not (started or isinstance(cause, OSError))


def root(error: BaseException) -> BaseException:
    """What was raised inside the wrapping of Hydra and OmegaConf."""
    while isinstance(error, (InstantiationException, OmegaConfBaseException)):
        inner = error.__cause__ or error.__context__  # OmegaConf raises its own while it handles a resolver's
        if not isinstance(inner, Exception):
            break
        error = inner
    return error


def explanation(error: BaseException, hints: list[str]) -> str | None:
    """What the user can act on, as sentences; None where only a traceback helps.

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
    where = f"({type(cause).__name__}; {FULL_ERROR}=1 shows where it was raised.)"
    if isinstance(cause, (HydraException, OmegaConfBaseException)):
        return f"{cause}\n{cause.__cause__}" if cause.__cause__ else str(cause)
    if _told(cause):
        return str(cause) if isinstance(cause, Misuse) else f"{where}\n{cause}"
    if _lacks_memory(cause):
        first = next(iter(str(cause).strip().splitlines()), "no more was given")
        return (
            f"{where}\nThe memory does not suffice: {first} "
            "Lower trainer.batch_size, trainer.evaluation_batch_size or the sizes of the model."
        )
    if isinstance(cause, OSError) and cause.strerror:  # what the system says of a file, a disk, a pipe
        name = f"{cause.filename}: " if cause.filename else ""
        return f"{where}\n{name}{cause.strerror}."
    if _unbuilt(error):
        key = re.search(r"full_key: (\S+)", str(error))
        section = key[1] if key else "A section of the configuration"
        return f"{where}\n{section} cannot be built with these settings: {cause or type(cause).__name__}"
    return None


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
            quoted = f"{key}='{value}'" if "'" not in value else f'{key}="{value}"'
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


def _for_shell(word: str) -> str:
    """Quoted as people do it, where that is safe."""
    return shlex.quote(word) if re.search(r'["$`\\!]', word) else f'"{word}"'
