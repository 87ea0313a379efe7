"""Checkpoints: tensors and plain containers in fp32 on the CPU, written so that a kill leaves the last good one."""

from __future__ import annotations

import json
import pickle
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from anypose.archives import DAMAGED, read_archive, reason_of
from anypose.engine.stored import plain_choices, plain_config
from anypose.whole import write_whole

FORMAT = 1
ELSEWHERE = "Weights of other projects go through readers: scored by `evaluate model=NAME init=FILE dataset=NAME`."
# What torch's reader raises on bytes that are no archive of its own.
UNREADABLE = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    OSError,
    ArithmeticError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    struct.error,
)
MOST_VALUES, DEEPEST = 200_000, 50  # of a checkpoint: the largest here has 10,000 in 6 levels
HEADER = "anypose"  # where the header of a weights file carries its description


def save(path: Path, state: dict[str, Any]) -> None:
    """Write `state` under a temporary name, flush it to the disk, then rename it over `path`.

    Raises:
        OSError: when the disk refuses; `path` then still holds what it held before.
    """
    write_whole(path, lambda file: torch.save({"format": FORMAT} | to_cpu(state), file), "the checkpoint ")


def load(path: Path, mapped: bool = False) -> dict[str, Any]:
    """Read a checkpoint onto the CPU. Nothing but tensors and plain containers is ever unpickled.

    Its "config" and "choices" are plain values that name nothing but what this project's own conf/ names.

    Args:
        path: the file.
        mapped: read no tensor before it is used, where the rest is wanted.

    Raises:
        FileNotFoundError: when there is none.
        ValueError: when the file is damaged, is not a checkpoint of this project, or would have other code run.
    """
    if not path.is_file():
        raise FileNotFoundError(f"No checkpoint at {path}.")
    state = _load_exported(path) if path.suffix == ".safetensors" else _load_archive(path, mapped)
    for part in ("model", "trained"):
        if not _are_weights(state.get(part, {})):
            raise ValueError(f"{path}: its '{part}' must be named tensors.")
    _check_whole(state, path)
    config, choices = plain_config(state["config"], str(path)), plain_choices(state.get("choices", {}), str(path))
    return state | {"config": config, "choices": choices}


def _are_weights(tensors: Any) -> bool:
    named = isinstance(tensors, dict) and all(isinstance(name, str) for name in tensors)
    return named and all(isinstance(tensor, Tensor) for tensor in tensors.values())


def _load_archive(path: Path, mapped: bool) -> dict[str, Any]:
    what = f"{path} ({path.stat().st_size} bytes) is damaged or is no checkpoint"
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError(f"{what}: not a whole torch archive. {ELSEWHERE}")
        with zipfile.ZipFile(path) as archive:
            packed = [info.filename for info in archive.infolist() if info.compress_type != zipfile.ZIP_STORED]
    except DAMAGED as error:
        raise ValueError(f"{what}: its list of contents cannot be read ({str(error)[:200]}).") from error
    if packed:
        raise ValueError(f"{what}: {packed[0]} is compressed, which torch's archives never are.")
    try:
        state = read_archive(path, mapped=mapped)
    except UNREADABLE as error:
        raise ValueError(f"{what}: {reason_of(error)}. {ELSEWHERE}") from error
    if not isinstance(state, dict) or "model" not in state or "config" not in state:
        keys = ", ".join(map(str, list(state)[:6])) if isinstance(state, dict) else type(state).__name__
        raise ValueError(f"{path} holds no model with its config; found {keys}. {ELSEWHERE}")
    if state.get("format") != FORMAT:
        raise ValueError(f"{path} has checkpoint format {state.get('format')}, this code reads {FORMAT}.")
    return state


def _check_whole(state: dict[str, Any], path: Path) -> None:
    """Every number of a tensor stands in the file: one number repeated without end, or zeros left out, would not.

    Raises:
        ValueError: naming what the file would grow to.
    """
    size = 0
    for tensor in _tensors(state, path):
        if (
            tensor.layout != torch.strided
            or tensor.is_quantized
            or tensor.is_meta
            or type(tensor) not in (Tensor, nn.Parameter)
        ):
            what = "no numbers of its own" if tensor.is_meta else f"layout {tensor.layout}"
            raise ValueError(f"{path} holds a tensor of {what}; checkpoints have plain ones.")
        size += tensor.numel() * tensor.element_size()
    if size > path.stat().st_size:
        raise ValueError(f"{path} has {path.stat().st_size} bytes, and its tensors would need {size}.")


