from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from anypose.skeleton import ANNY_38, H36M_17
from pose3d.body.anny import Anny
from pose3d.body.few_bones import few_bones
from pose3d.body.keypoint_body import FREE, KeypointBody
from pose3d.body.points import Point
from pose3d.body.rig import BodyRig, Meshes

WORDS = np.array([0.3, 0.7, 0.5, 0.5, 0.4, 0.6])


def test_bones_and_skin_of_the_files_are_the_body_s(made_up: Anny) -> None:
    """What a program does with the file, skinning by bones that turn, gives the vertices the body has."""
    rig, rng = BodyRig(made_up), np.random.default_rng(0)
    mesh, rest = rig.mesh(WORDS), rig.rest(WORDS)
    picked = rng.choice(len(made_up.vertices), 50, replace=False)
    surface = {f"vertex{v}": np.eye(1, len(made_up.vertices), v)[0] for v in picked}
    made_up.surface.update(surface)
    body = KeypointBody([Point(surface=((name, 1.0),)) for name in surface], made_up)
    for name in surface:
        del made_up.surface[name]
    shape = body.shape(WORDS)
    turns = Rotation.random(2 * len(FREE), rng=rng).as_matrix().reshape(2, len(FREE), 3, 3)
    root = rng.normal(size=(2, 3))
    joints, turned = rig.pose(body, shape, turns, root)
    _, heads = body.place(shape, turns, root)
    places = [rig.heads.index(row) for row in body.rows]
    np.testing.assert_allclose(joints[:, places], heads, atol=1e-9)
    skinned = np.zeros((2, len(picked), 3))
    for slot in range(4):
        bone = mesh.bones[picked, slot]
        start = np.array(ANNY_38.parents)[bone]
        carried = turned[:, bone] @ (mesh.vertices[picked] - rest[start])[..., None]
        skinned += mesh.weights[picked, slot, None] * (carried[..., 0] + joints[:, start])
    error = np.linalg.norm(skinned - body.pose(shape, turns, root), axis=-1)
    assert np.median(error) < 1e-6  # and a few vertices hang on more bones than a file holds
    assert np.percentile(error, 90) < 0.02


def test_four_bones_carry_what_hangs_on_more(made_up: Anny) -> None:
    """Bones that turn alike are one; of what is left four are weighted so that they put the vertex nearer."""
    rng = np.random.default_rng(1)
    crowded = replace(made_up, skin_bones=made_up.skin_bones.copy(), skin_weights=made_up.skin_weights.copy())
    names = ["Spine", "LowerBack", "Hips", "LHipJoint", "LeftUpLeg", "RightUpLeg", "Spine1"]
    alike, five = 10, np.arange(100, 130)
    slots = crowded.skin_weights.shape[1]
    crowded.skin_bones[alike] = [crowded.index(name) for name in names[:slots]]
    crowded.skin_bones[five] = [crowded.index(name) for name in ("Hips", "LowerBack", "Spine1", "LeftUpLeg", "LeftLeg")]
    crowded.skin_weights[alike], crowded.skin_weights[five] = 1 / slots, rng.dirichlet(np.full(slots, 4.0), len(five))
    body = KeypointBody([Point(joints=(("Hips", 1.0),))], crowded)
    bones, weights = few_bones(body)
    assert weights.shape == (len(made_up.vertices), 4)
    np.testing.assert_allclose(weights.sum(1), 1)
    assert (weights >= 0).all()
    free = np.array(body.carriers)
    shares = [np.bincount(free[row], weight, len(FREE)) for row, weight in (
        (bones[alike], weights[alike]), (crowded.skin_bones[alike], crowded.skin_weights[alike]))]  # fmt: skip
    np.testing.assert_allclose(*shares)  # three of its five turn with another
    order = np.argsort(-crowded.skin_weights[five], axis=1)[:, :4]
    heaviest = np.take_along_axis(crowded.skin_weights[five], order, 1)
    shape, rest = body.shape(WORDS), crowded.rest(WORDS)[five]
    turns = Rotation.from_rotvec(rng.normal(0, 0.5, (40 * len(FREE), 3))).as_matrix().reshape(40, len(FREE), 3, 3)
    world, heads = body.place(shape, turns, np.zeros((40, 3)))
    alone = np.einsum("pfij,nfj->npfi", world, rest[:, None] - shape.heads) + heads

    def off(bones: np.ndarray, weights: np.ndarray) -> float:
        rows = np.arange(len(five))[:, None]
        placed, wanted = (
            np.einsum("ns,nspi->npi", share, np.swapaxes(alone, 1, 2)[rows, free[which]])
            for which, share in ((bones, weights), (crowded.skin_bones[five], crowded.skin_weights[five]))
        )
        return float(np.sqrt(((placed - wanted) ** 2).sum(-1).mean()))

    kept = np.take_along_axis(crowded.skin_bones[five], order, 1), heaviest / heaviest.sum(1, keepdims=True)
    assert off(bones[five], weights[five]) < 0.8 * off(*kept)


def test_rest_faces_forward_with_the_left_on_the_left(made_up: Anny) -> None:
    rest = BodyRig(made_up).rest(WORDS)
    at = dict(zip(ANNY_38.joints, rest, strict=True))
    assert not at["hip"].any()
    assert at["left_wrist"][0] > 0.3 > -0.3 > at["right_wrist"][0]
    assert at["left_toe_end"][1] < at["left_foot"][1] - 0.08
    assert at["head_top"][2] > at["upper_neck"][2] + 0.1
    lengths = np.linalg.norm(rest[ANNY_38.index("left_toe_end")] - rest[ANNY_38.index("left_toe")])
    assert 0.02 < lengths < 0.15


def test_everybody_gets_their_own_skin(made_up: Anny) -> None:
    rig = BodyRig(made_up)
    other = np.array([0.9, 0.7, 0.5, 0.5, 0.2, 0.3])
    meshes = Meshes(rig, {1: WORDS, 2: other})
    for words in (WORDS, other):
        mesh = meshes(ANNY_38, rig.rest(words).astype(np.float32))
        np.testing.assert_array_equal(mesh.vertices, rig.mesh(words).vertices)
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=-1), 1, atol=1e-6)
    plain = np.zeros((17, 3))
    assert len(Meshes(rig)(H36M_17, plain).vertices) == 3  # nobody could be fitted
