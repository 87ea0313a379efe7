import io
import re
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anypose.formats.npz import motion_array, read_npy, read_npz


def test_arrays_and_pickled_containers_are_read(tmp_path):
    names, numbers = np.array(["a.jpg", "b.jpg"]), np.asfortranarray(np.arange(12.0).reshape(3, 4))
    held = {"S1": {"Walking": np.zeros((2, 17, 3), np.float32)}}
    np.savez_compressed(tmp_path / "x.npz", names=names, numbers=numbers, held=np.array(held, dtype=object))
    read = read_npz(tmp_path / "x.npz", ["names", "numbers", "held"])
    np.testing.assert_array_equal(read["names"], names)
    np.testing.assert_array_equal(read["numbers"], numbers)
    np.testing.assert_array_equal(read["held"]["S1"]["Walking"], held["S1"]["Walking"])
    read["numbers"][0] = 7  # arrays can be written to


def test_what_is_missing_is_named_with_what_is_there(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.zeros(1), b=np.zeros(1))
    with pytest.raises(ValueError, match=r"x\.npz has no array 'positions_3d'; it has a, b\."):
        read_npz(tmp_path / "x.npz", ["positions_3d"])


def test_a_cut_or_foreign_file_is_refused(tmp_path):
    path = tmp_path / "x.npz"
    np.savez_compressed(path, a=np.random.default_rng(0).normal(size=1000))
    data = path.read_bytes()
    for length in (10, 500, len(data) - 5):
        path.write_bytes(data[:length])
        with pytest.raises(ValueError, match=r"x\.npz is not a whole \.npz file"):
            read_npz(path, ["a"])
    path.write_bytes(data[:200] + bytes(100) + data[300:])
    with pytest.raises(ValueError, match=r"x\.npz is not a whole \.npz file"):
        read_npz(path, ["a"])


def npy(header: str, data: bytes) -> tuple[io.BytesIO, int]:
    text = header.encode() + b"\n"
    content = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data
    return io.BytesIO(content), len(content)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,)}", "does not fit"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (0, 99999999999999999)}", "does not fit"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (30,)}", "240 bytes should follow the header, found 80"),
        ("{'descr': '<c16', 'fortran_order': False, 'shape': (5,)}", "an array of complex128 is not motion"),
        ("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (5,)}", "the header of the array cannot be read"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (5L", "the header of the array cannot be read"),
        ("{'descr': 'f4, f4', 'fortran_order': False, 'shape': (5,)}", "is not motion"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': 'x'}", "the header of the array cannot be read"),
        ("__import__('os').system('true')", "the header of the array cannot be read"),
        ("{'descr': '<f8'}", "the header of the array cannot be read"),
    ],
)
def test_headers_that_do_not_fit_are_refused(header, message):
    stream, size = npy(header, bytes(80))
    with pytest.raises(ValueError, match=r"^x, a: .*" + message):
        read_npy(stream, size + 400, "x, a")


def test_a_member_larger_than_allowed_is_refused_unread(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "x.npz", a=np.zeros(1000))
    monkeypatch.setenv("ANYPOSE_MAX_GIGABYTES", "0.000001")
    with pytest.raises(ValueError, match=r"'a' has 8128 bytes; at most 1e-06 GB .*set max_gigabytes=N"):
        read_npz(tmp_path / "x.npz", ["a"])
    monkeypatch.setenv("ANYPOSE_MAX_GIGABYTES", "1")
    assert read_npz(tmp_path / "x.npz", ["a"])["a"].shape == (1000,)
    monkeypatch.setenv("ANYPOSE_MAX_GIGABYTES", "much")
    with pytest.raises(ValueError, match=r"ANYPOSE_MAX_GIGABYTES='much' must be a number of gigabytes above 0"):
        read_npz(tmp_path / "x.npz", ["a"])


@pytest.mark.slow
def test_a_bomb_is_refused_by_what_it_would_grow_to(tmp_path):
    path = tmp_path / "bomb.npz"
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (100000000,)}\n"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a.npy", "w", force_zip64=True) as member,
    ):
        member.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
        for _ in range(100):
            member.write(bytes(4_000_000))
    assert path.stat().st_size < 1_000_000
    with pytest.raises(ValueError, match=r"'a' has 400000074 bytes; at most 0.268 GB .*are read"):
        read_npz(path, ["a"])


def test_members_packed_in_other_ways_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.npy", npy("{'descr': '<f8', 'fortran_order': False, 'shape': (5,)}", bytes(40))[0].read())
    with pytest.raises(ValueError, match=r"x\.npz: 'a' is packed in way 14, not by NumPy"):
        read_npz(tmp_path / "x.npz", ["a"])


def test_members_cannot_claim_more_than_they_hold(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, a=np.arange(4.0))
    with zipfile.ZipFile(path) as archive:
        stored = archive.getinfo("a.npy").file_size
    data = path.read_bytes().replace(stored.to_bytes(4, "little"), (stored + 800).to_bytes(4, "little"))
    path.write_bytes(data.replace(b"'shape': (4,)", b"'shape': (99,)"[:13]))
    with pytest.raises(ValueError, match=re.escape(str(path))):
        read_npz(path, ["a"])


@given(at=st.integers(0, 600), new=st.binary(min_size=1, max_size=6))
def test_a_damaged_file_is_read_or_refused(tmp_path_factory, at, new):
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    np.savez(path, a=np.arange(20.0), held=np.array({"S1": np.zeros(3)}, dtype=object))
    data = bytearray(path.read_bytes())
    data[at : at + len(new)] = new
    path.write_bytes(data)
    try:
        read_npz(path, ["a", "held"])
    except ValueError as error:
        refused = str(error)
    else:
        refused = str(path)
    assert str(path) in refused


def test_motion_is_told_from_anything_else():
    motion_array(np.zeros((3, 17, 2), np.float16), ("T", 17, 2), "x")
    for value, found in ((None, "NoneType"), ([1, 2], "list"), (np.array(["a"]), "ndarray")):
        with pytest.raises(ValueError, match=f"x must be an array of numbers, found {found}"):
            motion_array(value, ("T",), "x")
    with pytest.raises(ValueError, match=r"x must have shape \(T, 17, 2\), got \(3, 16, 2\)"):
        motion_array(np.zeros((3, 16, 2)), ("T", 17, 2), "x")
