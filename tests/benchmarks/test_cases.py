"""Each fast path equals its slow reference, and the references are right by themselves."""

import shutil

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from scipy.spatial.transform import Rotation

from benchmarks import naive, peers
from benchmarks.cases import chunks, mlp
from benchmarks.cases import eval as evaluation
from benchmarks.ceilings import Ceilings
from benchmarks.harness import Settings
from benchmarks.measuring import case, choices
from benchmarks.training import compose, linear_training_flops


@pytest.fixture
def settings():
    with instantiate(compose(["device=cpu"]).device) as device:
        yield Settings(device, "fp32", threads=1, cpu_time=True, quick=True, peers=None)


def test_every_choice_can_be_run_and_says_what_it_is():
    for name in choices():
        module = case(name)
        assert callable(module.run)
        assert module.__doc__


@pytest.mark.slow
@pytest.mark.parametrize("receptive_field", [27, 243])
def test_gathered_windows_equal_those_cut_one_by_one(receptive_field, settings):
    assert chunks._difference(receptive_field, settings) == 0.0


@pytest.mark.slow
def test_the_training_step_has_the_gradient_of_plain_layers(settings):
    assert mlp._gradient_difference(settings) < 1e-4


def test_average_precision_of_both_ways_is_the_same():
    pytest.importorskip("pycocotools")
    comparison = evaluation._average_precision(60)
    assert comparison.difference() <= comparison.tolerance
    assert 0 < comparison.ours()[0] < 1


def test_references_score_a_turned_pose_as_equal_and_a_mirrored_one_not():
    rng = np.random.default_rng(0)
    target = rng.normal(size=(20, 17, 3))
    turned = 0.5 * target @ Rotation.random(random_state=0).as_matrix() + 3
    assert naive.p_mpjpe(turned, target) < 1e-12
    assert naive.p_mpjpe_by_pose(turned, target) < 1e-12
    assert naive.p_mpjpe(target * (-1, 1, 1), target) > 0.1
    assert naive.mpjpe(target + np.array([0, 3, 4]), target) == pytest.approx(5)


def test_the_reference_network_clips_whole_matrices_and_has_the_published_size():
    network = naive.ResidualNetwork(max_weight_norm=1.0)
    assert sum(p.numel() for p in network.parameters()) == 4_291_632
    head = network.head
    values = torch.randn(3, 1024)
    with torch.no_grad():
        expected = values @ (head.weight / head.weight.norm()).T + head.bias
        torch.testing.assert_close(network.multiply(head, values), expected)


def test_the_cost_of_a_step_counts_every_product_once():
    layers = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.ReLU(), torch.nn.Linear(5, 2))
    forward, weight_gradients, input_gradients = 15 + 10, 15 + 10, 10
    assert linear_training_flops(layers, 7) == 2 * 7 * (forward + weight_gradients + input_gradients)
    assert Ceilings(flops=100.0, bytes=10.0).floor(500.0, 20.0) == 5.0


def test_a_peer_is_loaded_by_path_from_either_layout(tmp_path):
    for folder in ("VideoPose3D", "facebookresearch/VideoPose3D"):
        file = tmp_path / folder / "common" / "loss.py"
        file.parent.mkdir(parents=True)
        file.write_text("ANSWER = 42", encoding="utf-8")
        module = peers.load(tmp_path, peers.VIDEOPOSE3D, "common/loss.py")
        assert module is not None
        assert module.ANSWER == 42
        shutil.rmtree(file.parent.parent)  # with what Python compiled beside it
    assert peers.load(tmp_path, peers.PORT, "src/model.py") is None


def test_a_checkout_of_something_else_is_named(tmp_path):
    (tmp_path / "VideoPose3D").mkdir()
    with pytest.raises(FileNotFoundError, match=r"VideoPose3D, but no common/loss.py in it; is it facebookresearch/"):
        peers.load(tmp_path, peers.VIDEOPOSE3D, "common/loss.py")
