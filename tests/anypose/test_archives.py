"""Pickles inside torch's archives are judged before torch reads them."""

import pickle
import zipfile
from collections import OrderedDict
from contextlib import suppress

import numpy as np
import pytest
import torch
from torch import nn

from anypose import archives
from anypose.archives import check_archive
from anypose.engine import checkpoint
from anypose.formats.npz import names_in_npz, read_npz
from pose2d.network.weight_files import read_weights
from pose3d.lifting.convert import read_bin

BOMB = b"\x80\x02c__builtin__\nbytearray\n(L60000000000L\ntR."


def write(path, content: bytes, legacy: bool) -> None:
    """An archive of torch's, in either form, whose pickle is `content`."""
    torch.save({"a": torch.ones(2)}, path, _use_new_zipfile_serialization=not legacy)
    if legacy:
        path.write_bytes(b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {})) + content)
        return
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, content if name.endswith("data.pkl") else data)


@pytest.mark.parametrize("legacy", [False, True])
def test_memory_made_out_of_a_number_is_refused_by_every_reader(tmp_path, legacy):
    """60 GB of sixty bytes, which torch would set aside."""
    path = tmp_path / "a.pt"
    write(path, BOMB, legacy)
    for read in (read_bin, read_weights, *([] if legacy else [checkpoint.load])):
        with pytest.raises(ValueError, match=r"a\.pt.*it names __builtin__\.bytearray"):
            read(path)


@pytest.mark.parametrize("legacy", [False, True])
def test_what_torch_saves_of_plain_containers_passes(tmp_path, legacy):
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).half()
    optimizer = torch.optim.Adam(model.parameters())
    state = OrderedDict(model=model.state_dict(), weight=model[0].weight, optimizer=optimizer.state_dict(), n=(1, 2.0))
    state["device"], state["shape"], state["dtype"] = torch.device("cpu"), torch.Size([2]), torch.float16
    torch.save(state, tmp_path / "a.pt", _use_new_zipfile_serialization=not legacy)
    check_archive(tmp_path / "a.pt")
    torch.save({"best": np.float64(3.0), "model": {"w": torch.ones(2)}}, tmp_path / "b.pt")
    with pytest.raises(ValueError, match=r"it names numpy\.\w+\.multiarray\.scalar"):
        check_archive(tmp_path / "b.pt")
    assert read_weights(tmp_path / "b.pt").keys() == {"w"}


def test_a_wrong_check_sum_is_damage(tmp_path):
    torch.save({"model_pos": {"a": torch.ones(2)}}, tmp_path / "a.bin")
    data = (tmp_path / "a.bin").read_bytes()
    (tmp_path / "a.bin").write_bytes(data.replace(b"model_pos", b"model_qos"))
    with pytest.raises(
        ValueError, match=r"a\.bin .* damaged, or holds what is not read: its archive cannot be read \(Bad"
    ):
        read_bin(tmp_path / "a.bin")


def test_a_pickle_of_many_operations_is_refused(tmp_path, monkeypatch):
    write(tmp_path / "a.pt", b"\x80\x02" + b"]" * 200 + b".", legacy=False)
    check_archive(tmp_path / "a.pt")
    monkeypatch.setattr(archives, "MOST_OPERATIONS", 100)
    with pytest.raises(ValueError, match="its pickle has more than 100 operations"):
        check_archive(tmp_path / "a.pt")


def test_damage_that_looks_like_an_escape_is_no_warning(tmp_path):
    write(tmp_path / "a.pt", b"\x80\x02ca\\q\nb\n.", legacy=False)
    with pytest.raises(ValueError, match="it names a"):
        check_archive(tmp_path / "a.pt")


@pytest.mark.parametrize(
    ("operand", "told"),
    [
        (b"\x80\x02ctorch\nload\n.", "GLOBAL torch.load"),
        (b"\x80\x02Pname\n.", "Unsupported operand 80"),
        (b"\x80\x02", "EOF"),
    ],
)
def test_nobody_is_told_to_read_a_file_unguarded(tmp_path, operand, told):
    """Torch's own words say how to switch the guard off, and that it "will likely succeed"."""
    path = tmp_path / "a.pt"
    write(path, operand, legacy=False)
    for read in (read_bin, read_weights, checkpoint.load):
        with pytest.raises(ValueError, match=r"a\.pt") as refused:
            read(path)
        assert told in str(refused.value)
        for advice in ("weights_only", "will likely succeed", "safe_globals", "\x1b", "https:"):
            assert advice not in str(refused.value)


@pytest.mark.parametrize("cut", [3, 400])
def test_an_archive_whose_list_points_before_its_beginning_is_damaged(tmp_path, cut):
    """As when bytes were lost in the middle: what the system then says of a seek names no file."""
    torch.save({"model": {"a": torch.ones(200)}, "config": {}, "format": 1, "model_pos": {}}, tmp_path / "a.pt")
    np.savez(tmp_path / "a.npz", a=np.ones(200))
    for name in ("a.pt", "a.npz"):
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[:100] + data[100 + cut :])
    for read in (read_bin, read_weights, checkpoint.load):
        with pytest.raises(ValueError, match=r"a\.pt.* damaged"):
            read(tmp_path / "a.pt")
    for read_arrays in (names_in_npz, lambda path: read_npz(path, ["a"])):
        with suppress(ValueError):
            read_arrays(tmp_path / "a.npz")


@pytest.mark.parametrize("protocol", [0, 3, 80, 255])
def test_a_pickle_that_says_another_protocol_is_read_without_a_warning(tmp_path, protocol):
    """torch warns of it on its way to reading it, and warnings are errors in these tests."""
    path = tmp_path / "a.pt"
    torch.save({"model_pos": {"w": torch.ones(2)}}, path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes().replace(b"\x80\x02", bytes([0x80, protocol])))
    assert read_bin(path)["model_pos"]["w"].tolist() == [1, 1]
    assert read_weights(path)["w"].tolist() == [1, 1]
