import itertools

import numpy as np
import pytest
import torch

from anypose import skeleton as skeletons
from anypose.skeleton import (
    BODY_25,
    CMU_21,
    COCO_17,
    H36M_14,
    H36M_16,
    H36M_17,
    H36M_32,
    MPI_INF_3DHP_17,
    MPI_INF_3DHP_28,
    MPII_16,
    SH_16,
    SH_H36M_16,
    SKELETONS,
    Skeleton,
    convert,
    convert_known,
    get_skeleton,
    is_convertible,
    mirror,
)

# A person of 1.75 m who faces the camera: x to the camera's right (the person's left), y down from the hip, z away [m].
_MIDDLE = {
    "hip": (0, 0),
    "spine_base": (0, 0),
    "abdomen": (-0.18, 0),
    "spine": (-0.24, 0),
    "chest": (-0.30, 0),
    "spine2": (-0.28, 0.02),
    "spine3": (-0.35, 0.02),
    "spine4": (-0.42, 0.02),
    "shoulders": (-0.44, 0),
    "thorax": (-0.50, 0),
    "upper_neck": (-0.57, -0.01),
    "neck": (-0.57, -0.10),
    "nose": (-0.62, -0.11),
    "head": (-0.65, -0.03),
    "head_top": (-0.76, -0.02),
}
_LEFT = {
    "hip": (0.13, 0, 0),
    "knee": (0.14, 0.44, 0),
    "foot": (0.14, 0.88, 0.03),
    "heel": (0.14, 0.93, 0.06),
    "toe": (0.15, 0.94, -0.10),
    "toe_end": (0.15, 0.95, -0.16),
    "big_toe": (0.14, 0.95, -0.14),
    "small_toe": (0.19, 0.95, -0.12),
    "collar": (0.03, -0.46, 0),
    "shoulder": (0.17, -0.44, 0),
    "elbow": (0.40, -0.44, 0.05),
    "wrist": (0.62, -0.44, 0),
    "hand": (0.70, -0.44, 0),
    "hand_end": (0.80, -0.44, 0),
    "thumb": (0.66, -0.44, -0.04),
    "thumb_end": (0.69, -0.44, -0.06),
    "index": (0.70, -0.44, -0.03),
    "pinky": (0.70, -0.44, 0.03),
    "ear": (0.07, -0.65, -0.03),
    "eye": (0.03, -0.65, -0.09),
    "eye_inner": (0.02, -0.65, -0.09),
    "eye_outer": (0.04, -0.65, -0.08),
    "mouth": (0.03, -0.59, -0.10),
}
FIGURE = (
    {name: (0.0, y, z) for name, (y, z) in _MIDDLE.items()}
    | {f"left_{name}": place for name, place in _LEFT.items()}
    | {f"right_{name}": (-x, y, z) for name, (x, y, z) in _LEFT.items()}
)


def draw(skeleton: Skeleton) -> np.ndarray:
    return np.array([FIGURE[joint] for joint in skeleton.joints])


def convertible(source: Skeleton, target: Skeleton) -> bool:
    try:
        convert(draw(source), source, target)
    except ValueError:
        return False
    return True


