"""ONNX Runtime on files that nobody vouches for: bounded memory, and what it raises as sentences with the path.

A file of 300 bytes can ask for an array of 100 GB when it runs. So what ONNX Runtime holds on the CPU has a limit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from anypose.bounds import largest, limit, memory

NOISE = re.compile(
    r"\[ONNXRuntimeError\] : \d+ : \w+ : |/onnxruntime_src/\S+ [^\[]*\) "
)  # codes and places of its source
LARGER = 8  # times the largest array: what all networks may hold together


@contextmanager
def told_of(ort: Any, path: Path, doing: str) -> Iterator[None]:
    """What ONNX Runtime raises becomes a ValueError.

    Args:
        ort: the module.
        path: the network's file.
        doing: what it refuses, "cannot be read as an ONNX network".
    """
    state = ort.capi.onnxruntime_pybind11_state
    problems = tuple(kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception))
    try:
        yield
    except (*problems, RuntimeError, UnicodeDecodeError) as error:
        reason = NOISE.sub("", " ".join(str(error).split()))[:400].rstrip(".")
        hint = f" It may hold {limit(_most())} while it computes." if "memory" in reason else ""
        if re.search("external|ExtData", reason, re.IGNORECASE):
            hint = " Its weights lie in another file: put that, whole and no link, beside it, or save both as one file."
        raise ValueError(f"{path} {doing}: {reason}.{hint}") from None


def bound_memory(ort: Any, options: Any) -> None:
    """Let a session that is opened with `options` share one limit with all others."""
    place = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    ort.create_and_register_allocator(place, ort.OrtArenaCfg(_most(), -1, -1, -1))
    options.add_session_config_entry("session.use_env_allocators", "1")


def _most() -> int:
    return min(LARGER * largest(), memory() // 2)


def described(text: str | None, path: Path) -> dict[str, Any]:
    """What an export wrote about a network, out of its file or from beside it; empty where there is nothing."""
    try:
        about = json.loads(text) if text else {}
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: its description is no JSON ({str(error)[:80]}). Export it again.") from None
    if not isinstance(about, dict):
        raise ValueError(f"{path}: its description must be a mapping, found {type(about).__name__}. Export it again.")
    return about
