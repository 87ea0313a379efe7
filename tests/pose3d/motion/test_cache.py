import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from pose3d.dataset.cmu import CMU
from pose3d.dataset.h36m_cdf import H36MCDF
from pose3d.motion import cache
from pose3d.motion.cache import cached_sequences
from tests.pose3d.motion.motion_files import protocol, write_daz_bvh, write_release
from tests.pose3d.motion.random_motion import camera, sequence


def two_views():
    """Two views of one take that share their joints, and another take with scores."""
    first = sequence(12, seed=1)
    second = type(first)(**{**vars(first), "camera": camera("other", seed=9)})
    return [first, second, sequence(5, subject="S5", take="Eating", action="Eating", seed=2, scores=True)]


class Reader:
    """Counts how often it is asked to parse."""

    def __init__(self, folder, content=b"motion"):
        self.folder, self.parsed = folder, 0
        self.file = folder / "take.cdf"
        self.file.write_bytes(content)

    def parse(self):
        self.parsed += 1
        return two_views()

    def __call__(self, **settings):
        return cached_sequences(str(self.folder / "cache"), "reader", settings, [self.file], self.parse)


def test_what_comes_from_the_cache_is_what_was_parsed(tmp_path):
    reader = Reader(tmp_path)
    for got in (reader(), reader()):
        for a, b in zip(got, two_views(), strict=True):
            assert (a.name, a.action, a.fps, a.skeleton, a.keypoint_skeleton) == (
                b.name,
                b.action,
                b.fps,
                b.skeleton,
                b.keypoint_skeleton,
            )
            for key in ("joints", "keypoints", "scores"):
                np.testing.assert_array_equal(getattr(a, key), getattr(b, key))
            for key, value in vars(b.camera).items():
                np.testing.assert_array_equal(getattr(a.camera, key), value)
    assert reader.parsed == 1


def test_views_share_their_joints_in_memory_and_on_disk(tmp_path):
    first, second, _ = Reader(tmp_path)()
    assert first.joints is second.joints
    (folder,) = (tmp_path / "cache").iterdir()
    assert np.load(folder / "joints_17.npy").shape == (12 + 5, 17, 3)


def test_arrays_are_mapped_and_writing_to_them_leaves_the_file_alone(tmp_path):
    reader = Reader(tmp_path)
    joints = reader()[0].joints
    assert isinstance(joints.base, np.memmap) or isinstance(joints.base.base, np.memmap)
    before = joints.copy()
    joints += 1
    np.testing.assert_array_equal(reader()[0].joints, before)


def test_other_settings_other_contents_and_another_version_parse_again(tmp_path, monkeypatch):
    reader = Reader(tmp_path)
    reader(frame_step=1)
    reader(frame_step=2)
    assert reader.parsed == 2
    reader.file.write_bytes(b"motioN")
    reader(frame_step=1)
    assert reader.parsed == 3
    monkeypatch.setattr(cache, "VERSION", cache.VERSION + 1)
    reader(frame_step=1)
    assert reader.parsed == 4


def test_names_and_dates_of_files_do_not_matter(tmp_path):
    reader = Reader(tmp_path)
    reader()
    os.utime(reader.file, (1, 1))
    reader.file = reader.file.rename(tmp_path / "renamed.cdf")
    reader()
    assert reader.parsed == 1


def test_without_a_folder_everything_is_parsed_every_time(tmp_path):
    reader = Reader(tmp_path)
    for _ in range(2):
        cached_sequences(None, "reader", {}, [reader.file], reader.parse)
    assert reader.parsed == 2
    assert not (tmp_path / "cache").exists()


def test_a_failure_while_writing_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    reader = Reader(tmp_path)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        reader()
    assert list((tmp_path / "cache").iterdir()) == []
    monkeypatch.undo()
    assert len(reader()) == 3


