"""`body=true`: what comes out is one body that moves, and the files hold its skin."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from anypose.motion import Motion
from anypose.skeleton import ANNY_38, H36M_17
from pose3d.body.anny import Anny
from pose3d.body.keypoint_body import KeypointBody
from pose3d.body.points import Point
from pose3d.predict.bodies import Bodies
from pose3d.predict.ground import Ground
from pose3d.predict.pipeline import Pipeline
from pose3d.predict.placing import assumed_intrinsics
from pose3d.predict.sinks import open_sinks, save
from tests.pose3d.predict.walkers import SIZE, seen, walk

TIMES = np.arange(36) / 30


@pytest.fixture
def walker(made_up: Anny) -> Motion:
    joints, keypoints = seen(walk(TIMES, (-0.5, 5.0), (0.5, 0.0)))
    return Motion(
        "walk", TIMES, np.array([7]), keypoints=keypoints[:, None].astype(np.float32), keypoint_skeleton=H36M_17,
        joints=joints[:, None].astype(np.float32), skeleton=H36M_17, size=SIZE,
    )  # fmt: skip


def test_everyone_gets_a_body_whose_bones_turn_and_whose_skin_is_written(walker: Motion, tmp_path: Path) -> None:
    lens = assumed_intrinsics(SIZE, None)
    bodies = Bodies(None)
    moving = bodies(Ground(True)(walker, lens, slice(None)), lens)
    assert moving.skeleton == ANNY_38
    assert moving.world is not None
    assert moving.rotations is not None
    assert moving.rest is not None
    # A bone turned from rest ends where its joint is: the record's own promise.
    rest, parents = moving.rest[0], np.array(ANNY_38.parents)
    w, axis = moving.rotations[:, 0, 1:, :1], moving.rotations[:, 0, 1:, 1:]
    bone = np.broadcast_to(rest[1:] - rest[parents[1:]], axis.shape)
    turned = bone + 2 * np.cross(axis, np.cross(axis, bone) + w * bone)
    np.testing.assert_allclose(turned, moving.world[:, 0, 1:] - moving.world[:, 0, parents[1:]], atol=1e-4)
    report = bodies.report()["7"]
    assert 1.4 < report["stature_m"] < 2.0
    assert moving.facts["body"]["7"] == report

    with open_sinks(tmp_path, ["glb", "bvh", "json", "npz"], "walk") as sinks:
        sinks.dress(bodies.meshes)
        sinks.write(moving)
    data = (tmp_path / "walk.glb").read_bytes()
    length = struct.unpack("<I", data[12:16])[0]
    document = json.loads(data[20 : 20 + length])
    positions = document["meshes"][0]["primitives"][0]["attributes"]["POSITION"]
    assert document["accessors"][positions]["count"] == len(bodies.rig.anny.vertices)
    assert (
        json.loads((tmp_path / "walk.json").read_text(encoding="utf-8"))["facts"]["body"]["7"]["stature_m"]
        == report["stature_m"]
    )


def skin_of(path: Path) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """What a program makes of a GLB with one person: arrays of the skin, (T, V, 3) vertices, bind errors."""
    pygltflib = pytest.importorskip("pygltflib", reason="NO PYGLTFLIB: pip install 'anypose[formats]'")
    file = pygltflib.GLTF2().load(str(path))
    blob, kinds = file.binary_blob(), {5126: "<f4", 5123: "<u2", 5125: "<u4"}
    widths = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}

    def read(number: int) -> np.ndarray:
        accessor = file.accessors[number]
        start = file.bufferViews[accessor.bufferView].byteOffset or 0
        count = accessor.count * widths[accessor.type]
        array = np.frombuffer(blob, kinds[accessor.componentType], count, start)
        return array.reshape(accessor.count, -1)

    (primitive,), (skin,) = file.meshes[0].primitives, file.skins
    names = ("POSITION", "NORMAL", "JOINTS_0", "WEIGHTS_0")
    arrays = {name: read(getattr(primitive.attributes, name)).astype(float) for name in names}
    arrays |= {"faces": read(primitive.indices), "joints": np.array(skin.joints)}
    tracks: dict[tuple[int, str], np.ndarray] = {}
    for channel in file.animations[0].channels:
        tracks[channel.target.node, channel.target.path] = read(file.animations[0].samplers[channel.sampler].output)
    above = {child: node for node, entry in enumerate(file.nodes) for child in entry.children or []}
    T = len(next(iter(tracks.values())))

    def world(node: int, moving: bool) -> np.ndarray:
        local = np.tile(np.eye(4), (T, 1, 1))
        local[:, :3, 3] = file.nodes[node].translation or [0, 0, 0]
        if moving and (node, "translation") in tracks:
            local[:, :3, 3] = tracks[node, "translation"]
        if moving and (node, "rotation") in tracks:
            local[:, :3, :3] = Rotation.from_quat(tracks[node, "rotation"]).as_matrix()
        return world(above[node], moving) @ local if node in above else local

    inverse = read(skin.inverseBindMatrices).astype(float).reshape(-1, 4, 4).swapaxes(-1, -2)
    bind = np.stack([inverse[i] @ world(node, False)[0] for i, node in enumerate(skin.joints)])
    moved = np.stack([world(node, True) @ inverse[i] for i, node in enumerate(skin.joints)], axis=1)
    places = np.concatenate([arrays["POSITION"], np.ones((len(arrays["POSITION"]), 1))], -1)
    carriers = arrays["JOINTS_0"].astype(int)
    vertices = sum(
        arrays["WEIGHTS_0"][:, slot, None] * np.einsum("tvij,vj->tvi", moved[:, carriers[:, slot]], places)[..., :3]
        for slot in range(4)
    )
    return arrays, np.asarray(vertices), bind


def vertices_of(bodies: Any, moving: Motion, anny: Anny) -> np.ndarray:
    """(T, V, 3) the fitted body's own vertices, in the axes of a GLB."""
    fit = bodies.fits[7]
    names = [f"vertex{v}" for v in range(len(anny.vertices))]
    every = replace(anny, surface=dict(zip(names, np.eye(len(names)), strict=True)))
    body = KeypointBody([Point(surface=((name, 1.0),)) for name in names], every)
    camera = moving.camera
    assert camera is not None
    world = body.pose(body.shape(fit.shape.words), fit.turns, fit.root) @ camera.rotation + camera.position
    return np.stack([world[..., 0], world[..., 2], -world[..., 1]], -1)


