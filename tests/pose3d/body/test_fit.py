from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from anypose.camera import project, world_to_camera
from anypose.metrics import mpjve, p_mpjpe
from anypose.skeleton import BLAZEPOSE_33, H36M_17
from pose3d.body.anny import Anny
from pose3d.body.checks import check
from pose3d.body.fit import Fitter
from pose3d.body.people import Person, random_bodies, with_stature
from pose3d.body.seen import Noise, Seen
from pose3d.motion.virtual_cameras import CameraRanges, sample_cameras
from tests.pose3d.predict.walkers import walk

FRAMES, FPS = 24, 30.0
PLAIN = CameraRanges(radial=((0, 0), (0, 0), (0, 0)), tangential=((0, 0), (0, 0)), focal=(900.0, 900.0))


@pytest.fixture(scope="module")
def fitter(made_up: Anny) -> Fitter:
    return Fitter(H36M_17, BLAZEPOSE_33)


@pytest.fixture(scope="module")
def person(made_up: Anny) -> Person:
    joints = walk(np.arange(FRAMES) / FPS, (0.0, 4.0), (0.7, 0.2))
    return next(random_bodies(joints, np.random.default_rng(2), 1))


@pytest.fixture(scope="module")
def seen(person: Person) -> Seen:
    joints, points = person.points(H36M_17), person.points(BLAZEPOSE_33)
    camera = sample_cameras(np.random.default_rng(0), joints, 1, PLAIN)[0]
    pixels = project(world_to_camera(points, camera), camera)
    keypoints = np.concatenate([pixels, np.ones((*pixels.shape[:2], 1))], -1)
    times, lens = np.arange(FRAMES) / FPS, np.array([camera.focal[0], *camera.centre])
    return Seen(times, world_to_camera(joints, camera), H36M_17, keypoints, BLAZEPOSE_33, lens)


