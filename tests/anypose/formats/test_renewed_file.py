"""A file that is written anew: whole, or as it was before."""

from __future__ import annotations

import pytest

from anypose.formats.renewed_file import RenewedFile
from tests.anypose.formats.dancers import dancers, part


def test_a_full_disk_leaves_the_file_as_it_was_and_nothing_beside_it(tmp_path):
    motion, full = dancers(frames=20), []

    def put(file, spool):
        file.write(b"%d" % spool.num_frames)
        if full:
            raise OSError(28, "No space left on device")

    file = RenewedFile(tmp_path / "dance", ("joints",), put)
    assert file.files == []
    file.append(part(motion, slice(0, 10)))
    assert file.files == [tmp_path / "dance"]
    file.append(part(motion, slice(10, 20)))  # too soon for another time
    full.append(True)
    with pytest.raises(OSError, match=r"No space left on device; what was written before is whole.*dance"):
        file.close(last=True)
    assert (tmp_path / "dance").read_bytes() == b"10"
    assert [one.name for one in tmp_path.iterdir()] == ["dance"]
