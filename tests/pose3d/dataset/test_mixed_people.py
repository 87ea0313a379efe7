import dataclasses
import importlib
import inspect
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from anypose.engine.task import Loading
from pose2d.dataset.coco import Coco
from pose3d.dataset.mixed_motion import MixedMotion
from pose3d.dataset.mixed_people import MixedPeople, join
from pose3d.dataset.rendered_motion import RenderedMotion
from tests.conftest import REPOSITORY
from tests.pose3d.capture.capture_scene import two_people
from tests.pose3d.rendered import rendered_people
from tests.pose3d.task.test_orientation_fields import make_task


def composed(*overrides: str) -> Any:
    with initialize_config_dir(version_base="1.3", config_dir=str(REPOSITORY / "conf")):
        cfg = compose("train", ["device=cpu", *overrides])
    return instantiate(cfg.task, model=instantiate(cfg.model))


def topdown() -> Any:
    return composed("model=simplebaseline", "model.height=64", "model.width=64", "task.weights=null")


def lifter() -> Any:
    return composed("model=baseline3d")


def test_both_are_there_with_numbers_of_their_own_and_each_pixel_where_it_belongs():
    first, second = two_people(), rendered_people().people("train")
    joined = join(first, second)
    assert len(joined) == len(first) + len(second)
    assert len(set(joined.ids.tolist())) == len(joined)
    assert len(set(joined.image_ids.tolist())) == len(joined.image_ids) == 6
    numbers = {entry["id"]: entry["image_id"] for entry in joined.truth["coco"]["annotations"]}
    assert [numbers[i] for i in joined.ids.tolist()] == joined.image_ids[joined.image].tolist()
    assert joined.images.name(0) == "grey image 0"
    np.testing.assert_array_equal(joined.images.read(3), second.images.read(2))
    assert np.isnan(joined.truth["joints"][:2]).all()
    np.testing.assert_array_equal(joined.truth["joints"][2:], second.truth["joints"])
    assert np.isnan(joined.truth["lenses"]).all(axis=1).tolist() == [True] + [False] * 5


def test_photographs_and_rendered_people_train_in_one_batch_each_by_its_own_rules(real_data):
    flat: Any = Coco(str(real_data("coco_mini")), "train2017", "val2017", "ground_truth", 0.0, "stored", 120, 1000)
    dataset = MixedPeople(flat, rendered_people(), "spatial")
    task = make_task(size=64)
    batches = task.batches(dataset, True, Loading(64, seed=0), torch.device("cpu"))
    truth = task.targets(next(iter(batches.epoch(0))))
    spatial = truth["spatial"]
    assert 0 < spatial.sum() < 64
    assert truth["joints"][spatial, 18].all(), "rendered people have a head top"
    assert not truth["joints"][~spatial, 18].any(), "COCO has none"
    z = truth["fields"].view(64, -1, 3, 8, 8)[:, :, 2]
    assert z[spatial].any()
    assert not z[~spatial].any()
    assert len(dataset.people("validation").image_ids) == 2


class Motion:
    """What a dataset of motion has, and no more."""

    name = "cmu"

    def sequences(self, split):
        raise AssertionError(split)


class Pictures:
    """What a dataset of people in pictures has, and no more."""

    name = "coco"

    def people(self, split):
        raise AssertionError(split)


def test_motion_where_pictures_are_needed_is_told_for_what_it_is():
    loading, device = Loading(2, seed=0), torch.device("cpu")
    words = "needs people in pictures, and dataset=cmu holds motion. Pictures are in coco"
    with pytest.raises(ValueError, match=f"task=orientation_fields {words}"):
        make_task(size=64).batches(Motion(), True, loading, device)
    with pytest.raises(ValueError, match=f"task=topdown2d {words}"):
        topdown().batches(Motion(), True, loading, device)
    with pytest.raises(ValueError, match=rf"dataset\.spatial {words}"):
        MixedPeople(rendered_people(), Motion(), "flat")  # pyright: ignore[reportArgumentType]
    words = "needs motion, sequences of keypoints and joints, and dataset=coco holds people in pictures"
    with pytest.raises(ValueError, match=rf"A lifter \(Baseline3D\) {words}"):
        lifter().batches(Pictures(), True, loading, device)
    with pytest.raises(ValueError, match=rf"dataset\.recorded {words}"):
        MixedMotion(Motion(), Pictures(), "invented")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=rf"dataset\.motion {words}"):
        RenderedMotion(Pictures(), 0, 1, 1, 64, 64)  # pyright: ignore[reportArgumentType]


def test_skeletons_must_agree_and_the_scored_one_must_be_named():
    other = rendered_people()
    other.skeleton = dataclasses.replace(other.skeleton, name="seventeen")
    with pytest.raises(ValueError, match=r"must share a skeleton, got coco_17 .* and seventeen"):
        MixedPeople(rendered_people(), other, "flat")
    with pytest.raises(ValueError, match=r"dataset\.validation must be flat or spatial, got both"):
        MixedPeople(rendered_people(), rendered_people(), "both")


@pytest.mark.slow
@pytest.mark.parametrize(
    "choice", ["coco", "coco_legacy", "mixed_people", "rendered_motion", "mpi_inf_3dhp_images", "synthetic_people"]
)
def test_the_recipe_takes_every_dataset_of_people_as_it_is(choice):
    """A recipe that set something of its own dataset's would hand it to any other, too."""
    with initialize_config_dir(version_base="1.3", config_dir=str(REPOSITORY / "conf")):
        settings = compose("train", ["model=total_capture", f"dataset={choice}"]).dataset
    module, _, name = settings._target_.rpartition(".")
    target = getattr(importlib.import_module(module), name)
    assert set(settings) - {"_target_"} == set(inspect.signature(target).parameters)


def test_photographs_and_rendered_recordings_mix_by_the_command_line_alone():
    with initialize_config_dir(version_base="1.3", config_dir=str(REPOSITORY / "conf")):
        overrides = ["dataset=mixed_people", "dataset@dataset.spatial=rendered_motion", "dataset.spatial.seed=3"]
        settings = compose("train", ["model=total_capture", *overrides]).dataset
    assert settings.spatial._target_.endswith("RenderedMotion")
    assert settings.spatial.motion._target_.endswith("H36MCDF")
    assert settings.flat._target_.endswith("Coco")
