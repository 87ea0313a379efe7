"""Arrays out of HDF5 files that nobody vouches for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from anypose.bounds import largest_of, limit

if TYPE_CHECKING:
    import h5py


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
    # Asked for as float64; a chunk is unpacked whole, however little of it the array covers.
    needed = 8 * max(math.prod(node.shape), math.prod(node.chunks or ()))
    most = largest_of(node.id.get_storage_size())
    if not math.prod(node.shape) > 0 or needed > most:
        chunks = f" in chunks of {node.chunks}" if node.chunks else ""
        raise ValueError(f"{path}: '{name}' has shape {node.shape}{chunks}; 1 number to {limit(most)} are read.")
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
