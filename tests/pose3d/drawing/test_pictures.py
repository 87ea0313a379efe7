"""pose3d/drawing/pictures.py: the right frames and numbers reach the paper."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from anypose.drawing.poses import Drawing
from anypose.skeleton import get_skeleton
from pose3d.drawing import pictures
from pose3d.drawing.hypotheses import title_of
from pose3d.lifting.errors import PoseErrors
from pose3d.lifting.mixture_errors import MixtureErrors
from pose3d.motion.packed import pack
from pose3d.motion.sequence import MotionDataset


@pytest.fixture(params=["camera", "world"])
def metrics(synthetic: MotionDataset, request: pytest.FixtureRequest) -> PoseErrors:
    """Predictions that are off by a known distance: row i of N by (1 + i) mm."""
    packed = pack(
        synthetic.sequences("validation"),
        input_skeleton=get_skeleton("h36m_16"),
        output_skeleton=get_skeleton("h36m_17"),
        keypoint_frame="pixel",
        joint_frame=request.param,
    )
    errors = PoseErrors(
        packed, actions=synthetic.actions, protocol={"flip_test": False}, drop_last=False, by_subject=True
    )
    off = torch.arange(1, len(packed) + 1)[:, None, None] / 1000 * torch.tensor([0.0, 1.0, 0.0])
    errors.update({"joints": (packed.joints + off)[:, None]}, {"index": torch.arange(len(packed))[:, None]})
    return errors


@pytest.fixture
def panels(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Drawing]]:
    """What is handed to `draw_panel`, by heading."""
    seen: dict[str, list[Drawing]] = {}
    draw = pictures.draw_panel

    def watch(drawings: list[Drawing], *others: Any) -> Any:
        heading, note = others[-2:]
        assert "subjects: V1" in note
        seen[heading.split(":")[0].split(" ")[0]] = drawings
        return draw(drawings, *others)

    monkeypatch.setattr(pictures, "draw_panel", watch)
    return seen


@pytest.mark.slow
def test_the_worst_frame_of_each_sequence_and_a_median_frame_of_each_action_are_drawn(
    metrics: PoseErrors, panels: dict[str, list[Drawing]], tmp_path: Path
) -> None:
    paths = pictures.draw_evaluation(metrics, tmp_path)
    assert [path.name for path in paths] == [
        "poses_typical.png",
        "poses_worst.png",
        "error_by_action.png",
        "error_by_joint.png",
    ]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)
    last_rows = sorted((metrics.packed.end.numpy()).tolist(), reverse=True)  # row i is off by (1 + i) mm
    assert [round(drawing.error_mm, 2) for drawing in panels["Worst"]] == last_rows
    per_action = len(metrics.packed) // 2
    medians = sorted(per_action // 2 + 1 + start for start in (0, per_action))
    assert sorted(round(drawing.error_mm, 2) for drawing in panels["Typical"]) == medians


@pytest.mark.slow
def test_a_drawing_shows_the_frame_its_title_names(
    metrics: PoseErrors, panels: dict[str, list[Drawing]], tmp_path: Path
) -> None:
    arrays = metrics.arrays()
    name = "/".join(str(arrays[key][5]) for key in ("subject", "take", "camera", "frame"))
    pictures.draw_evaluation(metrics, tmp_path, frames=[name])
    (drawing,) = panels["Chosen"]
    np.testing.assert_array_equal(drawing.keypoints, metrics.packed.keypoints[5])
    assert drawing.error_mm == pytest.approx(6, abs=1e-3)
    assert np.linalg.norm(drawing.predicted - drawing.truth, axis=-1) == pytest.approx(0.006, abs=1e-5)
    assert drawing.title.endswith(f"frame {arrays['frame'][5]}")
    assert title_of("ann", "All", "All", "All", 3) == "ann · frame 3"
    assert title_of("ann", "walk", "walk", "All", 3) == "ann · walk · frame 3"
    assert title_of("S9", "Posing", "Posing 1", "54138969", 3) == "S9 · Posing 1 · 54138969 · frame 3"
    assert title_of("02", "Soccer", "02_05", "virtual1", 3) == "02 · Soccer 02_05 · virtual1 · frame 3"
    head, hip = drawing.truth[get_skeleton("h36m_17").index("head")], drawing.truth[0]
    assert head[1] < hip[1]  # y is down, whichever frame the joints were in


def test_a_frame_that_was_not_scored_is_named(metrics: PoseErrors, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Frame S9/Posing/1/7 was not scored.*from V1/Walking"):
        pictures.draw_evaluation(metrics, tmp_path, frames=["S9/Posing/1/7"])


def test_scores_without_poses_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"pictures=true draws lifted poses or keypoints .* and dict holds neither"):
        pictures.draw_evaluation({}, tmp_path)
    with pytest.raises(ValueError, match=r"frames=\['1/2/3/4'\] chooses poses of a lifting model"):
        pictures.draw_evaluation({}, tmp_path, frames=["1/2/3/4"])


@pytest.mark.slow
def test_of_a_mixture_the_most_likely_pose_is_judged_and_the_others_stand_behind(
    metrics: PoseErrors, panels: dict[str, list[Drawing]], tmp_path: Path
) -> None:
    packed = metrics.packed
    mixture = MixtureErrors(
        packed,
        scale=torch.ones(16, 3),
        rows=slice(1, None),
        select="likely",
        actions=metrics.actions,
        protocol={},
        drop_last=False,
        by_subject=False,
    )
    off = torch.tensor([0.1, 0.02, 0.3])[:, None, None] * torch.tensor([0.0, 1.0, 0.0])
    prediction = {
        "means": packed.joints[:, None, None] + off,
        "sigmas": torch.ones(len(packed), 1, 3),
        "weights": torch.tensor([0.2, 0.7, 0.1]).expand(len(packed), 1, 3),
    }
    mixture.update(prediction, {"index": torch.arange(len(packed))[:, None]})
    pictures.draw_evaluation(mixture, tmp_path)
    drawing = panels["Typical"][0]
    assert drawing.error_mm == pytest.approx(20, abs=1e-3)
    offsets = np.linalg.norm(drawing.hypotheses - drawing.truth, axis=-1).mean(-1)
    assert offsets == pytest.approx([0.1, 0.02, 0.3], abs=1e-5)


def test_the_learning_curve_has_the_lines_of_metrics_jsonl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [{"split": "train", "step": step, "epoch": 1, "loss": 1 / step} for step in (50, 100, 150)]
    records.append({"split": "validation", "step": 150, "epoch": 1, "mpjpe_mm": 70.0})
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    drawn: list[Any] = []
    draw = pictures.draw_curves
    monkeypatch.setattr(pictures, "draw_curves", lambda charts, *rest: drawn.extend(charts) or draw(charts, *rest))
    (path,) = pictures.draw_training(tmp_path)
    assert path == tmp_path / "learning_curve.png"
    assert path.stat().st_size > 0
    loss, validation = drawn
    np.testing.assert_allclose(loss.lines["loss"], [[50, 100, 150], [0.02, 0.01, 1 / 150]])
    assert list(validation.lines) == ["MPJPE"]


def test_a_run_without_metrics_says_who_writes_them(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"metrics.jsonl does not exist; `python train.py` writes it"):
        pictures.draw_training(tmp_path)
    (tmp_path / "metrics.jsonl").write_text('{"split": "validation", "step": 1}\n', encoding="utf-8")
    with pytest.raises(ValueError, match="holds 1 lines and none with a training loss"):
        pictures.draw_training(tmp_path)