CONVERTIBLE = [pair for pair in itertools.permutations(SKELETONS.values(), 2) if convertible(*pair)]


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS)
def test_parents_form_one_tree_over_unique_joints(skeleton):
    assert len(set(skeleton.joints)) == skeleton.num_joints == len(skeleton.parents)
    assert skeleton.parents.count(-1) == 1
    for joint in range(skeleton.num_joints):
        path = [joint]
        while skeleton.parents[path[-1]] >= 0:
            path.append(skeleton.parents[path[-1]])
            assert path.count(path[-1]) == 1, f"{skeleton.joints[joint]} is its own ancestor"
    assert len(skeleton.bones) == skeleton.num_joints - 1
    assert all(skeleton.parents[child] == parent for child, parent in skeleton.bones)


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS)
def test_left_and_right_pair_by_name_and_every_sided_joint_is_in_a_pair(skeleton):
    for left, right in zip(skeleton.left, skeleton.right, strict=True):
        assert skeleton.joints[left] == skeleton.joints[right].replace("right_", "left_")
    sided = {i for i, joint in enumerate(skeleton.joints) if joint.startswith(("left_", "right_"))}
    assert sided == {*skeleton.left, *skeleton.right}


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS)
def test_the_tree_is_symmetric(skeleton):
    flip = (*skeleton.flip_index, -1)
    assert [flip[parent] for parent in skeleton.parents] == [skeleton.parents[j] for j in skeleton.flip_index]


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS)
def test_no_bone_of_a_person_is_longer_than_a_thigh_unless_the_skeleton_skips_joints(skeleton):
    longest = np.linalg.norm(np.diff(draw(skeleton)[np.array(skeleton.bones)], axis=1), axis=-1).max()
    skips = "coco_17 blazepose_33 mpii_16 h36m_14 body_25 openpose_18 body_25b halpe_26 humaneva_15"
    assert longest < (0.65 if skeleton.name in skips.split() else 0.45)


def test_constants_are_the_entries_of_the_table():
    for name, skeleton in SKELETONS.items():
        assert skeleton.name == name
        assert getattr(skeletons, name.upper()) is skeleton is get_skeleton(name)


def test_an_unknown_skeleton_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"no skeleton 'h36m'. Did you mean .* There are h36m_32, h36m_17,"):
        get_skeleton("h36m")


def test_an_unknown_joint_is_answered_with_the_joints():
    assert H36M_17.index("left_wrist") == 13
    with pytest.raises(ValueError, match=r"h36m_14 has no joint 'spine'\. It has right_hip, right_knee"):
        H36M_14.index("spine")


def test_human36m_has_the_published_order_parents_and_symmetry():
    assert H36M_17.parents == (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15)
    assert H36M_17.left == (4, 5, 6, 11, 12, 13)
    assert H36M_17.right == (1, 2, 3, 14, 15, 16)
    used = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
    assert tuple(H36M_32.joints[i] for i in used) == H36M_17.joints
    assert H36M_16.joints == tuple(j for j in H36M_17.joints if j != "neck")
    assert H36M_14.joints == tuple(j for i, j in enumerate(H36M_17.joints) if i not in (0, 7, 9))
    assert (H36M_17.root, H36M_14.root, MPII_16.root) == (0, None, 6)


@pytest.mark.parametrize(
    ("name", "left", "right"),
    [
        ("coco_17", range(1, 16, 2), range(2, 17, 2)),
        ("mpii_16", (3, 4, 5, 13, 14, 15), (0, 1, 2, 10, 11, 12)),
        ("humaneva_15", (2, 3, 4, 8, 9, 10), (5, 6, 7, 11, 12, 13)),
    ],
)
def test_sides_are_those_published_by_videopose3d(name, left, right):
    skeleton = get_skeleton(name)
    assert (set(skeleton.left), set(skeleton.right)) == (set(left), set(right))


def test_stacked_hourglass_is_rearranged_as_3d_pose_baseline_does():
    detections = np.random.default_rng(0).normal(size=(5, 16, 2))
    order = [6, 2, 1, 0, 3, 4, 5, 7, 8, 9, 13, 14, 15, 12, 11, 10]
    np.testing.assert_array_equal(convert(detections, SH_16, SH_H36M_16), detections[:, order])
    assert SH_16.joints == MPII_16.joints, "the points of MPII, whatever they were called"


def test_mpi_inf_3dhp_test_joints_are_picked_from_its_28():
    points = draw(MPI_INF_3DHP_28)
    picked = points[[7, 5, 14, 15, 16, 9, 10, 11, 23, 24, 25, 18, 19, 20, 4, 3, 6]]
    np.testing.assert_array_equal(convert(points, MPI_INF_3DHP_28, MPI_INF_3DHP_17), picked)


