from __future__ import annotations

import numpy as np
import pytest
import torch

from anypose.skeleton import BLAZEPOSE_33, COCO_17, COMMON_16, H36M_17, convert_known
from pose3d.body.anny import RIG, Anny
from pose3d.body.drawn import LAYOUTS, DrawnBodies
from pose3d.body.first_pose import Poser
from pose3d.body.keypoint_body import FREE, keypoint_body
from pose3d.body.people import Person
from tests.pose3d.predict.walkers import walk

PROTOCOLS = ("coco", "blazepose", "mpii", "h36m")


@pytest.fixture
def windows() -> torch.Tensor:
    """(8, 5, 17, 3) of somebody who walks."""
    joints = walk(np.arange(40) / 30, (0.0, 4.0), (0.7, 0.0))
    return torch.from_numpy(joints.reshape(8, 5, 17, 3)).float()


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def drawn(windows: torch.Tensor, protocol: torch.Tensor) -> tuple[DrawnBodies, torch.Tensor, torch.Tensor, list[int]]:
    """Bodies, what they give for the windows, and who they were."""
    bodies = DrawnBodies(0.5, PROTOCOLS, count=5)
    person = torch.randint(5, (len(windows),), generator=generator())
    return bodies, *bodies(windows, protocol, COMMON_16, generator()), person.tolist()


def test_a_batch_of_bodies_is_each_person_posed_alone(made_up: Anny, windows: torch.Tensor) -> None:
    protocol = torch.arange(8) % 4
    bodies, joints, points, people = drawn(windows, protocol)
    poser = Poser(keypoint_body(H36M_17))
    for row, person in enumerate(people):
        words = bodies.words[person]
        alone = Person(words, *poser(windows[row].double().numpy(), words))
        layout = LAYOUTS[PROTOCOLS[row % 4]]
        theirs = alone.points(H36M_17)
        seen, known = convert_known(alone.points(layout), layout, COMMON_16)
        np.testing.assert_allclose(joints[row], theirs - theirs[:, :1], atol=2e-6)
        np.testing.assert_allclose(points[row][:, known], (seen - theirs[:, :1])[:, known], atol=2e-6)


def test_bodies_turn_with_the_motion_and_differ_from_sample_to_sample(made_up: Anny, windows: torch.Tensor) -> None:
    protocol = torch.zeros(8, dtype=torch.long)
    _, joints, points, people = drawn(windows, protocol)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=generator()))[0]
    turn = turn * turn.det()
    _, turned, others, _ = drawn(windows @ turn.T, protocol)
    torch.testing.assert_close(turned, joints @ turn.T, atol=1e-5, rtol=0)
    torch.testing.assert_close(others, points @ turn.T, atol=1e-5, rtol=0)
    shins = (joints[:, :, 2] - joints[:, :, 3]).norm(dim=-1)
    assert shins.std(1).max() < 1e-5  # over the frames
    assert len({round(float(shin), 5) for shin in shins[:, 0]}) == len(set(people))


@pytest.mark.slow
def test_points_are_where_annys_own_skin_and_rig_have_them(anny_body: Anny, windows: torch.Tensor) -> None:
    import anny

    model = anny.Anny(rig=RIG, topology="anny", skinning_method="lbs", phenotype_blendshapes="original")
    protocol = torch.tensor([PROTOCOLS.index("coco")] * 8)
    bodies, joints, points, people = drawn(windows, protocol)
    poser, rig = Poser(keypoint_body(H36M_17)), keypoint_body(COCO_17)
    for row in (0, 5):
        words = bodies.words[people[row]]
        turns, root = poser(windows[row].double().numpy(), words)
        pose = np.tile(np.eye(4), (5, len(anny_body.bones), 1, 1))
        pose[:, rig.rows, :3, :3], pose[:, 0, :3, 3] = turns, root
        theirs = model(pose_parameters=torch.tensor(pose), phenotype_kwargs=torch.tensor(words[None]))
        vertices, heads = theirs["vertices"].numpy(), theirs["bone_poses"][..., :3, 3].numpy()
        middle = (heads[:, anny_body.index("LeftUpLeg")] + heads[:, anny_body.index("RightUpLeg")]) / 2
        for joint, bone in (("left_knee", "LeftLeg"), ("right_wrist", "RightHand"), ("thorax", "Neck")):
            place = heads[:, anny_body.index(bone)] - middle
            np.testing.assert_allclose(joints[row][:, H36M_17.index(joint)], place, atol=1e-5)
        for name, regressor in (("left_ear", "left_ear"), ("right_ear", "right_ear"), ("neck", "nose")):
            weights = anny_body.surface[regressor] / anny_body.surface[regressor].sum()
            place = np.einsum("v,tvi->ti", weights, vertices) - middle
            np.testing.assert_allclose(points[row][:, COMMON_16.index(name)], place, atol=1e-5)


def test_vectors_of_a_body_are_its_points(made_up: Anny) -> None:
    body, rng = keypoint_body(BLAZEPOSE_33), np.random.default_rng(2)
    shape = body.shape([0.3, 0.7, 0.5, 0.6, 0.4, 0.5])
    turns = np.linalg.qr(rng.normal(size=(3, len(FREE), 3, 3)))[0]
    root = rng.normal(size=(3, 3))
    world, _ = body.place(shape, turns, root)
    found = root[:, None] + np.einsum("tfij,kfj->tki", world, body.vectors(shape))
    np.testing.assert_allclose(found, body.pose(shape, turns, root), atol=1e-12)


def test_a_share_is_one() -> None:
    with pytest.raises(ValueError, match=r"dataset.anny_share must be .*1.5"):
        DrawnBodies(1.5, PROTOCOLS)
