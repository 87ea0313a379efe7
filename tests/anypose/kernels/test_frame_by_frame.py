import numpy as np
import pytest
import torch

from anypose.kernels.frame_by_frame import FrameByFrame
from tests.anypose.export.small_tasks import lifting_task, videopose3d

SHAPES = [[1], [3], [3, 3, 3], [5, 3, 3], [3, 1, 5], [1, 3, 3, 3]]


@pytest.mark.parametrize("kernel_sizes", SHAPES, ids=str)
@pytest.mark.parametrize("variant", [{"causal": True}, {}, {"dense": True}], ids=["causal", "centred", "dense"])
def test_every_frame_gets_the_pose_that_the_whole_sequence_gives_it(kernel_sizes, variant):
    model = lifting_task(videopose3d(kernel_sizes=kernel_sizes, **variant)).model
    keypoints = torch.randn(2, model.receptive_field + 41, 17, 2)
    stream = FrameByFrame(model.streaming())
    stream.reset(2)
    poses = [stream.step(keypoints[:, t].numpy()) for t in range(keypoints.shape[1])]
    with torch.no_grad():
        whole = model(keypoints).numpy()
    assert stream.receptive_field == model.receptive_field
    np.testing.assert_allclose(np.stack(poses[model.receptive_field - 1 :], axis=1), whole, atol=2e-6)


def test_after_a_reset_nothing_of_the_frames_before_is_left():
    stream = FrameByFrame(lifting_task(videopose3d(causal=True)).model.streaming())
    frames = np.random.default_rng(0).standard_normal((8, 1, 17, 2), np.float32)
    first = [stream.step(frame) for frame in frames]
    stream.reset(1)
    for frame, pose in zip(frames, first, strict=True):
        np.testing.assert_array_equal(stream.step(frame), pose)
