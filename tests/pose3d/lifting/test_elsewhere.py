"""Weights that other code trained are scored as they are: settings found, typed ones kept, doubts asked about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hydra
import numpy as np
import pytest
import torch
from hydra.utils import instantiate

from anypose.engine import checkpoint
from anypose.engine.place import CONF
from pose2d.model.simplebaseline import SimpleBaseline
from pose3d.lifting.elsewhere import task_elsewhere
from pose3d.lifting.trajectory import ROOT
from tests.anypose.export.small_tasks import lifting_task, videopose3d
from tests.pose3d.model import test_baseline3d as martinez
from tests.pose3d.model.test_motionagformer import network as agformer
from tests.pose3d.task.test_window3d import published

SMALL = (
    "dataset.train_subjects=1", "dataset.validation_subjects=1", "dataset.frames=40", "dataset.frame_step=5",
    "dataset.actions=[Walking]",
)  # fmt: skip


def restored(path: Path, *overrides: str, model: str = "baseline3d") -> Any:
    people = ("dataset=synthetic_people", "dataset.bodies=1", "dataset.train_images=1", "dataset.validation_images=1")
    data = people if model == "simplebaseline" else ("dataset=synthetic", *SMALL)
    words = [f"model={model}", *data, *overrides]
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        config = hydra.compose("evaluate", words)
    typed = {word.split("=")[0] for word in words}
    dataset = instantiate(config.dataset)
    return task_elsewhere(config, typed, model, path, dataset, torch.device("cpu"))


def test_weigqs_port_with_the_statistics_of_the_training_split(tmp_path):
    port = martinez.Port(24).eval()
    path = tmp_path / "ckpt_best.pth.tar"
    torch.save({"epoch": 3, "lr": 1e-3, "err": 44.0, "state_dict": port.state_dict(), "optimizer": {}}, path)
    model = restored(path).model.eval()
    assert (model.head.max_weight_norm, model.trunk.stem.norm.eps) == (None, 1e-5)
    assert model.keypoint_statistics.mean.abs().min() > 1, "fitted"
    keypoints = torch.randn(6, 16, 2) * 90 + 500
    with torch.no_grad():
        outputs = port(model.keypoint_statistics(keypoints).flatten(1)).view(6, 16, 3)
        torch.testing.assert_close(model(keypoints[:, None])[:, 0, 1:], model.joint_statistics.undo(outputs))


@pytest.mark.slow
def test_motionagformers_own_with_its_size_told_by_the_weights(tmp_path):
    source = agformer(num_frames=9, num_blocks=2, channels=16)
    path = tmp_path / "motionagformer-xs-h36m.pth.tr"
    torch.save({"epoch": 60, "min_mpjpe": np.float64(45.1), "model": published(source)}, path)
    noise = "dataset.jitter=0.01"  # detections have scores
    window = "task.train_step=9"
    model = restored(path, noise, window, model="motionagformer").model
    assert (model.receptive_field, len(model.blocks), model.keypoint_channels) == (9, 2, 3)
    assert torch.equal(model.head.weight, source.head.weight)
    with pytest.raises(ValueError, match=r"does not fit .*trained with model.num_frames=9 \(here 12\)"):
        restored(path, noise, window, "model.num_frames=12", model="motionagformer")


def test_tensorflows_variables(tmp_path):
    variables = martinez.tensorflow_variables(martinez.fitted())
    np.savez(tmp_path / "weights.npz", **variables)
    model = restored(tmp_path / "weights.npz").model
    assert torch.equal(model.head.weight.T, torch.from_numpy(variables["linear_model/w4"]))
    with pytest.raises(ValueError, match=r"does not fit Baseline3D"):
        restored(tmp_path / "weights.npz", "model.linear_size=48")


@pytest.mark.slow
def test_a_published_bin_with_and_without_its_trajectory(tmp_path):
    pose = lifting_task(videopose3d()).model
    place = pose.sibling(ROOT)
    path = tmp_path / "model_best.bin"
    torch.save({"model_pos": pose.state_dict(), "model_traj": place.state_dict()}, path)
    with pytest.raises(ValueError, match=r"do not say which keypoints they read. Say model.input_skeleton=h36m_17"):
        restored(path, model="videopose3d")
    said = "model.input_skeleton=h36m_17"
    task = restored(path, said, model="videopose3d")
    keypoints = torch.randn(1, 40, 17, 2)
    with torch.no_grad():
        torch.testing.assert_close(task.model.eval()(keypoints), pose(keypoints))
        both = restored(path, said, "task=semi_supervised", "task.loss=mpjpe", model="videopose3d").model.eval()
        torch.testing.assert_close(both(keypoints)[1], place.eval()(keypoints))
    torch.save({"model_pos": pose.state_dict()}, path)
    with pytest.raises(ValueError, match=r"has no model_traj: score the pose alone with task=lifting3d"):
        restored(path, said, "task=semi_supervised", "task.loss=mpjpe", model="videopose3d")


def test_a_published_file_of_a_known_name_asks_nothing(tmp_path):
    pose = lifting_task(videopose3d(input_skeleton="coco_17")).model
    path = tmp_path / "pretrained_h36m_detectron_coco.bin"
    torch.save({"model_pos": pose.state_dict()}, path)
    assert restored(path, model="videopose3d").model.input_skeleton.name == "coco_17"


@pytest.mark.slow
def test_microsofts_network_is_scored_on_the_crops_that_its_file_names_or_somebody_says(tmp_path):
    settings = {"depth": 18, "num_keypoints": 17, "trunk_channels": 16, "deconv_channels": 32, "bn_eps": 1e-5}
    size = {"height": 96, "width": 64}
    network = SimpleBaseline(**settings, **size, bn_momentum=0.1, head_init="normal").eval()
    named, plain = tmp_path / "pose_resnet_18_96x64.pth.tar", tmp_path / "final_state.pth.tar"
    for path in (named, plain):
        torch.save({f"module.{name}": value for name, value in network.state_dict().items()}, path)
    task = restored(named, model="simplebaseline")
    assert (task.model.io.inputs["image"], task.normalization.channels, task.rules.aligned) == (
        ("B", 3, 96, 64),
        "bgr",
        False,
    )
    image = torch.randn(1, 3, 96, 64)
    with torch.no_grad():
        torch.testing.assert_close(task.model.eval()(image), network(image))
    with pytest.raises(ValueError, match=r"do not say the size of the crops .*Say model.height=256 model.width=192"):
        restored(plain, model="simplebaseline")
    said = ("model.height=96", "model.width=64", "task.channels=rgb")
    assert restored(plain, *said, model="simplebaseline").normalization.channels == "rgb", "what was typed stands"


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", {"something": 1}, {"w": torch.zeros(1)}, [1]], ids=str)
@pytest.mark.parametrize("model", ["baseline3d", "videopose3d", "simplebaseline", "total_capture"])
def test_what_is_none_of_them_is_refused_in_words(tmp_path, content, model):
    path = tmp_path / "weights.pth"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(ValueError, match=r"weights\.pth|names like|weights have no"):
        restored(path, *(("dataset=synthetic",) if model != "simplebaseline" else ()), model=model)


@pytest.mark.parametrize(
    ("model", "weights", "told"),
    [
        ("baseline3d", {"w1.weight": torch.zeros(3)}, r"init=.*pth has tensors that no model=baseline3d has: .*w2"),
        ("baseline3d", {"linear_model/w1": torch.zeros(3)}, "no model=baseline3d has: their names or shapes"),
        ("gmh_mdn", {"linear_model/w1": torch.zeros(32, 8), "linear_model/b5": torch.zeros(())}, "no model=gmh_mdn"),
        # What a name or a shape tells costs no bytes in the file.
        pytest.param(
            "motionagformer",
            {"layers.99999999.x": torch.zeros(1)},
            "network is too large. Lower .*num_blocks=100000000",
            marks=pytest.mark.slow,
        ),
        ("baseline3d", {"linear_model/w1": torch.zeros(0, 10**7)}, "has 0 numbers, and the network .* has 8\\d{8}"),
    ],
    ids=str,
)
def test_weights_that_tell_what_no_network_is_are_refused(tmp_path, model, weights, told):
    torch.save({"state_dict": weights}, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=told):
        restored(tmp_path / "weights.pth", model=model)


def test_an_official_file_given_as_a_checkpoint_names_the_command_that_reads_it(tmp_path):
    torch.save({"model_pos": {}, "random_state": np.random.RandomState(0)}, tmp_path / "net.bin")
    with pytest.raises(ValueError, match=r"scored by `evaluate model=NAME init=FILE dataset=NAME`"):
        checkpoint.load(tmp_path / "net.bin")
    torch.save({"model_pos": {}}, tmp_path / "net.bin", _use_new_zipfile_serialization=False)
    with pytest.raises(ValueError, match=r"scored by `evaluate model=NAME init=FILE dataset=NAME`"):
        checkpoint.load(tmp_path / "net.bin")
