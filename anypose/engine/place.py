"""Where this project lies, in a checkout or installed, and what its commands are called there."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
ROOT = PACKAGE.parent  # of a checkout, or where packages are installed
INSTALLED = (PACKAGE / "conf").is_dir()  # a wheel carries conf/ and the scripts inside
CONF = PACKAGE / "conf" if INSTALLED else ROOT / "conf"
SCRIPTS = PACKAGE / "scripts" if INSTALLED else ROOT


def typed(name: str) -> str:
    """How a command is typed here: "python train.py" in a checkout, "anypose train" where it is installed."""
    if INSTALLED:
        return f"anypose {name}"
    return f"python {name}.py" if (SCRIPTS / f"{name}.py").is_file() else f"python -m anypose {name}"
