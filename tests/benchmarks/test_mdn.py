"""What the mixture is measured against is right by itself."""

import numpy as np
import pytest
from hydra.utils import instantiate

from benchmarks.cases import mdn
from benchmarks.harness import Settings
from benchmarks.motion import RandomMotion
from benchmarks.training import build_trainer, compose


def test_the_likelihood_is_that_of_torch_distributions():
    with instantiate(compose(["device=cpu"]).device) as device:
        settings = Settings(device, "fp32", threads=1, cpu_time=True, quick=True, peers=None)
        trainer = build_trainer(["model=gmh_mdn", "model.linear_size=64"], RandomMotion(1, 300), settings)
        assert mdn._likelihood_difference(trainer) < 1e-5


def test_the_loop_over_frames_takes_the_nearest_hypothesis():
    truth = np.zeros((2, 3, 3))
    means = np.zeros((2, 4, 3, 3))
    means[0, :, :, 0] = [[5], [1], [2], [3]]
    means[1, :, :, 1] = [[4], [9], [8], [7]]
    assert mdn._frame_by_frame(means, truth) == pytest.approx(2.5)
