from dataclasses import replace

import numpy as np
import pytest
import torch

import pose3d.motion.packed
from anypose.camera import project, project_points, to_screen, world_to_camera
from anypose.skeleton import COCO_17, H36M_14, H36M_16, H36M_17, convert, get_skeleton
from pose3d.motion.packed import mirror_keypoints, pack, pad, with_mirror_image
from tests.pose3d.motion.random_motion import camera, sequence


def two(**options):
    return [sequence(5, seed=1, **options), sequence(3, subject="S5", take="Walking 2", seed=2, **options)]


def packed(sequences, frame="pixel", **options):
    return pack(sequences, input_skeleton=H36M_17, output_skeleton=H36M_17, keypoint_frame=frame, **options)


def test_rows_are_the_sequences_one_after_the_other():
    sequences = two()
    frames = packed(sequences)
    assert frames.start.tolist() == [0, 5]
    assert frames.end.tolist() == [5, 8]
    assert frames.sequence.tolist() == [0] * 5 + [1] * 3
    assert frames.names == (("S1", "Walking", "Walking 1", "cam"), ("S5", "Walking", "Walking 2", "cam"))
    np.testing.assert_array_equal(frames.keypoints.numpy(), np.concatenate([s.keypoints for s in sequences]))
    for s, rows in zip(sequences, (slice(0, 5), slice(5, 8)), strict=True):
        seen = world_to_camera(s.joints, s.camera)
        np.testing.assert_allclose(frames.root[rows], seen[:, 0], atol=1e-6)
        np.testing.assert_allclose(frames.joints[rows], seen - seen[:, :1], atol=1e-6)
    assert (frames.joints[:, 0] == 0).all()


def test_world_frame_keeps_the_axes_of_the_world():
    frames = packed(two(), joint_frame="world")
    joints = two()[0].joints
    np.testing.assert_array_equal(frames.joints[:5].numpy(), joints - joints[:, :1])


def test_skeletons_of_the_model_not_of_the_data():
    one = sequence(4)
    frames = pack([one], input_skeleton=H36M_16, output_skeleton=H36M_14, keypoint_frame="screen")
    expected = to_screen(np.delete(one.keypoints, 9, axis=1), 1000, 900)
    np.testing.assert_allclose(frames.keypoints.numpy(), expected, atol=1e-6)
    seen = world_to_camera(one.joints, one.camera)
    expected = convert(seen - seen[:, :1], H36M_17, H36M_14)
    np.testing.assert_allclose(frames.joints.numpy(), expected, atol=1e-6)


def test_keypoints_that_cannot_give_the_model_its_input_are_refused_by_both_names():
    neckless = sequence(3, keypoint_skeleton=H36M_16)
    with pytest.raises(ValueError, match=r"reads h36m_17 keypoints, S1/Walking 1/cam has h36m_16: .*'neck'"):
        packed([neckless])


def test_joints_without_a_hip_are_refused():
    one = sequence(3)
    footless = type(one)(
        "S1", "A", "A 1", one.camera, one.keypoints, H36M_17, np.zeros((3, 17, 3), np.float32), COCO_17, 50.0
    )
    with pytest.raises(ValueError, match=r"S1/A 1/cam has coco_17 joints, and those have no hip"):
        packed([footless])


def test_scores_come_third_and_must_exist():
    sequences = two(scores=True)
    frames = packed(sequences, keypoint_channels=3)
    assert frames.keypoints.shape == (8, 17, 3)
    np.testing.assert_array_equal(frames.keypoints[:5, :, 2].numpy(), sequences[0].scores)
    with pytest.raises(ValueError, match=r"score with every keypoint, and S1/Walking 1/cam has none"):
        packed(two(), keypoint_channels=3)


def test_nothing_to_pack_is_an_error():
    with pytest.raises(ValueError, match="choice of subjects and actions is empty"):
        packed([])


