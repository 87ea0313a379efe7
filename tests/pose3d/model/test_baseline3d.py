import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from anypose.skeleton import H36M_14, H36M_16, H36M_17
from pose3d.model.baseline3d import Baseline3D, from_tensorflow, from_weigq

OPTIONS = {
    "linear_size": 1024,
    "num_blocks": 2,
    "dropout": 0.5,
    "batch_norm": True,
    "batch_norm_eps": 1e-3,
    "residual": True,
    "max_weight_norm": 1.0,
    "input": "standardised",
    "predict_14": False,
    "input_skeleton": "h36m_16",
    "output_skeleton": "h36m_17",
}


def baseline(**options):
    return Baseline3D(**{**OPTIONS, "linear_size": 32, **options})


def fitted(**options):
    model = baseline(**options)
    joints = torch.randn(40, model.output_skeleton.num_joints, 3) * 0.3 + 0.1
    model.fit_statistics(torch.randn(40, 16, 2) * 90 + 500, joints)
    return model.eval()


def test_it_has_the_parameters_of_the_original():
    assert sum(p.numel() for p in Baseline3D(**OPTIONS).parameters()) == 4_291_632


def test_its_sixteen_inputs_and_sixteen_outputs_are_not_the_same_joints():
    model = baseline()
    assert set(H36M_17.joints) - set(model.input_skeleton.joints) == {"neck"}
    assert [H36M_17.joints[i] for i in range(17)][model.predicted_joints][0] == "right_hip"
    assert model.io.inputs == {"keypoints": ("B", "T", 16, 2)}
    assert model.io.outputs == {"joints": ("B", "T", 17, 3)}
    assert (model.receptive_field, model.keypoint_frame) == (1, "pixel")
    assert model.input_skeleton is H36M_16


def test_the_hip_is_exactly_zero_and_frames_do_not_mix():
    model = fitted()
    keypoints = torch.randn(3, 5, 16, 2) * 90 + 500
    joints = model(keypoints)
    assert joints.shape == (3, 5, 17, 3)
    assert (joints[:, :, 0] == 0).all()
    assert (joints[:, :, 1:] != 0).all()
    for b, t in ((0, 0), (2, 4)):
        torch.testing.assert_close(joints[b, t], model(keypoints[b : b + 1, t : t + 1])[0, 0], rtol=1e-4, atol=1e-5)


def test_predict_14_scores_exactly_the_fourteen():
    model = fitted(predict_14=True)
    assert model.output_skeleton is H36M_14
    assert model(torch.randn(2, 1, 16, 2)).shape == (2, 1, 14, 3)
    assert model.joint_scale().shape == (14, 3)
    full = Baseline3D(**{**OPTIONS, "predict_14": True})
    assert full.head.out_features == 42


def test_standardisation_is_inside_pixels_in_metres_out():
    torch.manual_seed(0)
    keypoints = torch.randn(200, 16, 2) * 90 + 500
    joints = torch.randn(200, 17, 3) * 0.3 + 0.1
    model = baseline().eval()
    model.fit_statistics(keypoints, joints)
    scaled = (keypoints.numpy() - keypoints.numpy().mean(0)) / keypoints.numpy().std(0)
    hidden = model.head(model.trunk(torch.from_numpy(scaled).flatten(1))).detach().numpy().reshape(200, 16, 3)
    expected = hidden * joints.numpy()[:, 1:].std(0) + joints.numpy()[:, 1:].mean(0)
    np.testing.assert_allclose(model(keypoints[:, None])[:, 0, 1:].detach(), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.joint_scale(), joints.numpy()[:, 1:].std(0), rtol=1e-5)


def test_statistics_travel_in_the_state_dict():
    model, other = fitted(), baseline().eval()
    other.load_state_dict(model.state_dict())
    keypoints = torch.randn(2, 1, 16, 2) * 90 + 500
    torch.testing.assert_close(other(keypoints), model(keypoints), rtol=0, atol=0)


def test_every_parameter_gets_a_gradient():
    model = fitted().train()
    model(torch.randn(8, 1, 16, 2)).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_baked_is_a_copy_with_the_same_outputs():
    model = fitted()
    keypoints = torch.randn(2, 1, 16, 2) * 90 + 500
    baked = model.baked()
    torch.testing.assert_close(baked(keypoints), model(keypoints))
    assert math.isclose(baked.head.weight.norm().item(), 1, rel_tol=1e-5)
    assert model.head.weight.norm() > 2
    assert model.head.max_weight_norm == 1.0


def tensorflow_variables(model):
    """A checkpoint as TensorFlow would have written it, from scratch: [in, out] matrices, its names."""
    rng = np.random.default_rng(0)
    size = model.head.in_features
    scopes = [("", "1", "batch_normalization", 32)]
    for i in range(len(model.trunk.blocks)):
        scopes += [
            (f"two_linear_{i}/", f"2_{i}", f"batch_normalization1{i}", size),
            (f"two_linear_{i}/", f"3_{i}", f"batch_normalization2{i}", size),
        ]
    variables = {"global_step": np.int32(24371), "learning_rate": np.float32(1e-3)}
    for scope, number, norm, width in scopes:
        prefix = f"linear_model/{scope}"
        variables[f"{prefix}w{number}"] = rng.normal(0, 0.3, (width, size)).astype(np.float32)
        variables[f"{prefix}b{number}"] = rng.normal(0, 0.1, size).astype(np.float32)
        for part in ("gamma", "beta", "moving_mean", "moving_variance"):
            variables[f"{prefix}{norm}/{part}"] = rng.uniform(0.1, 1, size).astype(np.float32)
        variables[f"{prefix}w{number}/Adam"] = np.zeros((width, size), np.float32)
    variables["linear_model/w4"] = rng.normal(0, 0.3, (size, 48)).astype(np.float32)
    variables["linear_model/b4"] = rng.normal(0, 0.1, 48).astype(np.float32)
    return variables


