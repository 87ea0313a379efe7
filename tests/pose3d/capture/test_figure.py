"""The port's figure: told by the run itself, beside what predicting nothing costs."""

import re

import numpy as np
import pytest
import torch

from anypose.engine.task import Loading
from pose3d.capture.figure import LAST, cost_of_nothing
from tests.pose3d.task.test_orientation_fields import CPU, SEED, coco_mini, make_task


@pytest.mark.slow
def test_a_seed_s_run_on_real_images_ends_with_the_comparison(real_data, caplog):
    task = make_task(**SEED, mask="all", size=64, reduced_decode=False, baseline=60)
    training = task.batches(coco_mini(real_data), True, Loading(1, seed=0), CPU)
    task.batches(coco_mini(real_data), False, Loading(8, seed=0, drop_last=False), CPU)
    losses, nothing = [], []
    for _, batch in zip(range(LAST + 3), training.epoch(0), strict=False):
        loss, terms = task.loss(batch)
        losses.append(float(loss.detach()))
        nothing.append(float(terms["error_of_nothing"]))
    with caplog.at_level("INFO"):
        task.metrics()
    text = caplog.text
    assert f"Mean of the last 10 losses: {np.mean(losses[-10:]):.5f}" in text
    assert f"nothing costs {np.mean(nothing[-10:]):.5f} on the same crops" in text
    assert "The Ascend port reports 0.0038 and 0.0043 on two kinds of device" in text
    over = re.search(r"over 60 crops: (\S+) with mask=all .*; (\S+) with mask=miss", text)
    assert over
    assert float(over[1]) > 2 * float(over[2]), "silhouettes are where the heatmaps are"
    expected = []
    for kind in ("all", "miss"):
        other = make_task(**SEED, mask=kind, size=64, reduced_decode=False)
        found: list[float] = []
        batches = other.batches(coco_mini(real_data), True, Loading(1, seed=0), CPU)
        for epoch in (0, 1):
            found += [float(cost_of_nothing(other.targets(batch))) for batch in batches.epoch(epoch)]
        expected.append(np.mean(found[:60]))
    assert [float(over[1]), float(over[2])] == pytest.approx(expected, abs=1e-5)


def test_other_processes_watch_and_stay_silent(real_data, caplog):
    task = make_task(**SEED, mask="all", size=64, baseline=5)
    loading = Loading(1, seed=0, rank=1, world_size=2)
    _, terms = task.loss(next(iter(task.batches(coco_mini(real_data), True, loading, CPU).epoch(0))))
    assert "error_of_nothing" in terms, "all processes report the same terms"
    assert task.figure is not None
    with caplog.at_level("INFO"):
        assert task.figure.tell() == ""
    assert not caplog.records


def test_nothing_costs_the_squares_of_the_heatmaps_where_the_mask_is():
    heatmaps = torch.rand(2, 3, 4, 4)
    mask = (torch.rand(2, 1, 4, 4) > 0.5).float()
    joints = torch.tensor([[True, False, True], [True, True, True]])
    expected = [
        np.mean([float((heatmaps[b, j] ** 2 * mask[b, 0]).sum() / mask[b, 0].sum()) for j in range(3) if joints[b, j]])
        for b in range(2)
    ]
    found = cost_of_nothing({"heatmaps": heatmaps, "mask": mask, "joints": joints})
    assert float(found) == pytest.approx(np.mean(expected), rel=1e-5)
