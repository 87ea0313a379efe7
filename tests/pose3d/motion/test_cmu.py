import numpy as np
import pytest

from anypose.formats.bvh import forward_kinematics, read_bvh
from anypose.skeleton import CMU_21, H36M_17, convert
from pose3d.motion import cmu
from pose3d.motion.cmu import ACTIONS, action_of, joints_of_bvh, read_index, resample, whole_pieces
from tests.pose3d.motion.motion_files import write_daz_bvh

FOOT, HEAD, HIP = (H36M_17.index(joint) for joint in ("left_foot", "head", "hip"))


@pytest.fixture
def take(tmp_path):
    write_daz_bvh(tmp_path / "02_01.bvh", 150)
    return read_bvh(tmp_path / "02_01.bvh")


def test_limb_joints_are_the_files_turned_upright_and_in_metres(take):
    joints = joints_of_bvh(take)
    assert joints.shape == (150 - cmu.REST_FRAMES, 17, 3)
    names = {
        "right_knee": "rShin",
        "left_foot": "lFoot",
        "thorax": "neck",
        "right_wrist": "rHand",
        "left_hip": "lThigh",
    }
    file, _ = forward_kinematics(take, list(names.values()))
    x, y, z = np.moveaxis(file[cmu.REST_FRAMES :] / 100, -1, 0)
    ours = joints[:, [H36M_17.index(name) for name in names]]
    moved = ours - np.stack([x, -z, y], -1)
    np.testing.assert_allclose(moved[..., :2], 0, atol=1e-12)
    np.testing.assert_allclose(moved[..., 2], moved[0, 0, 2], atol=1e-12)


def test_the_hip_is_the_middle_of_the_hip_joints(take):
    joints = joints_of_bvh(take)
    middle = joints[:, [H36M_17.index("left_hip"), H36M_17.index("right_hip")]].mean(1)
    np.testing.assert_allclose(joints[:, HIP], middle, atol=1e-12)


def test_points_of_the_figure_give_the_same_joints_but_for_neck_and_head(take):
    # For CMU_21 in its order; the eyes only have to be there.
    limbs = {
        "hip": "Thigh",
        "knee": "Shin",
        "foot": "Foot",
        "collar": "Collar",
        "shoulder": "Shldr",
        "elbow": "ForeArm",
        "wrist": "Hand",
    }
    middle = {"abdomen": "abdomen", "chest": "chest", "thorax": "neck", "upper_neck": "head"}
    middle |= {"left_eye": "head", "right_eye": "head"}
    names = []
    for joint in CMU_21.joints[1:]:
        side, _, name = joint.partition("_")
        names.append(middle[joint] if joint in middle else side[0] + limbs[name])
    points, _ = forward_kinematics(take, list(dict.fromkeys(names)))
    points = points[cmu.REST_FRAMES :, [list(dict.fromkeys(names)).index(name) for name in names]] / 100
    hip = points[:, [CMU_21.index("left_hip") - 1, CMU_21.index("right_hip") - 1]].mean(1, keepdims=True)
    points = np.concatenate([hip, points], 1)
    upright = np.stack([points[..., 0], -points[..., 2], points[..., 1]], -1)
    converted, ours = convert(upright, CMU_21, H36M_17), joints_of_bvh(take)
    same = [i for i, name in enumerate(H36M_17.joints) if name not in ("neck", "head")]
    moved = (ours - converted)[:, same]
    np.testing.assert_allclose(moved, np.broadcast_to(moved[0, 0] * [0, 0, 1], moved.shape), atol=1e-12)


def test_bones_that_turn_as_one_keep_their_length(take):
    joints = joints_of_bvh(take)
    for child, parent in H36M_17.bones:
        length = np.linalg.norm(joints[:, child] - joints[:, parent], axis=-1)
        bend = 0.02 if H36M_17.joints[child] in ("spine", "thorax") else 1e-9
        assert np.ptp(length) < bend, H36M_17.joints[child]


def test_at_rest_a_person_stands_upright_facing_forward(tmp_path):
    write_daz_bvh(tmp_path / "02_01.bvh", 60, degrees=0)
    joints = joints_of_bvh(read_bvh(tmp_path / "02_01.bvh"))[0]
    at = {name: joints[i] for i, name in enumerate(H36M_17.joints)}
    heights = [at[name][2] for name in ("left_foot", "left_knee", "hip", "spine", "thorax", "head")]
    assert heights == sorted(heights)
    assert 1.4 < at["head"][2] < 1.8
    assert at["head"][2] - at["thorax"][2] == pytest.approx(0.166, abs=1e-3)
    assert at["neck"][1] < at["head"][1], "the face is in front of the head: forward is -y after z-up"
    assert at["left_wrist"][0] > at["right_wrist"][0], "left stays left: facing -y, it is at +x"
    assert (at["spine"][2] - at["hip"][2]) / (at["thorax"][2] - at["hip"][2]) == pytest.approx(0.48, abs=0.03)


