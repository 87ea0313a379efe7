"""Every sample of an epoch, in batches that batch normalisation takes, the same number on every process."""

from __future__ import annotations

import pytest

from anypose.batching import batch_stretches


@pytest.mark.parametrize("samples", [2, 7, 8, 9, 15, 16, 17, 64, 65])
@pytest.mark.parametrize("batch_size", [2, 3, 8])
def test_nothing_is_lost_and_no_batch_holds_one(samples, batch_size):
    stretches = batch_stretches(samples, batch_size, drop_last=False)
    rows = list(range(samples))
    assert [row for stretch in stretches for row in rows[stretch]] == rows
    sizes = [len(rows[stretch]) for stretch in stretches]
    assert min(sizes) > 1
    assert all(size == batch_size for size in sizes[:-1])
    assert sizes[-1] <= batch_size + 1
    whole = batch_stretches(samples, batch_size, drop_last=True)
    assert [len(rows[stretch]) for stretch in whole] == [batch_size] * (samples // batch_size)


def test_batches_of_one_are_taken_as_asked_for():
    assert len(batch_stretches(5, 1, drop_last=False)) == 5
    assert batch_stretches(1, 8, drop_last=False) == [slice(0, 1)]
    assert batch_stretches(0, 8, drop_last=False) == batch_stretches(3, 8, drop_last=True) == []
