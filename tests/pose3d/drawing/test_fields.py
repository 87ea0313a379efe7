import numpy as np
import pytest
import torch

from anypose.engine.task import Loading
from pose3d.capture.layout import BODY
from pose3d.capture.scores import SHOWN
from pose3d.drawing.fields import colour_wheel, draw_scenes, strongest
from pose3d.drawing.pictures import draw_evaluation
from tests.pose3d.task.test_orientation_fields import make_task, rendered

pytest.importorskip("matplotlib")


def test_hue_is_the_direction_in_the_image_and_nothing_is_white():
    right, left, towards, away, nothing = colour_wheel(
        np.array([[1, 0, 0], [-1, 0, 0], [0.6, 0, -0.8], [0.6, 0, 0.8], [0, 0, 0.0]])
    )
    np.testing.assert_allclose(right, [1, 0, 0], atol=1e-9)
    np.testing.assert_allclose(left, [0, 1, 1], atol=1e-9)
    assert towards.min() > right.min()
    assert away.max() < right.max()
    np.testing.assert_allclose(nothing, 1)


def test_the_surest_limb_is_shown_in_each_cell():
    fields = np.zeros((6, 1, 2))
    fields[0, 0, 0], fields[4, 0, 0] = 0.3, 0.9
    fields[2, 0, 1] = -0.5
    np.testing.assert_array_equal(strongest(fields), [[[0, 0.9, 0], [0, 0, -0.5]]])


@pytest.mark.parametrize("people", [0, 2])
def test_a_scene_is_drawn_with_everyone_found_or_nobody(people):
    J = BODY.num_joints
    prediction = {
        "heatmaps": torch.rand(1, J + 1, 6, 6), "fields": torch.randn(1, BODY.num_fields, 6, 6) * 0.3,
        "keypoints": torch.rand(1, 4, J, 2) * 40, "scores": torch.zeros(1, 4, J),
        "person_scores": torch.zeros(1, 4), "joints": torch.full((1, 4, J, 3), torch.nan),
    }  # fmt: skip
    prediction["scores"][:, :people] = 0.7
    prediction["person_scores"][:, :people] = 1.0
    prediction["joints"][:, :people] = torch.randn(1, people, J, 3)
    prediction["joints"][:, :1, 3] = torch.nan  # an elbow that was not found: its two limbs are not drawn
    batch = {
        "image": torch.rand(1, 3, 48, 48) - 0.5, "to_image": torch.eye(2, 3)[None],
        "keypoints": torch.rand(1, 1, J, 2) * 40, "labelled": torch.ones(1, 1, J, dtype=torch.bool),
    }  # fmt: skip
    truth = np.full((1, J, 3), np.nan)  # a photograph: nobody knows
    figure = draw_scenes([(prediction, batch)] * 2, [truth] * 2, "Two images")
    panels = figure.axes[:4]
    assert panels[0].get_title("left") == f"{people} found"
    assert len(panels[0].lines) == people * 2 * len(BODY.tree)
    assert len(panels[3].lines) == max(0, people * 2 * len(BODY.tree) - 2 * 2)
    assert len([axes for axes in figure.axes if axes.get_title("left") == f"{people} found"]) == 2


@pytest.mark.slow
def test_an_evaluation_is_drawn_from_its_scores(tmp_path):
    """The whole way: rendered people, an untrained network, scores, pictures."""
    task = make_task(size=64, evaluator="fast", peak_threshold=1e-3)
    batches = task.batches(rendered(7), False, Loading(4, seed=0, drop_last=False), torch.device("cpu"))
    scores = task.metrics()
    with torch.inference_mode():
        for batch in batches.epoch(0):
            scores.update(task.predict(batch), batch)
    scores.compute()
    assert len(scores.shown) == SHOWN
    paths = draw_evaluation(scores, tmp_path)
    assert [path.name for path in paths] == ["people.png", "angle_by_limb.png"]
    assert all(path.stat().st_size > 20_000 for path in paths)
