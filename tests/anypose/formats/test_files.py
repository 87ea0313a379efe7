import pytest

from anypose.bounds import raised_to
from anypose.formats.files import plain_number, read_bytes, require_file, require_folder


def test_a_folder_that_is_not_there_is_named_with_what_it_should_hold(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        FileNotFoundError, match=r"dataset\.root=.*/nowhere does not exist\. It must be a folder with h"
    ):
        require_folder(tmp_path / "nowhere", "h36m")
    with pytest.raises(FileNotFoundError, match=r"dataset\.root=.*/file is a file\. It must be a folder with h36m"):
        require_folder(tmp_path / "file", "h36m")
    assert require_folder(str(tmp_path), "h36m") == tmp_path


def test_a_file_has_a_sane_size(tmp_path):
    path = tmp_path / "x"
    with pytest.raises(FileNotFoundError, match=r"x does not exist\. It should be a take"):
        require_file(path, "a take", 3)
    with pytest.raises(FileNotFoundError, match=r"is a folder\. It should be a take"):
        require_file(tmp_path, "a take", 3)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="x has 0 bytes; a take has 1 to 3"):
        require_file(path, "a take", 3)
    path.write_bytes(b"1234")
    with pytest.raises(ValueError, match="x has 4 bytes; a take has 1 to 3"):
        read_bytes(path, "a take", 3)
    assert read_bytes(path, "a take", 4) == b"1234"
    with pytest.raises(ValueError, match=r"1 to 3 \(if you trust the file, set max_gigabytes=N; outside a command ANY"):
        require_file(path, "a take", 3)
    with raised_to(1):
        assert require_file(path, "a take", 3) == path


@pytest.mark.parametrize("word", ["1_000", "\u0663", "\uff11", "\xa01", "0x10", "1,5", "1d3", "1 2", "", "-", "one"])
def test_what_only_python_reads_as_a_number_is_none(word):
    with pytest.raises(ValueError, match=rf"^a number is wanted, found '{word}'\.$"):
        plain_number(word)
    assert [plain_number(word) for word in (" -1.5e3 ", "+.5", "07")] == [-1500, 0.5, 7]
