import numpy as np
import pytest
import torch

from anypose.skeleton import H36M_17
from pose3d.lifting.trajectory import ROOT, LabelledAndUnlabelled, PoseAndTrajectory, TrajectoryErrors, bone_lengths
from pose3d.motion.packed import pack
from pose3d.motion.windows import WindowBatches
from tests.anypose.export.small_tasks import videopose3d
from tests.pose3d.motion.random_motion import dataset, sequence


def windows(lengths, batch_size, seed=0, drop_last=False):
    packed = pack(
        [sequence(frames, take=f"Walking {i}", seed=i) for i, frames in enumerate(lengths)],
        input_skeleton=H36M_17,
        output_skeleton=H36M_17,
        keypoint_frame="screen",
    )
    return WindowBatches(
        packed,
        receptive_field=3,
        batch_size=batch_size,
        seed=seed,
        device=torch.device("cpu"),
        drop_last=drop_last,
        trajectory=True,
    )


def test_the_trajectory_network_has_the_published_size():
    with torch.device("meta"):
        for kernel_sizes, parameters in (([3, 3, 3], 8_506_371), ([3, 3, 3, 3, 3], 16_903_171)):
            network = videopose3d(kernel_sizes=kernel_sizes, channels=1024).sibling(ROOT)
            assert sum(p.numel() for p in network.parameters()) == parameters


def test_both_networks_answer_at_once_and_in_their_form_for_export():
    pose = videopose3d(causal=True)
    both = PoseAndTrajectory(pose, pose.sibling(ROOT)).eval()
    keypoints = torch.randn(2, 40, 17, 2)
    joints, trajectory = both(keypoints)
    assert joints.shape == (2, 14, 17, 3)
    assert trajectory.shape == (2, 14, 1, 3)
    torch.testing.assert_close(joints, pose(keypoints))
    for form in (both.baked(), both.baked(two_dimensional=True)):
        for found, wanted in zip(form(keypoints), (joints, trajectory), strict=True):
            torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-4)
    assert (both.receptive_field, both.causal, list(both.io.outputs)) == (27, True, ["joints", "trajectory"])


def test_unlabelled_windows_come_after_the_warm_up_and_go_on_where_they_left_off():
    labelled, unlabelled = windows([20], 8), windows([50, 60], 16, seed=1)
    batches = LabelledAndUnlabelled(labelled, unlabelled, warmup_epochs=2)
    assert len(batches) == len(labelled) == 3
    for number in (0, 1):
        assert all("unlabelled_keypoints" not in batch for batch in batches.epoch(number))
    seen = [batch["unlabelled_keypoints"] for number in range(2, 8) for batch in batches.epoch(number)]
    expected = [batch["keypoints"] for number in range(3) for batch in unlabelled.epoch(number)][: len(seen)]
    assert len(unlabelled) == 7
    assert len(seen) == 18
    assert all(torch.equal(a, b) for a, b in zip(seen, expected, strict=True))


@pytest.mark.parametrize(("epoch", "start"), [(2, 1), (4, 2), (3, 0)])
def test_an_epoch_taken_up_in_its_middle_has_the_same_batches(epoch, start):
    batches = LabelledAndUnlabelled(windows([20], 8), windows([50], 16, seed=1), warmup_epochs=1)
    whole, rest = list(batches.epoch(epoch))[start:], list(batches.epoch(epoch, start))
    assert len(whole) == len(rest) > 0
    for a, b in zip(whole, rest, strict=True):
        assert a.keys() == b.keys()
        assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_stream_shorter_than_a_batch_does_not_end():
    batches = LabelledAndUnlabelled(windows([40], 4), windows([6], 16, seed=1), warmup_epochs=0)
    assert [len(batch["unlabelled_keypoints"]) for batch in batches.epoch(0)] == [6] * 10


def test_bone_lengths_are_the_distances_of_joints_to_their_parents():
    joints = np.random.default_rng(0).normal(size=(4, 17, 3))
    lengths = bone_lengths(torch.from_numpy(joints), H36M_17)
    parents = [0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15]
    expected = [np.linalg.norm(joints[:, child] - joints[:, parent], axis=1) for child, parent in enumerate(parents, 1)]
    np.testing.assert_allclose(lengths.numpy(), np.stack(expected, 1))


def test_errors_of_place_and_image_stand_beside_those_of_the_pose():
    motion = dataset(sequence(5))
    packed = pack(motion.sequences("x"), input_skeleton=H36M_17, output_skeleton=H36M_17, keypoint_frame="screen")
    metrics = TrajectoryErrors(packed, actions=motion.actions, protocol={}, drop_last=False, by_subject=False)
    prediction = {
        "joints": packed.joints[None] + torch.tensor([0.003, 0.004, 0.0]),
        "trajectory_error": torch.full((1, 5), 0.25),
        "reprojection_error": torch.full((1, 5), 0.01),
    }
    metrics.update(prediction, {"index": torch.arange(5)[None]})
    scores = metrics.compute()
    assert scores["mpjpe_mm"] == pytest.approx(5, rel=1e-4)
    assert scores["mpjve_mm"] == pytest.approx(0, abs=1e-3)
    assert scores["trajectory_mm"] == pytest.approx(250)
    assert scores["reprojection_permille"] == pytest.approx(10)
