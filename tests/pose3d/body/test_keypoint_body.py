from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from anypose.skeleton import BLAZEPOSE_33, COCO_17, H36M_17, H36M_32
from pose3d.body.anny import RIG, WORDS, Anny, merge
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


def test_what_a_body_has_no_place_for_is_named() -> None:
    with pytest.raises(ValueError, match=r"spine_base, .*right_hand_end of h36m_32"):
        points_of(H36M_32)


def test_words_are_checked(made_up: Anny) -> None:
    with pytest.raises(ValueError, match=r"6 finite words, gender, age.*found \[0.5, nan"):
        KeypointBody(points_of(H36M_17), made_up).shape([0.5, np.nan, 0.5, 0.5, 0.5, 0.5])
