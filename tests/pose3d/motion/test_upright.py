import re

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tests.pose3d.dataset.test_cmu import read
from tests.pose3d.motion.motion_files import write_daz_bvh


def z_up(path, target, root_alone):
    """The take in a world with z up: every axis of it, or the root alone turned."""
    head, motion = path.read_text(encoding="utf-8").split("MOTION\n")
    *rate, rows = motion.split("\n", 2)
    values = np.loadtxt(rows.splitlines())
    values[:, 1:3] = np.stack([-values[:, 2], values[:, 1]], -1)
    if root_alone:
        turned = Rotation.from_euler("X", 90, degrees=True) * Rotation.from_euler("ZXY", values[:, 3:6], degrees=True)
        values[:, 3:6] = turned.as_euler("ZXY", degrees=True)
    else:
        values[:, 3::3] *= -1
        head = head.replace("Zrotation Xrotation Yrotation", "Yrotation Xrotation Zrotation")
        head = re.sub(
            r"OFFSET (\S+) (\S+) (\S+)", lambda found: f"OFFSET {found[1]} {-float(found[3])} {found[2]}", head
        )
    body = "\n".join(" ".join(map(str, row)) for row in values)
    target.parent.mkdir(exist_ok=True)
    target.write_text(head + "\n".join(["MOTION", *rate, body]), encoding="utf-8")


@pytest.mark.parametrize("root_alone", [False, True])
def test_files_whose_world_has_z_up_are_told_and_read_as_the_others(tmp_path, root_alone, caplog):
    write_daz_bvh(tmp_path / "a/02_01.bvh", 130)
    z_up(tmp_path / "a/02_01.bvh", tmp_path / "b/02_01.bvh", root_alone)
    with pytest.raises(ValueError, match=r"b/02_01\.bvh: in 1 of 1 takes people lie along z .*dataset\.up=z where z"):
        read(tmp_path / "b", train=[]).sequences("validation")
    upright, turned = (
        read(tmp_path / folder, train=[], up=up, num_cameras=1).sequences("validation")[0].joints
        for folder, up in (("a", None), ("b", "z"))
    )
    np.testing.assert_allclose(turned, upright, atol=1e-5)
    assert read(tmp_path / "b", train=[], up="y").sequences("validation")
    write_daz_bvh(tmp_path / "b/02_02.bvh", 130)
    write_daz_bvh(tmp_path / "b/02_03.bvh", 130)
    assert len(read(tmp_path / "b", train=[], num_cameras=1).sequences("validation")) == 3
    assert "in 1 of 3 takes people lie along z from beginning to end" in caplog.text
