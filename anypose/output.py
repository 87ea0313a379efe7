"""Standard output, which somebody may have stopped reading and which may go to a full disk."""

from __future__ import annotations

import os
import sys


def write_out() -> None:
    """Write what is still held back; where that fails, nothing more is tried, or Python complains once more at its end.

    Raises:
        OSError: where nobody reads on, or the disk is full.
    """
    if sys.stdout is None:  # it was closed from the beginning
        return
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise
