"""Named arrays of a file of weights that another project wrote, in four forms. Nothing in the file runs."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from anypose.archives import DAMAGED, read_archive, reason_of
from anypose.bounds import check_repeated
from anypose.formats.npz import names_in_npz, read_npz
from anypose.formats.tf_checkpoint import is_tf_checkpoint, read_tf_checkpoint

_UNREADABLE = (
    pickle.UnpicklingError, RuntimeError, EOFError, LookupError, ValueError, TypeError, AttributeError, OverflowError,
    OSError, MemoryError,
)  # fmt: skip
# A best score beside the weights is often one of NumPy's numbers, under the names that its versions pickle them by.
_SCALAR = np.float64(0).__reduce__()[0]
_SCALARS: list[Any] = [
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("float32", "float64", "int64")),
    *((_SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
]
_SCALAR_NAMES = [
    "numpy.dtype",
    *(f"numpy.{core}.multiarray.scalar" for core in ("core", "_core")),
    *(f"numpy.dtypes.{type(np.dtype(kind)).__name__}" for kind in ("float32", "float64", "int64")),
]
_ELSEWHERE = {
    ".onnx": "An ONNX file is no checkpoint: give the weights that it was exported from.",
    ".om": "A compiled network is no checkpoint: give the weights that it was exported from.",
    ".index": "Name a TensorFlow checkpoint by what its files have in common, without .index.",
    ".meta": "Name a TensorFlow checkpoint by what its files have in common, without .meta.",
}


def read_weights(path: Path, setting: str = "task.weights") -> dict[str, Any]:
    """The named arrays of a file.

    Args:
        path: a file, or what a TensorFlow checkpoint's files have in common.
        setting: how the user named it.

    Raises:
        FileNotFoundError: where there is no such file.
        ValueError: where it cannot be read, holds nothing, or holds what is not finite.
    """
    where = f"{setting}={path}"
    if path.suffix in _ELSEWHERE:
        raise ValueError(f"{where} holds no weights that can be taken over. {_ELSEWHERE[path.suffix]}")
    if path.is_dir():
        near = sorted(child.name for child in path.iterdir())[:6]
        raise FileNotFoundError(f"{where} is a folder. Name a file in it; it has {', '.join(near) or 'none'}.")
    if is_tf_checkpoint(path):
        arrays: dict[str, Any] = dict(read_tf_checkpoint(path))
    elif not path.is_file():
        near = sorted(child.name for child in path.parent.iterdir())[:6] if path.parent.is_dir() else []
        found = f"{path.parent} has {', '.join(near)}." if near else f"There is nothing in {path.parent}."
        raise FileNotFoundError(f"{where} does not exist. {found}")
    elif path.suffix == ".npz":
        arrays = read_npz(path, names_in_npz(path))
    elif path.suffix == ".safetensors":
        try:
            arrays = load_file(path)
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{where} is damaged or no safetensors file: {error}. Fetch it again.") from error
    else:
        arrays = _read_torch(path, where)
    numeric = {name: value for name, value in arrays.items() if _is_numeric(value)}
    if not numeric:
        raise ValueError(f"{where} holds no named tensors. Is it a checkpoint with weights?")
    for name, value in numeric.items():
        if not torch.isfinite(torch.as_tensor(value)).all():
            raise ValueError(f"{where}: {name} holds NaN or infinity. A training that diverged?")
    return numeric


def _is_numeric(value: Any) -> bool:
    return isinstance(value, Tensor) or (isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "fiub")


def _read_torch(path: Path, where: str) -> dict[str, Any]:
    packed: list[str] = []
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                packed = [info.filename for info in archive.infolist() if info.compress_type != zipfile.ZIP_STORED]
    except (*DAMAGED, ValueError) as error:
        raise ValueError(f"{where} is a damaged archive: {str(error)[:200]}. Fetch it again.") from error
    if packed:
        raise ValueError(f"{where} is no checkpoint: {packed[0]} is compressed, which torch's never are.")
    try:
        state = read_archive(path, _SCALARS, _SCALAR_NAMES)
    except _UNREADABLE as error:
        raise ValueError(
            f"{where} cannot be read without running code that it contains, or is damaged ({reason_of(error)}). Save "
            "its state_dict alone, where you trust it, and load that."
        ) from error
    for key in ("state_dict", "model", "model_pos"):
        if isinstance(state, dict) and isinstance(state.get(key), Mapping):
            state = state[key]
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{where} holds no named tensors, at the top or under 'state_dict', 'model' or 'model_pos'.")
    check_repeated(state.values(), path, where)
    return {str(name): value for name, value in state.items()}
