"""Pictures of synthetic motion are written and show what they should."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from anypose.skeleton import H36M_17
from pose3d.drawing import synthetic as synthetic_pictures
from pose3d.drawing.synthetic import contact_sheet, facing, histograms, measures, motion, real_motion, save_clip
from pose3d.synthesis.actions import ACTIONS


@pytest.mark.slow
def test_the_sheet_has_a_strip_per_action_named_above_it():
    sheet = contact_sheet(0)
    assert [text.get_text() for text in sheet.legends[0].texts] == ["left", "right", "trunk"]
    assert [axes.get_title("left") for axes in sheet.axes] == list(ACTIONS)
    assert [len(axes.collections) for axes in sheet.axes] == [synthetic_pictures.FIGURES] * len(ACTIONS)


def test_figures_face_the_reader_with_the_hip_in_the_middle_and_the_floor_at_zero():
    joints = motion("Directions", 0, 50, 1.0)
    seen = facing(joints, 0.0)
    left, right = seen[0, H36M_17.index("left_hip")], seen[0, H36M_17.index("right_hip")]
    assert left[0] > right[0]  # seen from the front, the person's left is on our right
    assert left[2] == pytest.approx(right[2], abs=1e-6)
    np.testing.assert_allclose(seen[:, 0, [0, 2]], 0, atol=1e-6)
    np.testing.assert_allclose(-seen[..., 1], joints[..., 2], atol=1e-6)


def test_histograms_measure_lengths_and_angles():
    joints = np.zeros((1, 17, 3))
    at = {name: joints[0, H36M_17.index(name)] for name in H36M_17.joints}
    at["right_knee"][:] = [0, 0, -0.4]
    at["right_foot"][:] = [0.3, 0, -0.4]
    at["spine"][:], at["thorax"][:] = [0, 0, 0.2], [0.3, 0, 0.2]
    with np.errstate(invalid="ignore"):
        found = measures(joints)
    assert found["thigh [cm]"][0] == pytest.approx(40)
    assert found["shank [cm]"][0] == pytest.approx(30)
    assert found["knee flexion [°]"][0] == pytest.approx(90)
    assert found["bend at the spine [°]"][0] == pytest.approx(90)
    assert found["trunk from vertical [°]"][0] == pytest.approx(np.degrees(np.arctan2(0.3, 0.2)))
    assert found["hip over lower foot [cm]"][0] == pytest.approx(40)


@pytest.mark.slow
def test_histograms_show_real_motion_behind_where_there_is_any():
    people = motion("Walking", 0, 50, 2.0)
    alone, beside = histograms(people, None).axes, histograms(people, people).axes
    angles = [axes.get_title() for axes in alone].index("knee flexion [°]")
    assert len(alone[angles].patches) == 1  # an outline
    assert len(beside[angles].patches) == 50  # and 49 bars
    assert (len(alone[0].lines), len(beside[0].lines)) == (0, 1)  # everybody has the same thigh: a line


@pytest.mark.slow
def test_the_command_writes_pictures_and_says_where(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["synthetic_pictures", "--clips", "--out", str(tmp_path / "pictures")])
    monkeypatch.setattr(synthetic_pictures, "ACTIONS", {"Walking": ACTIONS["Walking"]})
    monkeypatch.setattr(synthetic_pictures, "SECONDS", 0.4)
    monkeypatch.setattr(synthetic_pictures, "SHEET_SECONDS", 0.2)
    monkeypatch.setattr(synthetic_pictures, "FIGURES", 4)
    synthetic_pictures.main()
    names = ("actions.png", "histograms.png", "Walking.gif", "actions.gif")
    written = [tmp_path / "pictures" / name for name in names]
    assert capsys.readouterr().out.split() == [str(path) for path in written]
    assert all(path.stat().st_size > 1_000 for path in written)


def test_clips_move_and_hold_one_action_or_several(tmp_path):
    from PIL import Image

    with Image.open(save_clip(["Walking"], 0, tmp_path / "Walking.gif", fps=25, seconds=0.4)) as clip:
        assert clip.n_frames == 10
        assert clip.info["duration"] == 40
        one, frames = clip.size, []
        for number in (0, 9):
            clip.seek(number)
            frames.append(np.asarray(clip.convert("L")))
    assert (frames[0] != frames[1]).mean() > 0.003
    with Image.open(save_clip(["Walking", "Sitting", "Posing"], 0, tmp_path / "3.gif", 10, 0.2, columns=2)) as clip:
        assert clip.n_frames == 2
        assert clip.size[0] > one[0]


def test_a_folder_without_motion_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"--beside .* has no BVH file named SUBJECT_TAKE\.bvh"):
        real_motion(tmp_path)


@pytest.mark.data
def test_real_motion_is_read(real_data, tmp_path):
    (tmp_path / "07_01.bvh").write_bytes((real_data("cmu") / "07" / "07_01.bvh").read_bytes())
    joints = real_motion(tmp_path)
    assert joints.shape[1:] == (17, 3)
    assert 25 < len(joints) < 40
