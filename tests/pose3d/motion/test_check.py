import subprocess
import sys

import numpy as np
import pytest

from anypose.formats.npz import read_npz
from tests.pose3d.motion.motion_files import write_daz_bvh


@pytest.fixture
def root(tmp_path):
    for number, take in enumerate(("01/01_01", "02/02_01")):
        write_daz_bvh(tmp_path / f"cmu/{take}.bvh", 130, seed=number)
    return tmp_path


@pytest.mark.slow
def test_a_dataset_is_counted_and_written_for_videopose3d(repository, root):
    choice = ["dataset=cmu", f"dataset.root={root / 'cmu'}", "dataset.validation_subjects=[02]", "dataset.cache=null"]
    command = [sys.executable, "-m", "anypose", "check", *choice, f"videopose3d={root / 'npz'}"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("cmu, keypoints: exact projection into virtual cameras\n")
    assert "no CMU-INDEX.md" in done.stdout
    assert f"wrote {root / 'npz' / 'data_2d_h36m_gt.npz'}" in done.stdout
    held = read_npz(root / "npz" / "data_3d_h36m.npz", ["positions_3d"])["positions_3d"]
    assert {subject: list(takes) for subject, takes in held.items()} == {
        "S1": ["Other 01 01_01"],
        "S9": ["Other 02 02_01"],
    }
    assert np.isfinite(held["S9"]["Other 02 02_01"]).all()
