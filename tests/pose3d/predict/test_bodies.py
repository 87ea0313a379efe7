"""`body=true`: what comes out is one body that moves, and the files hold its skin."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from anypose.motion import Motion
from anypose.skeleton import ANNY_38, H36M_17
from pose3d.body.anny import Anny
from pose3d.predict.ground import Ground
from pose3d.predict.placing import assumed_intrinsics
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
    from pose3d.predict.bodies import Bodies
    from pose3d.predict.sinks import open_sinks

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


@pytest.mark.slow
def test_who_cannot_be_fitted_is_left_out_with_a_warning(walker: Motion) -> None:
    from dataclasses import replace

    from pose3d.predict.bodies import Bodies

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
