"""The 2D cases: both sides make the same crops, targets, losses and heatmaps."""

import numpy as np
import pytest
import torch
from hydra.utils import instantiate

from benchmarks.cases import pose_data
from benchmarks.harness import Settings
from benchmarks.naive2d import JointLoop, PersonDataset
from benchmarks.photos import write_coco
from benchmarks.training import compose


@pytest.fixture
def settings():
    with instantiate(compose(["device=cpu"]).device) as device:
        yield Settings(device, "fp32", threads=1, cpu_time=True, quick=True, peers=None)


@pytest.fixture(scope="module")
def coco(tmp_path_factory):
    return write_coco(tmp_path_factory.mktemp("photos"), 6)


@pytest.mark.slow
def test_photos_are_read_back_as_they_were_annotated(coco):
    people = coco.people("train")
    assert len(people) >= 6
    assert people.images.read(0).shape == (480, 640, 3)
    assert people.truth["coco"]["images"][0]["file_name"] == "000000.jpg"


@pytest.mark.slow
def test_crops_and_targets_of_both_ways_are_the_same(coco, settings):
    assert pose_data._difference(coco, settings)() <= 1.01


@pytest.mark.slow
def test_the_difference_is_seen_where_there_is_one(coco, settings, monkeypatch):
    turned = PersonDataset.__getitem__

    def off_by_some(self, row):
        pixels, heatmaps, weights = turned(self, row)
        return pixels.roll(3, dims=2), heatmaps, weights

    monkeypatch.setattr(PersonDataset, "__getitem__", off_by_some)
    assert pose_data._difference(coco, settings)() > 5


def test_the_plain_loss_is_half_the_mean_over_everything():
    rng = np.random.default_rng(0)
    predicted, target = (torch.from_numpy(rng.normal(size=(3, 5, 4, 4))) for _ in range(2))
    weight = torch.from_numpy(rng.integers(0, 2, (3, 5, 1)).astype(float))
    expected = 0.5 * (weight[..., None] * (predicted - target) ** 2).mean()
    assert float(JointLoop()(predicted, target, weight)) == pytest.approx(float(expected), rel=1e-6)
