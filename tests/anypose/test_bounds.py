from __future__ import annotations

import pytest
import torch

from anypose.bounds import largest, largest_of, limit, raised_to
from pose2d.network.weight_files import read_weights
from pose3d.lifting.convert import read_bin


@pytest.fixture(autouse=True)
def as_nobody_set_it(monkeypatch):
    monkeypatch.delenv("ANYPOSE_MAX_GIGABYTES", raising=False)


def test_a_key_raises_the_limit_for_as_long_as_the_command_runs(monkeypatch):
    assert largest() == 2_000_000_000
    assert largest_of(1) == 1 << 28
    with raised_to(16):
        assert largest() == largest_of(1) == 16_000_000_000
    with raised_to(None):
        assert largest() == 2_000_000_000
    monkeypatch.setenv("ANYPOSE_MAX_GIGABYTES", "3")
    with raised_to(0.5):
        assert largest() == 500_000_000
    assert largest() == 3_000_000_000


def test_the_limit_says_how_it_is_raised():
    assert (
        limit(largest())
        == "2 GB (if you trust the file, set max_gigabytes=N; outside a command ANYPOSE_MAX_GIGABYTES=N)"
    )


@pytest.mark.parametrize("size", [0, -1, 1e7, float("inf")])
def test_what_is_no_size_is_named_by_its_key(size):
    with pytest.raises(ValueError, match=r"max_gigabytes must be a number of gigabytes above 0"), raised_to(size):
        pass


def test_a_number_repeated_without_end_is_no_weight(tmp_path):
    """1.4 kilobytes that would become 16 GB once somebody copies them."""
    file = tmp_path / "a.bin"
    torch.save({"model_pos": {"a": torch.zeros(1).expand(1 << 32)}}, file)
    for read in (read_bin, read_weights):
        with pytest.raises(ValueError, match=r"a\.bin has \d+ bytes, and its tensors would need 17179869184"):
            read(file)
    tied = torch.zeros(1000)
    torch.save({"model_pos": {"a": tied, "b": tied}}, file)
    assert len(read_weights(file)) == len(read_bin(file)["model_pos"]) == 2
