"""pose3d/drawing/hypotheses.py: the right hypotheses reach the paper, in the right order and place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from anypose.camera import project
from anypose.skeleton import get_skeleton
from pose3d.drawing import hypotheses
from pose3d.lifting.mixture_errors import MixtureErrors
from pose3d.motion.packed import pack
from pose3d.motion.sequence import MotionDataset

SCALE = 0.2
WEIGHTS = torch.tensor([0.1, 0.3, 0.6])
SHIFTS = torch.tensor([0.01, 0.10, 0.05])  # metres away from the camera


@pytest.fixture
def metrics(synthetic: MotionDataset) -> MixtureErrors:
    """Three hypotheses that differ in depth: the heaviest 50 mm off, the second 100 mm, the lightest 10 mm."""
    packed = pack(
        synthetic.sequences("validation"),
        input_skeleton=get_skeleton("h36m_16"),
        output_skeleton=get_skeleton("h36m_17"),
        keypoint_frame="pixel",
    )
    scored = MixtureErrors(
        packed,
        scale=torch.full((16, 3), SCALE),
        rows=slice(1, None),
        select="likely",
        actions=synthetic.actions,
        protocol={},
        drop_last=False,
        by_subject=False,
    )
    means = packed.joints[:, None, None] + SHIFTS[:, None, None] * torch.tensor([0.0, 0.0, 1.0])
    shape = (len(packed), 1, 3)
    prediction = {
        "means": means,
        "sigmas": torch.tensor([3.0, 2.0, 1.0]).expand(shape),
        "weights": WEIGHTS.expand(shape),
    }
    scored.update(prediction, {"index": torch.arange(len(packed))[:, None]})
    return scored


def test_a_guess_holds_the_hypotheses_by_falling_weight(metrics: MixtureErrors) -> None:
    guess = hypotheses.guess_of(metrics, 4)
    assert guess.weights == pytest.approx([0.6, 0.3, 0.1])
    assert guess.errors_mm == pytest.approx([50, 100, 10], abs=0.01)
    assert guess.spread[:, 1] == pytest.approx([1 * SCALE, 2 * SCALE, 3 * SCALE])
    assert (guess.spread[:, 0] == 0).all()  # the root is not predicted
    np.testing.assert_array_equal(guess.truth, metrics.packed.joints[4])


def test_images_are_where_the_camera_would_see_the_hypotheses(metrics: MixtureErrors, synthetic: MotionDataset) -> None:
    guess = hypotheses.guess_of(metrics, 4)
    camera = synthetic.sequences("validation")[0].camera
    place = metrics.packed.root[4].numpy()
    np.testing.assert_allclose(guess.images[1], project(guess.means[1] + place, camera), rtol=1e-4)
    assert np.abs(guess.images - guess.images[:1]).max() < 40  # depth hardly moves them


def test_more_hypotheses_never_cost_and_the_last_is_best_of_all(metrics: MixtureErrors) -> None:
    counts, errors = hypotheses.error_by_count(metrics)
    assert counts.tolist() == [1, 2, 3]
    assert errors == pytest.approx([50, 50, 10], abs=0.01)
    assert errors[-1] == pytest.approx(metrics.compute()["best_of_3_mpjpe_mm"])


def test_the_pictures_are_written(metrics: MixtureErrors, tmp_path: Path) -> None:
    paths = hypotheses.draw_hypotheses(metrics, [0, 5], tmp_path, "of whom", "made up")
    assert [path.name for path in paths] == ["hypotheses.png", "error_by_count.png", "calibration.png"]
    assert all(path.stat().st_size > 5000 for path in paths)


def test_opacity_is_weight(metrics: MixtureErrors) -> None:
    from matplotlib.collections import LineCollection

    guess = hypotheses.guess_of(metrics, 0)
    skeletons = metrics.packed.input_skeleton, metrics.packed.output_skeleton
    figure = hypotheses.draw_guesses([guess], *skeletons, "three", "of whom")
    assert {"three", "of whom"} <= {text.get_text() for text in figure.texts}
    side = figure.axes[2]
    drawn = [c for c in side.collections if isinstance(c, LineCollection) and c.get_alpha() is not None]
    assert sorted(float(c.get_alpha() or 0) for c in drawn) == pytest.approx(
        sorted(0.15 + 0.85 * w / 0.6 for w in (0.6, 0.3, 0.1)), abs=1e-3
    )
