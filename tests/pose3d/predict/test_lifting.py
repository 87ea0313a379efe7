"""Lifting and placing: turned cameras, gaps, mixtures, windows; the root where the pixels want it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from anypose.motion import Motion
from anypose.shapes import IO
from anypose.skeleton import COCO_17, H36M_16, H36M_17, Skeleton
from pose3d.lifter import Lifter
from pose3d.predict import lifters
from pose3d.predict.lifters import open_lifter
from pose3d.predict.lifting import PICTURE, Lift, frame_step, look_at
from pose3d.predict.pipeline import Pipeline
from pose3d.predict.placing import Place, assumed_intrinsics, solve_root, stature
from pose3d.predict.smoothing import Smoothing
from tests.pose3d.predict.walkers import FOCAL, SIZE, seen, walk

TIMES = np.arange(40) / 30
INTRINSICS = assumed_intrinsics(SIZE, FOCAL)
OFF = Smoothing("off", 0.2, 0.2)


class Flat(Lifter):
    """Keypoints as joints: x and y are the pixels over 1000, z how many frames ago the first of the window was."""

    keypoint_frame = "pixel"
    input_skeleton = output_skeleton = H36M_17
    io = IO(inputs={}, outputs={})

    def __init__(self, field: int = 1, causal: bool = False, mixture: bool = False) -> None:
        super().__init__()
        self.receptive_field, self.causal, self.mixture = field, causal, mixture

    def forward(self, keypoints: Tensor):
        past = self.receptive_field - 1 if self.causal else self.receptive_field // 2
        middle = keypoints[:, past : past + keypoints.shape[1] - self.receptive_field + 1]
        joints = torch.cat([middle / 1000, torch.zeros_like(middle[..., :1])], -1)
        if not self.mixture:
            return joints
        means = torch.stack([joints, joints + 1], 2)
        weights = torch.tensor([0.3, 0.7]).expand(*means.shape[:3])
        return means, torch.ones_like(weights), weights


class Eyes(Flat):
    """Reads COCO's keypoints and can do without none."""

    input_skeleton = COCO_17


def motion(*paths, skeleton=H36M_17) -> Motion:
    pixels = np.stack([seen(walk(TIMES, *path))[1] for path in paths], 1).astype(np.float32)
    return Motion("walk", TIMES, np.arange(len(paths)), keypoints=pixels, keypoint_skeleton=skeleton, size=SIZE)


def test_the_turned_camera_sees_the_point_in_its_middle():
    slopes = np.array([[0.3, -0.2], [0, 0], [-1.5, 0.7]])
    turned = np.einsum("nij,nj->ni", look_at(slopes), np.concatenate([slopes, np.ones((3, 1))], 1))
    assert turned[:, :2] == pytest.approx(np.zeros((3, 2)), abs=1e-12)
    assert np.linalg.det(look_at(slopes)) == pytest.approx(np.ones(3))


def test_people_are_shown_in_the_middle_and_of_one_size():
    lift, moved = Lift(Flat()), motion(((-1.0, 5.0), (1, 0)), ((1.5, 9.0), (0, 0)))
    points = moved.keypoints.astype(float).swapaxes(0, 1)
    shown, turns = lift.look_at(points, np.isfinite(points[..., 0]).all(-1), INTRINSICS)
    extent = np.ptp(shown, axis=2).max(-1)
    assert np.median(extent, axis=1) == pytest.approx([500, 500], abs=1)
    assert (np.abs(shown - PICTURE / 2) < 300).all()
    joints = lift(moved, INTRINSICS).joints.swapaxes(0, 1)
    assert np.einsum("tpij,tpkj->tpki", turns, joints)[..., :2] == pytest.approx(shown / 1000, abs=1e-4)


def test_missing_people_are_missing_and_the_others_are_not():
    moved = motion(((-1.0, 5.0), (1, 0)), ((1.5, 9.0), (0, 0)))
    moved.keypoints[10:20, 1] = np.nan
    moved.keypoints[25:30, 0, 3] = np.nan
    joints = Lift(Flat(9))(moved, INTRINSICS).joints
    assert (np.isnan(joints) == np.isnan(moved.keypoints)).all()


@pytest.mark.parametrize("causal", [False, True])
def test_a_window_gives_what_a_frame_gives_whatever_lies_around(causal):
    moved = motion(((-1.0, 5.0), (1, 0)))
    one = Lift(Flat())(moved, INTRINSICS).joints
    assert Lift(Flat(9, causal))(moved, INTRINSICS).joints == pytest.approx(one, abs=1e-5)


