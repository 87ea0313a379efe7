import pytest
import torch

from anypose.kernels.blockwise import Blockwise
from anypose.kernels.swap import swap
from pose3d.lifting.temporal import TemporalConv
from tests.anypose.export.small_tasks import lifting_task, videopose3d


def trained(**changes):
    return lifting_task(videopose3d(**changes)).model.eval()


def streaming(model, way):
    form = model.streaming()
    swap(form, {"temporal": way} if way else {})
    return form


@pytest.mark.parametrize("way", [None, "products", "winograd"])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("blocks", [[27, 1, 1, 5, 18, 8], [60], [45, 15], [29, 31]])
@torch.no_grad()
def test_blocks_of_any_length_give_what_the_whole_sequence_gives(way, causal, blocks):
    model = trained(causal=causal)
    stream = streaming(model, way)
    keypoints = torch.randn(2, 60, 17, 2)
    joints, states = [], []
    for block in keypoints.split(blocks, dim=1):
        block_joints, *states = stream(block, *states)
        joints.append(block_joints)
    torch.testing.assert_close(torch.cat(joints, 1), model(keypoints), atol=1e-6, rtol=1e-5)
    assert [tuple(state.shape[1:]) for state in states] == stream.state_shapes == [(2, 34), (6, 16), (18, 16)]


@pytest.mark.parametrize("kernel_sizes", [[3, 5, 3], [1, 1, 1], [7], [3, 1, 3]])
@torch.no_grad()
def test_kernels_of_other_widths_stream_too(kernel_sizes):
    model = trained(kernel_sizes=kernel_sizes)
    field = model.receptive_field
    stream, keypoints = streaming(model, "winograd"), torch.randn(1, field + 7, 17, 2)
    joints, *states = stream(keypoints[:, :field])
    parts = [joints]
    for frame in keypoints[:, field:].split(1, dim=1):
        joints, *states = stream(frame, *states)
        parts.append(joints)
    torch.testing.assert_close(torch.cat(parts, 1), model(keypoints), atol=1e-6, rtol=1e-5)


def test_a_step_makes_one_output_in_each_layer_whatever_the_window(monkeypatch):
    frames = []
    original = TemporalConv.forward

    def watched(self, features, strided):
        outputs = original(self, features, strided)
        frames.append(outputs.shape[2])
        return outputs

    monkeypatch.setattr(TemporalConv, "forward", watched)
    stream = trained(causal=True).streaming()
    _, *states = stream(torch.randn(1, 27, 17, 2))
    frames.clear()
    stream(torch.randn(1, 1, 17, 2), *states)
    assert frames == [1] * 6


@pytest.mark.parametrize("frames", [27, 500, 512, 513, 1100])
@pytest.mark.parametrize("causal", [False, True])
@torch.no_grad()
def test_blockwise_is_the_whole_sequence_at_once(frames, causal):
    model = trained(causal=causal)
    blockwise = Blockwise(streaming(model, "winograd"))
    assert blockwise.block == 486
    keypoints = torch.randn(2, frames, 17, 2)
    torch.testing.assert_close(blockwise(keypoints), model(keypoints), atol=2e-6, rtol=1e-5)


def test_a_block_is_made_of_pairs_for_every_layer_s_spacing():
    for kernel_sizes, block in (([3] * 5, 486), ([3] * 6, 486), ([3] * 7, 1458), ([1, 1, 1], 486), ([5, 5], 480)):
        assert Blockwise(trained(kernel_sizes=kernel_sizes, channels=2).streaming()).block == block
