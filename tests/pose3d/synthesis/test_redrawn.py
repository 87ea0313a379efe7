"""Redrawn people: each part against a computation of its own, on few samples."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from anypose.camera import Camera, project
from anypose.skeleton import COCO_17, H36M_17, get_skeleton, mirror
from pose3d.motion.virtual_cameras import look_at, tilted
from pose3d.synthesis.actions import ACTIONS
from pose3d.synthesis.body import draw_body
from pose3d.synthesis.bones import BONE, bones_of, chest, joints_of, pelvis, skull
from pose3d.synthesis.detections import Detections
from pose3d.synthesis.performance import record
from pose3d.synthesis.points import Points
from pose3d.synthesis.proportions import LENGTHS, Proportions
from pose3d.synthesis.recombination import ARMS, LEGS, mirror_bones, random_turns, recombine, turn_limbs
from pose3d.synthesis.redrawn import Redraw
from pose3d.synthesis.viewpoints import Viewpoints, camera_rotation, rays

COMMON = get_skeleton("common_16")
EXACT = Detections(0, 0, 0, 0, 0, 0, 0)
LEVEL = Viewpoints(0.0, (0, 0), 0, (3, 6), 0.0)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def motion() -> torch.Tensor:
    """(12, 5, 17, 3) windows of invented motion, z up."""
    takes = []
    for number, action in enumerate(("Walking", "Sitting", "Phoning")):
        rng = np.random.default_rng(number)
        joints = record(ACTIONS[action], draw_body(rng, 0.05), rng, 50, 60, 1)
        takes += [joints[start : start + 10 : 2] for start in (0, 15, 30, 45)]
    return torch.from_numpy(np.stack(takes).astype(np.float32))


def test_bones_are_differences_along_the_tree_and_add_up_again(motion):
    bones = bones_of(motion)
    knee, hip = H36M_17.index("left_knee"), H36M_17.index("left_hip")
    torch.testing.assert_close(bones[..., BONE["left_knee"], :], motion[..., knee, :] - motion[..., hip, :])
    torch.testing.assert_close(joints_of(bones), motion - motion[..., :1, :], atol=1e-6, rtol=0)


@pytest.mark.parametrize("turn", [pelvis, chest, skull])
def test_the_turns_of_the_body_are_rotations_and_turn_with_it(motion, turn):
    bones = bones_of(motion)
    frames = turn(bones)
    expected = torch.eye(3).expand_as(frames)
    torch.testing.assert_close(frames @ frames.transpose(-1, -2), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(frames), torch.ones(frames.shape[:-2]), atol=1e-5, rtol=0)
    around = torch.from_numpy(Rotation.from_rotvec([0.3, -1.0, 0.4]).as_matrix()).float()
    torch.testing.assert_close(turn(bones @ around.T), around @ frames, atol=1e-5, rtol=0)


def test_forward_is_where_the_face_is(motion):
    bones = bones_of(motion[:4])
    face = bones[..., BONE["neck"], :]
    for turn in (pelvis, chest, skull):
        assert torch.cosine_similarity(turn(bones)[..., 2], face, dim=-1).mean() > 0.4


def test_lengths_have_the_means_and_spreads_asked_for_and_both_sides_alike():
    proportions = Proportions(1.0, 0.06, 0.05, 0.12)
    lengths = proportions.draw(20_000, torch.zeros(1), generator()).numpy()
    for name, column in BONE.items():
        kind = name.rpartition("_")[2]
        spread = np.hypot(0.06, 0.12 if kind in ("hip", "shoulder") else 0.05)
        assert lengths[:, column].mean() == pytest.approx(LENGTHS[kind], rel=0.01)
        assert lengths[:, column].std() / LENGTHS[kind] == pytest.approx(spread, rel=0.06)
    np.testing.assert_array_equal(lengths[:, BONE["left_knee"]], lengths[:, BONE["right_knee"]])


def test_redrawn_bones_keep_their_directions_and_a_share_keeps_its_lengths(motion):
    bones = bones_of(motion.repeat(50, 1, 1, 1))
    redrawn = Proportions(0.85, 0.06, 0.06, 0.12)(bones, generator())
    torch.testing.assert_close(torch.cosine_similarity(redrawn, bones, dim=-1), torch.ones(bones.shape[:-1]))
    kept = (redrawn == bones).flatten(1).all(1).float().mean()
    assert kept == pytest.approx(0.15, abs=0.05)
    lengths = redrawn[~(redrawn == bones).flatten(1).all(1)].norm(dim=-1)
    assert lengths.std(1).max() < 1e-6  # over the frames


def test_a_recombined_arm_bends_as_its_donors_and_hangs_from_the_chest_as_it_did(motion):
    bones = bones_of(motion)
    combined = recombine(bones, 1.0, generator())
    torch.testing.assert_close(combined.norm(dim=-1).sort(0).values.mean(), bones.norm(dim=-1).mean())
    np.testing.assert_array_equal(combined[..., LEGS, :], bones[..., LEGS, :])

    def hanging(some: torch.Tensor, side: str) -> torch.Tensor:
        return some[..., ARMS[side], :] @ chest(some)

    # Trunk of the sample before, its arms replaced by those of the one two before, one of them by three before.
    trunk = bones.roll(1, 0)
    both = {side: hanging(trunk.roll(2, 0), side) for side in ARMS}
    one = {side: hanging(trunk.roll(2, 0).roll(3, 0), side) for side in ARMS}
    for side in ARMS:
        found = hanging(combined, side)
        near = [torch.isclose(found, source, atol=1e-4).flatten(1).all(1) for source in (both[side], one[side])]
        assert (near[0] | near[1]).all()


def test_no_recombination_changes_nothing(motion):
    bones = bones_of(motion)
    torch.testing.assert_close(recombine(bones, 0.0, generator()), bones, rtol=0, atol=0)


def test_random_turns_are_those_of_scipy_and_as_wide_as_asked():
    turns = random_turns(4000, 0.3, torch.zeros(1), generator()).numpy()
    angles = np.linalg.norm(Rotation.from_matrix(turns).as_rotvec(), axis=1)
    assert np.sqrt((angles**2).mean()) == pytest.approx(0.3, rel=0.05)
    np.testing.assert_allclose(turns @ turns.transpose(0, 2, 1), np.broadcast_to(np.eye(3), turns.shape), atol=1e-5)


def test_turned_limbs_keep_their_lengths_and_the_turn_lasts(motion):
    bones = bones_of(motion)
    turned = turn_limbs(bones, 20, generator())
    torch.testing.assert_close(turned.norm(dim=-1), bones.norm(dim=-1), atol=1e-6, rtol=1e-5)
    for bone in ("left_knee", "spine"):
        before, after = bones[3, :, BONE[bone]].numpy(), turned[3, :, BONE[bone]].numpy()
        assert np.abs(after - before).max() > 1e-5
        _, error = Rotation.align_vectors(after, before)
        assert error < 1e-3 or np.linalg.matrix_rank(before, tol=1e-2) < 3
    torch.testing.assert_close(turned[..., BONE["left_hip"], :], bones[..., BONE["left_hip"], :])


def test_mirrored_bones_are_those_of_the_mirrored_person(motion):
    torch.testing.assert_close(mirror_bones(bones_of(motion)), bones_of(mirror(motion, H36M_17)))


@pytest.mark.parametrize(("azimuth", "pitch", "roll"), [(0, 0, 0), (70, 20, 0), (200, -8, 15), (310, 30, -20)])
def test_cameras_look_as_those_of_the_other_road(azimuth, pitch, roll):
    angle = np.radians(azimuth)
    level = look_at(np.zeros(3), np.array([np.cos(angle), np.sin(angle), 0.0]), 0.0)
    down = tilted(level, -np.radians(pitch))
    cos, sin = np.cos(np.radians(roll)), np.sin(np.radians(roll))
    expected = np.stack([cos * down[0] + sin * down[1], cos * down[1] - sin * down[0], down[2]])
    found = camera_rotation(*(torch.tensor([float(value)]) for value in (azimuth, pitch, roll)))[0]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


def test_rays_are_what_a_camera_sees(motion):
    joints = motion[:1] - motion[:1, 2:3, :1]
    lens = {"focal": np.full(2, 800.0), "centre": np.full(2, 500.0), "radial": np.zeros(3), "tangential": np.zeros(2)}
    camera = Camera(name="a", rotation=np.eye(3), position=np.zeros(3), **lens, width=1000, height=1000)
    pixels = project(joints[0].numpy() + np.array([0, 0, 4.0]), camera)
    np.testing.assert_allclose(rays(joints, torch.tensor([4.0]))[0] * 800 + 500, pixels, atol=1e-3)


def test_cameras_of_both_kinds_stay_in_their_ranges():
    views = Viewpoints(0.5, (-10, 35), 20, (2, 7), 0.1)
    rotation, distance, factor = views(5000, torch.zeros(1), generator())
    pitch = torch.asin(-rotation[:, 2, 2]).rad2deg()
    assert -10.1 < pitch.min() < -9
    assert 34 < pitch.max() < 35.1
    assert 1.99 < distance.min() < 2.1
    assert 6.8 < distance.max() < 7.01
    assert (factor == 1).float().mean() == pytest.approx(0.5, abs=0.03)


def test_exact_detections_are_the_keypoints():
    keypoints = torch.randn(3, 5, 17, 2)
    found, scores = EXACT(keypoints, torch.ones(3), torch.zeros(3, 5), COCO_17, generator())
    torch.testing.assert_close(found, keypoints, rtol=0, atol=0)
    assert (scores == 1).all()


def test_errors_last_over_neighbouring_frames_and_scores_fall_with_them():
    frames = 3.0 * torch.arange(9).expand(4000, 9)
    keypoints = torch.zeros(4000, 9, 17, 2)
    detections = Detections(1.0, 0.0, 0, 0, 0, 0, 0)
    found, scores = detections(keypoints, torch.full((4000,), 2.0), frames, COCO_17, generator())
    error = found / 2
    wrist, shoulder = COCO_17.index("left_wrist"), COCO_17.index("left_shoulder")
    assert 1.3 < error[..., wrist, :].std() / error[..., shoulder, :].std() < 1.9
    near, far = ((error[:, 0] * error[:, step]).mean() / error[:, 0].square().mean() for step in (1, 8))
    assert near > 0.6
    assert abs(far) < 0.1
    telling = scores.std((1, 2)) > 0.05
    size = error[telling].norm(dim=-1).flatten()
    assert torch.corrcoef(torch.stack([size, scores[telling].flatten()]))[0, 1] < -0.3


def test_hidden_keypoints_have_a_score_of_zero_as_often_as_asked():
    keypoints = torch.zeros(2000, 9, 17, 2)
    args = keypoints, torch.ones(2000), torch.zeros(2000, 9), COCO_17
    _, scores = Detections(0, 0, 0, 0.1, 0, 0, 0)(*args, generator())
    assert (scores == 0).float().mean() == pytest.approx(0.1, abs=0.01)
    _, scores = Detections(0, 0, 0, 0, 0.2, 0, 0)(*args, generator())
    assert (scores == 0).all(-1).float().mean() == pytest.approx(0.2, abs=0.01)
    _, scores = Detections(0, 0, 0, 0, 0, 0.5, 0)(*args, generator())
    assert (scores[..., COCO_17.index("left_foot")] == 0).float().mean() == pytest.approx(0.5, abs=0.04)
    assert (scores[..., COCO_17.index("nose")] == 1).all()
    _, scores = Detections(0, 0, 0, 0, 0, 0, 1 - 1e-9)(*args, generator())
    assert (scores[:, :5] == 1).all()
    assert (scores[:, 5:] == 0).all()


def test_swapped_legs_are_each_others():
    keypoints = torch.randn(500, 9, 17, 2)
    found, _ = Detections(0, 0, 0.3, 0, 0, 0, 0)(keypoints, torch.ones(500), torch.zeros(500, 9), COCO_17, generator())
    left, right = COCO_17.index("left_knee"), COCO_17.index("right_knee")
    same = (found[:, :, left] == keypoints[:, :, left]).all(-1)
    crossed = (found[:, :, left] == keypoints[:, :, right]).all(-1)
    assert (same ^ crossed).all()
    assert 0.05 < crossed.float().mean() < 0.4


def test_the_whole_keeps_joints_and_what_is_seen_of_them_together(motion):
    redraw = Redraw(Proportions(1.0, 0.06, 0.06, 0.12), 0.5, 15, LEVEL, Points(["h36m"], 0.0), EXACT)
    keypoints, joints = redraw(motion, torch.zeros(12, 5), get_skeleton("h36m_16"), generator())
    assert keypoints.shape == (12, 5, 16, 3)
    hip = keypoints[:, 2, 0]
    torch.testing.assert_close(hip[:, :2], torch.zeros(12, 2), atol=1e-6, rtol=0)
    # Seen from the distance that the hips' slopes tell, the knee lies where its joint says.
    knee = joints[:, 2, H36M_17.index("left_knee")]
    seen = keypoints[:, 2, 5, :2]
    distance = (knee[:, :1] / seen[:, :1] - knee[:, 2:]).squeeze(1)
    torch.testing.assert_close(seen[:, 1], knee[:, 1] / (knee[:, 2] + distance), atol=1e-4, rtol=1e-3)
    assert (joints[..., 0, :] == 0).all()
    feet, head = joints[:, 2, [3, 6], 1].mean(), joints[:, 2, 10, 1].mean()
    assert feet > head  # y is down


class Statue:
    """Stands for whole bodies: everybody is one still figure, whose points lie a metre in front of it."""

    share = 0.5

    def __init__(self, pose):
        self.pose = pose - pose[:1]

    def __call__(self, joints, protocol, skeleton, generator):
        assert len(protocol) == len(joints) < 240
        joints = self.pose.expand_as(joints)
        return joints, joints[..., :16, :] + torch.tensor([0.0, 0.0, -1.0])


def test_a_share_of_the_samples_has_joints_and_points_of_whole_bodies(motion):
    statue = Statue(motion[0, 0])
    redraw = Redraw(Proportions(1.0, 0.06, 0.06, 0.12), 0.5, 15, LEVEL, Points(["h36m"], 0.0), EXACT, statue)
    plain = Redraw(Proportions(1.0, 0.06, 0.06, 0.12), 0.5, 15, LEVEL, Points(["h36m"], 0.0), EXACT)
    windows = motion.repeat(20, 1, 1, 1)
    keypoints, joints = redraw(windows, torch.zeros(240, 5), get_skeleton("h36m_16"), generator())
    others, their_joints = plain(windows, torch.zeros(240, 5), get_skeleton("h36m_16"), generator())
    still = torch.isclose(joints, statue.pose).flatten(1).all(1)
    assert still.float().mean() == pytest.approx(0.5, abs=0.1)
    torch.testing.assert_close(joints[~still], their_joints[~still], rtol=0, atol=0)
    torch.testing.assert_close(keypoints[~still], others[~still], rtol=0, atol=0)
    # The knee of a statue is seen as from a camera one metre nearer.
    hip, knee = keypoints[still, 2, 1, :2], keypoints[still, 2, 2, :2]
    left, right = statue.pose[1], statue.pose[2]
    depth = left[:1] / hip[:, :1]
    torch.testing.assert_close(knee, right[:2] / (depth - left[2] + right[2]), atol=1e-4, rtol=1e-3)


def test_the_same_generator_draws_the_same(motion):
    redraw = Redraw(
        Proportions(0.8, 0.06, 0.06, 0.12), 0.5, 15, Viewpoints(0.5, (-10, 35), 20, (2, 7), 0.1),
        Points(["coco", "mpii"], 1.0), Detections(1, 0.1, 0.05, 0.05, 0.1, 0.05, 0.2),
    )  # fmt: skip
    frames = torch.arange(5.0).expand(12, 5)
    first, again = (redraw(motion, frames, COMMON, generator(3)) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
        assert one.isfinite().all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Proportions(1.2, 0, 0, 0), r"dataset.body_share=1.2 must lie in \[0, 1\]"),
        (lambda: Proportions(1, 0, 0.5, 0), r"dataset.bone_spread=0.5 must lie in \[0, 0.3\]"),
        (lambda: Viewpoints(0, (5, -5), 0, (2, 3), 0), r"dataset.camera_pitch=\[5, -5\] must be \[low, high\]"),
        (lambda: Viewpoints(0, (0, 5), 0, (0.5, 3), 0), r"camera_distance=\[0.5, 3\] must be \[low, high\] from 1.5 m"),
        (lambda: Viewpoints(0, (0, 5), 200, (2, 3), 0), r"dataset.camera_roll=200 must lie in \[0, 180\]"),
        (lambda: Detections(0, 0, 1.0, 0, 0, 0, 0), r"dataset.swaps=1.0 must lie in \[0, 1\)"),
        (lambda: Detections(-1, 0, 0, 0, 0, 0, 0), r"dataset.noise=-1 must lie in \[0, 5\)"),
        (lambda: Points(["h36m"], -1), r"dataset.points_spread=-1 must lie in \[0, 5\]"),
    ],
)
def test_settings_out_of_range_are_named_as_they_are_typed(make, message):
    with pytest.raises(ValueError, match=message):
        make()
