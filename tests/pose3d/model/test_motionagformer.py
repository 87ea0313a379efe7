"""MotionAGFormer: published sizes, the paper's equations token by token, the authors' names of weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anypose.skeleton import H36M_17
from pose3d.lifting.graph_attention import AGFormerBlock, Alike, Attention, GraphConvolution, divide_degrees
from pose3d.lifting.published_agformer import from_published_agformer, published_adjacency
from pose3d.model.motionagformer import MotionAGFormer

OPTIONS = {
    "size": "xs",
    "num_blocks": None,
    "channels": None,
    "num_frames": None,
    "num_heads": 8,
    "mlp_ratio": 4,
    "neighbours": 2,
    "representation": 512,
    "input_skeleton": "h36m_17",
    "output_skeleton": "h36m_17",
    "keypoint_channels": 3,
    "input": "screen",
}
CENTRED = {"input": "centred", "input_skeleton": "common_16", "num_frames": 9, "num_blocks": 2}


def network(**options) -> MotionAGFormer:
    torch.manual_seed(0)
    model = MotionAGFormer(**{**OPTIONS, **options})
    for name, parameter in model.named_parameters():  # what starts near zero or one would hide mistakes
        if "scale" in name or "norm" in name or "position" in name or "fusion" in name:
            torch.nn.init.uniform_(parameter, 0.2, 0.9)
    return model.eval()


@pytest.mark.parametrize(("size", "millions"), [("xs", 2.2), ("s", 4.8), ("b", 11.7), ("l", 19.0)])
def test_parameters_are_as_many_as_published(size, millions):
    count = sum(parameter.numel() for parameter in MotionAGFormer(**{**OPTIONS, "size": size}).parameters())
    assert round(count / 1e6, 1) == millions


def test_attention_is_the_paper_s_head_by_head():
    torch.manual_seed(1)
    attention, tokens = Attention(8, 2), torch.randn(3, 5, 8)
    found = attention(tokens).detach().numpy()
    weight = attention.qkv.weight.detach().numpy().reshape(3, 2, 4, 8)
    for n, x in enumerate(tokens.numpy()):
        heads = []
        for h in range(2):
            query, key, value = (x @ weight[part, h].T for part in range(3))
            score = np.exp(query @ key.T / 2)
            heads.append(score / score.sum(-1, keepdims=True) @ value)
        expected = np.concatenate(heads, -1) @ attention.projection.weight.detach().numpy().T
        np.testing.assert_allclose(found[n], expected + attention.projection.bias.detach().numpy(), atol=1e-5)


def test_a_graph_convolution_gathers_neighbours_by_their_degrees():
    torch.manual_seed(2)
    adjacency = torch.tensor([[0.0, 1, 1], [1, 0, 0], [1, 0, 0]])
    layer = GraphConvolution(4, 3, lambda tokens: adjacency).eval()
    layer.norm.running_mean.uniform_()
    layer.norm.running_var.uniform_(0.5, 2)
    x = torch.randn(2, 3, 4)
    degree = adjacency.sum(-1)
    for n in range(2):
        for i in range(3):
            gathered = sum(
                adjacency[i, j] / (degree[i] * degree[j]).sqrt() * layer.neighbours(x[n, j]) for j in range(3)
            )
            normed = (gathered + layer.own(x[n, i]) - layer.norm.running_mean[i]) / (
                layer.norm.running_var[i] + layer.norm.eps
            ).sqrt()
            torch.testing.assert_close(layer(x)[n, i], torch.relu(x[n, i] + normed))


def test_a_frame_s_neighbours_are_the_most_alike_and_those_that_tie():
    frames = torch.tensor([[[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.9, 0.1]]])
    assert Alike(2)(frames)[0].tolist() == [[1, 1, 0, 1], [1, 1, 0, 1], [0, 1, 1, 1], [1, 1, 0, 1]]
    torch.testing.assert_close(divide_degrees(torch.ones(3, 3)), torch.full((3, 3), 1 / 3))


def test_streams_are_fused_by_shares_that_add_up_to_one():
    torch.manual_seed(3)
    block = AGFormerBlock(16, num_frames=4, num_heads=2, mlp_ratio=2, neighbours=2, skeleton=H36M_17).eval()
    features = torch.randn(2, 4, 17, 16)
    torch.nn.init.zeros_(block.fusion.weight)
    block.fusion.bias.data = torch.tensor([30.0, 0.0])  # all attention

    def stream(kind):
        spatial, temporal = getattr(block, f"{kind}_spatial"), getattr(block, f"{kind}_temporal")
        x = torch.stack([torch.stack([spatial(frame[None])[0] for frame in clip]) for clip in features])
        return torch.stack([torch.stack([temporal(x[b, :, j][None])[0] for j in range(17)], 1) for b in range(2)])

    with torch.no_grad():
        torch.testing.assert_close(block(features), stream("attention"))
        block.fusion.bias.data = torch.tensor([0.0, 30.0])
        torch.testing.assert_close(block(features), stream("graph"))


def test_weights_under_the_authors_names_are_taken():
    model = network(num_frames=9)
    theirs = {}
    renamed = [  # ours: theirs
        ("blocks.", "layers."), ("attention_", "att_"), ("scale1", "layer_scale_1"), ("scale2", "layer_scale_2"),
        ("mixer.projection", "mixer.proj"), ("mixer.own", "mixer.U"), ("mixer.neighbours", "mixer.V"),
        ("mixer.norm", "mixer.batch_norm"), ("mlp.0", "mlp.fc1"), ("mlp.2", "mlp.fc2"),
        ("embedding", "joints_embed"), ("position", "pos_embed"), ("representation", "rep_logit.fc"),
    ]  # fmt: skip
    for name, tensor in model.state_dict().items():
        if "adjacency" in name:
            continue
        for ours, their in renamed:
            name = name.replace(ours, their)
        theirs[f"module.{name}"] = tensor
    other = MotionAGFormer(**{**OPTIONS, "num_frames": 9})
    other.load_state_dict(from_published_agformer(theirs))
    keypoints = torch.randn(2, 9, 17, 3)
    for block in model.blocks:
        block.graph_spatial.mixer.adjacency.adjacency.copy_(published_adjacency())
    with torch.no_grad():
        torch.testing.assert_close(other.eval()(keypoints), model(keypoints))


def test_the_authors_graph_lacks_three_ends_of_bones():
    bones = torch.zeros(17, 17)
    for child, parent in H36M_17.bones:
        bones[child, parent] = bones[parent, child] = 1
    missing = (bones - published_adjacency()).nonzero().tolist()
    assert missing == [[0, 4], [8, 11], [8, 14]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": "xl"}, "model.size must be one of xs, s, b, l, got 'xl'"),
        ({"keypoint_channels": 4}, r"model.keypoint_channels must be 2 \(x, y\) or 3 \(x, y, score\), got 4"),
        ({"num_blocks": 0}, "model.num_blocks must be 1 or more, got 0"),
        ({"neighbours": 28}, "model.neighbours must be from 1 to the 27 frames of the window, got 28"),
        ({"num_heads": 7}, "model.num_heads must divide the 64 channels, got 7"),
        ({"input_skeleton": "h36m_16"}, "model.input_skeleton=h36m_16 has 16, model.output_skeleton=h36m_17 17"),
        ({"input": "pixels"}, "model.input must be screen or centred, got 'pixels'"),
        ({"input": "centred", "keypoint_channels": 2}, "needs model.keypoint_channels=3, got 2"),
    ],
)
def test_settings_that_cannot_be_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MotionAGFormer(**{**OPTIONS, **options})


def detected(batch: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(batch, 9, 16, 3, generator=generator) * torch.tensor([0.3, 0.3, 0.9]) + 0.05


def test_detected_keypoints_that_are_not_there_are_not_read():
    model, keypoints = network(**CENTRED), detected()
    keypoints[:, 4, 3, 2] = keypoints[:, 7:, :, 2] = 0
    moved = keypoints.clone()
    moved[:, 4, 3, :2] = moved[:, 7:, :, :2] = 7.0
    joints = model(keypoints)
    assert joints.shape == (2, 9, 17, 3)
    assert (joints[..., 0, :] == 0).all()
    torch.testing.assert_close(model(moved), joints, rtol=0, atol=0)
    moved[:, 4, 3, 2] = 0.2
    assert not torch.allclose(model(moved), joints)


def test_a_centred_network_turns_its_joints_back_with_the_camera():
    model, keypoints = network(**CENTRED), detected()
    keypoints[..., 2] = 1
    features, size, turn = model.centred(keypoints)
    tokens = torch.cat([features, size[:, None, None].expand(2, 9, 16, 1)], -1)
    straight = model.joint_statistics.undo(model.head(model._represent(tokens).flatten(2)).view(2, 9, 16, 3))
    there = turn.numpy()
    expected = np.stack([[there[n].T @ joint for joint in straight[n].flatten(0, 1).detach().numpy()] for n in (0, 1)])
    np.testing.assert_allclose(model(keypoints)[:, :, 1:].detach().flatten(1, 2), expected, atol=1e-5)
    hips = keypoints[..., [model.input_skeleton.index("left_hip"), model.input_skeleton.index("right_hip")], :2]
    rays = torch.nn.functional.normalize(torch.nn.functional.pad(hips, (0, 1), value=1.0), dim=-1).mean((1, 2))
    ahead = np.stack([there[n] @ rays[n].numpy() for n in (0, 1)])
    np.testing.assert_allclose(ahead[:, :2], 0, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 26, 17, 3), (1, 27, 17, 2), (1, 27, 16, 3), (27, 17, 3)])
def test_other_shapes_are_named(shape):
    with pytest.raises(ValueError, match=r"windows of 27 frames of 17 h36m_17 keypoints with 3 values"):
        network()(torch.zeros(shape))