def test_windows_are_of_one_duration_whatever_the_rate():
    assert [frame_step(np.arange(9) / rate) for rate in (25, 50, 60)] == [1, 1, 1]
    assert frame_step(np.arange(9) / 240) == pytest.approx(240 / 60.5)
    assert frame_step(np.arange(9) / 12) == pytest.approx(0.5)
    seen, there = np.arange(20.0)[None, :, None, None], np.ones((1, 20), bool)

    class Around(Flat):
        def forward(self, keypoints: Tensor):
            return keypoints.unfold(1, 5, 1)[:, :, 0, 0, None]  # the frames themselves

    lift = Lift(Around(5))
    assert lift.poses(seen, there, 1.0)[0][10].ravel().tolist() == [8, 9, 10, 11, 12]
    assert lift.poses(seen, there, 4.0)[0][10].ravel().tolist() == [2, 6, 10, 14, 18]
    assert lift.poses(seen, there, 0.5)[0][10].ravel().tolist() == [9, 10, 10, 10, 11]


def test_frames_that_a_person_is_not_in_are_the_nearest_in_which_they_are():
    class Around(Flat):
        def forward(self, keypoints: Tensor):
            return keypoints.unfold(1, 5, 1)[:, :, 0, 0, None]

    seen, there = np.arange(40.0).reshape(2, 20, 1, 1), np.ones((2, 20), bool)
    there[0, 4:9], there[1, :15] = False, False
    poses, _ = Lift(Around(5)).poses(seen, there, 1.0)
    assert len(poses) == 15 + 5
    assert poses[0].ravel().tolist() == [0, 0, 0, 1, 2]
    assert poses[3].ravel().tolist() == [1, 2, 3, 3, 3]
    assert poses[4].ravel().tolist() == [9, 9, 9, 10, 11]
    assert poses[15].ravel().tolist() == [35, 35, 35, 36, 37]
    assert poses[19].ravel().tolist() == [37, 38, 39, 39, 39]


def test_a_layout_without_some_keypoints_goes_into_a_network_that_may_miss_them():
    moved = motion(((-1.0, 5.0), (1, 0)))
    lifted = Lift(open_lifter("released_video"))(moved, INTRINSICS).joints
    assert np.isfinite(lifted).all()
    with pytest.raises(ValueError, match=r"cannot be converted to coco_17: 'nose'"):
        Lift(Eyes())(moved, INTRINSICS)


def test_a_network_of_whole_windows_gives_each_frame_once():
    class Whole(Flat):
        whole_window = True

        def forward(self, keypoints: Tensor):
            return torch.cat([keypoints / 1000, torch.zeros_like(keypoints[..., :1])], -1)

    moved = motion(((-1.0, 5.0), (1, 0)), ((1.5, 9.0), (0, 0)))
    moved.keypoints[10:20, 1] = np.nan
    for field in (9, 64):
        joints = Lift(Whole(field))(moved, INTRINSICS).joints
        assert np.allclose(joints, Lift(Flat())(moved, INTRINSICS).joints, atol=1e-5, equal_nan=True)


def test_a_mixture_gives_its_likeliest_and_all():
    moved = motion(((-1.0, 5.0), (1, 0)))
    lifted = Lift(Flat(mixture=True))(moved, INTRINSICS)
    assert lifted.hypotheses.shape == (40, 1, 2, 17, 3)
    assert lifted.joints == pytest.approx(lifted.hypotheses[:, :, 1])
    assert Lift(Flat(mixture=True), hypotheses=False)(moved, INTRINSICS).hypotheses is None


def test_the_root_is_found_where_the_pixels_want_it():
    world = walk(TIMES, (-1.0, 5.0), (1, 0.5))
    camera, pixels = seen(world, tilt=0.2, roll=0.1)
    root = solve_root((camera - camera[:, :1])[:, None], pixels[:, None], INTRINSICS)
    assert root[:, 0] == pytest.approx(camera[:, 0], abs=1e-6)
    far = solve_root((camera - camera[:, :1])[:, None], pixels[:, None], INTRINSICS * [2, 1, 1])
    assert np.median(far[:, 0, 2] / camera[:, 0, 2]) == pytest.approx(2, abs=0.15)


