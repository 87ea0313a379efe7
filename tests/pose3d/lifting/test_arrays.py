"""pose3d/lifting/arrays.py: whatever a person has, a lifter takes, or says in a sentence why not."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from anypose.skeleton import COCO_17, H36M_16, H36M_17, convert, mirror
from pose3d import load_lifter
from pose3d.lifting.arrays import ArrayLifter

STANDING = np.array(  # COCO's 17, seen from the front in a picture of 1920x1080
    [
        [960, 200], [970, 190], [950, 190], [985, 195], [935, 195], [1020, 290], [900, 290], [1050, 400], [870, 400],
        [1060, 500], [860, 500], [1000, 520], [920, 520], [1005, 700], [915, 700], [1010, 880], [910, 880],
    ],
    dtype=float,
)  # fmt: skip
COCO = {"skeleton": "coco_17", "image_size": (1920, 1080)}


@pytest.fixture(scope="module")
def lifter() -> ArrayLifter:
    return load_lifter("released")


def built(repository, model: str, **settings) -> ArrayLifter:
    torch.manual_seed(0)
    section = OmegaConf.load(repository / "conf" / "model" / f"{model}.yaml")
    return ArrayLifter(instantiate(section, **settings), model)


def test_a_standing_person_is_lifted_upright(lifter):
    joints = lifter(STANDING, **COCO)
    assert (joints.shape, joints.dtype) == ((17, 3), np.float32)
    place = dict(zip(lifter.output_skeleton.joints, joints, strict=True))
    assert place["head"][1] < place["thorax"][1] < place["hip"][1] < place["left_knee"][1] < place["left_foot"][1]
    assert place["left_wrist"][0] > 0 > place["right_wrist"][0]  # the person's left is on the picture's right
    assert 1.0 < place["left_foot"][1] - place["head"][1] < 1.9


@pytest.mark.parametrize("leading", [(), (1,), (6,), (3, 6), (2, 3, 6)])
def test_any_number_of_frames_and_people_gives_what_each_gives_alone(lifter, leading):
    given = np.broadcast_to(STANDING, (*leading, 17, 2))
    joints = lifter(given, **COCO)
    assert joints.shape == (*leading, 17, 3)
    np.testing.assert_allclose(joints, np.broadcast_to(lifter(STANDING, **COCO), joints.shape), atol=1e-5)


def test_tensors_give_tensors_of_any_number_type_and_nothing_given_is_changed(lifter):
    for given in (torch.tensor(STANDING), torch.tensor(STANDING).half(), torch.tensor(STANDING).long()):
        before = given.clone()
        joints = lifter(given, **COCO)
        assert isinstance(joints, torch.Tensor)
        np.testing.assert_allclose(joints, lifter(STANDING, **COCO), atol=0.02)
        assert torch.equal(given, before)
    np.testing.assert_allclose(lifter(STANDING.astype(int), **COCO), lifter(STANDING, **COCO))


def test_seventeen_keypoints_go_into_a_network_of_sixteen_by_name(lifter):
    seventeen = convert(STANDING, COCO_17, H36M_17)
    by_name = lifter(seventeen, skeleton=H36M_17, image_size=(1920, 1080))
    sixteen = lifter(convert(seventeen, H36M_17, H36M_16), skeleton="h36m_16", image_size=(1920, 1080))
    np.testing.assert_array_equal(by_name, sixteen)


@pytest.mark.parametrize("weights", ["released", "baseline3d_pixels"])
def test_pixels_or_rays_of_the_training_cameras_are_what_the_network_gets(weights):
    lifter = load_lifter(weights, flip=False, bones=False)
    keypoints = torch.tensor(convert(STANDING, COCO_17, H36M_16) / 2).float()
    read = (keypoints - 500) / 1150 if weights == "released" else keypoints
    with torch.no_grad():
        expected = lifter.model(read[None, None])[0, 0]
    seen = lifter(keypoints, skeleton="h36m_16", image_size=(1000, 1000), focal=1150.0)
    torch.testing.assert_close(seen, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["released", "baseline3d_pixels", "released_video"])
def test_the_mirrored_person_has_the_mirrored_pose(weights):
    lifter, step = load_lifter(weights, bones=False), np.arange(12)[:, None, None]
    moving = STANDING + step * np.linspace(-3, 3, 34).reshape(17, 2)
    reflection = moving[:, list(COCO_17.flip_index)]
    reflection[..., 0] = 1920 - reflection[..., 0]
    joints, mirrored = lifter(moving, **COCO), lifter(reflection, **COCO)
    np.testing.assert_allclose(mirror(mirrored, H36M_17), joints, atol=1e-5)
    once = load_lifter(weights, flip=False, bones=False)
    assert np.abs(mirror(once(reflection, **COCO), H36M_17) - once(moving, **COCO)).max() > 1e-3
    both = (once(moving, **COCO) + mirror(once(reflection, **COCO), H36M_17)) / 2
    np.testing.assert_allclose(joints, both, atol=1e-5)


def test_a_known_camera_undoes_the_size_of_the_picture(lifter):
    small, large = (
        lifter(STANDING * scale, skeleton="coco_17", image_size=(1920 * scale, 1080 * scale), focal=1500.0 * scale)
        for scale in (1, 2)
    )
    np.testing.assert_allclose(small, large, atol=1e-4)


@pytest.mark.parametrize("mark", ["nan", "zero", "score"])
def test_a_missing_keypoint_is_a_mask_and_not_a_place(lifter, mark):
    given = np.concatenate([STANDING, np.ones((17, 1))], 1)
    row = COCO_17.index("right_wrist")
    given[row] = {"nan": [np.nan, np.nan, 1], "zero": [0, 0, 1], "score": [860, 500, 0]}[mark]
    joints, whole = lifter(given, **COCO), lifter(STANDING, **COCO)
    wrist = lifter.output_skeleton.index("right_wrist")
    assert np.isnan(joints[wrist]).all()
    others = np.delete(joints - whole, wrist, axis=0)
    assert np.linalg.norm(others, axis=-1).mean() < 0.05  # read as a place, (0, 0) throws them 0.2 m off


def test_only_the_joint_of_that_name_is_unknown(lifter):
    given = STANDING.copy()
    given[[COCO_17.index("right_hip"), COCO_17.index("left_ear")]] = np.nan
    unknown = np.isnan(lifter(given, **COCO)).any(-1)
    assert [lifter.output_skeleton.joints[row] for row in unknown.nonzero()[0]] == ["right_hip"]


def test_a_gap_in_time_is_bridged(lifter):
    clip = STANDING + np.arange(9)[:, None, None] * [3.0, 0.0]
    holed = clip.copy()
    holed[3:6, COCO_17.index("left_knee")] = np.nan
    joints = lifter(holed, **COCO)
    knee = lifter.output_skeleton.index("left_knee")
    assert np.isnan(joints[:, knee]).any(-1).tolist() == [False] * 3 + [True] * 3 + [False] * 3
    there = np.delete(joints, knee, axis=1)
    np.testing.assert_allclose(there, np.delete(lifter(clip, **COCO), knee, axis=1), atol=1e-3)  # mean lengths of fewer


def test_who_is_hardly_seen_is_not_made_up(lifter):
    given = np.full((2, 3, 17, 2), np.nan)
    given[0] = STANDING
    given[1, 1, :3] = STANDING[:3]
    joints = lifter(given, **COCO)
    assert np.isfinite(joints[0]).all()
    assert np.isnan(joints[1]).all()


def test_a_window_sees_its_frames_and_the_ends_are_repeated(repository):
    lifter = built(repository, "videopose3d", kernel_sizes=[3, 3], channels=16)
    clip = STANDING + np.random.default_rng(0).normal(0, 5, (20, 17, 2))
    joints = lifter(clip, **COCO)
    assert joints.shape == (20, 17, 3)
    half = lifter(clip[:12], **COCO)
    changed = np.abs(half - joints[:12]).max((1, 2))
    assert lifter(clip[0], **COCO).shape == (17, 3)
    assert changed[-1] > 0  # its end is another's middle


@pytest.mark.parametrize("frames", [1, 27, 40])
def test_a_network_of_whole_windows_gives_a_pose_for_every_frame(repository, frames):
    lifter = built(repository, "motionagformer", num_blocks=1)
    clip = STANDING + np.random.default_rng(0).normal(0, 5, (frames, 17, 2))
    joints = lifter(clip, **COCO)
    assert joints.shape == (frames, 17, 3)
    assert np.isfinite(joints).all()
    if frames == 27:
        read = torch.tensor(convert(clip, COCO_17, lifter.input_skeleton))
        with torch.no_grad():
            seen = lifter._as_trained(torch.cat([read, torch.ones(27, 17, 1)], -1)[None], (1920, 1080), None)
            np.testing.assert_allclose(joints, lifter.model(seen)[0], atol=1e-6)


def test_a_network_that_reads_scores_is_told_what_is_missing(repository):
    lifter = built(repository, "window_mlp")
    given = np.tile(STANDING, (5, 1, 1))
    whole = lifter(given, **COCO)
    assert np.isfinite(whole).all()
    given[:, COCO_17.index("left_knee")] = np.nan
    holed = lifter(given, **COCO)
    knee = lifter.output_skeleton.index("left_knee")
    assert np.isnan(holed[:, knee]).all()
    assert np.isfinite(np.delete(holed, knee, axis=1)).all()
    assert not np.allclose(np.delete(holed, knee, axis=1), np.delete(whole, knee, axis=1))


def test_a_mixture_gives_its_likeliest_pose_and_all_of_them(repository):
    lifter = built(repository, "gmh_mdn", linear_size=32)
    given = np.tile(STANDING, (4, 1, 1))
    means, weights = lifter.hypotheses(given, **COCO)
    assert (means.shape, weights.shape) == ((4, 5, 17, 3), (4, 5))
    np.testing.assert_allclose(lifter(given, **COCO)[0], means[0, weights[0].argmax()])
    given[0, COCO_17.index("left_wrist")] = 0
    wrist = lifter.output_skeleton.index("left_wrist")
    assert np.isnan(lifter.hypotheses(given, **COCO)[0][0, :, wrist]).all()


def test_one_pose_has_no_hypotheses(lifter):
    with pytest.raises(ValueError, match=r"released gives one pose a frame, not several; model=gmh_mdn gives several"):
        lifter.hypotheses(STANDING, **COCO)


@pytest.mark.parametrize(
    ("given", "settings", "sentence"),
    [
        (STANDING[:16], {}, "(..., 17, 2) or (..., 17, 3) with scores, as coco_17 has 17 keypoints, got (16, 2)"),
        (np.zeros((4, 16, 2)), {}, "got (4, 16, 2). Frames come before them: (17, 2) is one frame"),
        (STANDING.T, {}, "got (2, 17)"),
        (STANDING[:, 0], {}, "got (17,)"),
        (STANDING / 1920, {}, "must be in pixels of a 1920x1080 picture; these lie between 0.099 and 0.552"),
        (STANDING, {"image_size": (300, 200)}, "lie far outside a 300x200 picture: x from 860 to 1060, y from 190 to"),
        (
            STANDING,
            {"image_size": (0, 5)},
            "image_size must be width and height in pixels, as (1920, 1080), got (0, 5)",
        ),
        (STANDING, {"image_size": 1920}, "image_size must be width and height in pixels, as (1920, 1080), got 1920"),
        (STANDING, {"image_size": (1080, 1920, 3)}, "as (1920, 1080), got (1080, 1920, 3)"),
        (STANDING, {"image_size": None}, "as (1920, 1080), got None"),
        (STANDING, {"skeleton": "coco17"}, "There is no skeleton 'coco17'. Did you mean coco_17? There are h36m_32, "),
        (STANDING, {"skeleton": 17}, "There is no skeleton '17'. There are h36m_32, "),
        (STANDING, {"focal": "long"}, "focal must be a positive number of pixels or None, got 'long'"),
        (STANDING, {"focal": -1.0}, "focal must be a positive number of pixels or None, got -1.0"),
        (np.where(STANDING == 860, np.inf, STANDING), {}, "keypoints hold infinite values"),
        (STANDING > 500, {}, "keypoints must be real numbers, got bool"),
    ],
)
def test_what_does_not_fit_is_named_with_what_was_found(lifter, given, settings, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        lifter(given, **COCO | settings)


OWN = """
name: mine
joints: [pelvis, l_hip, l_knee, l_foot, r_hip, r_knee, r_foot, neck]
parents: [null, pelvis, l_hip, l_knee, pelvis, r_hip, r_knee, pelvis]
left: [l_hip, l_knee, l_foot]
right: [r_hip, r_knee, r_foot]
"""


def test_a_skeleton_of_a_persons_own_is_known_by_its_name(repository):
    own = built(repository, "baseline3d", input_skeleton=OWN, output_skeleton=OWN, linear_size=8)
    assert own(STANDING[:8], **COCO | {"skeleton": "mine"}).shape == (8, 3)


def test_nobody_gives_nobody(lifter):
    assert lifter(np.zeros((0, 1, 17, 2)), **COCO).shape == (0, 1, 17, 3)
    assert lifter(torch.zeros(2, 0, 17, 3), **COCO).shape == (2, 0, 17, 3)


def test_every_kind_of_number_is_lifted_and_what_a_mask_hides_is_missing(lifter):
    expected = lifter(STANDING, **COCO)
    for kind in (">f8", np.longdouble, np.float32):
        np.testing.assert_allclose(lifter(STANDING.astype(kind), **COCO), expected, atol=1e-4)
    masked = np.ma.array(STANDING, mask=np.arange(17)[:, None].repeat(2, 1) == 9)
    hidden = np.where(np.arange(17)[:, None] == 9, np.nan, STANDING)
    np.testing.assert_array_equal(lifter(masked, **COCO), lifter(hidden, **COCO))


def test_a_device_that_is_not_there_is_named(lifter):
    with pytest.raises(ValueError, match=r"device=nowhere cannot be used here: .* `anypose doctor` says which can"):
        ArrayLifter(lifter.model, "x", "nowhere")


def test_a_list_is_no_array(lifter):
    with pytest.raises(TypeError, match="keypoints must be a NumPy array or a torch tensor, got list"):
        lifter(STANDING.tolist(), **COCO)


def test_a_network_that_lifts_nothing_is_refused_by_name():
    with pytest.raises(ValueError, match="x holds a Linear, which is no lifter"):
        ArrayLifter(torch.nn.Linear(2, 2), "x")


@pytest.mark.parametrize(
    ("source", "sentence"),
    [("nowhere.pt", "nowhere.pt does not exist. Name a checkpoint, a run's folder"), (".", ". holds neither last.pt")],
)
def test_what_is_no_checkpoint_is_answered_with_what_is_one(tmp_path, monkeypatch, source, sentence):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=re.escape(sentence)):
        load_lifter(source)


def test_scores_reach_a_network_that_reads_them_and_a_missing_keypoint_has_none(repository):
    lifter = built(repository, "motionagformer", num_blocks=1, keypoint_channels=3)
    seen = []
    lifter.model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    scores = np.linspace(0.2, 0.9, 27 * 17).reshape(27, 17, 1)
    clip = np.concatenate([np.broadcast_to(STANDING, (27, 17, 2)), scores], -1)
    wrist = COCO_17.index("left_wrist")
    clip[3, wrist, 2] = 0
    joints = lifter(clip, **COCO)
    place = lifter.input_skeleton.index("left_wrist")
    expected = scores[:, wrist, 0].copy()
    expected[3] = 0
    np.testing.assert_allclose(seen[0][0, :, place, 2], expected, atol=1e-6)
    assert np.isnan(joints[3, lifter.output_skeleton.index("left_wrist")]).all()
    lifter(clip[..., :2], **COCO)  # who has no scores is as sure as can be
    assert (seen[1][..., 2] == 1).all()


@pytest.mark.parametrize("model", ["baseline3d", "gmh_mdn", "videopose3d"])
def test_a_broken_network_is_not_taken_for_joints_that_nobody_saw(repository, model):
    sizes = {"kernel_sizes": [3], "channels": 8} if model == "videopose3d" else {"linear_size": 8}
    lifter = built(repository, model, **sizes)
    given = np.stack([STANDING] * 3)
    assert np.isfinite(lifter(given, **COCO)).all()
    for parameter in lifter.model.parameters():
        parameter.data.fill_(torch.finfo(torch.float32).max)
    with pytest.raises(ValueError, match=r"gives NaN or infinity in 3 of 3 frames, all of whose keypoints are numbers"):
        lifter(given, **COCO)
    given[1] = np.nan
    with pytest.raises(ValueError, match=r"The lifter, a \w+, gives NaN or infinity"):
        lifter(given, **COCO)
