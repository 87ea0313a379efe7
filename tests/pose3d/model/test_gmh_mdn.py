import numpy as np
import pytest
import torch

from anypose.skeleton import H36M_14
from pose3d.model.gmh_mdn import GMHMDN, from_tensorflow

OPTIONS = {
    "num_hypotheses": 5,
    "linear_size": 1024,
    "num_blocks": 2,
    "dropout": 0.5,
    "batch_norm": True,
    "batch_norm_eps": 1e-3,
    "residual": True,
    "max_weight_norm": 1.0,
    "predict_14": False,
    "input_skeleton": "h36m_16",
    "output_skeleton": "h36m_17",
}


def network(**options):
    return GMHMDN(**{**OPTIONS, "linear_size": 32, **options})


def fitted(**options):
    torch.manual_seed(0)
    model = network(**options)
    model.fit_statistics(
        torch.randn(40, 16, 2) * 90 + 500, torch.randn(40, model.output_skeleton.num_joints, 3) * 0.3 + 0.1
    )
    return model.eval()


def test_it_has_the_parameters_of_the_original():
    assert sum(p.numel() for p in GMHMDN(**OPTIONS).parameters()) == 4_498_682


@pytest.mark.parametrize("num_hypotheses", [1, 5, 8])
def test_hypotheses_sigmas_and_weights(num_hypotheses):
    model = fitted(num_hypotheses=num_hypotheses)
    means, sigmas, weights = model(torch.randn(3, 2, 16, 2) * 90 + 500)
    assert means.shape == (3, 2, num_hypotheses, 17, 3)
    assert sigmas.shape == weights.shape == (3, 2, num_hypotheses)
    assert (means[..., 0, :] == 0).all()
    assert (sigmas > 0).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, 2))
    assert model.io.outputs["means"] == ("B", "T", num_hypotheses, 17, 3)


def test_predict_14_gives_fourteen_joints():
    model = fitted(predict_14=True)
    assert model.output_skeleton is H36M_14
    assert model(torch.zeros(1, 1, 16, 2))[0].shape == (1, 1, 5, 14, 3)
    assert GMHMDN(**{**OPTIONS, "predict_14": True}).means.out_features == 210


@pytest.mark.slow
def test_the_weight_head_alone_is_not_clipped_and_all_heads_start_uneven():
    model = network()
    assert [head.max_weight_norm for head in (model.means, model.sigmas, model.weights)] == [1.0, 1.0, None]
    spread = torch.stack([GMHMDN(**{**OPTIONS, "linear_size": 4}).weights.bias.detach() for _ in range(200)]).std()
    assert 0.5 < spread < 0.61  # 0.8796 sqrt(2 / 5) = 0.556


def test_sigma_is_elu_plus_one_and_standardised():
    model = fitted()
    keypoints = torch.randn(4, 1, 16, 2) * 90 + 500
    features = model.trunk(model.keypoint_statistics(keypoints).flatten(1))
    raw = model.sigmas(features)
    expected = torch.where(raw > 0, raw + 1, raw.exp())
    torch.testing.assert_close(model(keypoints)[1][:, 0], expected)


def test_baked_is_a_copy_with_the_same_outputs():
    model = fitted()
    keypoints = torch.randn(2, 1, 16, 2) * 90 + 500
    for ours, theirs in zip(model.baked()(keypoints), model(keypoints), strict=True):
        torch.testing.assert_close(ours, theirs)
    assert model.means.max_weight_norm == 1.0


