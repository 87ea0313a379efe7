"""MATLAB files as scipy writes them."""

import re

import numpy as np
import pytest
from scipy.io import savemat

from anypose.formats.mat_file import read_mat

ARRAYS = {
    "headboxes_src": np.random.default_rng(0).normal(size=(2, 2, 7)),
    "jnt_missing": np.random.default_rng(1).integers(0, 2, (16, 7)).astype(np.uint8),
    "small": np.array([[3]], np.int16),
    "wide": np.arange(300.0)[None],
}


@pytest.mark.parametrize("compressed", [False, True])
def test_numeric_arrays_are_read_and_the_rest_is_passed_over(tmp_path, compressed):
    others = {"cell": np.array(["a", 1], dtype=object), "text": "words", "structure": {"a": 1}}
    savemat(tmp_path / "gt.mat", ARRAYS | others, do_compression=compressed)
    found = read_mat(tmp_path / "gt.mat")
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)


def test_other_and_damaged_files_are_refused(tmp_path):
    path = tmp_path / "gt.mat"
    path.write_bytes(b"\x89HDF" + b"\0" * 600)
    with pytest.raises(ValueError, match=re.escape("gt.mat (604 bytes) is no MATLAB file of version 5 to 7")):
        read_mat(path)
    savemat(path, ARRAYS)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"gt.mat is damaged: .*cut off"):
        read_mat(path)