def _tensors(state: dict[str, Any], path: Path) -> Iterator[Tensor]:
    """Every tensor; ValueError where containers stand in themselves, or in each other again and again."""
    left: list[tuple[Any, int]] = [(state, 0)]
    count = 0
    while left:
        node, depth = left.pop()
        count += 1
        if count > MOST_VALUES or depth > DEEPEST:
            raise ValueError(f"{path} holds more than {MOST_VALUES} values, or is more than {DEEPEST} levels deep.")
        if isinstance(node, Tensor):
            yield node
        elif isinstance(node, (dict, list, tuple)):
            left += [(value, depth + 1) for value in (node.values() if isinstance(node, dict) else node)]


def _load_exported(path: Path) -> dict[str, Any]:
    """What `export.py format=safetensors` wrote: the weights, and out of the header the configuration and choices."""
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get(HEADER, "{}"))
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, a file is no dict
    except (SafetensorError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} ({path.stat().st_size} bytes) is damaged or no safetensors file: {error}.") from error
    if not isinstance(about, dict) or not {"config", "choices"} <= set(about):
        raise ValueError(
            f"{path} holds weights without the configuration of their model. Write it with `export format=safetensors`."
        )
    return {"model": weights, "config": about["config"], "choices": about["choices"]}


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    """Load `weights` into `model`, or say exactly which keys and shapes differ.

    Raises:
        ValueError: as `check_fit` and `check_finite`.
    """
    check_fit(model, weights, source)
    check_finite(weights, source)
    model.load_state_dict(weights)


def check_fit(model: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    """Whether `weights` are of `model`.

    Raises:
        ValueError: naming missing, unexpected and differently shaped keys.
    """
    wanted = model.state_dict()
    missing = [key for key in wanted if key not in weights]
    unexpected = [key for key in weights if key not in wanted]
    shapes = [
        f"{key}: model {tuple(wanted[key].shape)}, checkpoint {tuple(weights[key].shape)}"
        for key in wanted
        if key in weights and wanted[key].shape != weights[key].shape
    ]
    found = [("missing", missing), ("unexpected", unexpected), ("of another shape", shapes)]
    kinds = [
        f"{key}: model {wanted[key].dtype}, checkpoint {weights[key].dtype}"
        for key in wanted
        if key in weights and _kind(wanted[key]) != _kind(weights[key])
    ]
    found.append(("of another kind of numbers", kinds))
    parts = [f"{len(keys)} {what} ({_some(keys)})" for what, keys in found if keys]
    if parts:
        raise ValueError(
            f"{source} does not fit {type(model).__name__}: {'; '.join(parts)}. It was saved by another model."
        )


def check_finite(weights: Mapping[str, Tensor], source: str) -> None:
    """Whether all of `weights` are numbers.

    Raises:
        ValueError: naming the first tensor that holds what is none.
    """
    if broken := [key for key, value in weights.items() if not value.isfinite().all()]:
        first = weights[broken[0]]
        raise ValueError(
            f"{source}: {int((~first.isfinite()).sum())} of the {first.numel()} numbers of {broken[0]} are NaN or "
            f"infinite{f', and so in {len(broken) - 1} more tensors' if broken[1:] else ''}. Its training went wrong, "
            "or the file is damaged. Take an earlier one."
        )


def _kind(tensor: Tensor) -> tuple[bool, bool]:
    return tensor.is_floating_point(), tensor.is_complex()


def to_cpu(tree: Any) -> Any:
    """The same nest of dicts, lists and tuples with every tensor detached, on the CPU and contiguous."""
    if isinstance(tree, Tensor):
        return tree.detach().to("cpu", copy=True).contiguous()
    if isinstance(tree, dict):
        return {key: to_cpu(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [to_cpu(value) for value in tree]
    return tree


def _some(keys: list[str], limit: int = 3) -> str:
    return ", ".join(keys[:limit]) + (", ..." if len(keys) > limit else "")