def test_tensorflow_weights_give_tensorflows_outputs():
    """The original packs [means | sigmas | weights] into (C + 2, 5), kernels fastest; written out in NumPy."""
    model = fitted(num_blocks=1)
    rng = np.random.default_rng(0)
    layers = [("", "1", "batch_normalization", 32)]
    layers += [
        ("two_linear_0/", "2_0", "batch_normalization10", 32),
        ("two_linear_0/", "3_0", "batch_normalization20", 32),
    ]
    variables = {}
    for scope, number, norm, width in layers:
        variables[f"linear_model/{scope}w{number}"] = rng.normal(0, 0.3, (width, 32)).astype(np.float32)
        variables[f"linear_model/{scope}b{number}"] = rng.normal(0, 0.1, 32).astype(np.float32)
        for part in ("gamma", "beta", "moving_mean", "moving_variance"):
            variables[f"linear_model/{scope}{norm}/{part}"] = rng.uniform(0.1, 1, 32).astype(np.float32)
    for number, width in ((4, 240), (5, 5), (6, 5)):
        variables[f"linear_model/w{number}"] = rng.normal(0, 0.3, (32, width)).astype(np.float32)
        variables[f"linear_model/b{number}"] = rng.normal(0, 0.3, width).astype(np.float32)
    model.load_state_dict(from_tensorflow(variables, model.state_dict()))

    def affine(x, name, clip=True):
        w = variables[f"linear_model/{name.replace('?', 'w')}"].astype(np.float64)
        w = w / max(np.linalg.norm(w), 1.0) if clip else w
        return x @ w + variables[f"linear_model/{name.replace('?', 'b')}"]

    def layer(x, scope, number, norm):
        y = affine(x, f"{scope}?{number}")
        gamma, beta, mean, variance = (
            variables[f"linear_model/{scope}{norm}/{part}"]
            for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return np.maximum((y - mean) / np.sqrt(variance + 1e-3) * gamma + beta, 0)

    keypoints = torch.randn(6, 16, 2) * 90 + 500
    x = layer(model.keypoint_statistics(keypoints).flatten(1).double().numpy(), *layers[0][:3])
    x = x + layer(layer(x, *layers[1][:3]), *layers[2][:3])
    raw = affine(x, "?5")
    sigma = np.where(raw > 0, raw, np.expm1(raw)) + 1
    logits = affine(x, "?6", clip=False)
    alpha = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    components = np.concatenate([affine(x, "?4"), sigma, alpha], axis=1).reshape(6, 50, 5)

    means, sigmas, weights = (output.detach().numpy()[:, 0] for output in model(keypoints[:, None]))
    np.testing.assert_allclose(sigmas, components[:, 48], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(weights, components[:, 49], rtol=1e-4, atol=1e-6)
    expected = components[:, :48].transpose(0, 2, 1).reshape(6, 5, 16, 3)
    expected = expected * model.joint_statistics.std.numpy() + model.joint_statistics.mean.numpy()
    np.testing.assert_allclose(means[:, :, 1:], expected, rtol=1e-4, atol=1e-5)


def test_a_checkpoint_of_the_single_pose_model_is_refused_by_name():
    model = fitted()
    variables = {"linear_model/w1": np.zeros((32, 32), np.float32)}
    with pytest.raises(ValueError, match=r"no 'linear_model/b1'\. They have 1 entries: linear_model/w1"):
        from_tensorflow(variables, model.state_dict())


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Constant folding")  # of the tracing exporter
def test_outputs_are_named_in_onnx(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    model = fitted().baked()
    keypoints = torch.randn(2, 1, 16, 2) * 90 + 500
    path = tmp_path / "gmh_mdn.onnx"
    torch.onnx.export(
        model, (keypoints,), str(path), input_names=list(model.io.inputs), output_names=list(model.io.outputs),
        opset_version=17, dynamo=False,
    )  # fmt: skip
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == ["means", "sigmas", "weights"]
    for found, expected in zip(session.run(None, {"keypoints": keypoints.numpy()}), model(keypoints), strict=True):
        np.testing.assert_allclose(found, expected.detach(), rtol=1e-4, atol=1e-5)


def test_every_parameter_learns():
    model = fitted().train()
    means, sigmas, weights = model(torch.randn(8, 1, 16, 2))
    (means.square().sum() + sigmas.square().sum() + (weights * torch.randn_like(weights)).sum()).backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())
