import numpy as np
import pytest
import torch

from deploy.draw_fields import colour_wheel, draw_scene, strongest
from pose3d.capture_layout import BODY

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
    batch = {"image": torch.rand(1, 3, 48, 48) - 0.5, "to_image": torch.eye(2, 3)[None]}
    figure = draw_scene(prediction, batch, 0)
    panels = figure.axes[:4]
    assert panels[0].get_title("left") == f"{people} found"
    assert len(panels[0].lines) == people * 2 * len(BODY.tree)
    assert len(panels[3].lines) == people * 2 * len(BODY.tree)
