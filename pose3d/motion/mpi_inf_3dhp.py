"""MPI-INF-3DHP's own annotation files: S1/Seq1/annot.mat, ... for training, TS1/annot_data.mat, ... for testing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from anypose.formats.h5 import open_h5, read_array
from anypose.formats.mat import read_mat
from anypose.formats.npz import motion_array
from anypose.skeleton import MPI_INF_3DHP_17, MPI_INF_3DHP_28, convert


def read_training(path: Path, annotation: str, cameras: Sequence[int]) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """For each camera its number, (T, 17, 2) keypoints [px] and (T', 17, 3) joints in its axes, in the file's unit."""
    cells = read_mat(path, ["annot2", annotation])
    for camera in cameras:
        arrays = []
        for name, size in (("annot2", 2), (annotation, 3)):
            where = f"{path}, camera {camera}"
            if cells[name].dtype != object or cells[name].size <= camera:
                raise ValueError(f"{where}: {name} must be a cell for each camera, found {cells[name].shape}.")
            array = motion_array(cells[name].ravel()[camera], ("T", 28 * size), f"{where}, {name}")
            arrays.append(convert(array.reshape(-1, 28, size), MPI_INF_3DHP_28, MPI_INF_3DHP_17))
        yield camera, arrays[0], arrays[1]


def read_test(path: Path, annotation: str) -> list[np.ndarray]:
    """Keypoints, joints and whether a frame is valid, as the file has them: neither shapes nor lengths are checked."""
    with open_h5(path) as file:
        return [read_array(file, name, path, finite=False).squeeze() for name in ("annot2", annotation, "valid_frame")]


def test_folder(root: Path) -> Path:
    """Where the test sequences lie: in a folder of the release's name, or beside the training ones."""
    folder = root / "mpi_inf_3dhp_test_set"
    return folder if folder.is_dir() else root


def picture_size(subject: str) -> tuple[int, int]:
    """Width and height [px]."""
    return (1920, 1080) if subject in ("TS5", "TS6") else (2048, 2048)