@pytest.mark.parametrize("height", [90.0, -10.0, 300.0])
def test_the_floor_is_where_the_feet_are(tmp_path, height):
    write_daz_bvh(tmp_path / "02_01.bvh", 300, height=height)
    joints = joints_of_bvh(read_bvh(tmp_path / "02_01.bvh"))
    assert 0 < joints[:, FOOT, 2].min() < 0.25


def test_another_skeleton_is_refused_with_what_lacks(tmp_path):
    write_daz_bvh(tmp_path / "02_01.bvh", 60)
    text = (tmp_path / "02_01.bvh").read_text(encoding="utf-8").replace("rShin", "RightLeg")
    (tmp_path / "02_01.bvh").write_text(text, encoding="utf-8")
    with pytest.raises(
        ValueError, match=r"this BVH has no joint rShin; it has hip, abdomen.*dataset=cmu reads CMU's own"
    ):
        joints_of_bvh(read_bvh(tmp_path / "02_01.bvh"))


def test_a_take_is_cut_where_joints_jump_and_scraps_are_left_out():
    joints = np.zeros((500, 2, 3))
    joints[:, :, 1] = np.linspace(0, 4, 500)[:, None]
    joints[200:] += [0.2, 0, 0]
    joints[230:, 1] -= [0, 0, 0.3]
    pieces = whole_pieces(joints, fps=100, max_speed=14, min_seconds=0.5)
    assert pieces == [slice(0, 200), slice(230, 500)]
    assert whole_pieces(joints, fps=100, max_speed=40, min_seconds=0.5) == [slice(0, 500)]
    assert whole_pieces(joints[:30], fps=100, max_speed=14, min_seconds=0.5) == []
    assert whole_pieces(joints[:0], fps=100, max_speed=14, min_seconds=0.5) == []


@pytest.mark.parametrize(("fps", "wanted"), [(120.0, 50.0), (120.0, 60.0), (60.0, 50.0), (100.0, 99.0)])
def test_resampling_keeps_time(fps, wanted):
    times = np.arange(97) / fps
    line = np.stack([times, 2 * times, np.sin(times)], -1)[:, None]
    resampled = resample(line, fps, wanted)
    expected = np.arange(len(resampled)) / wanted
    np.testing.assert_allclose(resampled[:, 0, 0], expected, atol=1e-12)
    np.testing.assert_allclose(resampled[:, 0, 2], np.sin(expected), atol=1 / fps**2 / 8)
    assert times[-1] - 1 / wanted < expected[-1] <= times[-1]


def test_slower_recordings_and_single_frames_stay_as_they_are():
    joints = np.random.default_rng(0).normal(size=(5, 2, 3))
    assert resample(joints, 30, 50) is joints
    np.testing.assert_array_equal(resample(joints[:1], 120, 50), joints[:1])


@pytest.mark.parametrize(
    ("description", "action"),
    [
        ("playground - forward jumps, turn around", "Climbing"),
        ("dance - small jetes, pirouette", "Dancing"),
        ("basketball - forward dribble", "Basketball"),
        ("soccer - kick ball", "Soccer"),
        ("punch/strike", "Fighting"),
        ("jump, balance", "Jumping"),
        ("run/jog", "Running"),
        ("walk on uneven terrain", "Walking"),
        ("bend over, scoop up, rise, lift arm", "Everyday"),
        ("Unknown", "Other"),
        ("", "Other"),
    ],
)
def test_descriptions_fall_into_named_actions(description, action):
    assert action_of(description) == action
    assert action in ACTIONS


def test_the_index_is_read_between_anything_else(tmp_path):
    (tmp_path / "CMU-INDEX.md").write_bytes(
        b"# Listing\r\n\r\nSubject #2 (x)\r\n\r\n02_01  walk\r\n02_03\trun/jog \n\xff\n"
    )
    assert read_index(tmp_path / "CMU-INDEX.md") == {"02_01": "walk", "02_03": "run/jog"}
