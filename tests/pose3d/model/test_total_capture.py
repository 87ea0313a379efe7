import pytest
import torch

from pose3d.model.total_capture import TotalCapture


@pytest.mark.parametrize(("part", "parameters"), [("body", 54_419_420), ("hand", 53_908_396)])
def test_parameter_counts_are_the_published_networks(part, parameters):
    with torch.device("meta"):
        model = TotalCapture(part=part, num_stages=6, width=1.0, norm="none", init="he", enlarged=False)
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_every_stage_gives_maps_at_an_eighth_of_the_image():
    model = TotalCapture(part="body", num_stages=3, width=0.125, norm="none", init="he", enlarged=False)
    heatmaps, fields = model(torch.zeros(2, 3, 64, 96))
    assert heatmaps.shape == (2, 3, 21, 8, 12)
    assert fields.shape == (2, 3, 69, 8, 12)


def test_the_last_stage_teaches_every_parameter_but_the_other_stages_heads_see_it_too():
    model = TotalCapture(part="body", num_stages=2, width=0.125, norm="none", init="he", enlarged=False)
    heatmaps, fields = model(torch.rand(1, 3, 64, 64) - 0.5)
    (heatmaps[:, -1].square().mean() + fields[:, -1].square().mean()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_the_signal_survives_the_front_from_he_s_start_and_dies_from_the_published_one():
    features = {}
    for init in ("he", "xavier"):
        torch.manual_seed(0)
        model = TotalCapture(part="body", num_stages=1, width=0.5, norm="none", init=init, enlarged=False)
        model.get_submodule("conv4_4_CPM").register_forward_hook(lambda *a, i=init: features.update({i: a[2].std()}))
        model(torch.rand(1, 3, 64, 64) - 0.5)
    assert features["he"] > 0.1
    assert features["xavier"] < 0.02


def test_an_unknown_start_is_refused():
    with pytest.raises(ValueError, match=r"model\.init must be he or xavier, got zeros"):
        TotalCapture(part="body", num_stages=1, width=0.125, norm="none", init="zeros", enlarged=False)


@pytest.mark.parametrize(("num_stages", "width"), [(0, 1.0), (2, 0.0)])
def test_impossible_sizes_are_refused_with_their_values(num_stages, width):
    with pytest.raises(ValueError, match=rf"got {num_stages} and {width}"):
        TotalCapture(part="body", num_stages=num_stages, width=width, norm="none", init="he", enlarged=False)


def test_batchnorm_follows_every_hidden_layer_and_no_head():
    plain, normed = (
        TotalCapture(part="body", num_stages=2, width=0.125, norm=norm, init="he", enlarged=False)
        for norm in ("none", "batch")
    )
    hidden = {name for name in normed.state_dict() if name.endswith("_norm.running_mean")}
    heads = {f"{layer}_L{branch}" for layer in ("conv5_5_CPM", "Mconv7_stage2") for branch in (1, 2)}
    layers = {name.removesuffix(".weight") for name in plain.state_dict() if name.endswith(".weight")}
    assert {name.removesuffix("_norm.running_mean") for name in hidden} == layers - heads
    assert set(plain.state_dict()) < set(normed.state_dict())
    images = torch.rand(4, 3, 64, 64) - 0.5
    for layer in (normed.get_submodule("conv1_1_norm"), normed.get_submodule("Mconv3_stage2_L2_norm")):
        layer.register_forward_hook(lambda _layer, _seen, out: seen.append(out.mean().abs().item()))
    seen: list[float] = []
    normed(images)
    assert max(seen) < 1e-5
    assert len(seen) == 2
    with pytest.raises(ValueError, match=r"model\.norm must be none or batch, got layer"):
        TotalCapture(part="body", num_stages=1, width=0.125, norm="layer", init="he", enlarged=False)
