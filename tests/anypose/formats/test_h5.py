import h5py
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from anypose.formats.h5 import open_h5, read_array


@pytest.fixture
def path(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["group/numbers"] = np.arange(6, dtype=np.int16).reshape(2, 3)
        file["text"] = "hello"
    return tmp_path / "x.h5"


def read(path, name):
    with open_h5(path) as file:
        return read_array(file, name, path)


def test_numbers_come_as_float64(path):
    array = read(path, "group/numbers")
    assert array.dtype == np.float64
    np.testing.assert_array_equal(array, [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("numbers", r"x\.h5 has no dataset 'numbers'; it has group, text\."),
        ("group", r"'group' is not an array of numbers"),
        ("text", r"'text' is not an array of numbers"),
        ("group/numbers/deeper", r"has no dataset 'group/numbers/deeper'"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(path, name, message):
    with pytest.raises(ValueError, match=message):
        read(path, name)


def test_nan_is_named_with_its_place(path):
    with h5py.File(path, "a") as file:
        file["bad"] = np.array([[1, 2], [3, np.nan]])
    with pytest.raises(ValueError, match=r"'bad' holds NaN or infinity, first at \(1, 1\)"):
        read(path, "bad")


def test_absurd_sizes_are_refused_before_they_are_allocated(path):
    with h5py.File(path, "a") as file:
        file.create_dataset("huge", shape=(1 << 20, 1 << 20), dtype="f8", chunks=(1024, 1024))
        file.create_dataset("empty", shape=(0, 3), dtype="f8")
    with pytest.raises(ValueError, match=r"'huge' has shape \(1048576, 1048576\) in chunks of \(1024, 1024\); 1 "):
        read(path, "huge")
    with pytest.raises(ValueError, match=r"'empty' has shape \(0, 3\)"):
        read(path, "empty")


def test_other_files_are_not_reached_through_this_one(path, tmp_path):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["numbers"] = np.ones(3)
    (tmp_path / "raw").write_bytes(np.ones(3).tobytes())
    layout = h5py.VirtualLayout(shape=(3,), dtype="f8")
    layout[:] = h5py.VirtualSource(tmp_path / "secret.h5", "numbers", shape=(3,))
    with h5py.File(path, "a") as file:
        file["link"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "numbers")
        file.create_dataset("raw", (3,), "f8", external=[(str(tmp_path / "raw"), 0, 24)])
        file.create_virtual_dataset("virtual", layout)
    for name in ("link", "raw", "virtual"):
        with pytest.raises(ValueError, match=r"has no dataset 'link'|is not an array of numbers"):
            read(path, name)


def test_a_cut_file_is_refused_with_its_path(path):
    data = path.read_bytes()
    for length in (5, 100, len(data) // 2):
        path.write_bytes(data[:length])
        with pytest.raises(ValueError, match=r"x\.h5 cannot be read as HDF5, it is cut off or damaged"):
            read(path, "group/numbers")


@example(at=890, new=b"\x01")  # a type of numbers that NumPy has not
@given(at=st.integers(0, 4000), new=st.binary(min_size=1, max_size=8))
def test_a_damaged_file_is_read_or_refused(tmp_path_factory, at, new):
    path = tmp_path_factory.getbasetemp() / "damaged.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("numbers", data=np.arange(60.0).reshape(5, 12), chunks=(5, 12), compression="gzip")
    data = bytearray(path.read_bytes())
    data[at % len(data) : at % len(data) + len(new)] = new
    path.write_bytes(data)
    try:
        array, error = read(path, "numbers"), ""
    except ValueError as refused:
        array, error = None, str(refused)
    assert array is None or array.nbytes <= 1 << 28
    assert not error or str(path) in error


def test_without_h5py_the_error_names_the_extra(path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(ImportError, match=r"pip install 'anypose\[h36m\]'"):
        read(path, "group/numbers")