def off(found: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """P-MPJPE and MPJVE [mm]."""
    a, b = (torch.from_numpy(points - points[:, :1]) for points in (found, truth))
    return 1e3 * float(p_mpjpe(a, b).mean()), 1e3 * float(mpjve(a, b).mean())


def test_who_is_seen_exactly_is_found_exactly(fitter: Fitter, seen: Seen, person: Person) -> None:
    told: list[float] = []
    fit = fitter(seen, progress=lambda _, residual: told.append(residual))
    assert off(fit.points(fitter.poser.human), seen.joints)[0] < 1.0
    assert fit.shape.stature == pytest.approx(person.stature, abs=0.01)
    assert fit.residual_px.max() < 1.0
    assert told[-1] <= told[0]
    assert not fit.remarks


@pytest.mark.slow
def test_anny_is_found_as_exactly(anny_body: Anny) -> None:
    joints = walk(np.arange(FRAMES) / FPS, (0.0, 4.0), (0.7, 0.2))
    person = next(random_bodies(joints, np.random.default_rng(2), 1))
    fitter = Fitter(H36M_17, None)
    fit = fitter(Seen(np.arange(FRAMES) / FPS, person.points(H36M_17), H36M_17))
    assert off(fit.points(fitter.poser.human), person.points(H36M_17))[0] < 1.0
    assert fit.shape.stature == pytest.approx(person.stature, abs=0.01)


def test_noise_is_taken_off(fitter: Fitter, seen: Seen) -> None:
    rng = np.random.default_rng(1)
    joints = seen.joints + rng.normal(0, 0.03, seen.joints.shape)
    keypoints = seen.keypoints.copy()
    keypoints[..., :2] += rng.normal(0, 3.0, keypoints[..., :2].shape)
    fit = fitter(replace(seen, joints=joints, keypoints=keypoints))
    before, after = off(joints, seen.joints), off(fit.points(fitter.poser.human), seen.joints)
    assert after[0] < before[0] / 2
    assert after[1] < before[1] / 2
    assert (fit.deviation < 0.15).all()


def test_slopes_of_all_terms_are_those_of_the_cost(fitter: Fitter, seen: Seen) -> None:
    limbs = (("left_hip", "left_knee"), ("right_elbow", "right_wrist"))
    objective = Fitter(H36M_17, BLAZEPOSE_33, limbs).objective
    rng = np.random.default_rng(3)
    few = Seen(
        seen.times[:5], seen.joints[:5] + rng.normal(0, 0.03, (5, 17, 3)), H36M_17, seen.keypoints[:5], BLAZEPOSE_33,
        seen.intrinsics, contacts=np.ones((5, 2), bool), limbs=limbs,
        directions=np.tile([0.0, 0.6, 0.8], (5, 2, 1)),
    )  # fmt: skip
    words = np.array([0.3, 0.7, 0.5, 0.5, 0.4, 0.6])
    shape, noise = objective.body.shape(words), Noise(0.04, 5.0)
    turns, root = objective.begin(few, words)
    now = objective.equations(few, shape, turns, root, noise=noise)
    assert set(now.costs) == {"joints", "reprojection", "depth", "directions", "limits", "smoothness", "stillness"}
    step = rng.normal(0, 1e-5, now.slope.shape)
    costs = [
        objective.equations(few, shape, *objective.move(shape, turns, root, sign * step), noise=noise, only_cost=True)
        for sign in (-1, 1)
    ]
    for name in now.costs:
        assert costs[1].costs[name] != costs[0].costs[name]
    assert (costs[1].cost - costs[0].cost) / 2 == pytest.approx(float((now.slope * step).sum()), rel=2e-3)


def test_the_hypothesis_that_fits_is_taken(fitter: Fitter, seen: Seen) -> None:
    wrong = seen.joints.copy()
    wrong[8:11, 14:] += [0.0, -0.5, 0.4]
    hypotheses = np.stack([wrong, seen.joints], 1)
    fit = fitter(replace(seen, joints=wrong, hypotheses=hypotheses))
    assert off(fit.points(fitter.poser.human), seen.joints)[0] < 3.0


TROUBLES = ("half", "upside down", "child", "three frames", "exchanged", "gap", "one frame", "mirrored", "sides",
            "no keypoints", "holes", "infinite", "one point")  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("trouble", TROUBLES)
def test_trouble_gives_a_body_and_says_so(fitter: Fitter, seen: Seen, person: Person, trouble: str) -> None:
    legs = [j for j, name in enumerate(H36M_17.joints) if name.endswith(("knee", "foot"))]
    joints, given = seen.joints.copy(), seen
    if trouble == "half":
        joints[:, legs] = np.nan
        keypoints = seen.keypoints.copy()
        keypoints[:, 25:, 2] = 0
        given = replace(seen, joints=joints, keypoints=keypoints)
    elif trouble == "upside down":
        middle = joints[:, :1]
        given = replace(
            seen, joints=middle + (joints - middle) * [-1, -1, 1], keypoints=None, up=np.array([0, -1.0, 0])
        )
    elif trouble == "one point":
        given = replace(seen, keypoints=seen.keypoints * [0, 0, 1] + [500, 500, 0])
    elif trouble == "child":
        small = Person(with_stature(np.array([0.5, 0.33, 0.5, 0.5, 0.5, 0.5]), 1.15), person.turns, person.root)
        given = replace(seen, joints=small.points(H36M_17), keypoints=None)
    elif trouble == "three frames":
        given = Seen(seen.times[:3], joints[:3], H36M_17, seen.keypoints[:3], BLAZEPOSE_33, seen.intrinsics)
    elif trouble == "exchanged":
        joints[12:] += [1.5, 0.0, 0.0]
        given = replace(seen, joints=joints, keypoints=None)
    elif trouble == "one frame":
        given = Seen(seen.times[:1], joints[:1], H36M_17, seen.keypoints[:1], BLAZEPOSE_33, seen.intrinsics)
    elif trouble == "mirrored":
        given = replace(seen, joints=joints[:, :1] + (joints - joints[:, :1]) * [-1, 1, 1], keypoints=None)
    elif trouble == "sides":
        flipped = seen.keypoints[:, list(BLAZEPOSE_33.flip_index)]
        given = replace(seen, joints=joints[:, list(H36M_17.flip_index)], keypoints=flipped)
    elif trouble == "no keypoints":
        given = replace(seen, keypoints=seen.keypoints * [1, 1, 0])
    elif trouble in ("holes", "infinite"):
        away, rng = {"holes": np.nan, "infinite": np.inf}[trouble], np.random.default_rng(0)
        holes = [np.where(rng.random(array.shape) < 0.1, away, array) for array in (joints, seen.keypoints)]
        given = replace(seen, joints=holes[0], keypoints=holes[1])
    else:
        joints[8:12] = np.nan
        given = replace(seen, joints=joints)
    fit = fitter(given)
    found = fit.points(fitter.poser.human)
    assert np.isfinite(found).all()
    assert np.isfinite(fit.deviation).all()
    told = " ".join(fit.remarks)
    if trouble == "half":
        assert "right_knee, right_foot, left_knee, left_foot was never seen" in told
        assert fit.deviation[:, legs].min() > 3 * fit.deviation[:, 0].max()
        assert fit.unmeasured == ("LeftLeg", "LeftFoot", "RightLeg", "RightFoot")
    elif trouble == "upside down":
        assert off(found, given.joints)[0] < 3.0
        assert "Hips are below the feet in 24 of 24 frames" in told
    elif trouble == "child":
        assert fit.shape.stature == pytest.approx(1.15, abs=0.03)
    elif trouble == "exchanged":
        assert "jumps at 0.40 s: two people may be exchanged" in told
    elif trouble in ("mirrored", "sides"):
        assert "Knees bend backwards: left and right may be exchanged" in told
    elif trouble == "one point":
        assert "px off keypoints that span 0 px: they are no person's" in told
    elif trouble == "no keypoints":
        assert "No keypoint was seen: the body follows the joints alone." in told
    elif trouble in ("holes", "infinite"):
        assert off(found, seen.joints)[0] < 5.0
    elif trouble == "gap":
        assert "In 4 of 24 frames too little was seen" in told
        assert off(found, seen.joints)[0] < 5.0


def test_what_cannot_be_fitted_is_said(fitter: Fitter, seen: Seen) -> None:
    nothing = np.full_like(seen.joints, np.nan)
    with pytest.raises(ValueError, match=r"of 24 frames none has 5 joints; the best has 0"):
        fitter(replace(seen, joints=nothing))
    with pytest.raises(ValueError, match=r"give intrinsics \(focal, centre\)"):
        fitter(replace(seen, intrinsics=None))
    with pytest.raises(ValueError, match="lift the keypoints first"):
        fitter(replace(seen, joints=None))
    with pytest.raises(ValueError, match=r"span 1\d{3} m, and people 0.15 to 4.0: give metres, not millimetres"):
        fitter(replace(seen, joints=1000 * seen.joints))
    with pytest.raises(ValueError, match=r"Times must be finite and rise \[s\]; found \[0. 0. 0."):
        fitter(replace(seen, times=0 * seen.times))
    with pytest.raises(ValueError, match=r"keypoints must be \(24, 33, 3\), found \(5, 33, 3\)"):
        fitter(replace(seen, keypoints=seen.keypoints[:5]))
    with pytest.raises(ValueError, match="focal length above 0"):
        fitter(replace(seen, intrinsics=np.zeros(3)))
    with pytest.raises(ValueError, match=r"height must be 0.3 to 3.0 m, found 178"):
        fitter(replace(seen, stature=178.0))


def test_feet_that_were_never_seen_hold_nobody(fitter: Fitter, seen: Seen) -> None:
    """Legs at rest under somebody who walks look as if they stood, and pulled the body off its keypoints."""
    legs = [j for j, name in enumerate(H36M_17.joints) if name.endswith(("knee", "foot"))]
    joints, keypoints = seen.joints.copy(), seen.keypoints.copy()
    joints[:, legs], keypoints[:, 25:, 2] = np.nan, 0
    given = replace(seen, joints=joints, keypoints=keypoints, contacts=np.ones((FRAMES, 2), bool))
    assert not fitter.objective.feet_seen(given).any()
    assert fitter.objective.feet_seen(seen).all()
    assert np.median(fitter(given).residual_px) < 5.0


def test_turns_of_a_trunk_that_was_never_seen_are_not_given_as_measured(fitter: Fitter, seen: Seen) -> None:
    """Of legs alone."""
    trunk = [j for j, name in enumerate(H36M_17.joints) if not name.endswith(("hip", "knee", "foot"))]
    joints, keypoints = seen.joints[:6].copy(), seen.keypoints[:6].copy()
    joints[:, trunk], keypoints[:, :23, 2] = np.nan, 0
    fit = fitter(replace(seen, times=seen.times[:6], joints=joints, keypoints=keypoints))
    above = [bone for bone in fitter.body.bones[1:] if not bone.endswith(("Leg", "Foot"))]
    assert [bone for bone in fit.unmeasured if not bone.endswith("Foot")] == above
    rows = [fitter.body.bones.index(bone) for bone in ("LowerBack", "Neck", "LeftLeg")]
    back, neck, knee = np.median(fit.turn_deviation, axis=0)[rows]
    assert min(back, neck) > 0.3  # as far as people turn them [rad]
    assert knee < back


def test_frames_that_are_far_apart_are_not_held_together(fitter: Fitter, seen: Seen) -> None:
    later = replace(seen, times=seen.times + 5.0 * (np.arange(FRAMES) >= 12))
    for apart in (later, replace(seen, cuts=(12,))):
        pulls = fitter.objective.pulls(apart, 1 / FPS)
        assert np.flatnonzero((pulls == 0).all((1, 2))).tolist() == [10, 11]


def test_one_joint_that_is_far_off_is_left_out(fitter: Fitter, seen: Seen) -> None:
    joints = seen.joints.copy()
    joints[8, 16] = 1e6
    fit = fitter(replace(seen, joints=joints))
    assert "Joints lie more than 4 m from the person's others, 1 over all frames" in fit.remarks[0]
    assert off(fit.points(fitter.poser.human), seen.joints)[0] < 3.0


@pytest.mark.slow
def test_a_height_that_is_given_is_kept(fitter: Fitter, seen: Seen) -> None:
    fit = fitter(replace(seen, keypoints=None, stature=1.72))
    assert fit.shape.stature == pytest.approx(1.72, abs=1e-3)
    assert not fit.remarks
    fit = fitter(replace(seen, keypoints=None, stature=0.35))
    assert "m tall, not the 0.35 m that were given" in fit.remarks[-1]


def test_sides_that_are_exchanged_in_the_middle_are_put_back(fitter: Fitter, seen: Seen) -> None:
    """Straight to the fitter they turned the neck by 144 degrees."""
    joints, keypoints = seen.joints.copy(), seen.keypoints.copy()
    joints[16:] = joints[16:, list(H36M_17.flip_index)]
    keypoints[16:] = keypoints[16:, list(BLAZEPOSE_33.flip_index)]
    turned = replace(seen, joints=joints, keypoints=keypoints)
    put, remarks = check(turned)
    np.testing.assert_array_equal(put.joints, seen.joints)
    np.testing.assert_array_equal(put.keypoints, seen.keypoints)
    assert remarks == ("Left and right were exchanged from 0.53 to 0.77 s: they are put back.",)
    fit = fitter(turned)
    assert off(fit.points(fitter.poser.human), seen.joints)[0] < 1.0
    alone, _ = check(replace(turned, keypoints=seen.keypoints))  # of joints alone
    np.testing.assert_array_equal(alone.joints, seen.joints)
    np.testing.assert_array_equal(alone.keypoints, seen.keypoints)


def test_feet_that_nobody_said_to_stand_do_not_skate(fitter: Fitter, seen: Seen, person: Person) -> None:
    """The walker's feet stand still; a lifter's tremble."""
    rng, feet = np.random.default_rng(1), [H36M_17.index("left_foot"), H36M_17.index("right_foot")]
    joints = seen.joints + rng.normal(0, 0.02, seen.joints.shape)
    found = fitter(replace(seen, joints=joints)).points(fitter.poser.human)
    steps = np.linalg.norm(np.diff(seen.joints[:, feet], axis=0), axis=-1)
    stands = steps < np.percentile(steps, 30)
    moved = [np.linalg.norm(np.diff(one[:, feet], axis=0), axis=-1)[stands].mean() for one in (joints, found)]
    assert moved[1] < 0.5 * moved[0]


def test_who_bounces_like_a_runner_is_not_flattened(fitter: Fitter, seen: Seen, person: Person) -> None:
    """All points accelerate together by up to 12 m/s^2; each held against its own smoothness would stop it."""
    rng = np.random.default_rng(1)
    joints, points = (person.points(layout) for layout in (H36M_17, BLAZEPOSE_33))
    camera = sample_cameras(np.random.default_rng(0), joints, 1, PLAIN)[0]
    bounce = np.zeros((FRAMES, 1, 3))
    bounce[:, 0, 2] = 0.04 * np.sin(2 * np.pi * 2.8 * seen.times)
    truth, pixels = world_to_camera(joints + bounce, camera), project(world_to_camera(points + bounce, camera), camera)
    keypoints = np.concatenate([pixels + rng.normal(0, 2.0, pixels.shape), np.ones((*pixels.shape[:2], 1))], -1)
    fit = fitter(replace(seen, joints=truth + rng.normal(0, 0.03, truth.shape), keypoints=keypoints))
    found = fit.points(fitter.poser.human)[:, 0] - truth[:, 0]
    assert (found - found.mean(0))[:, 1].std() < 0.01