def tensorflow_forward(variables, inputs):
    """The original's graph at test time, in NumPy."""

    def affine(x, w, b):
        w = variables[w].astype(np.float64)
        return x @ (w / max(np.linalg.norm(w), 1.0)) + variables[b]

    def layer(x, scope, number, norm):
        y = affine(x, f"linear_model/{scope}w{number}", f"linear_model/{scope}b{number}")
        gamma, beta, mean, variance = (
            variables[f"linear_model/{scope}{norm}/{part}"]
            for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return np.maximum((y - mean) / np.sqrt(variance + 1e-3) * gamma + beta, 0)

    x = layer(inputs, "", "1", "batch_normalization")
    for i in range(2):
        y = layer(x, f"two_linear_{i}/", f"2_{i}", f"batch_normalization1{i}")
        x = x + layer(y, f"two_linear_{i}/", f"3_{i}", f"batch_normalization2{i}")
    return affine(x, "linear_model/w4", "linear_model/b4")


def test_tensorflow_weights_give_tensorflows_outputs(tmp_path):
    model = fitted()
    variables = tensorflow_variables(model)
    np.savez(tmp_path / "weights.npz", **variables)
    with np.load(tmp_path / "weights.npz") as arrays:
        model.load_state_dict(from_tensorflow(arrays, model.state_dict()))
    keypoints = torch.randn(6, 16, 2) * 90 + 500
    inputs = model.keypoint_statistics(keypoints).reshape(6, 32).double().numpy()
    outputs = tensorflow_forward(variables, inputs).reshape(6, 16, 3)
    expected = outputs * model.joint_statistics.std.numpy() + model.joint_statistics.mean.numpy()
    np.testing.assert_allclose(model(keypoints[:, None])[:, 0, 1:].detach(), expected, rtol=1e-4, atol=1e-5)


def test_a_tensorflow_checkpoint_without_the_head_is_refused_by_name():
    model = fitted()
    variables = tensorflow_variables(model)
    del variables["linear_model/w4"]
    with pytest.raises(ValueError, match=r"no 'linear_model/w4'. They have \d+ entries: .*linear_model/b1"):
        from_tensorflow(variables, model.state_dict())


class Port(nn.Module):
    """A network with the names of weigq's port."""

    def __init__(self, size):
        super().__init__()
        stage = {
            "w1": nn.Linear(size, size),
            "batch_norm1": nn.BatchNorm1d(size),
            "w2": nn.Linear(size, size),
            "batch_norm2": nn.BatchNorm1d(size),
        }
        self.w1, self.batch_norm1 = nn.Linear(32, size), nn.BatchNorm1d(size)
        self.linear_stages = nn.ModuleList([nn.ModuleDict(stage), nn.ModuleDict(stage)])
        self.w2 = nn.Linear(size, 48)

    def forward(self, x):
        x = F.relu(self.batch_norm1(self.w1(x)))
        for stage in self.linear_stages:
            y = F.relu(stage["batch_norm1"](stage["w1"](x)))
            x = x + F.relu(stage["batch_norm2"](stage["w2"](y)))
        return self.w2(x)


def test_weights_of_the_pytorch_port_give_its_outputs():
    port = Port(32).train()
    for _ in range(3):
        port(torch.randn(64, 32))
    port.eval()
    model = fitted(batch_norm_eps=1e-5, max_weight_norm=None)
    checkpoint = {"epoch": 3, "err": 44.0, "state_dict": port.state_dict()}
    model.load_state_dict(from_weigq(checkpoint, model.state_dict()))
    keypoints = torch.randn(6, 16, 2) * 90 + 500
    outputs = port(model.keypoint_statistics(keypoints).flatten(1)).view(6, 16, 3)
    torch.testing.assert_close(model(keypoints[:, None])[:, 0, 1:], model.joint_statistics.undo(outputs))


def test_a_state_dict_of_something_else_is_refused_by_name():
    with pytest.raises(ValueError, match=r"no 'w1.weight'. They have 1 entries: conv.weight"):
        from_weigq({"conv.weight": torch.zeros(1)}, fitted().state_dict())


def test_a_centred_network_gives_the_same_person_wherever_the_camera_looks():
    torch.manual_seed(0)
    model = baseline(input="centred", max_weight_norm=None, dropout=0.0).eval()
    assert (model.keypoint_frame, model.keypoint_mean()) == ("ray", None)
    joints = torch.randn(1, 1, 16, 3) * 0.3 + torch.tensor([0.0, 0.0, 4.0])
    about_x = torch.tensor([[1.0, 0, 0], [0, 0.96, -0.28], [0, 0.28, 0.96]])  # looks another way, without a roll
    seen, elsewhere = (points[..., :2] / points[..., 2:] for points in (joints, joints @ about_x.T))
    one, other = model(seen), model(elsewhere)
    assert one.shape == (1, 1, 17, 3)
    torch.testing.assert_close(one.norm(dim=-1), other.norm(dim=-1), atol=0.02, rtol=0.05)


def test_an_unknown_input_is_refused():
    with pytest.raises(ValueError, match=r"model.input must be standardised or centred, got 'turned'"):
        baseline(input="turned")