def test_few_points_place_nobody():
    camera, pixels = seen(walk(TIMES, (-1.0, 5.0), (1, 0)))
    pixels[:, 3:, :2] = np.nan
    assert np.isnan(solve_root(camera[:, None], pixels[:, None], INTRINSICS)).all()


@pytest.mark.parametrize("height", [None, 1.2, 2.0])
def test_the_height_sets_the_scale_and_with_it_the_distance(height):
    camera, _ = seen(walk(TIMES, (-1.0, 5.0), (0.5, 0)))
    relative = (camera - camera[:, :1])[:, None].astype(np.float32)
    moved = replace(motion(((-1.0, 5.0), (0.5, 0))), joints=relative, skeleton=H36M_17)
    placed = Place(height, OFF)(moved, INTRINSICS)
    scale = 1 if height is None else height / np.median(stature(relative[:, 0], H36M_17))
    assert placed.joints[:, 0] == pytest.approx(camera * scale, rel=1e-3, abs=1e-3)


def test_the_released_lifter_opens_and_other_names_are_told():
    assert open_lifter("auto").output_skeleton.root == 0
    assert open_lifter("baseline3d").input_skeleton == H36M_16
    with pytest.raises(FileNotFoundError, match=r"mine.pt does not exist.*baseline3d"):
        open_lifter("mine.pt")
    with pytest.raises(ValueError, match=r"lifter=net.om is an exported network. Name the checkpoint"):
        open_lifter("net.om")


def test_a_lifter_of_other_joints_is_told_where_it_can_be_used(monkeypatch):
    own = Skeleton("own", ("pelvis", "l_hip", "r_hip"), (-1, 0, 0), (1,), (2,))
    model = open_lifter("baseline3d")
    monkeypatch.setattr(model, "input_skeleton", own)
    monkeypatch.setattr(model, "output_skeleton", own)
    monkeypatch.setattr(lifters, "load_network", lambda name: model)
    message = r"lifter=run gives the joints of 'own', .* needs hip, thorax, left_hip, .*load_lifter\('run'\)\(.*'own'"
    with pytest.raises(ValueError, match=message):
        open_lifter("run")
    with pytest.raises(ValueError, match=message):  # before anything is said of keypoints, which nobody's are
        Pipeline(lifter="run", skeleton="own")("not there.npz")


def test_keypoints_of_another_layout_are_converted():
    pixels = np.random.default_rng(0).uniform(100, 600, (40, 1, 17, 3)).astype(np.float32)
    pixels[..., 2] = 1
    moved = Motion("photo", TIMES, np.array([1]), keypoints=pixels, keypoint_skeleton=COCO_17, size=SIZE)
    assert np.isfinite(Lift(open_lifter("baseline3d"))(moved, INTRINSICS).joints).all()


class Whole(Lifter):
    """Gives for every frame of a window of five the keypoints, and as z their scores."""

    keypoint_frame, keypoint_channels, whole_window, receptive_field = "pixel", 3, True, 5
    input_skeleton = output_skeleton = H36M_17
    io = IO(inputs={}, outputs={})

    def forward(self, keypoints: Tensor) -> Tensor:
        assert keypoints.shape[1:] == (5, 17, 3)
        return torch.cat([keypoints[..., :2] / 1000, keypoints[..., 2:]], -1)


@pytest.mark.parametrize("frames", [3, 5, 12])
def test_whole_windows_give_every_frame_its_own_pose_and_read_scores(frames):
    moved = motion(((-1.0, 5.0), (1, 0)), ((1.5, 9.0), (0, 0)))
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.1, 1, (*moved.keypoints.shape[:3], 1)).astype(np.float32)
    moved = replace(
        moved, times=TIMES[:frames], keypoints=np.concatenate([moved.keypoints[..., :2], scores], -1)[:frames]
    )
    one = Lift(Flat())(replace(moved, keypoints=moved.keypoints.copy()), INTRINSICS).joints
    joints = Lift(Whole())(moved, INTRINSICS).joints
    points = moved.keypoints.astype(float).swapaxes(0, 1)
    _, turns = Lift(Flat()).look_at(points, np.isfinite(points[..., 0]).all(-1), INTRINSICS)
    seen, alone = (np.einsum("ptij,tpkj->tpki", turns, each) for each in (joints, one))
    assert seen[..., :2] == pytest.approx(alone[..., :2], abs=1e-5)
    assert seen[..., 2] == pytest.approx(scores[:frames, ..., 0], abs=1e-5)