@pytest.mark.parametrize("frame", ["pixel", "screen"])
def test_intrinsics_project_the_joints_in_the_frame_of_the_keypoints(frame):
    one = sequence(6, view=camera(seed=3))
    frames = packed([one], frame)
    joints = torch.tensor([[[0.1, -0.2, 4.0], [-0.3, 0.4, 5.0]]])
    expected = project(joints[0].numpy(), one.camera)
    if frame == "screen":
        expected = to_screen(expected, 1000, 900)
    np.testing.assert_allclose(project_points(joints, frames.intrinsics[:1])[0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("frame", ["pixel", "screen"])
def test_the_mirror_image_is_what_a_mirrored_camera_sees(frame):
    frames = packed(two(), frame)
    both = with_mirror_image(frames)
    assert len(both) == 16
    torch.testing.assert_close(both.keypoints[:8], frames.keypoints, rtol=0, atol=0)
    # Twice is the identity, up to the rounding of width - x.
    again = mirror_keypoints(both.keypoints[8:], both.mirror[both.sequence[8:]], H36M_17)
    torch.testing.assert_close(again, frames.keypoints, rtol=0, atol=1e-4)
    # Projecting the mirrored point through the mirrored lens is mirroring the image of the point.
    point = torch.tensor([[[0.3, -0.2, 4.0]]])
    image = project_points(point, both.intrinsics[:1])
    mirrored = project_points(point * torch.tensor([-1.0, 1.0, 1.0]), both.intrinsics[2:3])
    edge = 1000.0 if frame == "pixel" else 0.0
    torch.testing.assert_close(mirrored[..., 0], edge - image[..., 0])
    torch.testing.assert_close(mirrored[..., 1], image[..., 1])
    # The left knee of the mirrored joints is the right one at -x.
    left, right = H36M_17.index("left_knee"), H36M_17.index("right_knee")
    sign = torch.tensor([-1.0, 1.0, 1.0])
    torch.testing.assert_close(both.joints[8:, left], frames.joints[:, right] * sign)
    torch.testing.assert_close(both.root[8:], frames.root * sign)


def test_padding_repeats_the_edges_and_says_so():
    frames = packed(two())
    padded, rows = pad(frames, 2, 1)
    assert rows.tolist() == [-1, -1, 0, 1, 2, 3, 4, -1, -1, -1, 5, 6, 7, -1]
    expected = [0, 0, 0, 1, 2, 3, 4, 4, 5, 5, 5, 6, 7, 7]
    torch.testing.assert_close(padded.keypoints, frames.keypoints[expected], rtol=0, atol=0)
    torch.testing.assert_close(padded.joints, frames.joints[expected], rtol=0, atol=0)
    assert padded.start.tolist() == [0, 8]
    assert padded.end.tolist() == [8, 14]
    assert padded.sequence.tolist() == [0] * 8 + [1] * 6


def test_what_does_not_fit_the_device_stays_in_host_memory_and_the_log_says_so(monkeypatch, caplog):
    frames = packed(two())

    def full(tensor, device):
        raise torch.OutOfMemoryError("2 GiB free, 3 GiB needed")

    monkeypatch.setattr(torch.Tensor, "to", full)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor + 0)
    with caplog.at_level("WARNING", logger=pose3d.motion.packed.__name__):
        kept = frames.to(torch.device("meta"))
    assert kept.device.type == "cpu"
    torch.testing.assert_close(kept.joints, frames.joints)
    assert "do not fit meta" in caplog.text


def test_rays_are_the_slopes_of_the_joints_and_know_no_camera():
    one = sequence(5)
    frames = packed([one], "ray")
    slopes = frames.keypoints.double().numpy()
    points = np.concatenate([slopes, np.ones((*slopes.shape[:-1], 1))], axis=-1)
    np.testing.assert_allclose(project(points, one.camera), one.keypoints, atol=2e-3)
    assert frames.intrinsics.tolist() == [[1, 1, 0, 0, 0, 0, 0, 0, 0]]
    assert frames.mirror.tolist() == [0]


def test_keypoints_that_may_miss_have_a_score_of_zero_where_the_data_has_none():
    common = get_skeleton("common_16")
    options = {"input_skeleton": common, "output_skeleton": H36M_17, "keypoint_frame": "ray"}
    frames = pack([sequence(4)], **options, keypoint_channels=3, keypoints_may_miss=True)
    ears = [common.index("left_ear"), common.index("right_ear")]
    assert (frames.keypoints[:, ears] == 0).all()
    others = [row for row in range(16) if row not in ears]
    assert (frames.keypoints[:, others, 2] == 1).all()
    knee = H36M_17.index("left_knee")
    whole = packed([sequence(4)], "ray")
    torch.testing.assert_close(frames.keypoints[:, common.index("left_knee"), :2], whole.keypoints[:, knee])


@pytest.mark.parametrize("frame", ["pixel", "screen"])
def test_slopes_do_not_depend_on_the_frame_of_the_keypoints(frame):
    one = sequence(6, view=camera(seed=3))
    frames = packed([one], frame)
    expected = (one.keypoints - one.camera.centre) / one.camera.focal
    np.testing.assert_allclose(frames.slopes(torch.arange(6)), expected, rtol=1e-4, atol=1e-5)


def test_slopes_of_rays_are_the_rays_and_a_keypoint_without_a_score_is_missing():
    frames = packed(two(), "ray")
    assert torch.equal(frames.slopes(torch.arange(len(frames))), frames.keypoints)
    scores = torch.ones_like(frames.keypoints[..., :1])
    scores[2, 4] = 0
    scored = replace(frames, keypoints=torch.cat([frames.keypoints, scores], -1))
    missing = scored.slopes(torch.arange(len(frames))).isnan().all(-1)
    assert missing.nonzero().tolist() == [[2, 4]]