@pytest.mark.slow
def test_a_program_that_skins_the_glb_has_the_body_s_vertices(walker: Motion, made_up: Anny, tmp_path: Path) -> None:
    lens, bodies = assumed_intrinsics(SIZE, None), Bodies(None)
    moving = bodies(Ground(True)(walker, lens, slice(None)), lens)
    with open_sinks(tmp_path, ["glb"], "walk") as sinks:
        sinks.dress(bodies.meshes)
        sinks.write(moving)
    skin, vertices, bind = skin_of(tmp_path / "walk.glb")
    np.testing.assert_allclose(bind, np.broadcast_to(np.eye(4), bind.shape), atol=1e-5)
    np.testing.assert_allclose(skin["WEIGHTS_0"].sum(-1), 1, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(skin["NORMAL"], axis=-1), 1, atol=1e-5)
    assert skin["JOINTS_0"].max() < len(skin["joints"])
    assert skin["faces"].size == made_up.faces.size
    np.testing.assert_allclose(vertices, vertices_of(bodies, moving, made_up), atol=1e-4)


def test_a_child_beside_an_adult_is_no_far_adult_without_a_doubt(walker: Motion) -> None:
    """A lifter makes everyone as tall as an adult, and what is half again as large is half again as far."""
    assert walker.joints is not None
    assert walker.keypoints is not None
    lens, small = assumed_intrinsics(SIZE, None), 0.65
    child, marks = seen(small * walk(TIMES, (1.2, 7.0), (0.5, 0.0)))
    joints, keypoints = (
        np.concatenate([one, other[:, None].astype(np.float32)], axis=1)
        for one, other in ((walker.joints, child / small), (walker.keypoints, marks))
    )
    pair = replace(walker, ids=np.array([1, 2]), joints=joints, keypoints=keypoints)
    bodies = Bodies(None)
    bodies(Ground(True)(pair[:12], lens, slice(None)), lens)
    tall, report = bodies.fits[2].shape.stature, bodies.report()
    (told,) = [sentence for sentence in bodies.warnings if "On one floor" in sentence]
    assert told.startswith(f"person 2 is {tall:.2f} m tall and stands lower than person 1. On one floor it would be ")
    on_one = float(told.split("it would be ")[1].split(" m")[0])
    assert on_one == pytest.approx(small * report["1"]["stature_m"], rel=0.05)


