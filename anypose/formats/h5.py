"""Arrays out of HDF5 files that nobody vouches for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import h5py

MAX_NUMBERS = 1 << 26


@contextmanager
def open_h5(path: Path) -> Iterator[h5py.File]:
    """The h5py.File at `path`, read-only; what h5py raises while it is open becomes a ValueError with the path."""
    try:
        import h5py
    except ImportError:
        raise ImportError(f"{path} is HDF5: reading it needs h5py, pip install 'anypose[h36m]'.") from None
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError) as error:
        raise ValueError(f"{path} cannot be read as HDF5, it is cut off or damaged: {error}") from None


def read_array(file: h5py.File, name: str, path: Path, finite: bool = True) -> np.ndarray:
    """Dataset `name` as float64 of whatever shape it has, all `finite` unless told otherwise.

    External links and storage are not followed: they would read other files.
    """
    import h5py

    node = file
    for part in name.split("/"):
        if not isinstance(node, h5py.Group) or not isinstance(node.get(part, getlink=True), h5py.HardLink):
            have = ", ".join(str(there) for there in list(file)[:8])
            raise ValueError(f"{path} has no dataset '{name}'; it has {have or 'nothing'}.")
        node = node[part]
    if not isinstance(node, h5py.Dataset) or _kind(node, path) not in "fiu" or node.external or node.is_virtual:
        raise ValueError(f"{path}: '{name}' is not an array of numbers.")
    count = math.prod(node.shape)
    if not 0 < count <= MAX_NUMBERS:
        raise ValueError(f"{path}: '{name}' has shape {node.shape}; 1 to {MAX_NUMBERS} numbers are possible.")
    array = np.asarray(node[()], dtype=np.float64)
    if finite and not np.isfinite(array).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{path}: '{name}' holds NaN or infinity, first at {place}.")
    return array


def _kind(dataset: h5py.Dataset, path: Path) -> str:
    """NumPy's letter for the type of the dataset's numbers."""
    try:
        return dataset.dtype.kind
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as HDF5, it is cut off or damaged: {error}") from None
