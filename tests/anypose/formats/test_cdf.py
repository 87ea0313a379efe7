import struct
import tracemalloc
import zlib

import cdflib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anypose.formats.cdf import read_cdf
from tests.pose3d.motion.motion_files import motion_32, write_cdf


def content(tmp_path, frames=7, **options) -> bytes:
    write_cdf(tmp_path / "take.cdf", motion_32(frames, 0), **options)
    return (tmp_path / "take.cdf").read_bytes()


@pytest.mark.parametrize("majority", ["row_major", "column_major"])
@pytest.mark.parametrize(("compress", "whole"), [(0, False), (6, False), (6, True), (0, True)])
def test_every_order_and_compression_gives_what_was_written_and_what_cdflib_reads(tmp_path, majority, compress, whole):
    data = content(tmp_path, frames=50, majority=majority, compress=compress, whole=whole)
    assert (data[4:8] == b"\xcc\xcc\x00\x01") == whole
    pose = read_cdf(data, "Pose", "take.cdf")
    np.testing.assert_array_equal(pose, motion_32(50, 0)[None])
    np.testing.assert_array_equal(pose, cdflib.CDF(tmp_path / "take.cdf").varget("Pose"))


def test_records_and_several_variables_are_told_apart(tmp_path):
    rng = np.random.default_rng(0)
    single, many = rng.normal(size=(300, 4)).astype(np.float32), rng.normal(size=(5, 2, 3))
    file = cdflib.cdfwrite.CDF(tmp_path / "two.cdf")
    spec = {"Num_Elements": 1, "Rec_Vary": True}
    file.write_var({**spec, "Variable": "A", "Data_Type": 44, "Dim_Sizes": [4]}, var_data=single)
    file.write_var({**spec, "Variable": "B", "Data_Type": 45, "Dim_Sizes": [2, 3]}, var_data=many)
    file.close()
    data = (tmp_path / "two.cdf").read_bytes()
    np.testing.assert_array_equal(read_cdf(data, "A", "two"), single)
    np.testing.assert_array_equal(read_cdf(data, "B", "two"), many)
    with pytest.raises(ValueError, match=r"two has no variable 'Pose'; it has A, B\."):
        read_cdf(data, "Pose", "two")


def gdr_at(data: bytes) -> int:
    return struct.unpack(">q", data[20:28])[0]


def patched(data: bytes, at: int, value: int, size: int) -> bytes:
    return data[:at] + value.to_bytes(size, "big", signed=True) + data[at + size :]


def test_truncated_files_are_refused_with_the_byte(tmp_path):
    data = content(tmp_path)
    for length in (3, 8, 100, 330, 500, 800, len(data) - 10):
        with pytest.raises(ValueError, match=r"^take\.cdf(, byte \d+|: | is not a CDF)"):
            read_cdf(data[:length], "Pose", "take.cdf")


def test_counts_without_bound_are_not_followed(tmp_path):
    data = content(tmp_path)
    counts = gdr_at(data) + 12 + 4 * 8
    with pytest.raises(ValueError, match=r"2147483647 dimensions; CDF has at most 10"):
        read_cdf(patched(data, counts + 12, 2**31 - 1, 4), "Pose", "take.cdf")
    zvdr = struct.unpack(">q", data[counts - 24 : counts - 16])[0]
    with pytest.raises(ValueError, match=r"1 records of \(2147483647, 96\); 1 number to 0.268 GB"):
        read_cdf(patched(data, zvdr + 12 + 72 + 256 + 4, 2**31 - 1, 4), "Pose", "take.cdf")


def test_links_that_circle_end_in_an_error(tmp_path):
    data = content(tmp_path)
    counts = gdr_at(data) + 12 + 4 * 8
    zvdr = struct.unpack(">q", data[counts - 24 : counts - 16])[0]
    many = patched(data, counts + 16, 2**31 - 1, 4)
    with pytest.raises(ValueError, match=r"this record is linked twice"):
        read_cdf(patched(many, zvdr + 12, zvdr, 8), "Other", "take.cdf")
    vxr = struct.unpack(">q", data[zvdr + 28 : zvdr + 36])[0]
    with pytest.raises(ValueError, match=r"this record is linked twice"):
        read_cdf(patched(data, vxr + 12, vxr, 8), "Pose", "take.cdf")


def test_a_compression_bomb_is_not_unpacked(monkeypatch):
    monkeypatch.setenv("ANYPOSE_MAX_GIGABYTES", "0.001")
    deflate = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = deflate.compress(bytes(1 << 26)) + deflate.flush()
    head = b"\xcd\xf3\x00\x01\xcc\xcc\x00\x01"
    ccr = struct.pack(">qiqqi", 32 + len(packed), 10, 40 + len(packed), 1 << 26, 0)
    cpr = struct.pack(">qiiiii", 28, 11, 5, 0, 1, 6)
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"take\.cdf, byte \d+: it needs more than 0.001 GB .*unpacked"):
        read_cdf(head + ccr + packed + cpr, "Pose", "take.cdf")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 24


def test_what_is_not_a_cdf_file_is_refused_by_its_first_bytes():
    with pytest.raises(ValueError, match=r"x is not a CDF file of version 2\.6 or later: it starts with 89484446"):
        read_cdf(b"\x89HDF\r\n\x1a\n" + bytes(100), "Pose", "x")


def test_integers_and_texts_are_not_motion(tmp_path):
    file = cdflib.cdfwrite.CDF(tmp_path / "int.cdf")
    spec = {"Variable": "Pose", "Data_Type": 4, "Num_Elements": 1, "Rec_Vary": True, "Dim_Sizes": [3]}
    file.write_var(spec, var_data=np.ones((1, 3), dtype=np.int32))
    file.close()
    with pytest.raises(ValueError, match=r"must hold one floating-point number an element .* found data type 4, 1"):
        read_cdf((tmp_path / "int.cdf").read_bytes(), "Pose", "int.cdf")


def attack(data: bytes, changes: list[tuple[int, bytes]], length: int) -> str:
    """Change and cut `data`, read it, return the error."""
    damaged = bytearray(data)
    for at, new in changes:
        at %= len(damaged)
        damaged[at : at + len(new)] = new
    try:
        pose = read_cdf(bytes(damaged[:length]), "Pose", "take.cdf")
    except ValueError as error:
        return str(error)
    return "" if pose.dtype == np.float64 else "wrong dtype"


def test_what_cdflib_stumbles_over_is_told_as_damage(tmp_path, monkeypatch):
    """RuntimeError, from a CPR of another kind; found by the fuzz."""
    monkeypatch.setattr(cdflib.CDF, "varget", lambda *_: (_ for _ in ()).throw(RuntimeError("Unexpected section type")))
    with pytest.raises(ValueError, match=r"^take\.cdf: Unexpected section type; the file is cut off or damaged"):
        read_cdf(content(tmp_path), "Pose", "take.cdf")


# Most bytes of a file are numbers, so damage aims at the first 1500, where the structure is.
CHANGES = st.lists(st.tuples(st.integers(0, 1500), st.binary(min_size=1, max_size=8)), max_size=4)


@pytest.fixture(scope="module")
def contents(tmp_path_factory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("cdf")
    return [content(folder, compress=6, majority="row_major"), content(folder, whole=True), content(folder)]


@given(kind=st.integers(0, 2), changes=CHANGES, keep=st.floats(0, 1))
def test_a_damaged_file_is_read_or_refused_and_never_hangs(contents, kind, changes, keep):
    data = contents[kind]
    error = attack(data, changes, int(len(data) * min(1, 2 * keep)))
    assert not error or error.startswith("take.cdf")
