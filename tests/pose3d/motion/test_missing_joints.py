from types import SimpleNamespace

import pytest
import torch

from pose3d.model.baseline3d import Baseline3D
from pose3d.model.window_mlp import WindowMLP
from pose3d.motion.missing_joints import LIMB_ENDS, Hide, MissingJoints
from pose3d.motion.splits import pack_split
from pose3d.task.lifting3d import Lifting3D
from tests.pose3d.motion.random_motion import dataset, sequence
from tests.pose3d.task.test_lifting3d import OPTIONS, Blur

CPU = torch.device("cpu")


def network():
    model = Baseline3D(
        linear_size=8, num_blocks=1, dropout=0.0, batch_norm=True, batch_norm_eps=1e-3, residual=True,
        max_weight_norm=1.0, input="standardised", predict_14=False,
        input_skeleton="h36m_16", output_skeleton="h36m_17",
    )  # fmt: skip
    torch.manual_seed(0)
    model.fit_statistics(torch.randn(20, 16, 2) * 90 + 500, torch.randn(20, 17, 3))
    return model


def test_the_joints_are_those_of_the_source():
    numbers = sorted(Hide(1, network(), CPU).limb_ends.tolist())
    assert numbers == [2, 3, 5, 6, 11, 12, 14, 15]


@pytest.mark.parametrize("count", [1, 2])
def test_that_many_different_limb_ends_of_each_frame_become_zero_to_the_network(count):
    model, keypoints = network(), torch.randn(300, 2, 16, 2) * 90 + 500
    found = Hide(count, model, CPU)(keypoints)
    hidden = (found != keypoints).any(-1)
    assert (hidden.sum(-1) == count).all()
    assert not model.keypoint_statistics(found)[hidden].any()
    touched = hidden.flatten(0, 1).double().mean(0)
    names = model.input_skeleton.joints
    assert {names[i] for i in touched.nonzero().flatten().tolist()} == set(LIMB_ENDS)
    torch.testing.assert_close(touched[touched > 0], torch.full((8,), count / 8).double(), atol=0.06, rtol=0)


def test_nothing_is_hidden_by_default():
    keypoints = torch.randn(3, 1, 16, 2)
    assert Hide(0, network(), CPU)(keypoints) is keypoints


def test_every_evaluation_hides_the_same_ones():
    data = dataset(sequence(40), missing_joints=MissingJoints(2, "test"))
    packed = [pack_split(data, "validation", network(), CPU).keypoints for _ in range(2)]
    assert torch.equal(*packed)
    whole = pack_split(data, "train", network(), CPU).keypoints
    assert ((packed[0] != whole).any(-1).sum(-1) == 2).all()


def test_training_draws_anew_for_every_batch():
    seen = []
    task = Lifting3D(network(), **OPTIONS)
    loading = SimpleNamespace(batch_size=16, seed=0, rank=0, world_size=1, drop_last=True)
    batches = task.batches(dataset(sequence(40), missing_joints=MissingJoints(1, "train")), True, loading, CPU)
    task.model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    batch = next(iter(batches.epoch(0)))
    for _ in range(2):
        task.loss(batch)
    assert not torch.equal(*seen)
    assert ((seen[0] != batch["keypoints"]).any(-1).sum(-1) == 1).all()


@pytest.mark.parametrize(("count", "where", "message"), [
    (3, "both", "dataset.missing_joints must be 0, 1 or 2, got 3"),
    (1, "validation", "dataset.missing_in must be train, test or both, got 'validation'"),
])  # fmt: skip
def test_what_cannot_be_is_refused(count, where, message):
    with pytest.raises(ValueError, match=message):
        MissingJoints(count, where)


def test_a_model_without_a_mean_cannot_have_missing_joints():
    data = dataset(sequence(40), missing_joints=MissingJoints(1, "test"))
    with pytest.raises(
        ValueError, match=r"dataset.missing_joints=1 puts hidden keypoints at the mean .* Blur has none"
    ):
        pack_split(data, "train", Blur(), CPU)


def test_a_network_whose_keypoints_may_miss_gets_a_score_of_zero():
    model = WindowMLP(
        input_skeleton="common_16", frames=1, spacing=1, causal=False, linear_size=8, num_blocks=1, dropout=0.0,
        batch_norm_eps=1e-3, max_weight_norm=None,
    )  # fmt: skip
    MissingJoints(2, "test").check(model)
    hidden = Hide(2, model, torch.device("cpu"))(torch.ones(50, 1, 16, 3))
    assert ((hidden == 0).all(-1).sum(-1) == 2).all()
