import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st

from anypose.formats.mat import read_mat


def cells(*arrays) -> np.ndarray:
    cell = np.empty((len(arrays), 1), dtype=object)
    for i, array in enumerate(arrays):
        cell[i, 0] = array
    return cell


def content() -> dict:
    rng = np.random.default_rng(0)
    return {
        "annot2": cells(*(rng.normal(size=(7, 56)).astype(t) for t in ("f8", "f4", "f8"))),
        "frames": np.array([[7]], np.uint16),
        "whole": np.round(rng.normal(size=(3, 4, 2)) * 5),
        "text": "hello",
        "struct": {"a": 1.0},
        "nested": cells(cells(np.ones((1, 1)))),
        "complex": np.array([[1j]]),
    }


@pytest.fixture(params=[False, True], ids=["plain", "compressed"])
def path(tmp_path, request):
    scipy.io.savemat(tmp_path / "x.mat", content(), do_compression=request.param)
    return tmp_path / "x.mat"


def test_arrays_and_cells_are_what_scipy_wrote(path):
    written = content()
    read = read_mat(path, ["annot2", "frames", "whole"])
    assert read["annot2"].shape == (3, 1)
    for ours, theirs in zip(read["annot2"].ravel(), written["annot2"].ravel(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(read["frames"], written["frames"])
    np.testing.assert_array_equal(read["whole"], written["whole"])


def test_without_names_every_array_of_numbers_comes_and_the_rest_is_passed_over(path):
    read = read_mat(path)
    assert read.keys() == {"frames", "whole"}
    np.testing.assert_array_equal(read["whole"], content()["whole"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent", r"x\.mat has no variable absent; it has annot2, frames"),
        ("text", r"'text' is of MATLAB's class 4, not an array of numbers"),
        ("struct", r"'struct' is of MATLAB's class 2, not an array of numbers"),
        ("nested", r"'nested', cell 0 is of MATLAB's class 1, not an array"),
        ("complex", r"'complex' is complex"),
    ],
)
def test_what_is_not_numbers_is_refused(path, name, message):
    with pytest.raises(ValueError, match=message):
        read_mat(path, [name])


def test_a_cut_or_foreign_file_is_refused(path):
    data = path.read_bytes()
    for length in (200, 700, len(data) - 20):
        path.write_bytes(data[:length])
        with pytest.raises(ValueError, match=r"x\.mat is cut off or damaged: "):
            read_mat(path, ["annot2", "whole"])
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(500))
    with pytest.raises(ValueError, match=r"x\.mat is a \.mat file of version 7\.3; save it with '-v7'"):
        read_mat(path, ["annot2"])
    path.write_bytes(bytes(500))
    with pytest.raises(ValueError, match=r"x\.mat is not a \.mat file of version 5 to 7"):
        read_mat(path, ["annot2"])


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setenv("ANYPOSE_MAX_GIGABYTES", "0.0001")
    scipy.io.savemat(tmp_path / "x.mat", {"zeros": np.zeros((1000, 1000))}, do_compression=True)
    with pytest.raises(ValueError, match=r"its variables need more than 0\.0001 GB .*set max_gigabytes=N"):
        read_mat(tmp_path / "x.mat", ["zeros"])


def test_sizes_that_lie_and_cells_without_end_are_refused(tmp_path):
    """scipy alone would set the announced memory aside, or follow cells in cells until the stack is used up."""
    path = tmp_path / "x.mat"
    scipy.io.savemat(path, {"whole": np.ones((3, 5))})
    data = path.read_bytes()
    at = data.index(np.array([9, 120], "<u4").tobytes())
    path.write_bytes(data[: at + 4] + np.array([0xFFFFFF00], "<u4").tobytes() + data[at + 8 :])
    with pytest.raises(ValueError, match=r"x\.mat is cut off or damaged"):
        read_mat(path, ["whole"])
    nested = b""
    for _ in range(20_000):
        body = np.array([6, 8, 1, 0, 5, 8, 1, 1, 1, 0], "<u4").tobytes() + nested
        nested = np.array([14, len(body)], "<u4").tobytes() + body
        if len(nested) > 1 << 22:
            break
    body = np.array([6, 8, 1, 0, 5, 8, 1, 1, 4 << 16 | 1], "<u4").tobytes() + b"deep" + nested
    path.write_bytes(data[:128] + np.array([14, len(body)], "<u4").tobytes() + body)
    with pytest.raises(ValueError, match=r"'deep', cell 0 is of MATLAB's class 1"):
        read_mat(path, ["deep"])


@given(changes=st.lists(st.tuples(st.integers(120, 2000), st.binary(min_size=1, max_size=8)), min_size=1, max_size=3))
def test_a_damaged_file_is_read_or_refused(tmp_path_factory, changes):
    path = tmp_path_factory.getbasetemp() / "damaged.mat"
    scipy.io.savemat(path, {"annot2": cells(np.ones((3, 4)), np.ones((3, 4))), "b": np.eye(5)})
    data = bytearray(path.read_bytes())
    for at, new in changes:
        data[at % len(data) : at % len(data) + len(new)] = new
    path.write_bytes(data)
    try:
        read_mat(path, ["annot2", "b"])
    except ValueError as error:
        refused = str(error)
    else:
        refused = str(path)
    assert str(path) in refused
