"""Errors joint by joint, against numbers put in by hand and against the table of evaluate.py."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from anypose.metrics import mpjpe, p_mpjpe
from anypose.skeleton import H36M_17
from pose3d.drawing import joint_errors as command
from pose3d.drawing.joint_errors import joint_errors

LIMB_JOINTS = ["hip", "knee", "foot", "shoulder", "elbow", "wrist"]


def motion(frames: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 0.3, (frames, 17, 3)).astype(np.float32)
    joints = truth + rng.normal(0, 0.05, truth.shape).astype(np.float32)
    return joints, truth, np.array(["Walking"] * 10 + ["Posing"] * (frames - 10))


def test_a_joint_that_is_off_is_off_by_what_it_is_and_counts_once_per_action():
    _, truth, action = motion()
    joints = truth.copy()
    wrist = H36M_17.index("left_wrist")
    joints[action == "Walking", wrist, 0] += 0.12
    joints[action == "Posing", wrist, 1] -= 0.04
    rows = {row["joint"]: row["mpjpe_mm"] for row in joint_errors(joints, truth, action, H36M_17)}
    assert rows["left_wrist"] == pytest.approx(80, abs=1e-3)  # (120 + 40) / 2, whatever the numbers of frames
    assert rows["12 limb joints"] == pytest.approx(80 / 12, abs=1e-3)
    assert rows["all 17"] == pytest.approx(80 / 17, abs=1e-3)
    assert rows["hip"] == rows["right_wrist"] == 0


def test_the_last_row_is_the_average_that_evaluation_prints(monkeypatch):
    monkeypatch.setattr(command, "FRAMES_AT_ONCE", 7)
    joints, truth, action = motion()
    rows = joint_errors(joints, truth, action, H36M_17)
    assert [row["joint"] for row in rows[:17]] == list(H36M_17.joints)
    a, b = torch.from_numpy(joints), torch.from_numpy(truth)
    for name, measure in (("mpjpe_mm", mpjpe), ("p_mpjpe_mm", p_mpjpe)):
        error = 1000 * measure(a, b).numpy()
        wanted = np.mean([error[action == one].mean() for one in ("Walking", "Posing")])
        assert rows[-1][name] == pytest.approx(wanted, rel=1e-5)
        limbs = [row[name] for row in rows[:17] if str(row["joint"]).partition("_")[2] in LIMB_JOINTS]
        assert len(limbs) == 12
        assert rows[-2][name] == pytest.approx(np.mean(limbs))


def test_the_command_reads_what_was_predicted_and_refuses_other_skeletons(tmp_path, monkeypatch, capsys):
    joints, truth, action = motion()
    np.savez(tmp_path / "p.npz", joints=joints, truth=truth, action=action)
    monkeypatch.setattr(sys, "argv", ["joint_errors", str(tmp_path / "p.npz")])
    command.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["joint", "mpjpe_mm", "p_mpjpe_mm"]
    assert lines[-1].startswith("all 17")
    monkeypatch.setattr(sys, "argv", ["joint_errors", str(tmp_path / "p.npz"), "--skeleton", "h36m_14"])
    with pytest.raises(ValueError, match=r"p\.npz must hold joints \(N, 14, 3\) of --skeleton h36m_14, found \(40, 17"):
        command.main()