def test_who_cannot_be_fitted_is_left_out_with_a_warning(walker: Motion) -> None:
    lens = assumed_intrinsics(SIZE, None)
    grounded = Ground(True)(walker, lens, slice(None))
    assert grounded.joints is not None
    joints = grounded.joints.copy()
    joints[:, :, 4:] = np.nan
    bodies = Bodies(None)
    moving = bodies(replace(grounded, joints=joints), lens)
    assert moving.world is not None
    assert not np.isfinite(moving.world).any()
    assert "person 7: No body can be fitted: of 36 frames none has 5 joints; the best has 4." in bodies.warnings


def test_frames_in_which_nobody_was_seen_yet_stay_empty(walker: Motion) -> None:
    lens = assumed_intrinsics(SIZE, None)
    grounded = Ground(True)(replace(walker, joints=np.full_like(walker.joints, np.nan)), lens, slice(None))  # type: ignore[arg-type]
    assert grounded.camera is None
    moving = Bodies(None)(grounded, lens)
    assert moving.skeleton == ANNY_38
    for part in (moving.joints, moving.world, moving.rotations):
        assert part is not None
        assert np.isnan(part).all()


def troubled(trouble: str) -> np.ndarray:
    """(T, P, 17, 3) keypoints of walkers of whom something is wrong."""
    frames = 3 if trouble == "three frames" else 36
    times = np.arange(frames) / 30
    world = walk(times, (-0.5, 5.0), (0.5, 0.0))
    if trouble == "child":
        world = np.concatenate([world[..., :2] - world[:, :1, :2] * 0.4, world[..., 2:]], -1) * [0.65, 1, 0.65]
    people = [seen(world)[1]]
    if trouble == "exchanged":
        people.append(seen(walk(times, (1.0, 5.0), (0.0, 0.3)))[1])
    keypoints = np.stack(people, axis=1)
    if trouble == "half":
        keypoints[
            :, :, [H36M_17.index(f"{side}_{part}") for side in ("left", "right") for part in ("knee", "foot")]
        ] = np.nan
    elif trouble == "upside down":
        keypoints[..., :2] = np.array(SIZE) - keypoints[..., :2]
    elif trouble == "exchanged":
        keypoints[18:] = keypoints[18:, ::-1]
    elif trouble == "NaN":
        rng = np.random.default_rng(0)
        keypoints[rng.random(keypoints.shape[:3]) < 0.2] = np.nan
        keypoints[10:13] = np.nan
    return keypoints.astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["half", "upside down", "child", "exchanged", "three frames", "NaN"])
def test_trouble_in_a_file_gives_bodies_without_nan_or_a_sentence(trouble: str, made_up: Anny, tmp_path: Path) -> None:
    keypoints = troubled(trouble)
    times, ids = np.arange(len(keypoints)) / 30, np.arange(1, 1 + keypoints.shape[1])
    save(
        Motion(trouble, times, ids, keypoints=keypoints, keypoint_skeleton=H36M_17, size=SIZE), tmp_path / "people.npz"
    )
    pipeline = Pipeline(body=True, people=len(ids))
    motion = pipeline(tmp_path / "people.npz")
    assert motion.skeleton == ANNY_38
    assert motion.world is not None
    assert motion.rotations is not None
    there = np.isfinite(motion.world).all((-2, -1))
    assert there.mean() > 0.9
    assert np.isfinite(motion.rotations[there]).all()
    told = " ".join(pipeline.warnings)
    for report in pipeline.bodies.report().values():  # type: ignore[union-attr]
        assert np.isfinite([value for value in report.values() if not isinstance(value, list)]).all()
        assert 0.8 < report["stature_m"] < 2.2
    if trouble == "half":
        assert "left_knee, left_foot was never seen: these parts of the body are at rest, not measured" in told
    if trouble == "exchanged":
        assert "two people may be exchanged" in told
