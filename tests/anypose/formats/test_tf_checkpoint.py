"""TensorFlow's two checkpoint forms, written here byte by byte from their description and read back."""

import struct
from pathlib import Path

import numpy as np
import pytest

from anypose.formats.tf_checkpoint import is_tf_checkpoint, read_tf_checkpoint

MAGIC = 0xDB4775248B80FB57
TENSORS = {
    "resnet_v1_50/conv1/weights": np.random.default_rng(0).normal(size=(3, 3, 2, 4)).astype(np.float32),
    "resnet_v1_50/conv1/BatchNorm/gamma": np.arange(4, dtype=np.float32),
    "resnet_v1_50/conv2/weights": np.ones((1, 1, 4, 4), np.float32),
    "beta1_power": np.array(0.9, np.float64),
    "global_step": np.array(-4682, np.int64),
    "half": np.array([0.5, -2.0], np.float16),
}
KINDS = {"float32": 1, "float64": 2, "int32": 3, "int64": 9, "float16": 19}
FIELDS = {"float32": 5, "float64": 6, "int32": 7, "int64": 10, "float16": 13}


def varint(value: int) -> bytes:
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def shape(array: np.ndarray) -> bytes:
    return b"".join(field(2, field(1, size)) for size in array.shape)


def table(entries: dict[bytes, bytes], per_block: int = 2, compression: int = 0) -> bytes:
    """A sorted-string table with shared key prefixes and several blocks."""

    def block(pairs: list[tuple[bytes, bytes]]) -> bytes:
        out, last = b"", b""
        for key, value in pairs:
            shared = 0
            while shared < min(len(key), len(last)) and key[shared] == last[shared]:
                shared += 1
            out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
            last = key
        return out + struct.pack("<II", 0, 1)

    data, index = b"", []
    items = sorted(entries.items())

    def add(content: bytes) -> bytes:
        nonlocal data
        handle = varint(len(data)) + varint(len(content))
        data += content + bytes([compression]) + b"crc."
        return handle

    for i in range(0, len(items), per_block):
        index.append((items[i : i + per_block][-1][0] + b"~", add(block(items[i : i + per_block]))))
    meta = add(block([]))
    handles = meta + add(block(index))
    return data + handles.ljust(40, b"\0") + struct.pack("<Q", MAGIC)


def write_v2(prefix: Path, tensors=TENSORS, **kwargs) -> None:
    entries, data = {b"": field(1, 1)}, b""
    for name, array in tensors.items():
        entry = field(1, KINDS[array.dtype.name]) + field(2, shape(array)) + field(4, len(data))
        entries[name.encode()] = entry + field(5, array.nbytes) + varint(6 << 3 | 5) + b"crc."
        data += array.tobytes()
    entries[b"_CHECKPOINTABLE_OBJECT_GRAPH"] = field(1, 7) + field(5, 3)
    Path(f"{prefix}.index").write_bytes(table(entries, **kwargs))
    Path(f"{prefix}.data-00000-of-00001").write_bytes(data)


def write_v1(path: Path, tensors=TENSORS, sliced: bool = False, packed: bool = True, published: bool = True) -> None:
    """SavedTensorSlices (saved_tensor_slice.proto): under the empty key `meta`, under each other key one `data`.

    As TensorSliceWriter writes them the type and shape of a tensor stand in `meta` alone; `published=False` puts them
    into each tensor's own message, too.
    """
    meta = b""
    for name, array in tensors.items():
        extent = b"".join(field(1, b"") for _ in array.shape)
        about = field(1, name.encode()) + field(2, shape(array)) + field(3, KINDS[array.dtype.name]) + field(4, extent)
        meta += field(1, about)
    entries = {b"": field(1, meta + field(2, field(1, 0)))}
    for i, (name, array) in enumerate(tensors.items()):
        if array.dtype.name in ("float32", "float64"):
            parts = [array.tobytes()]
        elif array.dtype.name == "float16":
            parts = [b"".join(varint(int(v)) for v in array.view(np.uint16))]
        else:
            parts = [b"".join(varint(int(v)) for v in array.ravel())]
        number = FIELDS[array.dtype.name]
        values = b"".join(field(number, part) for part in parts)
        if not packed and array.dtype.name == "float32":
            values = b"".join(varint(number << 3 | 5) + struct.pack("<f", v) for v in array.ravel())
        extent = field(1, field(2, 1)) if sliced else b"".join(field(1, b"") for _ in array.shape)
        proto = (b"" if published else field(1, KINDS[array.dtype.name]) + field(2, shape(array))) + values
        saved = field(1, name.encode()) + field(2, extent) + field(3, proto)
        entries[b"\x00\x01" + bytes([i])] = field(2, saved)
    path.write_bytes(table(entries))


def assert_reads_back(path: Path) -> None:
    assert is_tf_checkpoint(path)
    found = dict(read_tf_checkpoint(path))
    assert found.keys() == TENSORS.keys()
    for name, array in TENSORS.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("per_block", [1, 2, 100])
def test_index_and_data_files_are_read(tmp_path, per_block):
    write_v2(tmp_path / "snapshot_140.ckpt", per_block=per_block)
    assert_reads_back(tmp_path / "snapshot_140.ckpt")