@pytest.mark.parametrize(("source", "target"), CONVERTIBLE, ids=lambda skeleton: skeleton.name)
def test_converted_joints_lie_where_the_figure_has_them(source, target):
    points = convert(draw(source), source, target)
    for joint, place in zip(target.joints, points, strict=True):
        true = np.array(FIGURE[joint])
        if joint in source.joints:
            np.testing.assert_array_equal(place, true)
        else:
            assert np.linalg.norm(place - true) < 0.06, f"{joint} of {target.name} from {source.name}: {place}, {true}"
            assert abs(place[0]) < 1e-12, f"{joint} leaves the middle of a symmetric figure"


@pytest.mark.parametrize(
    ("source", "targets"),
    [
        ("h36m_32", {"h36m_17", "h36m_16", "h36m_14"}),
        ("h36m_17", {"h36m_16", "h36m_14"}),
        ("coco_17", {"h36m_17", "h36m_16", "h36m_14"}),
        ("body_25", {"h36m_17", "h36m_16", "h36m_14", "coco_17"}),
        ("openpose_18", {"h36m_17", "h36m_16", "h36m_14", "coco_17"}),
        ("body_25b", {"h36m_17", "h36m_16", "h36m_14", "coco_17", "openpose_18", "openpose_15"}),
        ("halpe_26", {"h36m_17", "h36m_16", "h36m_14", "coco_17", "body_25", "humaneva_15"}),
        ("blazepose_33", {"h36m_17", "h36m_16", "h36m_14", "coco_17"}),
        ("mpii_16", {"h36m_16", "h36m_14", "humaneva_15"}),
        ("mpi_inf_3dhp_28", {"mpi_inf_3dhp_17", "h36m_16", "h36m_14", "humaneva_15"}),
        ("humaneva_15", {"h36m_16", "h36m_14"}),
        ("cmu_21", {"h36m_17", "h36m_16", "h36m_14"}),
    ],
)
def test_skeletons_reach_those_they_must(source, targets):
    missing = {name for name in targets if not convertible(get_skeleton(source), get_skeleton(name))}
    assert not missing


