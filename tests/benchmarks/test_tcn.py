import pytest
import torch

from anypose.engine.device import Cpu
from benchmarks import naive_tcn
from benchmarks.cases import tcn_infer, tcn_train
from benchmarks.harness import Settings, WrongResult, compare

SETTINGS = Settings(
    Cpu(index=None, deterministic=False, keep_memory=False), "fp32", threads=1, cpu_time=True, quick=True, peers=None
)


@pytest.mark.parametrize(("kernel_sizes", "parameters"), [([3, 3, 3], 8_555_571), ([3, 3, 3, 3, 3], 16_952_371)])
@pytest.mark.parametrize("strided", [False, True])
def test_the_reference_is_the_published_network(kernel_sizes, parameters, strided):
    with torch.device("meta"):
        network = naive_tcn.TemporalNetwork(kernel_sizes, strided)
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_the_reference_and_the_model_agree_dilated_and_strided():
    dilated, _ = tcn_infer._reference(SETTINGS)
    strided = naive_tcn.TemporalNetwork(tcn_infer.LONG, strided=True).eval()
    strided.load_state_dict(dilated.state_dict())
    model = tcn_infer._model(tcn_infer.LONG, dilated.state_dict(), causal=False)
    keypoints = torch.randn(1, 244, 17, 2)
    with torch.no_grad():
        torch.testing.assert_close(model(keypoints), dilated(keypoints), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(strided(keypoints[:, :243]), dilated(keypoints)[:, :1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("kernel_sizes", "strided", "macs"),
    [
        ([3, 3, 3], True, 17.8e6),
        ([3, 3, 3, 3, 3], True, 176.3e6),
        ([3, 3, 3], False, 8.55e6),
        ([3, 3, 3, 3, 3], False, 16.93e6),
        ([3, 3, 3, 3], True, 57.4e6),
    ],
)
def test_multiplications_are_counted_as_published(kernel_sizes, strided, macs):
    assert naive_tcn.multiplications(kernel_sizes, strided) == pytest.approx(macs, rel=3e-3)


@pytest.mark.slow
def test_a_trainer_s_step_has_the_reference_s_gradients():
    assert tcn_train._gradient_difference(27, SETTINGS) < 1e-4


@pytest.mark.slow
def test_a_wrong_network_is_found_before_it_is_timed():
    reference, name = tcn_infer._reference(SETTINGS)
    model = tcn_infer._model(tcn_infer.LONG, reference.state_dict(), causal=False)
    with torch.no_grad():
        model.layers_conv[1].weight *= 1.01
    with pytest.raises(WrongResult, match="differs from plain dilated by"):
        compare(tcn_infer._whole(model, reference, torch.randn(1, 245, 17, 2), name, SETTINGS), SETTINGS)
