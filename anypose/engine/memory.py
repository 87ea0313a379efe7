"""Freed memory stays with the process: blocks of 4 MB and more would be mapped and faulted in anew by every step."""

from __future__ import annotations

import ctypes
import sys


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed blocks; false where the C library cannot."""
    # Windows has no library of the process itself to look into.
    mallopt = None if sys.platform == "win32" else getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    trim_threshold, mmap_threshold = -1, -3
    # Older glibc refuses thresholds above 32 MiB.
    kept = mallopt(mmap_threshold, 1 << 30) or mallopt(mmap_threshold, 1 << 25)
    return bool(kept and mallopt(trim_threshold, 2**31 - 1))