@pytest.mark.parametrize(
    ("source", "target", "joint"),
    [
        (H36M_17, COCO_17, "nose"),
        (H36M_16, H36M_17, "neck"),
        (MPII_16, H36M_17, "neck"),
        (COCO_17, MPII_16, "upper_neck"),
        (COCO_17, BODY_25, "left_big_toe"),
        (H36M_14, CMU_21, "abdomen"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_joint_that_cannot_be_derived_is_refused_by_name(source, target, joint):
    with pytest.raises(ValueError, match=f"{source.name} cannot be converted to {target.name}: '{joint}'"):
        convert(draw(source), source, target)


@pytest.mark.parametrize(("source", "target"), [(COCO_17, H36M_17), (CMU_21, H36M_17)], ids=["coco", "cmu"])
def test_conversion_commutes_with_moving_turning_and_mirroring_the_person(source, target):
    rng = np.random.default_rng(1)
    points = rng.normal(size=(4, 7, source.num_joints, 3))
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    moved = convert(points @ rotation + [1, 2, 3], source, target)
    np.testing.assert_allclose(moved, convert(points, source, target) @ rotation + [1, 2, 3], atol=1e-12)
    mirrored = convert(mirror(points, source), source, target)
    np.testing.assert_allclose(mirrored, mirror(convert(points, source, target), target), atol=1e-12)


def test_left_stays_left_when_limbs_are_lifted_on_one_side():
    points = draw(COCO_17)
    points[COCO_17.index("left_wrist")] = (0.3, -0.9, 0)
    points[COCO_17.index("right_foot")] = (-0.2, 0.5, 0.3)
    converted = convert(points, COCO_17, H36M_17)
    np.testing.assert_array_equal(converted[13], (0.3, -0.9, 0))  # Human3.6M: left wrist 13, right foot 3
    np.testing.assert_array_equal(converted[3], (-0.2, 0.5, 0.3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_numpy_and_torch_convert_alike_and_keep_type_and_source(dtype):
    points = torch.randn(3, 5, 17, 2, dtype=dtype, generator=torch.Generator().manual_seed(0))
    before = points.clone()
    from_torch, from_numpy = convert(points, COCO_17, H36M_17), convert(points.numpy(), COCO_17, H36M_17)
    assert from_torch.dtype == dtype
    assert isinstance(from_numpy, np.ndarray)
    assert from_numpy.dtype == points.numpy().dtype
    np.testing.assert_array_equal(from_torch.numpy(), from_numpy)
    assert torch.equal(points, before)


def test_conversion_passes_gradients():
    points = torch.randn(17, 3, requires_grad=True)
    convert(points, COCO_17, H36M_17)[0].sum().backward()
    expected = torch.zeros(17, 3)
    expected[[COCO_17.index("left_hip"), COCO_17.index("right_hip")]] = 0.5
    torch.testing.assert_close(points.grad, expected)


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS)
def test_mirroring_twice_is_the_identity_and_once_moves_the_left_to_the_right(skeleton):
    points = draw(skeleton) + np.random.default_rng(2).normal(scale=0.01, size=(6, skeleton.num_joints, 3))
    mirrored = mirror(points, skeleton)
    np.testing.assert_array_equal(mirror(mirrored, skeleton), points)
    for left, right in zip(skeleton.left, skeleton.right, strict=True):
        np.testing.assert_array_equal(mirrored[:, left], points[:, right] * (-1, 1, 1))
    np.testing.assert_allclose(mirror(draw(skeleton), skeleton), draw(skeleton))  # the figure is symmetric


def test_a_wrong_number_of_joints_is_refused():
    with pytest.raises(ValueError, match=r"coco_17 must have shape \(..., 17, D\), got \(2, 16, 3\)"):
        convert(np.zeros((2, 16, 3)), COCO_17, H36M_17)
    with pytest.raises(ValueError, match=r"h36m_17 must have shape \(..., 17, D\), got \(17,\)"):
        mirror(np.zeros(17), H36M_17)


def test_whole_numbers_are_refused_because_means_would_be_cut():
    with pytest.raises(ValueError, match="must be floating point, got int64"):
        convert(np.zeros((17, 2), np.int64), COCO_17, H36M_17)
    with pytest.raises(ValueError, match=r"must be floating point, got torch.int32"):
        convert(torch.zeros(17, 2, dtype=torch.int32), COCO_17, H36M_17)


def test_what_can_be_converted_is_known_beforehand():
    assert is_convertible(COCO_17, H36M_17)
    assert not is_convertible(H36M_17, COCO_17)


def test_a_partial_conversion_gives_what_there_is_and_says_what_is_not():
    points = np.random.default_rng(0).normal(size=(3, 16, 2))
    common = get_skeleton("common_16")
    found, known = convert_known(points, MPII_16, common)
    lacking = [joint for joint, there in zip(common.joints, known, strict=True) if not there]
    assert lacking == ["neck", "left_ear", "right_ear"]
    assert np.isnan(found[:, ~np.array(known)]).all()
    assert np.isfinite(found[:, np.array(known)]).all()
    np.testing.assert_array_equal(found[:, common.index("left_knee")], points[:, MPII_16.index("left_knee")])
    whole, all_known = convert_known(torch.randn(2, 17, 2), COCO_17, common)
    assert all(all_known)
    assert isinstance(whole, torch.Tensor)


def test_a_partial_conversion_of_nothing_is_refused():
    face = Skeleton.parse("face", "nose left_eye<nose right_eye<nose")
    with pytest.raises(ValueError, match=r"face has no point of h36m_14: nose, left_eye, right_eye give none"):
        convert_known(np.zeros((3, 2)), face, get_skeleton("h36m_14"))
