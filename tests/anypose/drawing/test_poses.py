"""anypose/drawing/poses.py and anypose/drawing/charts.py: what is on the paper, not what it looks like."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba

from anypose.drawing.charts import Curves, draw_bars, draw_coverage, draw_curves
from anypose.drawing.poses import (
    LEFT,
    RIGHT,
    TRUNK,
    Drawing,
    View,
    draw_bones,
    draw_keypoints,
    draw_panel,
    new_figure,
    save_figure,
    side_colours,
)
from anypose.skeleton import get_skeleton

H36M_16, H36M_17 = get_skeleton("h36m_16"), get_skeleton("h36m_17")


def test_the_view_is_a_rotation_that_keeps_up_up() -> None:
    points = np.random.default_rng(0).normal(size=(50, 3))
    paper, depth = View(azimuth=0.7, elevation=0.3).flatten(points)
    np.testing.assert_allclose((paper**2).sum(-1) + depth**2, (points**2).sum(-1))
    above, _ = View().flatten(np.array([0.0, -1.0, 0.0]))
    assert above[0] == pytest.approx(0)
    assert above[1] > 0.9


def test_without_turning_the_view_is_what_the_camera_sees() -> None:
    paper, depth = View(azimuth=0, elevation=0).flatten(np.array([0.3, 0.2, 4.0]))
    np.testing.assert_allclose(paper, [0.3, -0.2])
    assert depth == 4.0


def test_right_is_warm_left_is_cold_and_the_trunk_dark() -> None:
    colours = dict(zip(H36M_17.joints, side_colours(H36M_17), strict=True))
    assert (colours["right_knee"], colours["left_wrist"], colours["thorax"]) == (RIGHT, LEFT, TRUNK)


def test_near_bones_are_drawn_over_far_ones() -> None:
    axes = new_figure(2, 2).add_subplot()
    depth = np.arange(17.0)
    draw_bones(axes, np.random.default_rng(0).normal(size=(17, 2)), H36M_17, depth)
    (lines,) = (artist for artist in axes.collections if isinstance(artist, LineCollection))
    first, last = lines.get_colors()[1], lines.get_colors()[-1]
    far, near = max(H36M_17.bones, key=sum), min(H36M_17.bones, key=sum)
    colours = side_colours(H36M_17)
    assert tuple(first) == to_rgba(colours[far[0]])
    assert tuple(last) == to_rgba(colours[near[0]])
    assert len(lines.get_segments()) == 2 * 16  # a rim and a bone each


def test_keypoints_hang_from_the_top_as_in_the_image() -> None:
    axes = new_figure(2, 2).add_subplot()
    keypoints = np.random.default_rng(0).uniform(100, 600, (16, 2))
    draw_keypoints(axes, keypoints, H36M_16)
    bottom, top = axes.get_ylim()
    assert bottom > keypoints[:, 1].max() > keypoints[:, 1].min() > top
    assert abs(np.diff(axes.get_xlim())[0]) == pytest.approx(bottom - top)


def test_wrong_number_of_joints_is_refused() -> None:
    axes = new_figure(2, 2).add_subplot()
    with pytest.raises(ValueError, match=r"points to draw must have shape \(J, 2\) with J=17, got \(16, 2\)"):
        draw_bones(axes, np.zeros((16, 2)), H36M_17)


def test_a_panel_has_three_drawings_a_sample_and_its_error(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    drawings = [
        Drawing(
            f"sample {i}",
            generator.normal(500, 90, (16, 2)),
            generator.normal(0, 0.4, (17, 3)),
            generator.normal(0, 0.4, (17, 3)),
            40.0 + i,
            generator.normal(0, 0.4, (i, 17, 3)),
        )
        for i in range(4)
    ]
    figure = draw_panel(drawings, H36M_16, H36M_17, "worst", "dataset: cmu")
    assert [text.get_text() for text in figure.texts][:2] == ["worst", "dataset: cmu"]
    key = [text.get_text() for text in figure.legends[0].get_texts()]
    assert key == ["left", "right", "trunk", "truth", "other hypotheses"]
    assert len(figure.axes) == 12
    behind = [sum(isinstance(artist, LineCollection) for artist in axes.collections) for axes in figure.axes[2::3]]
    assert np.diff(behind).tolist() == [1, 1, 1]  # a hypothesis more in each sample
    written = {axes.get_title(loc) for axes in figure.axes for loc in ("left", "right")}
    assert {"sample 3", "43 mm"} <= written
    path = save_figure(figure, tmp_path / "new" / "panel.png")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_bars_are_as_long_as_their_values_and_the_mean_is_marked_on_the_axis() -> None:
    figure = draw_bars(["Eating", "Walking"], {"MPJPE": [60.0, 40.0], "P-MPJPE": [45.0, 30.0]}, "Error", "note")
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [60.0, 40.0, 45.0, 30.0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["Eating", "Walking"]
    (mark,) = axes.lines  # no line runs through the numbers
    assert (mark.get_xdata().tolist(), mark.get_linestyle()) == ([50.0], "None")
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first is on top


def test_no_line_of_a_note_begins_with_the_dot_between_its_parts() -> None:
    for length in range(1, 8):  # so that lines end at other places
        note = " · ".join(f"{'x' * length}: {i}" for i in range(40))
        figure = draw_bars(["a"], {"MPJPE": [1.0]}, "Error", note)
        written = max((text.get_text() for text in figure.texts), key=len).split("\n")
        assert len(written) > 1
        assert not any(line.startswith("·") for line in written)


def test_a_number_stands_behind_the_longer_of_two_bars() -> None:
    figure = draw_bars(["Eating", "Walking"], {"MPJPE": [60.0, 40.0], "P-MPJPE": [45.0, 55.0]}, "Error", "note")
    numbers = {text.get_text(): text.get_position()[0] for text in figure.axes[0].texts}
    assert 60 < numbers["60.0"] < 62
    assert 55 < numbers["40.0"] < 57


def test_curves_keep_their_points() -> None:
    epochs, losses = np.arange(1, 4), np.array([0.5, 0.2, 0.1])
    figure = draw_curves([Curves("loss", {"training": (epochs, losses)}, logarithmic=True)], "Learning", "run")
    (axes,) = figure.axes
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), losses)
    assert axes.get_yscale() == "log"


def test_coverage_is_drawn_against_the_diagonal_and_its_gap_is_told() -> None:
    expected = np.linspace(0, 1, 11)
    axes = draw_coverage(expected, expected**2, "Coverage", "note").axes[0]
    assert [tuple(line.get_ydata()) for line in axes.lines[:2]] == [(0, 100), tuple(expected**2 * 100)]
    texts = [text.get_text() for text in axes.texts]
    assert "densest 90 %: 81 % of the truths" in texts
    assert any("mean gap 15.0 points" in text for text in texts)


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'anypose\[draw\]'"):
        new_figure(1, 1)
