import numpy as np
import pytest
import torch

from pose3d.lifting.frame_by_frame import FEW, product
from tests.anypose.export.small_tasks import lifting_task, videopose3d

SHAPES = [[1], [3], [3, 3, 3], [5, 3, 3], [3, 1, 5], [1, 3, 3, 3]]


@pytest.mark.parametrize("kernel_sizes", SHAPES, ids=str)
@pytest.mark.parametrize("variant", [{"causal": True}, {}, {"dense": True}], ids=["causal", "centred", "dense"])
def test_every_frame_gets_the_pose_that_the_whole_sequence_gives_it(kernel_sizes, variant):
    model = lifting_task(videopose3d(kernel_sizes=kernel_sizes, **variant)).model
    keypoints = torch.randn(2, model.receptive_field + 41, 17, 2)
    stream = model.frame_by_frame()
    stream.reset(2)
    poses = [stream.step(keypoints[:, t].numpy()) for t in range(keypoints.shape[1])]
    with torch.no_grad():
        whole = model(keypoints).numpy()
    assert stream.receptive_field == model.receptive_field
    np.testing.assert_allclose(np.stack(poses[model.receptive_field - 1 :], axis=1), whole, atol=2e-6)


def test_after_a_reset_nothing_of_the_frames_before_is_left():
    stream = lifting_task(videopose3d(causal=True)).model.frame_by_frame()
    frames = np.random.default_rng(0).standard_normal((8, 1, 17, 2), np.float32)
    first = [stream.step(frame) for frame in frames]
    stream.reset(1)
    for frame, pose in zip(frames, first, strict=True):
        np.testing.assert_array_equal(stream.step(frame), pose)


@pytest.mark.parametrize("rows", [1, 3, FEW, FEW + 1])
def test_a_product_in_parts_is_the_product(rows, monkeypatch):
    monkeypatch.setattr("pose3d.lifting.frame_by_frame.CACHED", 15)  # two of the five outputs at once
    generator = np.random.default_rng(0)
    left, matrix = generator.standard_normal((rows, 7)), generator.standard_normal((5, 7))
    np.testing.assert_allclose(product(left, matrix), np.einsum("ni,oi->no", left, matrix), atol=1e-12)