def test_two_processes_that_finish_at_once_both_get_their_motion(tmp_path, monkeypatch):
    reader, other = Reader(tmp_path), Reader(tmp_path)
    parse = reader.parse

    def slow():
        other()
        return parse()

    monkeypatch.setattr(reader, "parse", slow)
    assert len(reader()) == 3
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_a_damaged_cache_says_what_to_delete(tmp_path):
    reader = Reader(tmp_path)
    reader()
    (folder,) = (tmp_path / "cache").iterdir()
    path = folder / "keypoints_17.npy"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match=rf"The cache {re.escape(str(folder))} is damaged .*Delete that folder"):
        reader()
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    index[0]["skeleton"] = "ghost"
    (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(ValueError, match="is damaged"):
        reader()


def fill(folder, count: int) -> list[str]:
    """So many caches of a kilobyte and more each, the first one not used for longest; their names."""
    for number in range(count):
        cached_sequences(str(folder), f"take{number}", {}, [], lambda n=number: [sequence(9, seed=n)])
        place = next(folder.glob(f"take{number}-*"))
        os.utime(place, (1000 + number, 1000 + number))
    return sorted(place.name for place in folder.iterdir())


def test_what_was_not_used_for_longest_goes_when_there_is_more_than_the_limit(tmp_path, monkeypatch):
    (tmp_path / "notes").mkdir()
    names = [name for name in fill(tmp_path, 3) if name != "notes"]
    (_, size, _), *_ = cache.kept(tmp_path)
    monkeypatch.setenv("ANYPOSE_CACHE_GIGABYTES", str(3.5 * size / 1e9))
    cached_sequences(str(tmp_path), "take0", {}, [], lambda: pytest.fail("it is there"))
    cached_sequences(str(tmp_path), "new", {}, [], lambda: [sequence(9, seed=7)])
    left = {place.name.partition("-")[0] for place in tmp_path.iterdir()}
    assert left == {"notes", "take0", "take2", "new"}, "take1 was not used for longest"
    assert len(names) == 3
    monkeypatch.setenv("ANYPOSE_CACHE_GIGABYTES", "0")
    assert len(cached_sequences(str(tmp_path), "huge", {}, [], lambda: [sequence(9, seed=8)])) == 1
    assert [place.name for place in tmp_path.iterdir()] == ["notes"]
    monkeypatch.setenv("ANYPOSE_CACHE_GIGABYTES", "all")
    with pytest.raises(ValueError, match=r"ANYPOSE_CACHE_GIGABYTES='all' must be a number of gigabytes"):
        cache.limit()


@pytest.mark.parametrize(("error", "left"), [(FileNotFoundError, 0), (PermissionError, 2)])
def test_what_another_process_removed_or_holds_stops_nobody(tmp_path, monkeypatch, error, left):
    fill(tmp_path, 2)
    sizes = sum(size for _, size, _ in cache.kept(tmp_path))

    def refused(place: Path, _: Path) -> None:
        if error is FileNotFoundError:
            shutil.rmtree(place)
        raise error(place)

    monkeypatch.setattr(Path, "rename", refused)
    assert cache.trim(tmp_path, 0) == (0 if left else sizes)
    assert len(list(tmp_path.iterdir())) == left


def test_a_command_tells_what_is_kept_and_empties_it(tmp_path, monkeypatch, capsys):
    fill(tmp_path, 2)
    (tmp_path / "mine.txt").write_text("stays", encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["anypose cache", "--folder", str(tmp_path)])
    cache.main()
    told = capsys.readouterr().out.splitlines()
    assert [line.split()[-1].partition("-")[0] for line in told[:2]] == ["take0", "take1"]
    assert "GB of at most 10 (ANYPOSE_CACHE_GIGABYTES)" in told[2]
    monkeypatch.setattr("sys.argv", ["anypose cache", "--folder", str(tmp_path), "--empty"])
    cache.main()
    assert "removed 0.00 GB" in capsys.readouterr().out
    assert [place.name for place in tmp_path.iterdir()] == ["mine.txt"]


# What the readers make of fixed files, by version: mean and deviation of joints [m] and keypoints [px].
READ = {
    2: {
        "cmu": (0.143925, 0.703749, 499.3458, 120.5272),
        "h36m_cdf": (0.3735778033733368, 0.5708350539207458, 439.4530334472656, 117.63946533203125),
    },
}


def test_the_version_is_raised_when_a_reader_reads_the_same_files_differently(tmp_path):
    """Or old caches would be taken for what the new reader gives."""
    write_daz_bvh(tmp_path / "cmu/02/02_01.bvh", 130)
    write_release(tmp_path / "h36m", ("S1", "S9"), ("Photo",))
    cmu = CMU(str(tmp_path / "cmu"), "bvh", [], ["02"], None, None, None, None, 50, 1, 2, 14, 0, False, None, 0, "both")
    h36m = H36MCDF(str(tmp_path / "h36m"), None, None, **protocol(actions=["Photo"]))
    for dataset in (cmu, h36m):
        sequences = dataset.sequences("validation")
        arrays = [np.concatenate([getattr(s, key) for s in sequences]) for key in ("joints", "keypoints")]
        found = [float(statistic(array)) for array in arrays for statistic in (np.mean, np.std)]
        message = f"{dataset.name} reads differently: raise cache.VERSION and record {found} for it"
        np.testing.assert_allclose(found, READ[cache.VERSION][dataset.name], rtol=1e-5, err_msg=message)
