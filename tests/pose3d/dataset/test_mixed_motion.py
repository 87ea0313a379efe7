from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from anypose.engine.task import Loading
from pose3d.dataset.cmu import CMU
from pose3d.dataset.mixed_motion import MixedMotion
from pose3d.dataset.synthetic import Synthetic
from tests.pose3d.motion.motion_files import write_daz_bvh

CONF = Path(__file__).parents[3] / "conf"


@pytest.fixture
def settings(tmp_path):
    for subject in ("01", "02"):
        (tmp_path / subject).mkdir()
        write_daz_bvh(tmp_path / subject / f"{subject}_01.bvh", 200)
    return [
        "dataset=mixed_motion",
        "dataset.invented.train_subjects=2",
        "dataset.invented.validation_subjects=1",
        "dataset.invented.frames=100",
        "dataset.invented.actions=[Walking]",
        f"dataset.recorded.root={tmp_path}",
        "dataset.recorded.validation_subjects=['02']",
        "dataset.recorded.cache=null",
    ]


def build(*overrides: str) -> MixedMotion:
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        return instantiate(compose("train", list(overrides)).dataset)


def test_both_train_and_one_of_them_is_scored(settings):
    dataset = build(*settings)
    assert isinstance(dataset.invented, Synthetic)
    assert isinstance(dataset.recorded, CMU)
    assert {view.subject for view in dataset.sequences("train")} == {"T1", "T2", "01"}
    assert {view.subject for view in dataset.sequences("validation")} == {"02"}
    assert dataset.actions == dataset.recorded.actions
    assert dataset.name == "cmu, trained on synthetic and cmu"
    other = build(*settings, "dataset.validation=invented")
    assert {view.subject for view in other.sequences("validation")} == {"V1"}
    assert other.keypoint_source == "ground truth"
    assert set(dataset.notes) == {"procedural motion, not recorded", "no CMU-INDEX.md, every action is 'Other'"}


def test_a_lifter_trains_on_both_in_one_batch_and_is_scored_with_the_protocol_of_one(settings):
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        cfg = compose("train", [*settings, "model.linear_size=16", "task.flip_augment=false"])
    task = instantiate(cfg.task, model=instantiate(cfg.model))
    dataset = instantiate(cfg.dataset)
    training = task.batches(dataset, True, Loading(64, seed=0), torch.device("cpu"))
    frames = sum(map(len, dataset.sequences("train")))
    assert training.num_samples == frames // 64 * 64
    task.batches(dataset, False, Loading(64, seed=0, drop_last=False), torch.device("cpu"))
    assert task.metrics().conditions["dataset"] == "cmu, trained on synthetic and cmu"


def test_the_scored_one_must_be_named(settings):
    dataset = build(*settings)
    with pytest.raises(ValueError, match=r"dataset\.validation must be invented or recorded, got both"):
        MixedMotion(dataset.invented, dataset.recorded, "both")


def test_both_must_hide_the_same_joints(settings):
    one, two = (
        build(*settings),
        build(*settings, *(f"dataset.{part}.missing_joints=1" for part in ("invented", "recorded"))),
    )
    assert two.missing_joints.count == 1
    with pytest.raises(ValueError, match=r"must hide the same .* is 0 and 1 of every frame \(both\)"):
        MixedMotion(one.invented, two.recorded, "recorded")
