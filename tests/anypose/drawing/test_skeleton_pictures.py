"""The picture and the page of the skeletons show what the tables say."""

from __future__ import annotations

import itertools
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from anypose.drawing import skeleton_pictures
from anypose.drawing.skeleton_pictures import draw_skeletons, layout
from anypose.skeleton import SKELETONS

PAGE = Path(__file__).parents[3] / "docs" / "skeletons.md"


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS)
def test_the_diagram_is_symmetric_and_every_number_has_room(skeleton):
    points = layout(skeleton)
    left, right = points[list(skeleton.left)], points[list(skeleton.right)]
    assert (left[:, 0] > 0).all(), "the person faces the reader"
    np.testing.assert_allclose(left, right * [-1, 1])
    apart = min(np.linalg.norm(a - b) for a, b in itertools.combinations(points, 2))
    assert apart > 0.1


@pytest.mark.slow
def test_every_skeleton_is_drawn_with_all_its_indices():
    figure = draw_skeletons()
    assert [text.get_text() for text in figure.legends[0].texts] == ["left", "right", "trunk"]
    panels = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in panels] == list(SKELETONS)
    for axes, skeleton in zip(panels, SKELETONS.values(), strict=True):
        assert [text.get_text() for text in axes.texts] == [str(i) for i in range(skeleton.num_joints)]


def test_the_page_names_every_joint_by_its_index():
    page = PAGE.read_text(encoding="utf-8")
    for name, skeleton in SKELETONS.items():
        listed = re.search(rf"\*\*{name}\*\*.*?\n(.*?)\n\n", page, re.DOTALL)
        assert listed, name
        assert re.split(r"\s·\s", listed[1].replace("\n", " ")) == [f"{i} {j}" for i, j in enumerate(skeleton.joints)]


def test_the_command_writes_one_picture_of_few_colours(tmp_path, monkeypatch, capsys):
    from PIL import Image

    monkeypatch.setattr(sys, "argv", ["skeleton_pictures", "--out", str(tmp_path / "a" / "skeletons.png")])
    monkeypatch.setattr(skeleton_pictures, "SKELETONS", {"coco_17": SKELETONS["coco_17"]})
    skeleton_pictures.main()
    assert capsys.readouterr().out.strip() == str(tmp_path / "a" / "skeletons.png")
    with Image.open(tmp_path / "a" / "skeletons.png") as picture:
        assert picture.mode == "P"


def test_where_it_goes_is_judged_before_it_is_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["skeleton_pictures", "--out", str(tmp_path)])
    monkeypatch.setattr(skeleton_pictures, "draw_skeletons", lambda: pytest.fail("drawn"))
    with pytest.raises(ValueError, match=r"--out .*is a folder, and must name a file"):
        skeleton_pictures.main()
