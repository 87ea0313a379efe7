"""Where this project lies, in a checkout or installed, and what its commands are called there."""

from __future__ import annotations

import re
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
ROOT = PACKAGE.parent  # of a checkout, or where packages are installed
INSTALLED = (PACKAGE / "conf").is_dir()  # a wheel carries conf/ and the scripts inside
CONF = PACKAGE / "conf" if INSTALLED else ROOT / "conf"
SCRIPTS = PACKAGE / "scripts" if INSTALLED else ROOT

_DISPATCHED = re.compile(r"((?:python -m )?anypose) \w+")  # what `anypose/__main__.py` calls itself
_AS_WRITTEN = re.compile(r"\bpython (?:-m anypose (\w+)|(train|evaluate|predict|export)\.py)")


def typed(name: str) -> str:
    """How a command is typed here: as this program was started, else "python train.py" in a checkout, "anypose train"
    where it is installed."""
    if dispatched := _DISPATCHED.fullmatch(sys.argv[0]):
        return f"{dispatched[1]} {name}"
    if INSTALLED:
        return f"anypose {name}"
    return f"python {name}.py" if (SCRIPTS / f"{name}.py").is_file() else f"python -m anypose {name}"


def as_typed(text: str) -> str:
    """A text with the commands in it as they are typed here."""
    return _AS_WRITTEN.sub(lambda found: typed(found[1] or found[2]), text)
