"""Overlays, heatmaps and worst cases: what is drawn, and which people are chosen."""

import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection, PathCollection

from anypose.drawing.poses import new_figure
from anypose.skeleton import get_skeleton
from pose2d.drawing.people import FAINTEST, Overlay, draw_evaluation, draw_heatmaps, draw_overlay, draw_people
from pose2d.people import COCO_SIGMAS, People
from pose2d.scores.collected import Collected

COCO = get_skeleton("coco_17")


class Grey:
    def __len__(self):
        return 20

    def name(self, index):
        return str(index)

    def read(self, index, reduce=1):
        return np.full((80, 60, 3), 100 + index, np.uint8)


def overlay(**changes):
    rng = np.random.default_rng(0)
    values = {
        "image": Grey().read(0),
        "box_xyxy": np.array([10.0, 10, 40, 60]),
        "keypoints": rng.uniform(10, 50, (17, 2)),
        "scores": np.ones(17),
        "truth": rng.uniform(10, 50, (17, 2)),
        "labelled": np.arange(17) < 9,
        "title": "t",
    }
    return Overlay(**(values | changes))


def drawn(person):
    axes = new_figure(2, 2).add_subplot()
    draw_overlay(axes, person, COCO)
    dots = [c for c in axes.collections if isinstance(c, PathCollection)]
    bones = [c for c in axes.collections if isinstance(c, LineCollection)]
    return axes, dots, bones


def test_an_overlay_has_image_limbs_keypoints_and_the_truth():
    person = overlay()
    axes, (rings, dots), (bones,) = drawn(person)
    assert len(axes.images) == 1
    np.testing.assert_allclose(dots.get_offsets(), person.keypoints)
    np.testing.assert_allclose(rings.get_offsets(), person.truth[:9])
    assert len(bones.get_segments()) == 2 * len(COCO.bones)
    assert axes.get_xlim() == pytest.approx((25 - 32, 25 + 32))
    assert axes.get_ylim() == pytest.approx((35 + 32, 35 - 32))


def test_faint_keypoints_and_their_limbs_are_left_out():
    scores = np.ones(17)
    scores[COCO.index("left_wrist")] = FAINTEST / 2
    _, (dots,), (bones,) = drawn(overlay(scores=scores, truth=None, labelled=None))
    assert len(dots.get_offsets()) == 16
    assert len(bones.get_segments()) == 2 * (len(COCO.bones) - 1)


def test_heatmaps_show_every_keypoint_with_its_height():
    heatmaps = np.random.default_rng(0).random((17, 16, 12)).astype(np.float32)
    figure = draw_heatmaps(np.zeros((64, 48, 3), np.uint8), heatmaps, COCO, "heading")
    assert len(figure.axes) == 18
    assert figure.axes[1].get_title() == f"nose {heatmaps[0].max():.2f}"


def test_sheets_have_a_place_for_everybody():
    figure = draw_people([overlay(title=str(i)) for i in range(6)], COCO, "heading")
    assert [axes.get_title() for axes in figure.axes] == list("012345")


@pytest.mark.slow
@pytest.mark.parametrize("annotated", [True, False])
def test_the_worst_people_are_drawn(tmp_path, annotated, monkeypatch):
    rng = np.random.default_rng(0)
    P = 20
    people = People(
        images=Grey(), image_ids=np.arange(P), image_sizes=np.full((P, 2), 80), image=np.arange(P),
        ids=np.arange(P) if annotated else np.full(P, -1), box_xyxy=np.tile([10.0, 10, 40, 60], (P, 1)),
        box_scores=np.ones(P), keypoints=rng.uniform(10, 50, (P, 17, 2)), visibility=np.full((P, 17), 2),
        skeleton=COCO, sigmas=np.array(COCO_SIGMAS), upper=(), box_source="ground truth",
    )  # fmt: skip
    metrics = Collected(people, {}, {})
    noise = np.linspace(0, 6, P)[:, None, None] * rng.choice([-1, 1], (P, 17, 2))
    scores = torch.linspace(0.9, 0.3, P)[:, None].expand(P, 17)
    metrics.update(
        {"keypoints": torch.from_numpy(people.keypoints + noise), "scores": scores}, {"index": torch.arange(P)}
    )
    chosen = {}

    def record(overlays, skeleton, heading):
        chosen[heading.split()[0]] = [int(o.title.split()[1].strip(",")) for o in overlays]
        return draw_people(overlays[:1], skeleton, heading)

    monkeypatch.setattr("pose2d.drawing.people.draw_people", record)
    paths = draw_evaluation(metrics, tmp_path, count=4)
    assert [path.name for path in paths] == ["keypoints_worst.png", "keypoints_typical.png"]
    assert all(path.stat().st_size > 5000 for path in paths)
    assert chosen["Worst"] == [19, 18, 17, 16]
    looked = []

    def look(row):
        looked.append(row)
        return np.zeros((64, 48, 3), np.uint8), rng.random((17, 16, 12))

    metrics.look = look
    names = [path.name for path in draw_evaluation(metrics, tmp_path, count=4)]
    assert names == ["keypoints_worst.png", "heatmaps_worst.png", "keypoints_typical.png", "heatmaps_typical.png"]
    assert looked[0] == 19
    assert 8 <= looked[1] <= 11
    assert sorted(chosen["Typical"]) == [8, 9, 10, 11]