@pytest.mark.parametrize("published", [True, False])
@pytest.mark.parametrize("packed", [True, False])
def test_the_one_file_form_is_read(tmp_path, packed, published):
    write_v1(tmp_path / "resnet_v1_50.ckpt", packed=packed, published=published)
    assert_reads_back(tmp_path / "resnet_v1_50.ckpt")


def test_a_checkpoint_in_which_nothing_is_found_is_an_error(tmp_path):
    for write in (write_v1, write_v2):
        write(tmp_path / "empty.ckpt", {})
        with pytest.raises(ValueError, match=r"empty\.ckpt is a TensorFlow checkpoint without numeric tensors"):
            dict(read_tf_checkpoint(tmp_path / "empty.ckpt"))
        (tmp_path / "empty.ckpt").unlink(missing_ok=True)
    entry = field(2, field(1, b"lost") + field(3, field(5, b"\0\0\0\0")))
    (tmp_path / "v1.ckpt").write_bytes(table({b"": field(1, b""), b"\1": entry}))
    with pytest.raises(ValueError, match="neither 'lost' nor the list of contents says its type"):
        dict(read_tf_checkpoint(tmp_path / "v1.ckpt"))


def test_other_files_are_not_taken_for_checkpoints(tmp_path):
    (tmp_path / "a.pth").write_bytes(b"x" * 100)
    assert not is_tf_checkpoint(tmp_path / "a.pth")
    assert not is_tf_checkpoint(tmp_path / "nothing")


def test_damage_is_named(tmp_path):
    path = tmp_path / "model.ckpt"
    write_v2(path, compression=1)
    with pytest.raises(ValueError, match=r"model.ckpt.index: its tables are compressed"):
        dict(read_tf_checkpoint(path))
    write_v2(path)
    data = Path(f"{path}.data-00000-of-00001")
    data.write_bytes(data.read_bytes()[:40])
    with pytest.raises(ValueError, match=r"of shape \(.*should fill \d+ bytes at \d+ of its data file, and does not"):
        dict(read_tf_checkpoint(path))
    index = Path(f"{path}.index")
    index.write_bytes(index.read_bytes()[:-30])
    with pytest.raises(ValueError, match="does not end as a TensorFlow checkpoint must"):
        dict(read_tf_checkpoint(path))
    write_v1(tmp_path / "v1.ckpt", sliced=True)
    with pytest.raises(ValueError, match="A partitioned variable or a damaged file"):
        dict(read_tf_checkpoint(tmp_path / "v1.ckpt"))


def test_random_damage_never_hangs_or_escapes_as_anything_but_a_value_error(tmp_path):
    write_v1(tmp_path / "v1.ckpt")
    whole = (tmp_path / "v1.ckpt").read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        broken = bytearray(whole)
        for place in rng.integers(0, len(whole) - 8, 3):
            broken[place] = rng.integers(256)
        (tmp_path / "broken.ckpt").write_bytes(broken)
        try:
            dict(read_tf_checkpoint(tmp_path / "broken.ckpt"))
        except ValueError:
            refused += 1
    assert refused > 10


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ([(9, (2**63, 0), 0, 0)], r"0 values have no shape"),
        ([(1, (8,), 0, 32)] * 2, r"its tensors lie over each other in the data file"),
        ([(1, (8,), 64, 32)], r"should fill 32 bytes at 64 of its data file"),
    ],
)
def test_what_an_index_says_of_its_data_is_held_against_it(tmp_path, fields, message):
    entries = {b"": field(1, 1)}
    for number, (kind, sizes, offset, size) in enumerate(fields):
        about = field(2, b"".join(field(2, field(1, side)) for side in sizes))
        entries[b"w%d" % number] = field(1, kind) + about + field(4, offset) + field(5, size)
    (tmp_path / "a.index").write_bytes(table(entries))
    (tmp_path / "a.data-00000-of-00001").write_bytes(bytes(32))
    with pytest.raises(ValueError, match=message):
        dict(read_tf_checkpoint(tmp_path / "a"))
    (tmp_path / "a.data-00000-of-00001").unlink()
    with pytest.raises(FileNotFoundError, match=r"a\.data-00000-of-00001 does not exist\. It should be the data of"):
        dict(read_tf_checkpoint(tmp_path / "a"))


def test_long_names_and_cut_numbers_are_damage(tmp_path):
    (tmp_path / "a.ckpt").write_bytes(table({b"x" * 5000: b""}))
    with pytest.raises(ValueError, match=r"a\.ckpt: a name of 500\d bytes"):
        dict(read_tf_checkpoint(tmp_path / "a.ckpt"))
    for values in (b"\xff", b"\xff" * 11 + b"\x01"):
        about = field(1, b"n") + field(2, field(2, field(1, 1))) + field(3, 9)
        saved = field(2, field(1, b"n") + field(3, field(10, values)))
        (tmp_path / "a.ckpt").write_bytes(table({b"": field(1, field(1, about)), b"\1": saved}))
        with pytest.raises(ValueError, match=r"a\.ckpt: 'n' .* damaged"):
            dict(read_tf_checkpoint(tmp_path / "a.ckpt"))
