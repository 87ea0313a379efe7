"""People stand upright on a floor at 0, feet that stand do not slide."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from anypose.motion import Motion
from anypose.skeleton import H36M_17
from pose3d.predict.ground import Ground, find_contacts, hold_feet, level, mean_direction, standing_places
from pose3d.predict.placing import assumed_intrinsics
from tests.pose3d.predict.walkers import FOCAL, SIZE, camera_of, seen, walk

TIMES = np.arange(180) / 30
FEET = [H36M_17.index(foot) for foot in ("left_foot", "right_foot")]
INTRINSICS = assumed_intrinsics(SIZE, FOCAL)


def motion(world: np.ndarray, tilt: float = 0.0, roll: float = 0.0, noise: float = 0.0) -> Motion:
    """One walker as a camera has them."""
    joints = seen(world, tilt, roll)[0][:, None]
    joints = joints + np.random.default_rng(0).normal(0, noise, (len(world), 1, 1, 3))
    return Motion("walk", TIMES, np.array([1]), joints=joints.astype(np.float32), skeleton=H36M_17, size=SIZE)


@pytest.mark.parametrize(("tilt", "roll"), [(0.0, 0.0), (0.4, 0.0), (0.3, 0.2), (-0.2, -0.3)])
def test_a_walker_is_upright_whatever_way_the_camera_leans(tilt, roll):
    world = walk(TIMES, (-2.0, 5.0), (0.7, 0.1))
    found = Ground(hold=False)(motion(world, tilt, roll), INTRINSICS, slice(None))
    assert found.camera.rotation[:, 2] @ camera_of(tilt, roll)[:, 2] > np.cos(np.radians(3))
    assert found.world[:, 0, FEET, 2].min(1) == pytest.approx(0.08, abs=0.05)
    assert found.world[:, 0, H36M_17.index("head"), 2] == pytest.approx(1.65, abs=0.08)
    back = (found.world - found.camera.position) @ found.camera.rotation.T
    assert back == pytest.approx(found.joints, abs=1e-5)


def test_who_is_seen_from_the_hips_up_stands_on_legs_of_an_adult():
    world = walk(TIMES, (-2.0, 5.0), (0.7, 0.1))
    half = motion(world)
    half.joints[:, :, [H36M_17.index(f"{side}_{part}") for side in ("left", "right") for part in ("knee", "foot")]] = (
        np.nan
    )
    found = Ground(hold=True)(half, INTRINSICS, slice(None))
    assert found.world[:, 0, H36M_17.index("left_hip"), 2] == pytest.approx(0.93, abs=0.05)
    assert not found.contacts.any()


def test_contacts_are_where_the_walker_stands():
    world = walk(TIMES, (-2.0, 5.0), (0.9, 0.0))
    contacts = find_contacts(world[:, FEET], TIMES)
    stands = np.stack([(TIMES + shift) % 1 < 0.5 for shift in (0.0, 0.5)], 1)
    inner = np.minimum((TIMES[:, None] + [0, 0.5]) % 0.5, 0.5 - (TIMES[:, None] + [0, 0.5]) % 0.5) > 0.1
    assert (contacts == stands)[inner].mean() > 0.95


def test_held_feet_stand_and_nothing_jumps():
    world = walk(TIMES, (-2.0, 5.0), (0.8, 0.0))
    wander = np.cumsum(np.random.default_rng(0).normal(0, 0.004, (180, 3)), 0) * [1, 1, 0]
    feet = world[:, FEET] + wander[:, None]
    contacts = find_contacts(feet, TIMES)
    shift, _ = hold_feet(feet, contacts, TIMES)
    held = feet + shift[:, None]
    standing = contacts[1:] & contacts[:-1]
    before, after = (np.linalg.norm(np.diff(x, axis=0), axis=-1)[standing].mean() for x in (feet, held))
    assert after < before / 4
    assert np.abs(np.diff(shift, axis=0)).max() < 0.06


def test_a_foot_that_stands_stays_at_one_height():
    standing = np.repeat(walk(TIMES[:1], (0.0, 4.0), (0.0, 0.0)), 180, 0)[:, FEET]
    bobbing = standing + 0.01 * np.sin(2 * np.pi * TIMES)[:, None, None] * [0, 0, 1]
    shift, _ = hold_feet(bobbing, np.ones((180, 2), bool), TIMES)
    assert bobbing + shift[:, None] == pytest.approx(standing, abs=2e-3)


def test_a_foot_that_has_moved_stands_anew():
    place = np.zeros((180, 3))
    place[60:, 0] = 0.4
    stands = standing_places(place, TIMES, np.full(3, np.nan), 0)
    assert stands[:, 0] == pytest.approx(np.where(TIMES < 2, 0, 0.4))
    later = standing_places(place[30:], TIMES[30:], np.array([0.02, 0, 0]), 10)
    assert later[:, 0] == pytest.approx(np.where(TIMES[30:] < 2, 0.02, 0.4))


def test_a_foot_that_stands_over_many_chunks_stays_in_one_place():
    drift = np.cumsum(np.random.default_rng(1).normal(0, 0.0015, (180, 3)), 0) * [1, 1, 0]
    standing = np.repeat(walk(TIMES[:1], (0.0, 4.0), (0.0, 0.0)), 180, 0) + drift[:, None]
    whole, ground, chunks = motion(standing), Ground(hold=True, up=np.array([0.0, -1.0, 0.0])), []
    for start in range(0, 180, 30):
        before = max(0, start - 30)
        part = slice(before, start + 60)
        window = replace(whole, times=whole.times[part], joints=whole.joints[part])
        keep = slice(start - before, start - before + 30)
        chunks.append(ground(window, INTRINSICS, keep).world[keep])
    feet = np.concatenate(chunks)[:, 0, FEET]
    assert np.linalg.norm(np.diff(feet[..., :2], axis=0), axis=-1).max() < 2e-4
    assert np.ptp(standing[:, FEET], axis=0).max() > 0.02


def test_skate_is_counted_before_and_after():
    ground = Ground(hold=True)
    found = ground(motion(walk(TIMES, (-2.0, 5.0), (0.8, 0.0)), noise=0.004), INTRINSICS, slice(30, 150))
    report = ground.skate.report()
    assert report["contact_frames"] > 60
    assert report["skate_after_mm"] < report["skate_before_mm"] / 3
    assert report["rise_after_mm"] < report["rise_before_mm"] / 2
    assert found.contacts.shape == (180, 1, 2)


def test_skate_is_counted_from_chunk_to_chunk():
    whole, world = motion(walk(TIMES, (-2.0, 5.0), (0.8, 0.0)), noise=0.004), Ground(hold=False)
    world(whole, INTRINSICS, slice(31, 91))
    pieces = Ground(hold=False)
    for t in range(31, 91):
        pieces(whole, INTRINSICS, slice(t, t + 1))
    assert pieces.skate.report() == world.skate.report()


def test_the_floor_is_settled_once():
    ground = Ground(hold=False)
    first = ground(motion(walk(TIMES, (-2.0, 5.0), (0.7, 0.0)), 0.2), INTRINSICS, slice(None)).camera
    second = ground(motion(walk(TIMES, (-2.0, 5.0), (0.7, 0.0)), 0.3), INTRINSICS, slice(None)).camera
    assert second is first


def test_nobody_stands_nowhere():
    none = np.zeros((180, 0, 17, 3), np.float32)
    empty = Motion("walk", TIMES, np.zeros(0, int), joints=none, skeleton=H36M_17, size=SIZE)
    found = Ground(hold=True)(empty, INTRINSICS, slice(None))
    assert found.world.shape == (180, 0, 17, 3)
    assert found.contacts.shape == (180, 0, 2)


def test_level_and_mean_direction():
    up = np.array([0.3, -0.8, -0.4]) / np.linalg.norm([0.3, -0.8, -0.4])
    rotation = level(up)
    assert rotation @ rotation.T == pytest.approx(np.eye(3), abs=1e-9)
    assert np.linalg.det(rotation) == pytest.approx(1)
    assert rotation[:, 2] == pytest.approx(up)
    assert level(np.array([0.0, 0, -1]))[:, 2] == pytest.approx([0, 0, -1])
    lying = np.tile([1.0, 0, 0], (20, 1))
    assert mean_direction(np.concatenate([np.tile(up, (80, 1)), lying])) == pytest.approx(up, abs=1e-6)
    assert mean_direction(np.zeros((0, 3))) == pytest.approx([0, -1, 0])
